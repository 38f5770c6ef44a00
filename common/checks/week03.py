"""The questions of week 3: what VGG sees."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np
from PIL import Image

from common.checks import grading
from common.checks.comparing import as_array, call, expect, expect_dtype, expect_tensor, kind_of
from common.checks.grading import Grades, NotYet, Question, check

# ----------------------------------------------------------------------------------------------------
# Week 3, first half: from a photograph to what a network expects.

MEAN = np.array([0.485, 0.456, 0.406])
STD = np.array([0.229, 0.224, 0.225])
_OTHERS = (  # halves, and CIFAR-10's in two spellings
    (0.5, 0.5),
    (np.array([0.4914, 0.4822, 0.4465]), np.array([0.2470, 0.2435, 0.2616])),
    (np.array([0.4914, 0.4822, 0.4465]), np.array([0.2023, 0.1994, 0.2010])),
)


def _picture(height: int, width: int) -> np.ndarray:
    """Colours that differ everywhere, with fine stripes that alias when they are only sampled."""
    y, x = np.mgrid[0:height, 0:width]
    stripes = 40 * ((x + y) % 2) + 60 * ((x // 5 + y // 7) % 2)  # and edges, where filters differ
    planes = (
        30 + 150 * x / width + stripes,
        20 + 120 * y / height + 60 * (x // 9 % 2),
        200 - 120 * x / width + stripes,
    )
    return np.clip(np.stack(planes, axis=2), 0, 255).astype(np.uint8)


_FILTERS = (
    Image.Resampling.BICUBIC,
    Image.Resampling.LANCZOS,
    Image.Resampling.BOX,
    Image.Resampling.HAMMING,
)


def _resized(
    image: np.ndarray, width: int, height: int, method: int = Image.Resampling.BILINEAR
) -> np.ndarray:
    return np.asarray(Image.fromarray(image).resize((width, height), method))


@check(1, "resize_shorter")
def check_resize_shorter(answer: Callable) -> str:
    """uint8 (h, w, 3), the shorter side made `size`, the aspect ratio kept, bilinear with antialiasing."""
    for height, width, size in ((40, 60, 20), (90, 50, 24), (41, 67, 24), (206, 300, 256), (30, 30, 17)):
        image = _picture(height, width)
        got = as_array(call(answer, image, size, told=f"height {height}, width {width}, size {size}"))
        shorter = min(height, width)
        new_height, new_width = size * height // shorter, size * width // shorter
        rounded_up = (-(-size * height // shorter), -(-size * width // shorter))
        nearest = (round(size * height / shorter), round(size * width / shorter))
        longer = (round(size * height / max(height, width)), round(size * width / max(height, width)))
        whole = max(shorter // size, 1)
        shapes = {
            (height // whole, width // whole, 3): "The factor is cut off to a whole number: from 40 to 24 is "
            "a factor of 0.6, and 40 // 24 is 1.",
            image.shape: "It has its old shape: is the result of resize returned?",
            (size, size, 3): "The picture is distorted: both sides shrink by the same factor.",
            (new_width, new_height, 3): "Height and width are exchanged: PIL's resize wants (width, height).",
            (*rounded_up, 3): "The longer side is rounded up: cut its fraction off instead.",
            (*nearest, 3): "The longer side is rounded to the nearest: cut its fraction off instead.",
            (*longer, 3): "The longer side became the size: it is the shorter one that should.",
            (int(height * (size / shorter)), int(width * (size / shorter)), 3): "size / shorter is rounded "
            "before it multiplies, and int() cuts a pixel off: multiply first, then divide.",
        }
        if got.shape != (new_height, new_width, 3):
            message = f"From {image.shape} it makes {got.shape}, expected {(new_height, new_width, 3)}."
            raise NotYet(
                message,
                hint=shapes.get(got.shape, "Both sides are divided by the same factor: shorter side / size."),
            )
        expect_dtype(got, "uint8", "Return uint8: pixels stay bytes until they are normalized.")
        suspects = [
            (
                "It picks single pixels, and fine stripes alias: BILINEAR averages when it shrinks.",
                _resized(image, new_width, new_height, Image.Resampling.NEAREST),
            ),
            (
                "That is another filter than BILINEAR.",
                *(_resized(image, new_width, new_height, method) for method in _FILTERS),
            ),
        ]
        hint = "Is it PIL's Image.resize with BILINEAR? Others sample without averaging, and stripes alias."
        wanted = _resized(image, new_width, new_height)
        expect(got, wanted, tolerance=2, suspects=suspects, what="The picture", unknown=hint)
    return "Five pictures of other shapes and sizes, no distortion, no aliasing."


@check(2, "center_crop")
def check_center_crop(answer: Callable) -> str:
    """The central size × size pixels of (h, w, 3); margins equal, or one pixel apart, on either side."""
    for height, width, size in ((7, 10, 4), (12, 9, 5), (8, 6, 6), (256, 257, 224)):
        image = np.arange(height * width * 3).reshape(height, width, 3) % 251
        image = image.astype(np.uint8)
        got = as_array(call(answer, image, size, told=f"height {height}, width {width}, size {size}"))
        tops, lefts = ({(side - size) // 2, (side - size + 1) // 2} for side in (height, width))
        if any(np.array_equal(got, _cropped(image, top, left, size)) for top in tops for left in lefts):
            continue
        top, left = min(tops), min(lefts)
        suspects = [
            (
                "That is the upper left corner: the margins on both sides should be equal.",
                image[:size, :size],
            ),
            ("That is the lower right corner: the margins should be equal.", image[-size:, -size:]),
            ("The margins of height and width are exchanged.", _cropped(image, left, top, size)),
            (
                "It is off by a pixel or two: the margins are half of height − size and of width − size.",
                *(
                    _cropped(image, max(top + dy, 0), max(left + dx, 0), size)
                    for dy in (-1, 0, 1, 2)
                    for dx in (-1, 0, 1, 2)
                ),
            ),
        ]
        expect(got, _cropped(image, top, left, size), tolerance=0, suspects=suspects, what="The crop")
    return "The middle of four pictures, with even and uneven margins."


def _cropped(image: np.ndarray, top: int, left: int, size: int) -> np.ndarray:
    return image[top : top + size, left : left + size]


@check(3, "to_input")
def check_to_input(answer: Callable) -> str:
    """uint8 (h, w, 3) to a float32 tensor (1, 3, h, w): scaled to [0, 1], minus mean, over std."""
    for height, width in ((4, 5), (6, 3)):
        image = np.random.default_rng(height).integers(0, 256, (height, width, 3)).astype(np.uint8)
        _check_input(call(answer, image, told=f"height {height}, width {width}"), image)
    return "Shape, order, scale and type, of two pictures."


def _check_input(got: object, image: np.ndarray) -> None:
    expect_tensor(got)
    height, width, _ = image.shape
    wanted = _normalized(image / 255)
    scrambled = (
        _normalized_planes(image.reshape(3, height, width) / 255),
        ((image / 255 - MEAN) / STD).reshape(1, 3, height, width),
    )
    suspects = [
        ("Mean and deviation are for pixels in [0, 1]: divide by 255 first.", _normalized(image)),
        (
            "Those are not ImageNet's mean and deviation: (0.485, 0.456, 0.406), (0.229, 0.224, 0.225).",
            *(_planes((image / 255 - mean) / std) for mean, std in _OTHERS),
        ),
        ("A byte is at most 255: divide by 255, not by 256.", _normalized(image / 256)),
        ("The mean and deviation are missing.", _planes(image / 255), _planes(image)),
        ("The channels are scrambled: reshape moves no axis; permute or np.moveaxis does.", *scrambled),
        ("Red and blue are exchanged: the image is RGB.", _normalized(image[..., ::-1] / 255)),
        ("The mean is not subtracted.", _planes(image / 255 / STD)),
        ("Not divided by the deviation.", _planes(image / 255 - MEAN)),
        ("Multiplied by the deviation: it has to be *divided* by it.", _planes((image / 255 - MEAN) * STD)),
        (
            "Subtract the mean first, then divide by the deviation: the other way round gives "
            "another result.",
            _planes(image / 255 / STD - MEAN),
        ),
        ("Rows and columns are exchanged: (n, channels, height, width).", wanted.transpose(0, 1, 3, 2)),
        ("The batch axis is missing: one picture has shape (1, 3, height, width).", wanted[0]),
        (
            "Channels come first in torch: (1, 3, height, width).",
            wanted.transpose(0, 2, 3, 1),
            wanted[0].transpose(1, 2, 0),
        ),
        (
            "uint8 has wrapped, or was divided as an integer: convert to float before anything else.",
            _normalized(image // 255),
        ),
        (
            "Those are the mean and deviation of this picture: the network expects those of its "
            "training set.",
            _planes((image - image.mean(axis=(0, 1))) / image.std(axis=(0, 1))),
        ),
    ]
    expect(got, wanted, tolerance=1e-5, suspects=suspects, what="The input")
    expect_dtype(got, "float32", "The network's weights are float32, and torch does not mix types.")


def _planes(image: np.ndarray) -> np.ndarray:
    return image.transpose(2, 0, 1)[None]


def _normalized(image: np.ndarray) -> np.ndarray:
    return _planes((image - MEAN) / STD)


def _normalized_planes(planes: np.ndarray) -> np.ndarray:
    return ((planes - MEAN[:, None, None]) / STD[:, None, None])[None]


# ----------------------------------------------------------------------------------------------------
# Week 3, second half: VGG's layers, their cost, their feature maps.

_CONFIG = (4, "M", 6, 5, "M")


@check(4, "build_features")
def check_build_features(answer: Callable) -> str:
    """One nn.Sequential: 3×3 convolution (pad 1, no bias), batch norm, ReLU per number; pooling per 'M'."""
    from torch import nn

    for config, in_channels in ((_CONFIG, 3), ((3, 3, "M", 7, "M", 2, "M"), 2), ((5,), 1)):
        told = f"the configuration {config} for {in_channels} channels"
        options = {} if in_channels == 3 else {"in_channels": in_channels}
        got = call(answer, config, told=told, **options)
        if not isinstance(got, nn.Sequential):
            raise NotYet(f"It returns {kind_of(got)}, expected one nn.Sequential.")
        if config == _CONFIG:
            _check_layers(got)
        _check_running(got, config, in_channels)
    return "Every layer of three small configurations, in order, and run on pictures of odd sizes."


def _check_running(got, config: tuple, in_channels: int) -> None:
    """Raise `NotYet` unless the stage computes what a VGG does, with the same weights by the same names."""
    import torch

    right = _features(config, in_channels).eval()
    names, found = list(right.state_dict()), dict(got.state_dict())
    if list(found) != names:
        if any(isinstance(key, str) and not key.split(".")[0].isdigit() for key in found):
            hint = "The layers have names: nn.Sequential(*layers) numbers them, as the shipped weights do."
        elif set(names) > set(found):
            hint = "Batch norm learns a weight and a bias, and keeps running statistics: keep its defaults."
        else:
            hint = "Layers other than a VGG's hold parameters: only convolutions and batch norms should."
        raise NotYet(f"Its parameters are {', '.join(list(found)[:6])}, …", hint=hint)
    for name, values in right.state_dict().items():
        if found[name].shape != values.shape:
            kind = "batch norm" if values.ndim == 1 else "convolution"
            hint = (
                "It takes as many channels as the convolution before it gives."
                if values.ndim == 1
                else ("Each takes what the one before gives; the first one takes in_channels.")
            )
            raise NotYet(
                f"{name}, of a {kind}, has shape {tuple(found[name].shape)}, expected {tuple(values.shape)}.",
                hint=hint,
            )
    generator = torch.Generator().manual_seed(len(config))
    images = torch.randn(2, in_channels, 17, 21, generator=generator)
    with torch.no_grad():
        for values in right.state_dict().values():
            if values.dtype.is_floating_point:
                values.copy_(
                    torch.rand(values.shape, generator=generator)
                    + 0.1 * values.ndim
                    - 0.3 * (values.ndim > 1)
                )
        got.load_state_dict(right.state_dict())
        try:
            output = got.eval()(images.clone())
        except RuntimeError as error:
            raise NotYet(f"Run on a picture it fails: {' '.join(str(error).split())[:120]}") from None
        hint = "It computes something else: dilation, groups, padding_mode and eps keep their defaults."
        expect(output, right(images), tolerance=1e-4, what="Its output for a picture of 17×21", unknown=hint)


def _features(config: tuple, in_channels: int):
    from torch import nn

    layers = []
    for entry in config:
        if entry == "M":
            layers.append(nn.MaxPool2d(2))
            continue
        convolution = nn.Conv2d(in_channels, entry, 3, padding=1, bias=False)
        layers += [convolution, nn.BatchNorm2d(entry), nn.ReLU()]
        in_channels = entry
    return nn.Sequential(*layers)


def _check_layers(got) -> None:
    """Raise `NotYet` at the first layer that is another than VGG's."""
    from torch import nn

    block, pooling = [nn.Conv2d, nn.BatchNorm2d, nn.ReLU], [nn.MaxPool2d]
    wanted = block + pooling + block + block + pooling
    kinds = [type(layer) for layer in got]
    if kinds != wanted:
        raise NotYet(f"Its layers are {_named(kinds)}.", hint=_what_differs(kinds, wanted))
    channels = 3
    for number, layer in enumerate(got):
        if isinstance(layer, nn.MaxPool2d) and {layer.kernel_size, layer.stride} - {2, (2, 2)}:
            raise NotYet(
                f"Layer {number} is {layer}.", hint="VGG pools 2×2 with stride 2: each side is halved."
            )
        if not isinstance(layer, nn.Conv2d):
            continue
        if layer.kernel_size != (3, 3):
            raise NotYet(f"Layer {number} has a kernel of {layer.kernel_size}, expected (3, 3).")
        if layer.padding not in ((1, 1), "same"):
            hint = "Without padding of 1 every 3×3 convolution cuts a pixel off each side."
            raise NotYet(f"Layer {number} has padding {layer.padding}.", hint=hint)
        if layer.stride != (1, 1):
            raise NotYet(
                f"Layer {number} has stride {layer.stride}.", hint="Only the pooling shrinks the maps."
            )
        if layer.in_channels != channels:
            hint = "A convolution takes as many channels as the one before it gives."
            raise NotYet(
                f"Layer {number} takes {layer.in_channels} channels, and gets {channels}.", hint=hint
            )
        if layer.bias is not None:
            hint = "Batch norm subtracts each channel's mean, and any bias with it: use bias=False."
            raise NotYet(f"Layer {number} has a bias.", hint=hint)
        channels = layer.out_channels
    outputs = [layer.out_channels for layer in got if isinstance(layer, nn.Conv2d)]
    if outputs != [4, 6, 5]:
        raise NotYet(f"The convolutions give {outputs} channels, expected [4, 6, 5].")


def _named(kinds: Sequence[type]) -> str:
    return ", ".join(kind.__name__ for kind in kinds) or "none"


def _what_differs(kinds: Sequence[type], wanted: Sequence[type]) -> str:
    """The hint for a wrong row of layers, from what is missing or comes in another order."""
    from torch import nn

    count = {kind: kinds.count(kind) for kind in set(wanted)}
    if any(issubclass(kind, nn.AvgPool2d) for kind in kinds):
        return "VGG takes the maximum of each 2×2 square, not the mean."
    if any(issubclass(kind, nn.Sequential) for kind in kinds):
        return "Layers inside blocks get other names: the shipped weights need one flat row of layers."
    if not count[nn.MaxPool2d]:
        return 'Nothing pools: each "M" is a MaxPool2d.'
    if not count[nn.ReLU]:
        return "Without a ReLU after each convolution the whole stage is one linear map."
    if not count[nn.BatchNorm2d]:
        return "The batch norm after each convolution is missing."
    if count[nn.ReLU] < 3 or count[nn.BatchNorm2d] < 3:
        return "Every convolution is followed by its own batch norm and ReLU."
    if kinds[:3] == [nn.Conv2d, nn.ReLU, nn.BatchNorm2d]:
        return "Batch norm stands between the convolution and its ReLU."
    return 'For each number: convolution, batch norm, ReLU; for each "M": pooling.'


def _costs(
    config,
    height,
    width,
    in_channels=3,
    *,
    shrinks=True,
    follows=True,
    side=3,
    biased=False,
    spatial=True,
    operations=1,
    half=lambda n: n // 2,
):
    """(parameters, multiply-adds) of each convolution, with switches for what is forgotten."""
    rows = []
    for entry in config:
        if entry == "M":
            height, width = (half(height), half(width)) if shrinks else (height, width)
            continue
        parameters = side * side * in_channels * entry + (entry if biased else 0)
        rows.append((parameters, operations * parameters * (height * width if spatial else 1)))
        in_channels = entry if follows else in_channels
    return rows


@check(5, "layer_costs")
def check_layer_costs(answer: Callable) -> str:
    """(parameters, multiply-adds) of every convolution, without bias and batch norm."""
    for config, height, width, channels in (
        (_CONFIG, 16, 24, 3),
        ((3, "M", 7, "M", "M", 2), 17, 27, 3),  # odd sides: half a pixel is none
        ((8, 8, "M", 5), 9, 30, 1),
    ):
        options = {} if channels == 3 else {"in_channels": channels}
        told = f"{config} on {height}×{width} pixels of {channels} channels"
        got = as_array(call(answer, config, height, width, told=told, **options))
        problem = (config, height, width, channels)
        suspects = [
            ('Each "M" halves height and width for all that follows.', _costs(*problem, shrinks=False)),
            (
                "in_channels is not used: the first convolution takes that many.",
                _costs(config, height, width, 3),
            ),
            (
                "The first layer's input channels are used everywhere: each takes what the one before gives.",
                _costs(*problem, follows=False),
            ),
            (
                "A kernel has 3×3 = 9 places, and a weight at each of them.",
                _costs(*problem, side=1),
                [(p // 3, m // 3) for p, m in _costs(*problem)],
            ),
            ("The convolutions have no bias here: 9 · in · out weights.", _costs(*problem, biased=True)),
            (
                "Every weight works once at each place of the output map: multiply by height × width.",
                _costs(*problem, spatial=False),
            ),
            ("A multiply-add counts as one operation, not as two.", _costs(*problem, operations=2)),
            (
                "Pooling 2×2 drops an odd row: half of 17 is 8, so `// 2`.",
                _costs(*problem, half=lambda n: -(-n // 2)),
                _costs(*problem, half=lambda n: n / 2),
            ),
            ("The columns are exchanged: parameters first.", [row[::-1] for row in _costs(*problem)]),
        ]
        expect(got, _costs(*problem), tolerance=0, suspects=suspects, what="The table")
    return "Parameters and multiply-adds of three stages, odd sizes and one channel among them."


@check(6, "feature_maps")
def check_feature_maps(answer: Callable) -> str:
    """{number: output of that layer}, in evaluation mode, without gradients; the model left as it was."""
    import torch

    model, inputs = _small_network()
    wanted, training = _layer_by_layer(model, inputs), _layer_by_layer(model, inputs, training=True)
    before = {name: value.clone() for name, value in model.state_dict().items()}
    model.train()
    numbers = (0, 1, 4)
    got = _call_uncopied(answer, model, inputs, numbers)
    if not isinstance(got, dict) or set(got) != set(numbers):
        keys = sorted(map(str, got)) if isinstance(got, dict) else type(got).__name__
        raise NotYet(f"It returns {keys}, expected a dict with the keys 0, 1 and 4.")
    if any(module._forward_hooks for module in model.modules()):
        hint = "A hook stays for all later calls: call remove() on what register_forward_hook gave you."
        raise NotYet("It leaves hooks on the model.", hint=hint)
    for number in numbers:
        expect_tensor(got[number], f"The map of layer {number}")
        suspects = [
            (
                "Batch norm used this batch's statistics: the model has to be in evaluation mode (eval()).",
                training[number],
                training[number].relu(),
            ),
            (
                "ReLU(inplace=True) has written over it: keep a copy (clone) of each map.",
                wanted[number].relu(),
            ),
            ("That is the layer's input: its output is asked for.", wanted[number - 1] if number else inputs),
        ]
        expect(
            got[number], wanted[number], tolerance=1e-5, suspects=suspects, what=f"The map of layer {number}"
        )
        if torch.is_tensor(got[number]) and got[number].requires_grad:
            hint = "Use torch.no_grad(): nothing is trained here, and gradients take memory."
            raise NotYet("The maps carry gradients.", hint=hint)
    if any(not torch.equal(before[name], value) for name, value in model.state_dict().items()):
        hint = "A pass in training mode moves batch norm's running statistics: eval() first."
        raise NotYet("The model has changed.", hint=hint)
    if not model.training:
        hint = "Remember model.training before, and restore it at the end: model.train(was_training)."
        raise NotYet("The model was in training mode, and is left in evaluation mode.", hint=hint)
    _call_uncopied(answer, model.eval(), inputs, numbers)
    if model.training:
        hint = "model.train() at the end is right for a model that came in training mode only."
        raise NotYet("The model was in evaluation mode, and is left in training mode.", hint=hint)
    single, last = inputs[:1, :, :4].contiguous(), (2, 3)
    got = _call_uncopied(answer, model, single, last)
    if not isinstance(got, dict) or set(got) != set(last):
        raise NotYet("Asked for the layers 2 and 3, it returns others.", hint="`numbers` says which.")
    for number, right in zip(last, (_layer_by_layer(model, single)[n] for n in last), strict=True):
        expect(got[number], right, tolerance=1e-5, what=f"The map of layer {number} of one small picture")
    return "Maps before and after an in-place ReLU, of two sizes; mode, statistics and hooks as they were."


def _small_network():
    import torch
    from torch import nn

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(3)
        model = nn.Sequential(
            nn.Conv2d(2, 3, 3, padding=1, bias=False),
            nn.BatchNorm2d(3),
            nn.ReLU(inplace=True),
            nn.MaxPool2d(2),
            nn.Conv2d(3, 2, 3, padding=1, bias=False),
        )
        model[1].running_mean += 0.3
        model[1].running_var *= 2
        return model, torch.randn(2, 2, 6, 6)


def _layer_by_layer(model, inputs, *, training: bool = False) -> list:
    """The output of every layer, computed on a copy."""
    import copy

    import torch

    own, maps = copy.deepcopy(model).train(training), []
    with torch.no_grad():
        for layer in own:
            inputs = layer(inputs.clone())
            maps.append(inputs.clone())
    return maps


def _call_uncopied(answer: Callable, model, inputs, numbers) -> object:
    """As `call`, but with the model itself: what the answer leaves on it is part of the question."""
    return call(lambda x, asked: answer(model, x, asked), inputs, numbers, told="five layers")


@check(7, "feature_vectors")
def check_feature_vectors(answer: Callable) -> str:
    """The mean of every map: (n, channels, h, w) to (n, channels)."""
    import torch

    for shape in ((2, 3, 4, 5), (1, 4, 3, 7)):
        maps = np.random.default_rng(4).normal(size=shape).astype(np.float32)
        n, channels, height, width = shape
        told = f"{n} picture{'s' * (n > 1)}, {channels} maps of {height}×{width}"
        got = call(answer, torch.from_numpy(maps), told=told)
        suspects = [
            (
                "The batch axis of a single picture is gone: squeeze drops it too.",
                maps.mean(axis=(2, 3)).squeeze(),
            ),
            ("That averages over the channels: average over height and width.", maps.mean(axis=1)),
            ("That averages over the pictures too.", maps.mean(axis=(0, 2, 3))),
            (
                "Only one of the two axes is averaged: average over height and width.",
                maps.mean(axis=2),
                maps.mean(axis=3),
            ),
            ("The maximum of each map; its mean is asked for.", maps.max(axis=(2, 3))),
            ("The sum of each map; its mean is asked for.", maps.sum(axis=(2, 3))),
            ("The maps are flattened: average each of them instead.", maps.reshape(n, -1)),
            ("The axes of length 1 are still there: (n, channels).", maps.mean(axis=(2, 3), keepdims=True)),
            ("That averages over pictures and channels.", maps.mean(axis=(0, 1))),
        ]
        wanted = maps.mean(axis=(2, 3))
        expect(got, wanted, tolerance=1e-5, suspects=suspects, what="The table of features")
        expect_tensor(got)
    return "One number per map, of two pictures and of one."


__all__ = [
    "QUESTIONS",
    "check_build_features",
    "check_center_crop",
    "check_feature_maps",
    "check_feature_vectors",
    "check_layer_costs",
    "check_resize_shorter",
    "check_to_input",
    "grade",
]

QUESTIONS = (
    Question(1, "Resize", 2, "resize_shorter", check_resize_shorter),
    Question(2, "Crop", 1, "center_crop", check_center_crop),
    Question(3, "Normalize", 3, "to_input", check_to_input),
    Question(4, "Layers from a configuration", 3, "build_features", check_build_features),
    Question(5, "What a layer costs", 2, "layer_costs", check_layer_costs),
    Question(6, "Feature maps", 3, "feature_maps", check_feature_maps),
    Question(7, "Feature vectors", 2, "feature_vectors", check_feature_vectors),
    Question(8, "What do the maps show?", 4),
)


def grade(namespace: Mapping[str, object]) -> Grades:
    """Points of all questions; `namespace` is the notebook's ``globals()``."""
    return grading.grade(QUESTIONS, namespace)
