"""What a student's function must do, and what is wrong when it does not: the assignments' self-checks.

A check takes the function itself, calls it on a few small inputs, and answers with a `Verdict`: right, or not
yet, with the place and a hint. Hints come from *suspects*: what the usual mistakes return for the same input.
If the answer equals a suspect, the mistake has a name; the right values are never shown.

==============  ===========================================================================================
``grading``     right, or not yet and why; questions with their points, and what a notebook has earned
``comparing``   the student's function called with care; a result beside the expected one and its suspects
``lectures``    the cells that students fill in during a lecture, one file each
``week01``      from a road to its lines
``week02``      digits, and a diagnosis
``week03``      what VGG sees
``week04``      k-means from scratch on weights
``week05``      the highest sparsity within one point
``week06``      shared values, and whole numbers
``week07``      a canonical Huffman codec
==============  ===========================================================================================

What is right to single precision is right, as arrays, tensors and lists are; integers and truth values are
asked for where they index or mask something. Each question has several cases, none of them in its notebook.
Only `common.members`, which grades, and the notebooks import from here.
"""
