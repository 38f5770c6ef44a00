"""Reports: where a file's bytes go, whether the course's targets are met, and what others have published."""

from common.base.facade import hand_on

__getattr__, __dir__, __all__ = hand_on(
    __name__,
    {
        "HAN_2016_LAYERS": "published",
        "HAN_2016_STAGES": "published",
        "PUBLISHED": "published",
        "is_met": "targets",
        "size_report": "sizes",
        "stage_sizes": "sizes",
        "target_table": "targets",
    },
)
