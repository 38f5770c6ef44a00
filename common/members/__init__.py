"""The course as it is run: who takes part, what they hand in, and what it is worth.

===============  =========================================================================================
``roster``       who takes part, in which team, from which GitHub account; the schedule; names safe as folders
``gate``         what a pull request may touch: its author's folder, decided by git without running anything
``folders``      members' folders: made from the template, filled with assignments, never written over
``checking``     a member's week: run in the sandbox, graded; what was found, kept and as text
``marks``        points by the rubric, comments, extensions; when work was handed in, and how late
``lists``        a class read from a spreadsheet, grades written for a learning platform
``review``       a local page on which a person reads and grades the questions of a rubric
``feedback``     a report for each member: points, what the checks said, comments
``leaderboard``  the ``.dcz`` files handed in: measured once each, ranked; ties, the Pareto front
``board``        everybody's weeks, points and hand-ins, as a page and as CSV
``solutions``    solution regions in a lecture's code, and stubs in their place
``release``      the mentees' edition: the course without its answers
``commands``     ``dnnc members`` and ``dnnc course``
===============  =========================================================================================

``templates`` holds the pages of board and review, and the edition's README and Makefile. `roster` and `gate`
need the standard library only, so nothing is imported here.
"""
