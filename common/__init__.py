"""The course's package: from a trained network to a small file, and back. Each folder is one concept.

Follow a weight: it is trained in `networks`, pruned in `pruning`, gets a shared value in `sharing`, and
becomes bits in `codec`. `compress` joins these stages, `report` says how much each saves, and `figures` draws
it.

===============  =========================================================================================
``base``         files written whole or not at all, results as JSON, numbers, text, progress bars
``data``         data sets: found, read, split, cut into batches; photographs
``codec``        tensors as bytes: Huffman codes, positions of kept weights, the ``.dcz`` container; no torch
``networks``     the networks, their training and evaluation, checkpoints, baselines, distillation
``sharing``      k-means in one dimension, weights that share values, fine-tuning of codebooks
``pruning``      criteria, masks, schedules, removal of channels, relevance
``report``       where a file's bytes go, the course's targets, published results, the Pareto front
``figures``      every figure of the results, from plain data
``compress``     the pipeline: prune, share, code; from a file of weights to a ``.dcz`` file
``methods``      other ways to a small network: low rank, few bits, variational dropout, lottery tickets
``capstone``     VGG-16 on CIFAR-10 from end to end, compared with the course's targets
``experiments``  long measurements: ``dnnc study`` and ``dnnc reproduce``
``deploy``       compressed networks in use: a web page, ONNX, plain C, products without a dense matrix
``checks``       tests of a student's functions, with a hint where one fails
``sandbox``      an untrusted notebook or file, run in isolation
``members``      the roster, hand-ins, marks, the leaderboard, the board
``attendance``   attendance by a code on the projector
===============  =========================================================================================

Beside them: ``cli`` (the command ``dnnc``), ``doctor`` (is this machine ready?), ``benchmarks`` (the course's
code compared with other libraries). `MAY_IMPORT` says which folder may import which; a test compares it with
the code.
"""

from __future__ import annotations

__version__ = "0.1.0"

_STAGES = "base data codec networks sharing pruning report figures compress methods"
MAY_IMPORT = {
    "base": "",
    "data": "base",
    "codec": "base",
    "networks": "base data",
    "sharing": "base codec networks",  # networks: only where codebooks are trained
    "pruning": "base data networks codec",
    "report": "base codec networks",
    "figures": "base codec report",
    "compress": "base data networks pruning sharing codec report",
    "methods": "base data networks pruning sharing codec compress",
    "capstone": f"{_STAGES} checks",  # checks: of a member's own functions
    "experiments": f"{_STAGES} capstone",
    "deploy": "base codec data networks compress",
    "checks": "codec data networks pruning sharing methods",  # the last four: only for cells of lectures
    "sandbox": "base data networks codec compress report",
    "members": "base data report figures checks sandbox",
    "attendance": "base figures members",
}
