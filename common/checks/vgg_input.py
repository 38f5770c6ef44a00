"""Week 3, first half: from a photograph to what a network expects."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from PIL import Image

from common.checks.calling import call
from common.checks.comparing import as_array, expect, expect_dtype
from common.checks.verdict import NotYet, check

MEAN = np.array([0.485, 0.456, 0.406])
STD = np.array([0.229, 0.224, 0.225])


def _picture(height: int, width: int) -> np.ndarray:
    """Colours that differ everywhere, with fine stripes that alias when they are only sampled."""
    y, x = np.mgrid[0:height, 0:width]
    stripes = 40 * ((x + y) % 2)
    planes = (30 + 150 * x / width + stripes, 30 + 170 * y / height, 200 - 120 * x / width + stripes)
    return np.clip(np.stack(planes, axis=2), 0, 255).astype(np.uint8)


def _resized(
    image: np.ndarray, width: int, height: int, method: int = Image.Resampling.BILINEAR
) -> np.ndarray:
    return np.asarray(Image.fromarray(image).resize((width, height), method))


@check(1, "resize_shorter")
def check_resize_shorter(answer: Callable) -> str:
    """uint8 (h, w, 3), the shorter side made `size`, the aspect ratio kept, bilinear with antialiasing."""
    for height, width in ((40, 60), (90, 60), (40, 63)):
        image, size = _picture(height, width), 20
        got = as_array(call(answer, image, size, told=f"height {height}, width {width}, size {size}"))
        shorter = min(height, width)
        new_height, new_width = size * height // shorter, size * width // shorter
        rounded_up = (-(-size * height // shorter), -(-size * width // shorter))
        longer = (round(20 * height / max(height, width)), round(20 * width / max(height, width)))
        shapes = {
            (size, size, 3): "The picture is distorted: both sides shrink by the same factor.",
            (new_width, new_height, 3): "Height and width are exchanged: PIL's resize wants (width, height).",
            (*rounded_up, 3): "The longer side is rounded up: its fraction is cut off here.",
            (*longer, 3): "The longer side became the size: it is the shorter one that should.",
            image.shape: "It has its old shape: is the result of resize returned?",
        }
        if got.shape != (new_height, new_width, 3):
            message = f"From {image.shape} it makes {got.shape}, expected {(new_height, new_width, 3)}."
            raise NotYet(
                message, hint=shapes.get(got.shape, "shorter side / size is the factor for both sides.")
            )
        expect_dtype(got, "uint8", "Pixels stay bytes until they are normalized.")
        suspects = [
            ("It picks single pixels, and fine stripes alias: BILINEAR averages when it shrinks.",
             _resized(image, new_width, new_height, Image.Resampling.NEAREST)),
        ]  # fmt: skip
        hint = "Is it PIL's Image.resize with BILINEAR? Others sample without averaging, and stripes alias."
        wanted = _resized(image, new_width, new_height)
        expect(got, wanted, tolerance=2, suspects=suspects, what="The picture", unknown=hint)
    return "A wide, a tall and an uneven picture, no distortion, no aliasing."


@check(2, "center_crop")
def check_center_crop(answer: Callable) -> str:
    """The central size × size pixels of (h, w, 3); equal margins, or one pixel more at the end."""
    image = np.arange(7 * 10 * 3).reshape(7, 10, 3).astype(np.uint8)
    size = 4
    got = as_array(call(answer, image, size, told="height 7, width 10, size 4"))
    top, left = (7 - size) // 2, (10 - size) // 2
    wanted = image[top : top + size, left : left + size]
    suspects = [
        ("That is the upper left corner: the margins on both sides should be equal.", image[:size, :size]),
        ("The margins of height and width are exchanged.", image[left : left + size, top : top + size]),
        ("One pixel too far down: the margin above is (height - size) // 2.",
         image[top + 1 : top + 1 + size, left : left + size]),
        ("One pixel off: the margins are (height - size) // 2 and (width - size) // 2.",
         image[top : top + size, left + 1 : left + 1 + size],
         image[top + 1 : top + 1 + size, left + 1 : left + 1 + size]),
    ]  # fmt: skip
    expect(got, wanted, suspects=suspects, what="The crop")
    return "The middle of a picture with uneven margins."


@check(3, "to_input")
def check_to_input(answer: Callable) -> str:
    """uint8 (h, w, 3) to a float32 tensor (1, 3, h, w): scaled to [0, 1], minus mean, over std."""
    import torch

    image = np.random.default_rng(1).integers(0, 256, (4, 5, 3)).astype(np.uint8)
    got = call(answer, image, told="height 4, width 5")
    if not isinstance(got, torch.Tensor):
        raise NotYet(f"It returns a {type(got).__name__}, expected a torch tensor.")
    wanted = _normalized(image / 255)
    scrambled = _normalized_planes(image.reshape(3, 4, 5) / 255)
    suspects = [
        ("Mean and deviation are for pixels in [0, 1]: divide by 255 first.", _normalized(image)),
        ("The mean and deviation are missing.", _planes(image / 255), _planes(image)),
        ("The channels are scrambled: reshape moves no axis; permute or np.moveaxis does.", scrambled),
        ("Red and blue are exchanged: the image is RGB.", _normalized(image[..., ::-1] / 255)),
        ("The mean is not taken away.", _planes(image / 255 / STD)),
        ("Not divided by the deviation.", _planes(image / 255 - MEAN)),
        ("Minus the mean, *divided* by the deviation.", _planes((image / 255 - MEAN) * STD)),
        ("First minus the mean, then over the deviation: the other way round is another number.",
         _planes(image / 255 / STD - MEAN)),
        ("Rows and columns are exchanged: (n, channels, height, width).", wanted.transpose(0, 1, 3, 2)),
        ("The batch axis is missing: one picture has shape (1, 3, height, width).", wanted[0]),
        ("Channels come first in torch: (1, 3, height, width).",
         wanted.transpose(0, 2, 3, 1), wanted[0].transpose(1, 2, 0)),
        ("uint8 has wrapped, or was divided as an integer: convert to float before anything else.",
         _normalized(image // 255)),
        ("Mean and deviation of this picture: the network expects those of its training set.",
         _planes((image - image.mean(axis=(0, 1))) / image.std(axis=(0, 1)))),
    ]  # fmt: skip
    expect(got, wanted, tolerance=1e-5, suspects=suspects, what="The input")
    expect_dtype(got, "float32", "The network's weights are float32, and torch mixes no types.")
    return "Shape, order, scale and type."


def _planes(image: np.ndarray) -> np.ndarray:
    return image.transpose(2, 0, 1)[None]


def _normalized(image: np.ndarray) -> np.ndarray:
    return _planes((image - MEAN) / STD)


def _normalized_planes(planes: np.ndarray) -> np.ndarray:
    return ((planes - MEAN[:, None, None]) / STD[:, None, None])[None]
