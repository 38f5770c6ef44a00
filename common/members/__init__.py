"""The course as it is run: members and their work, the leaderboard, attendance.

===================== ================================================================================
``names``             names that are safe as folders everywhere
``roster``            who takes part, in which team, from which account; the schedule of lectures
``gate``              what a pull request may touch: its author's folder, decided without running anything
``folders``           members' folders: made, filled, never written over
``week_results``      what a check found, and where it is kept
``landlock``          a process gives up its right to write outside one folder
``confine``           the first process of a sandbox: it gives up rights, and starts the command
``sandbox``           a command that nobody trusts, run with limits and watched
``work_copy``         the temporary copy in which a member's work is run
``notebook_run``      inside the sandbox: a notebook from top to bottom, then its checks
``checking``          a member's week: copied, run, graded
``check_report``      what checks found, as text
``marks``             points that a reader gives by a rubric
``hand_ins``          when something was last handed in
``measure_entry``     inside the sandbox: a .dcz file decoded and evaluated
``entries``           the .dcz files that were handed in, measured once each
``leaderboard``       ranks, ties, the Pareto front
``board``             everybody's weeks, points and hand-ins, gathered
``board_page``        the board as a page and as CSV
``member_commands``   ``dnnc members``
``attendance_…``      attendance by QR code: codes, store, pages, report, ``dnnc attendance``
===================== ================================================================================
"""
