"""Every figure of the course's results, drawn from plain data: a report, results, published rows.

A function that draws returns a figure that Jupyter shows; none uses pyplot, so no figure stays open.

===============  =========================================================================================
``style``        colours that colour-blind readers tell apart, sizes, and the figure class
``pipeline``     the three stages, sizes and accuracies, histograms of weights, layers, code lengths
``trade_off``    size against accuracy: the capstone's curve, the leaderboard, the map of methods
``sliders``      a figure with sliders where a kernel is live, a static one elsewhere
``animations``   frames written as a small GIF, and shown with their text alternative
===============  =========================================================================================
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
