"""Weight sharing: 1-D k-means gives each weight one of a few values; then these values are fine-tuned."""

from common.base.facade import hand_on

__getattr__, __dir__, __all__ = hand_on(
    __name__,
    {
        "CentroidTuner": "centroid_tuning",
        "centroid_gradient": "weight_sharing",
        "entropy_constrained_kmeans_1d": "kmeans",
        "kmeans_1d": "kmeans",
        "merge_equal": "weight_sharing",
        "optimal_partition": "kmeans_exact",
        "share_weights": "weight_sharing",
    },
)
