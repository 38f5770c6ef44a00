"""Answers to the questions of week 3, right and wrong, with a pattern of what a wrong one must be told."""

import cv2
import numpy as np
import torch
from PIL import Image
from torch import nn

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


ROWS = [
    ("resize_shorter", resize(shorter), None),
    ("resize_shorter", resize(lambda w, h, s: (s, s)), "distorted"),
    ("resize_shorter", resize(lambda w, h, s: shorter(w, h, s)[::-1]), "exchanged"),
    ("resize_shorter", resize(lambda w, h, s: (s * w // max(w, h), s * h // max(w, h))), "longer side"),
    ("resize_shorter", resize(rounded_up), "rounded up"),
    ("resize_shorter", resize(shorter, Image.Resampling.NEAREST), "alias"),
    ("resize_shorter", lambda i, s: cv2.resize(i, shorter(i.shape[1], i.shape[0], s)), "alias"),
    ("resize_shorter", lambda i, s: i, "old shape"),
    ("resize_shorter", lambda i, s: resize(shorter)(i, s) / 255, "bytes"),
    ("center_crop", lambda i, s: i[1 : 1 + s, 3 : 3 + s], None),
    ("center_crop", lambda i, s: i[:s, :s], "upper left"),
    ("center_crop", lambda i, s: i[3 : 3 + s, 1 : 1 + s], "exchanged|shape"),
    ("center_crop", lambda i, s: i[2 : 2 + s, 3 : 3 + s], "One pixel"),
    ("to_input", to_input(), None),
    ("to_input", to_input(lambda i: (i - MEAN) / STD), "divide by 255 first"),
    ("to_input", to_input(lambda i: i / 255), "are missing"),
    ("to_input", lambda i: as_tensor([(i.reshape(3, *i.shape[:2]) / 255 - MEAN_3D) / STD_3D]), "scrambled"),
    ("to_input", to_input(lambda i: (i[..., ::-1] / 255 - MEAN) / STD), "Red and blue"),
    ("to_input", to_input(lambda i: i / 255 / STD), "not taken away"),
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
    ("layer_costs", costs(follows=False), "3 input channels"),
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
    ("feature_vectors", lambda m: m.mean(dim=2), "Only the rows"),
]
