"""What a student's function must do, and what is wrong when it does not: the assignments' self-checks.

A check takes the function itself, calls it on a few small inputs, and answers with a `Verdict`: right, or not
yet, with the place and a hint. Hints come from *suspects*: what the usual mistakes return for the same input.
If the answer equals a suspect, the mistake has a name; the right values are never shown.

``verdict``     right, or not yet and why; what a check raises when it has seen enough
``calling``     the student's function called with care: errors, missing returns, changed arguments
``pictures``    small matrices side by side, as text
``comparing``   an array beside the expected one and beside its suspects
``grading``     questions with their points, and the points that a notebook has earned
``edges``       week 1: grey, convolution, Gaussian, gradient
``lines``       week 1: thinning, hysteresis, the Hough transform, the road's lines
``week01``      the questions of week 1: from edges to lines
``regression``  week 2: standardization, softmax, cross-entropy, logistic regression
``perceptron``  week 2: the gradients of a perceptron, the learning curve
``week02``      the questions of week 2: digits, and a diagnosis
``vgg_input``   week 3: resizing, cropping, normalizing
``vgg_layers``  week 3: VGG's layers, their cost, their feature maps
``week03``      the questions of week 3: what VGG sees
``clusters``    week 4: where k-means starts, its two steps, the loop of them
``codebooks``   week 4: what codebook and indices cost, their bytes, the exact optimum
``week04``      the questions of week 4: k-means from scratch on weights
``mask_rules``  week 5: scores, and masks with exact counts
``pruner``      week 5: the schedule, a step that keeps the masks, the sensitivity scan
``gaps``        week 5: gaps with fillers, what a sparse layer costs
``week05``      the questions of week 5: the highest sparsity within one point
``sharing``     week 6: decoding, assigning, what sharing saves, a codebook in order
``centroids``   week 6: the centroids' gradient, one step, a whole fine-tuning
``week06``      the questions of week 6: centroid fine-tuning
``code_book``   week 7: entropy, Huffman's lengths, complete codes, canonical words
``code_stream`` week 7: symbols to bytes and back, the table of lengths
``week07``      the questions of week 7: a canonical Huffman codec
``lectures``    the cells that are filled in while a lecture is read: a module per lecture
=============== ============================================================================================

Only `common.members`, which grades, and the notebooks import from here.
=======
==============  ===========================================================================================
``grading``     right, or not yet and why; questions with their points, and what a notebook has earned
``comparing``   the student's function called with care; a result beside the expected one and its suspects
``week01``      from a road to its lines
``week02``      digits, and a diagnosis
``week03``      what VGG sees
``week04``      k-means from scratch on weights
``week05``      the highest sparsity within one point
``week06``      shared values, and whole numbers
``week07``      a canonical Huffman codec
``lectures``    the cells that are filled in while a lecture is read: a module per lecture
==============  ===========================================================================================

What is right to single precision is right, as arrays, tensors and lists are; integers and truth values are
asked for where they index or mask something. Each question has several cases, none of them in its notebook.
Only `common.members`, which grades, and the notebooks import from here.
"""
