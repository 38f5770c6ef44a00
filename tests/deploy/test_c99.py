"""The C header: it compiles without a warning, fits a microcontroller, and answers as Python does."""

import re
import shutil
import subprocess
import time
from pathlib import Path

import numpy as np
import pytest
import torch

from common.codec.container import CompressedModel, load_file
from common.codec.tensors import DenseTensor, SharedTensor
from common.compress.packing import unpack
from common.data.batches import normalization, normalize
from common.data.datasets import load_dataset
from common.deploy.c99 import c_header

ROOT = Path(__file__).resolve().parents[2]
LENETS = sorted(ROOT.glob("capstone/lenet*.dcz")) + sorted(ROOT.glob("week05_pruning/results/lenet*.dcz"))
GCC = shutil.which("gcc")
FLAGS = ["-std=c99", "-Wall", "-Wextra", "-pedantic", "-Werror"]
N_DIGITS = 1000
RAM = 64 * 1024
needs_gcc = pytest.mark.skipif(GCC is None, reason="no gcc on this machine")

MAIN = """\
#include <stdio.h>
#include "net.h"

int main(void)
{
    static uint8_t pixels[net_PIXELS];
    static float inputs[net_PIXELS], logits[net_CLASSES];
    while (fread(pixels, 1, sizeof pixels, stdin) == sizeof pixels) {
        int i;
        printf("%d", net_classify(pixels));
        for (i = 0; i < net_PIXELS; i++) inputs[i] = ((float)pixels[i] - MEANf) / STDf;
        net_forward(inputs, logits);
        for (i = 0; i < net_CLASSES; i++) printf(" %.9g", (double)logits[i]);
        printf("\\n");
    }
    return 0;
}
"""


@pytest.fixture(scope="module")
def digits() -> np.ndarray:
    images = load_dataset("digits", "train").images[:N_DIGITS]
    assert images.shape == (N_DIGITS, 1, 28, 28)
    return images


def compiled(model: CompressedModel, folder: Path, *, optimize: str = "-O2") -> Path:
    mean, std = normalization("mnist")
    (folder / "net.h").write_text(c_header(model, "net"))
    main = MAIN.replace("MEAN", f"{255 * mean[0]:.9g}").replace("STD", f"{255 * std[0]:.9g}")
    (folder / "main.c").write_text(main)
    command = [GCC, *FLAGS, optimize, "-o", "net", "main.c"]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return folder / "net"


@needs_gcc
@pytest.mark.parametrize("path", LENETS, ids=lambda path: path.stem)
def test_a_thousand_digits_as_in_python(path, digits, tmp_path):
    model = load_file(path)
    program = compiled(model, tmp_path)
    start = time.perf_counter()
    done = subprocess.run([program], input=digits.tobytes(), capture_output=True, check=True)
    seconds = time.perf_counter() - start
    answers = np.array([line.split() for line in done.stdout.splitlines()], dtype=float)
    with torch.inference_mode():
        expected = unpack(model)(normalize(digits, *normalization("mnist"))).numpy()
    np.testing.assert_allclose(answers[:, 1:], expected, atol=1e-4)
    np.testing.assert_array_equal(answers[:, 0], expected.argmax(axis=1))
    text, ram = section_bytes(tmp_path)
    microseconds = 1e6 * seconds / 2 / N_DIGITS  # each image is answered twice
    print(f"{path.stem}: {text:,} bytes of flash, {ram:,} of RAM, {microseconds:.0f} µs per image")
    assert ram < RAM


def section_bytes(folder: Path) -> tuple[int, int]:
    """Bytes of code and constants, and of static memory with the deepest stack, of the header alone."""
    (folder / "only.c").write_text(
        '#include "net.h"\nint answer(const uint8_t *p);\n'
        "int answer(const uint8_t *p) { return net_classify(p); }\n"
    )
    command = [GCC, *FLAGS, "-Os", "-fstack-usage", "-c", "only.c"]
    subprocess.run(command, cwd=folder, check=True, capture_output=True)
    listing = subprocess.run(
        ["size", "only.o"], cwd=folder, check=True, capture_output=True, text=True
    ).stdout
    text, data, bss = map(int, listing.splitlines()[1].split()[:3])
    stack = sum(int(line.split("\t")[1]) for line in (folder / "only.su").read_text().splitlines())
    return text + data, data + bss + stack


def lenet_300_100(**parts) -> CompressedModel:
    shapes = {
        "fc1.weight": (3, 784),
        "fc1.bias": (3,),
        "fc2.weight": (1, 3),
        "fc2.bias": (1,),
        "fc3.weight": (10, 1),
        "fc3.bias": (10,),
    }
    tensors = {name: DenseTensor(np.zeros(shape, np.float32)) for name, shape in shapes.items()}
    for name, shape in shapes.items():
        if name.endswith("weight"):
            tensors[name] = SharedTensor(
                shape, np.float32([0.5]), np.zeros(0, np.int64), np.zeros(0, np.uint8)
            )
    tensors |= parts
    return CompressedModel(tensors, {"architecture": "lenet_300_100", "num_classes": 10, "width": 0.01})


@needs_gcc
def test_edges(tmp_path):
    """Nothing kept, everything kept, skips over several rows, the first and the last weight."""
    ends = np.array([0, 783, 3 * 784 - 1])
    model = lenet_300_100(
        **{
            "fc1.weight": SharedTensor((3, 784), np.float16([-0.1, 2]), ends, np.uint8([1, 0, 1])),
            "fc1.bias": DenseTensor(np.float32([1e-30, 0, 1e30])),
            "fc3.weight": SharedTensor((10, 1), np.float32([-3, 1]), None, np.uint8(np.arange(10) % 2)),
            "fc3.bias": SharedTensor((10,), np.float32([1 / 3]), np.array([4]), np.uint8([0])),
        }
    )
    program = compiled(model, tmp_path, optimize="-O0")
    images = np.random.default_rng(0).integers(0, 256, (5, 1, 28, 28), dtype=np.uint8)
    done = subprocess.run([program], input=images.tobytes(), capture_output=True, check=True)
    answers = np.array([line.split() for line in done.stdout.splitlines()], dtype=float)
    with torch.inference_mode():
        expected = unpack(model)(normalize(images, *normalization("mnist"))).numpy()
    np.testing.assert_allclose(answers[:, 1:], expected, rtol=1e-6)


@needs_gcc
def test_convolutions_with_skips_over_whole_rows(tmp_path):
    """LeNet-5's gaps go past outputs that keep nothing, and past more than 255 weights."""
    rng = np.random.default_rng(1)
    shapes = {
        "conv1.weight": (4, 1, 5, 5),
        "conv1.bias": (4,),
        "conv2.weight": (10, 4, 5, 5),
        "conv2.bias": (10,),
        "fc1.weight": (100, 160),
        "fc1.bias": (100,),
        "fc2.weight": (10, 100),
        "fc2.bias": (10,),
    }
    kept = {
        "conv1.weight": [30, 74, 75],
        "conv2.weight": [399, 400, 699, 999],
        "fc1.weight": range(0, 16000, 777),
        "fc2.weight": range(0, 1000, 3),
    }
    tensors = {}
    for name, shape in shapes.items():
        tensors[name] = DenseTensor(rng.normal(size=shape).astype(np.float16))
        if name in kept:
            positions = np.array(kept[name], dtype=np.int64)
            indices = rng.integers(0, 3, positions.size).astype(np.uint8)
            tensors[name] = SharedTensor(shape, np.float32([-1, 0.5, 2]), positions, indices)
    model = CompressedModel(tensors, {"architecture": "lenet_5", "num_classes": 10, "width": 0.2})
    images = rng.integers(0, 256, (5, 1, 28, 28), dtype=np.uint8)
    done = subprocess.run(
        [compiled(model, tmp_path)], input=images.tobytes(), capture_output=True, check=True
    )
    answers = np.array([line.split() for line in done.stdout.splitlines()], dtype=float)
    with torch.inference_mode():
        expected = unpack(model)(normalize(images, *normalization("mnist"))).numpy()
    np.testing.assert_allclose(answers[:, 1:], expected, rtol=1e-5, atol=1e-5)


def test_names_are_those_of_c():
    model = load_file(LENETS[0])
    text = c_header(model, "5 küçük-net")
    assert "net_5_k___k_net_classify(" in text
    assert text.isascii()
    assert not re.search(r"@\w+@", text), "every field of the templates is filled in"


def test_others_are_refused():
    with pytest.raises(ValueError, match="'vgg16': C is written for lenet_300_100 and lenet_5 only"):
        c_header(load_file(ROOT / "capstone/vgg16_cifar10_small.dcz"), "net")
    with pytest.raises(ValueError, match="fc1: expected shared weights"):
        c_header(lenet_300_100(**{"fc1.weight": DenseTensor(np.zeros((3, 784), np.float32))}), "net")
    many = SharedTensor(
        (3, 784), np.arange(257, dtype=np.float32), np.zeros(0, np.int64), np.zeros(0, np.uint16)
    )
    with pytest.raises(ValueError, match="fc1: got 257 shared values, expected at most 256"):
        c_header(lenet_300_100(**{"fc1.weight": many}), "net")
    with pytest.raises(ValueError, match="belongs to another network"):
        c_header(CompressedModel({}, {"architecture": "lenet_5", "num_classes": 10}), "net")
