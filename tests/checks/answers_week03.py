"""Answers to the questions of week 3, right and wrong, with a pattern of what a wrong one must be told."""

from collections import OrderedDict

import cv2
import numpy as np
import torch
from PIL import Image
from styles import listed, tensor
from torch import nn
from torchvision.transforms import v2

MEAN, STD = np.array([0.485, 0.456, 0.406]), np.array([0.229, 0.224, 0.225])
MEAN_3D, STD_3D = MEAN[:, None, None], STD[:, None, None]


def resize(sides, method=Image.Resampling.BILINEAR):
    def answer(image, size):
        height, width = image.shape[:2]
        return np.asarray(Image.fromarray(image).resize(sides(width, height, size), method))

    return answer


def shorter(width, height, size):
    return int(size * width / min(width, height)), int(size * height / min(width, height))


def rounded_up(width, height, size):
    return -(-size * width // min(width, height)), -(-size * height // min(width, height))


def as_tensor(values):
    return torch.from_numpy(np.ascontiguousarray(values, dtype=np.float32))


def to_input(scale=lambda image: (image / 255 - MEAN) / STD, form=lambda x: x.transpose(2, 0, 1)[None]):
    return lambda image: as_tensor(form(scale(image)))


def features(*, kinds="cbr", padding=1, bias=False, pool=nn.MaxPool2d, follows=True, nested=False, side=3):
    def answer(config, in_channels=3):
        layers = []
        for entry in config:
            if entry == "M":
                layers += [pool(2)] if pool else []
                continue
            parts = {
                "c": nn.Conv2d(in_channels, entry, side, padding=padding, bias=bias),
                "b": nn.BatchNorm2d(entry),
                "r": nn.ReLU(),
            }
            block = [parts[kind] for kind in kinds]
            layers += [nn.Sequential(*block)] if nested else block
            in_channels = entry if follows else in_channels
        return nn.Sequential(*layers)

    return answer


def costs(*, shrink=2, follows=True, side=9, bias=0, places=True, times=1, form=lambda rows: rows):
    def answer(config, height, width, in_channels=3):
        rows = []
        for entry in config:
            if entry == "M":
                height, width = height // shrink, width // shrink
                continue
            n = side * in_channels * entry + bias * entry
            rows.append((n, times * n * (height * width if places else 1)))
            in_channels = entry if follows else in_channels
        return form(rows)

    return answer


def maps(
    *, evaluate=True, clone=True, no_grad=True, restore=True, hooks=False, before=False, leaves_training=False
):
    def answer(model, inputs, numbers):
        was_training, found, handles = model.training, {}, []
        if evaluate:
            model.eval()
        if hooks:
            handles = [model[n].register_forward_hook(lambda *_: None) for n in numbers]
        with torch.set_grad_enabled(not no_grad):
            x = inputs
            for number, layer in enumerate(model):
                if number in numbers and before:
                    found[number] = x.clone()
                x = layer(x)
                if number in numbers and not before:
                    found[number] = x.clone() if clone else x
        if restore:
            model.train(was_training or leaves_training)
        assert handles or not hooks
        return found

    return answer


def crop(half=lambda margin: margin // 2):
    def answer(image, size):
        top, left = (half(side - size) for side in image.shape[:2])
        return image[top : top + size, left : left + size]

    return answer


def stage(*, conv=None, norm=nn.BatchNorm2d, relu=nn.ReLU, pool=None, channels=None, named=False):
    """A feature stage of given parts; what is not given is VGG's."""

    def answer(config, in_channels=3):
        layers, n = [], channels or in_channels
        for entry in config:
            if entry == "M":
                layers.append((pool or (lambda: nn.MaxPool2d(2)))())
                continue
            make = conv or (lambda i, o: nn.Conv2d(i, o, 3, padding=1, bias=False))
            layers += [make(n, entry), norm(entry), relu()]
            n = entry
        if named:
            return nn.Sequential(OrderedDict((f"layer{k}", layer) for k, layer in enumerate(layers)))
        return nn.Sequential(*layers)

    return answer


def convolution(**options):
    return lambda i, o: nn.Conv2d(i, o, 3, **{"padding": 1, "bias": False, **options})


def ceil_costs(config, height, width, in_channels=3):
    rows = []
    for entry in config:
        if entry == "M":
            height, width = -(-height // 2), -(-width // 2)
            continue
        rows.append((9 * in_channels * entry, 9 * in_channels * entry * height * width))
        in_channels = entry
    return rows


def norm_of_inputs(config, in_channels=3):
    """Batch norm with the channels that go in, not out."""
    layers = []
    for entry in config:
        if entry == "M":
            layers.append(nn.MaxPool2d(2))
            continue
        layers += [convolution()(in_channels, entry), nn.BatchNorm2d(in_channels), nn.ReLU()]
        in_channels = entry
    return nn.Sequential(*layers)


def by_hooks(model, inputs, numbers):
    found, was_training = {}, model.training
    handles = [
        model[n].register_forward_hook(lambda m, i, out, n=n: found.update({n: out.detach().clone()}))
        for n in numbers
    ]
    model.eval()
    with torch.inference_mode():
        model(inputs)
    for handle in handles:
        handle.remove()
    model.train(was_training)
    return {n: value.clone() for n, value in found.items()}


def on_a_copy(model, inputs, numbers):
    import copy

    own, found = copy.deepcopy(model).eval(), {}
    with torch.no_grad():
        for number, layer in enumerate(own):
            inputs = layer(inputs)
            if number in numbers:
                found[number] = inputs.clone()
    return found


def scaled(factor):
    """The factor is made first."""
    return lambda width, height, size: tuple(
        int(side * factor(size, min(width, height))) for side in (width, height)
    )


ROWS = [
    ("resize_shorter", resize(shorter), None),
    ("resize_shorter", resize(lambda w, h, s: (s, s)), "distorted"),
    ("resize_shorter", resize(lambda w, h, s: shorter(w, h, s)[::-1]), "exchanged"),
    ("resize_shorter", resize(lambda w, h, s: (s * w // max(w, h), s * h // max(w, h))), "longer side"),
    ("resize_shorter", resize(rounded_up), "rounded up"),
    ("resize_shorter", resize(shorter, Image.Resampling.NEAREST), "alias"),
    (
        "resize_shorter",
        lambda i, s: cv2.resize(i, shorter(i.shape[1], i.shape[0], s)),
        "alias|another filter",
    ),
    ("resize_shorter", lambda i, s: i, "old shape"),
    ("resize_shorter", lambda i, s: resize(shorter)(i, s) / 255, "bytes"),
    ("center_crop", crop(), None),
    ("center_crop", lambda i, s: i[:s, :s], "upper left"),
    ("center_crop", lambda i, s: crop()(i.transpose(1, 0, 2), s), "wrong"),
    ("center_crop", lambda i, s: i[2 : 2 + s, 5 : 5 + s], "pixel"),
    ("to_input", to_input(), None),
    ("to_input", to_input(lambda i: (i - MEAN) / STD), "divide by 255 first"),
    ("to_input", to_input(lambda i: i / 255), "are missing"),
    ("to_input", lambda i: as_tensor([(i.reshape(3, *i.shape[:2]) / 255 - MEAN_3D) / STD_3D]), "scrambled"),
    ("to_input", to_input(lambda i: (i[..., ::-1] / 255 - MEAN) / STD), "Red and blue"),
    ("to_input", to_input(lambda i: i / 255 / STD), "not subtracted"),
    ("to_input", to_input(lambda i: i / 255 - MEAN), "Not divided"),
    ("to_input", to_input(lambda i: (i / 255 - MEAN) * STD), "divided"),
    ("to_input", to_input(lambda i: i / 255 / STD - MEAN), "the other way round"),
    ("to_input", to_input(form=lambda x: x.transpose(2, 1, 0)[None]), "Rows and columns"),
    ("to_input", to_input(form=lambda x: x.transpose(2, 0, 1)), "batch axis"),
    ("to_input", to_input(form=lambda x: x[None]), "Channels come first"),
    ("to_input", lambda i: to_input()(i).double(), "float32"),
    ("to_input", to_input(lambda i: (i // 255 - MEAN) / STD), "divided as an integer"),
    ("to_input", to_input(lambda i: (i - i.mean(axis=(0, 1))) / i.std(axis=(0, 1))), "this picture"),
    ("build_features", features(), None),
    ("build_features", features(kinds="cb"), "Without a ReLU"),
    ("build_features", features(kinds="cr"), "batch norm after"),
    ("build_features", features(kinds="crb"), "between the convolution and its ReLU"),
    ("build_features", features(padding=0), "Without padding"),
    ("build_features", features(bias=True), "bias=False"),
    ("build_features", features(pool=nn.AvgPool2d), "not the mean"),
    ("build_features", features(pool=None), "Nothing pools"),
    ("build_features", features(pool=lambda n: nn.MaxPool2d(2, stride=1)), "stride 2"),
    ("build_features", features(follows=False), "the one before it"),
    ("build_features", features(nested=True), "one flat row"),
    ("layer_costs", costs(), None),
    ("layer_costs", costs(shrink=1), "halves"),
    ("layer_costs", costs(follows=False), "input channels"),
    ("layer_costs", costs(side=1), "9 places"),
    ("layer_costs", costs(bias=1), "no bias"),
    ("layer_costs", costs(places=False), "height × width"),
    ("layer_costs", costs(times=2), "counts as one"),
    ("layer_costs", costs(form=lambda rows: [row[::-1] for row in rows]), "columns are exchanged"),
    ("feature_maps", maps(), None),
    ("feature_maps", maps(evaluate=False), "evaluation mode"),
    ("feature_maps", maps(clone=False), "clone"),
    ("feature_maps", maps(no_grad=False), "no_grad"),
    ("feature_maps", maps(restore=False), "was_training"),
    ("feature_maps", maps(leaves_training=True), "came in training mode only"),
    ("feature_maps", maps(hooks=True), "remove"),
    ("feature_maps", maps(before=True), "layer's input"),
    ("feature_vectors", lambda m: m.mean(dim=(2, 3)), None),
    ("feature_vectors", lambda m: m.mean(dim=1), "over the channels"),
    ("feature_vectors", lambda m: m.mean(dim=(0, 2, 3)), "over the pictures"),
    ("feature_vectors", lambda m: m.amax(dim=(2, 3)), "maximum"),
    ("feature_vectors", lambda m: m.sum(dim=(2, 3)), "sum"),
    ("feature_vectors", lambda m: m.flatten(1), "flattened"),
    ("feature_vectors", lambda m: m.mean(dim=(2, 3), keepdim=True), "length 1"),
    ("feature_vectors", lambda m: m.mean(dim=2), "Only one of the two axes"),
    (
        "resize_shorter",
        lambda i, s: resize(lambda w, h, s: [s * w // min(w, h), s * h // min(w, h)])(i, s),
        None,
    ),
    ("resize_shorter", tensor(resize(shorter)), None),
    (
        "resize_shorter",
        resize(lambda w, h, s: (w // (min(w, h) // s or 1), h // (min(w, h) // s or 1))),
        "whole number",
    ),
    ("resize_shorter", resize(scaled(lambda size, shorter: size / shorter)), "multiply first|shorter side"),
    (
        "resize_shorter",
        resize(lambda w, h, s: (round(s * w / min(w, h)), round(s * h / min(w, h)))),
        "to the nearest",
    ),
    ("resize_shorter", resize(shorter, Image.Resampling.BICUBIC), "another filter"),
    ("resize_shorter", resize(shorter, Image.Resampling.LANCZOS), "another filter"),
    ("resize_shorter", resize(shorter, Image.Resampling.BOX), "another filter"),
    ("resize_shorter", lambda i, s: resize(lambda w, h, s: shorter(w, h, 20))(i, s), "expected"),
    ("center_crop", crop(lambda margin: round(margin / 2)), None),
    ("center_crop", crop(lambda margin: -(-margin // 2)), None),
    (
        "center_crop",
        lambda i, s: v2.CenterCrop(s)(torch.from_numpy(i).permute(2, 0, 1)).permute(1, 2, 0),
        None,
    ),
    ("center_crop", listed(crop()), None),
    ("center_crop", lambda i, s: i[-s:, -s:], "lower right"),
    ("center_crop", crop(lambda margin: margin // 2 + 1), "pixel|shape"),
    ("center_crop", lambda i, s: i[(i.shape[0] - s) // 2 :, (i.shape[1] - s) // 2 :], "shape"),
    ("center_crop", lambda i, s: crop()(i, s)[::-1], "wrong"),
    (
        "to_input",
        lambda i: (
            (torch.from_numpy(i).float() / 255 - torch.tensor(MEAN).float()) / torch.tensor(STD).float()
        ).permute(2, 0, 1)[None],
        None,
    ),
    (
        "to_input",
        lambda i: v2.Normalize(MEAN.tolist(), STD.tolist())(
            torch.from_numpy(i).permute(2, 0, 1)[None].float() / 255
        ),
        None,
    ),
    ("to_input", lambda i: as_tensor(((i / 255 - MEAN) / STD).reshape(1, 3, *i.shape[:2])), "scrambled"),
    ("to_input", to_input(lambda i: (i / 255 - 0.5) / 0.5), "not ImageNet's"),
    (
        "to_input",
        to_input(lambda i: (i / 255 - [0.4914, 0.4822, 0.4465]) / [0.247, 0.2435, 0.2616]),
        "not ImageNet's",
    ),
    ("to_input", to_input(lambda i: (i / 256 - MEAN) / STD), "not by 256"),
    ("to_input", lambda i: to_input()(i).numpy(), "torch tensor"),
    ("to_input", lambda i: to_input()(i).half(), "Nearly right"),
    ("build_features", stage(), None),
    ("build_features", stage(conv=convolution(padding="same")), None),
    ("build_features", stage(relu=lambda: nn.ReLU(inplace=True)), None),
    ("build_features", stage(pool=lambda: nn.MaxPool2d(kernel_size=(2, 2), stride=(2, 2))), None),
    ("build_features", norm_of_inputs, "convolution before it gives"),
    ("build_features", stage(norm=lambda n: nn.BatchNorm2d(64)), "convolution before it gives"),
    ("build_features", stage(norm=lambda n: nn.BatchNorm2d(n, affine=False)), "its defaults"),
    ("build_features", stage(norm=lambda n: nn.BatchNorm2d(n, track_running_stats=False)), "its defaults"),
    ("build_features", stage(norm=lambda n: nn.BatchNorm2d(n, eps=0.1)), "eps"),
    ("build_features", stage(conv=convolution(dilation=2)), "dilation|fails|wrong|shape"),
    ("build_features", stage(conv=convolution(padding=1, padding_mode="reflect")), "padding_mode"),
    ("build_features", stage(channels=3), "in_channels"),
    ("build_features", stage(named=True), "have names"),
    ("build_features", stage(relu=nn.LeakyReLU), "ReLU|pooling"),
    ("build_features", stage(relu=nn.GELU), "ReLU|pooling"),
    ("build_features", stage(conv=convolution(stride=2)), "stride"),
    ("build_features", stage(conv=lambda i, o: nn.Conv2d(i, o, 5, padding=2, bias=False)), "kernel"),
    ("build_features", stage(pool=lambda: nn.MaxPool2d(2, ceil_mode=True)), "shape|wrong"),
    ("build_features", lambda config, in_channels=3: list(stage()(config, in_channels)), "a list, expected"),
    ("layer_costs", tensor(costs()), None),
    ("layer_costs", lambda *a, **o: np.array(costs()(*a, **o)), None),
    ("layer_costs", costs(form=lambda rows: [list(row) for row in rows]), None),
    ("layer_costs", lambda c, h, w, in_channels=3: costs()(c, h, w, 3), "in_channels is not used"),
    ("layer_costs", ceil_costs, "odd row"),
    ("layer_costs", costs(side=3), "9 places"),
    ("layer_costs", costs(form=lambda rows: [row[0] for row in rows]), "axis|shape"),
    ("layer_costs", costs(form=lambda rows: rows[:-1]), "shape"),
    ("feature_maps", by_hooks, None),
    ("feature_maps", on_a_copy, None),
    ("feature_maps", lambda m, x, n: {k: v.numpy() for k, v in maps()(m, x, n).items()}, "torch tensor"),
    ("feature_maps", lambda m, x, n: {k: v.tolist() for k, v in maps()(m, x, n).items()}, "torch tensor"),
    ("feature_maps", lambda m, x, n: list(maps()(m, x, n).values()), "dict"),
    ("feature_maps", lambda m, x, n: maps()(m, x, (0, 1, 4)), "says which"),
    ("feature_vectors", lambda m: m.flatten(2).mean(dim=2), None),
    ("feature_vectors", lambda m: nn.functional.adaptive_avg_pool2d(m, 1).flatten(1), None),
    ("feature_vectors", lambda m: m.double().mean(dim=(2, 3)), None),
    ("feature_vectors", lambda m: m.mean(dim=(2, 3)).squeeze(), "squeeze"),
    ("feature_vectors", lambda m: m.mean(dim=(2, 3)).numpy(), "torch tensor"),
    ("feature_vectors", lambda m: m.mean(dim=(2, 3)).T, "transposed|shape"),
]
