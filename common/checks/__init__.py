"""What a student's function must do, and what is wrong when it does not: the assignments' self-checks.

A check takes the student's function itself, calls it on a few small inputs, and returns a `Verdict`: right,
or not yet, with the place and a hint. Hints come from *suspects*: what the usual mistakes return for the same
input. If the result equals a suspect, the hint names that mistake. The right values are never shown.

==============  ===========================================================================================
``grading``     right, or not yet and why; questions with their points, and what a notebook has earned
``comparing``   the student's function called with care; a result beside the expected one and its suspects
``lectures``    the cells that students fill in during a lecture, one file each
``week01``      from a road to its lines
``week02``      digits, and a diagnosis
``week03``      what VGG sees
``week04``      k-means from scratch on weights
``week05``      the highest sparsity within one point
``week06``      centroid fine-tuning, and whole numbers
``week07``      a codec that reads the course's own streams
==============  ===========================================================================================

A result that is right to single precision is right, whether it is an array, a tensor or a list. Integers and
truth values are required only where they index or mask something. Each question has several cases, none of
them in its notebook. Besides the notebooks, only what grades them imports from here: `common.members` and
`common.sandbox`, and `common.capstone` for a member's own functions.
"""
