"""Every figure of the course's results, drawn from plain data: a report, results, published rows.

Each function returns a figure that Jupyter shows; none touches pyplot, so nothing is left open.

=================== ================================================================================
``style``           colours that colour-blind readers tell apart, sizes, and the figure class
``stages``          size and accuracy after each stage of the pipeline
``overview``        the three stages as a schematic with measured sizes
``weights``         histograms of the weights, and the layers of a report
``cells``           small matrices as coloured cells, one colour a cluster
``codes``           Huffman code lengths against the entropy
``trade_off``       compression ratio against accuracy drop, ours beside the published ones
``leaderboard``     what members handed in, beside the published ones, with the Pareto front
``methods_map``     every method's files on one map, bytes against accuracy drop, ours and published
``sliders``         a figure with knobs, where somebody can turn them
``animations``      frames written as a small GIF, and shown with their text alternative
``labels``          where labels go so that they do not lie on each other
=================== ================================================================================
"""

from common.figures.animations import show_animation
from common.figures.pipeline import (
    accuracy_along_pipeline,
    code_length_distribution,
    codes_of,
    coloured_cells,
    layer_sparsity_and_bits,
    size_after_each_stage,
    three_stages,
    weight_histograms,
)
from common.figures.sliders import sliders
from common.figures.style import CourseFigure, few_colours, use_course_style
from common.figures.trade_off import trade_off_curve

__all__ = [
    "CourseFigure",
    "accuracy_along_pipeline",
    "code_length_distribution",
    "codes_of",
    "coloured_cells",
    "few_colours",
    "layer_sparsity_and_bits",
    "show_animation",
    "size_after_each_stage",
    "sliders",
    "three_stages",
    "trade_off_curve",
    "use_course_style",
    "weight_histograms",
]
