"""The networks of the course, their training and evaluation, and the files of their weights."""

from common.base.facade import hand_on

__getattr__, __dir__, __all__ = hand_on(
    __name__,
    {
        "Distillation": "distillation",
        "TrainConfig": "training",
        "VGG16_CONFIG": "models",
        "build": "models",
        "count_parameters": "models",
        "distillation_loss": "distillation",
        "evaluate": "training",
        "fold_batch_norm": "models",
        "load_weights": "checkpoints",
        "prunable_parameters": "models",
        "save_weights": "checkpoints",
        "train": "training",
    },
)
