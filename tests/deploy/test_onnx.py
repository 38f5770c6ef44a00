"""The ONNX graph: onnxruntime's answers are torch's, and the file is small."""

from pathlib import Path

import numpy as np
import pytest
import torch

from common.codec.container import CompressedModel, load_file
from common.codec.tensors import DenseTensor, SharedTensor
from common.compress.packing import unpack
from common.data.batches import normalization, normalize
from common.data.datasets import load_dataset
from common.deploy.onnx import export_onnx
from common.networks.models import INPUT_SHAPES, build

onnxruntime = pytest.importorskip("onnxruntime", reason="onnxruntime is not installed (extra: export)")
onnx = pytest.importorskip("onnx", reason="onnx is not installed (extra: export)")
ROOT = Path(__file__).resolve().parents[2]
SHIPPED = sorted(ROOT.glob("capstone/*.dcz")) + sorted(ROOT.glob("week05_pruning/results/lenet*.dcz"))


def of_size(path: Path) -> object:
    """A parameter of a test; files that take long are marked."""
    marks = pytest.mark.slow if path.stat().st_size > 200_000 else ()
    return pytest.param(path, id=path.stem, marks=marks)


def onnx_answers(path: Path, inputs: np.ndarray) -> np.ndarray:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    assert [value.name for value in session.get_inputs()] == ["images"]
    return session.run(["logits"], {"images": inputs})[0]


def torch_answers(model: CompressedModel, inputs: np.ndarray) -> np.ndarray:
    with torch.inference_mode():
        return unpack(model)(torch.from_numpy(inputs)).numpy()


def images_for(architecture: str, n: int) -> np.ndarray:
    """Digits for the LeNets; photographs' pixels at random for the others."""
    if architecture.startswith("lenet"):
        return normalize(load_dataset("digits", "train").images[:n], *normalization("mnist")).numpy()
    shape = INPUT_SHAPES[architecture]
    n = min(n, 2 if shape[1] > 100 else 8)
    return np.random.default_rng(0).normal(size=(n, *shape)).astype(np.float32)


@pytest.mark.parametrize("dense", [False, True], ids=["codebooks", "dense"])
@pytest.mark.parametrize("source", [of_size(path) for path in SHIPPED])
def test_answers_are_those_of_torch(source, dense, tmp_path):
    model = load_file(source)
    n_bytes = export_onnx(model, tmp_path / "net.onnx", dense=dense)
    inputs = images_for(model.metadata["architecture"], 500)
    expected = torch_answers(model, inputs)
    answers = onnx_answers(tmp_path / "net.onnx", inputs)
    np.testing.assert_allclose(answers, expected, atol=1e-4)
    np.testing.assert_array_equal(answers.argmax(axis=1), expected.argmax(axis=1))
    n_weights = sum(tensor.n_weights for tensor in model.tensors.values())
    print(f"{source.stem}: {source.stat().st_size:,} bytes as .dcz, {n_bytes:,} as ONNX")
    if dense:
        assert n_bytes > 4 * n_weights
    else:  # per kept weight a gap and an index of one or two bytes; fillers; codebooks, a dozen nodes a layer
        n_kept = sum(tensor.n_kept for tensor in model.tensors.values())
        assert n_bytes < 3 * n_kept + 3 * n_weights / 256 + 16_384


def test_int8_is_a_quarter_and_nearly_as_good(tmp_path):
    model = load_file(ROOT / "capstone/lenet_5.dcz")
    n_bytes = export_onnx(model, tmp_path / "net.onnx", int8=True)
    assert n_bytes < 4 * 431_080 / 3.8
    digits = load_dataset("digits", "train")
    inputs = normalize(digits.images[:1000], *normalization("mnist")).numpy()
    right = onnx_answers(tmp_path / "net.onnx", inputs).argmax(axis=1) == digits.labels[:1000]
    expected = torch_answers(model, inputs).argmax(axis=1) == digits.labels[:1000]
    print(f"right of 1,000: {right.sum()} in int8, {expected.sum()} in float32")
    assert right.sum() >= expected.sum() - 5


def test_every_part_of_a_tensor(tmp_path):
    """All weights kept, nothing kept, long gaps, row scales, more than 256 values, names in the file."""
    rng = np.random.default_rng(2)
    network = build("vgg16", width=0.05, batch_norm="folded")
    tensors = {}
    for number, (name, value) in enumerate(network.state_dict().items()):
        shape, n = tuple(value.shape), value.numel()
        if name.endswith("bias"):
            tensors[name] = DenseTensor((0.1 * rng.normal(size=shape)).astype(np.float16))
            continue
        n_clusters = 300 if number % 4 == 0 else 5
        positions = None if number % 6 == 0 else np.flatnonzero(rng.random(n) < 0.3 / (1 + number % 5) ** 3)
        n_kept = n if positions is None else positions.size
        indices = rng.integers(0, n_clusters, n_kept).astype(np.uint8 if n_clusters <= 256 else np.uint16)
        scales = DenseTensor(rng.normal(1, 0.2, shape[0]).astype(np.float32)) if number % 3 else None
        codebook = np.linspace(-0.3, 0.4, n_clusters).astype(np.float32)
        tensors[name] = SharedTensor(shape, codebook, positions, indices, scales)
    model = CompressedModel(tensors, {"architecture": "vgg16", "num_classes": 10, "width": 0.05})
    export_onnx(model, tmp_path / "net.onnx")
    inputs = rng.normal(size=(4, 3, 32, 32)).astype(np.float32)
    np.testing.assert_allclose(
        onnx_answers(tmp_path / "net.onnx", inputs), torch_answers(model, inputs), atol=1e-4
    )


def test_what_does_not_fit_is_refused_and_nothing_is_written(tmp_path):
    with pytest.raises(ValueError, match="belongs to another network"):
        export_onnx(CompressedModel({}, {"architecture": "vgg16", "num_classes": 10}), tmp_path / "net.onnx")
    assert list(tmp_path.iterdir()) == []
