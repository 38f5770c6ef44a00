"""A notebook or file that nobody trusts, run with limits and watched: members' work is checked in here.

=============  ===========================================================================================
``run``        starts a command, watches its time, memory, files and processes, and stops it at a limit
``confine``    the first process inside: gives up its rights, then becomes the command
``view``       what the command sees of the disk, and a filter of system calls (Linux)
``work_copy``  the temporary copy in which a member's work is run
``notebook``   the program inside: a notebook from top to bottom, then its checks
``entry``      the program inside: a ``.dcz`` file decoded and evaluated
=============  ===========================================================================================
"""
