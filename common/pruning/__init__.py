"""Pruning: scores (criteria), masks with exact counts, schedules, and removal of whole channels."""

from common.base.facade import hand_on

__getattr__, __dir__, __all__ = hand_on(
    __name__,
    {
        "GradualPruner": "callbacks",
        "MaskKeeper": "callbacks",
        "apply_masks_": "masks",
        "cubic_sparsity": "callbacks",
        "global_masks": "masks",
        "lamp_scores": "masks",
        "layerwise_masks": "masks",
        "magnitude_scores": "masks",
        "normalized_scores": "masks",
        "sensitivity_scan": "callbacks",
        "slim": "channels",
        "sparsity_of": "masks",
    },
)
