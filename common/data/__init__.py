"""Data sets: found, read, split and cut into batches; and photographs from the installed packages."""

from common.base.facade import hand_on

__getattr__, __dir__, __all__ = hand_on(
    __name__,
    {
        "BatchSource": "batches",
        "ImageSet": "image_set",
        "first_images": "image_set",
        "fit_images": "image_set",
        "imagenet_preprocess": "batches",
        "load_dataset": "datasets",
        "normalization": "batches",
        "normalize": "batches",
        "photograph": "pictures",
        "road_scene": "pictures",
        "train_val_split": "image_set",
    },
)
