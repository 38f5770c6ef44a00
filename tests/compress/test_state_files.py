"""Any state dict: in, pruned, shared, written, and back with its names, shapes and dtypes."""

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from safetensors.torch import load_file, save_file, save_model
from torch import nn

from common.codec import container
from common.codec.container import ContainerError
from common.codec.tensors import DenseTensor, SharedTensor
from common.compress.modules import load_into
from common.compress.state_files import (
    State,
    StateConfig,
    _bits,
    compress_state,
    open_file,
    read_state,
    restore,
    state_of,
)
from common.networks.checkpoints import save_state

FLOATS = [torch.float32, torch.float16, torch.bfloat16, torch.float64, torch.float8_e4m3fn, torch.float8_e5m2]
OTHERS = [torch.int64, torch.int32, torch.uint8, torch.bool]


class TinyGPT(nn.Module):
    """A language model of two blocks whose last layer is tied to its embedding."""

    def __init__(self, vocabulary: int = 50, width: int = 16, length: int = 12):
        super().__init__()
        self.wte, self.wpe = nn.Embedding(vocabulary, width), nn.Embedding(length, width)
        layer = {"dim_feedforward": 32, "batch_first": True, "norm_first": True, "dropout": 0.0}
        self.blocks = nn.ModuleList(nn.TransformerEncoderLayer(width, 2, **layer) for _ in range(2))
        self.norm, self.lm_head = nn.LayerNorm(width), nn.Linear(width, vocabulary, bias=False)
        self.lm_head.weight = self.wte.weight
        look = torch.zeros(length, length).masked_fill(torch.ones(length, length).triu(1).bool(), -torch.inf)
        self.register_buffer("mask", look)
        self.register_buffer("places", torch.arange(length))

    def forward(self, tokens):
        n = tokens.shape[1]
        hidden = self.wte(tokens) + self.wpe(self.places[:n])
        for block in self.blocks:
            hidden = block(hidden, src_mask=self.mask[:n, :n])
        return self.lm_head(self.norm(hidden))


class TinyLSTM(nn.Module):
    """A classifier of sequences."""

    def __init__(self):
        super().__init__()
        self.lstm, self.head = nn.LSTM(6, 10, num_layers=2, batch_first=True), nn.Linear(10, 3)

    def forward(self, x):
        return self.head(self.lstm(x)[0][:, -1])


class TinyVolumes(nn.Module):
    """Convolutions in three dimensions and in one, transposed ones, group norm, a parameter of no axis."""

    def __init__(self):
        super().__init__()
        self.conv, self.norm = nn.Conv3d(2, 4, 3, padding=1), nn.GroupNorm(2, 4)
        self.up, self.temperature = nn.ConvTranspose2d(4, 3, 2), nn.Parameter(torch.tensor(0.5))
        self.token = nn.Parameter(torch.randn(1, 4, 1, 1))

    def forward(self, x):
        return self.up(self.norm(self.conv(x)).mean(2) + self.token) * self.temperature


class TinyAttention(nn.Module):
    """Attention over images, with an embedding of patches."""

    def __init__(self):
        super().__init__()
        self.patches = nn.Conv2d(3, 8, 4, stride=4)
        self.attention = nn.MultiheadAttention(8, 2, batch_first=True)
        self.place = nn.Parameter(torch.randn(1, 4, 8))

    def forward(self, x):
        tokens = self.patches(x).flatten(2).transpose(1, 2) + self.place
        return self.attention(tokens, tokens, tokens)[0]


def images(*shape):
    return torch.randn(shape, generator=torch.Generator().manual_seed(1))


def vision(name, size=32):
    """A network of torchvision's, and a batch for it."""

    def make():
        from torchvision import models

        options = {"image_size": size} if name.startswith("vit") else {}
        return getattr(models, name)(weights=None, num_classes=7, **options)

    return make, lambda: images(2, 3, size, size)


SLOW = pytest.mark.slow
NETWORKS = {
    "gpt": (TinyGPT, lambda: torch.arange(20).view(2, 10)),
    "lstm": (TinyLSTM, lambda: images(2, 5, 6)),
    "volumes": (TinyVolumes, lambda: images(1, 2, 3, 4, 4)),
    "attention": (TinyAttention, lambda: images(2, 3, 8, 8)),
    "transformer": (
        lambda: nn.Transformer(8, 2, 1, 1, 16, batch_first=True),
        lambda: (images(2, 3, 8), images(2, 4, 8)),
    ),
    "resnet18": vision("resnet18"),
    "mobilenet_v3_small": vision("mobilenet_v3_small"),
    "vit_b_16": vision("vit_b_16"),
    "shufflenet_v2_x0_5": vision("shufflenet_v2_x0_5"),
    "squeezenet1_1": vision("squeezenet1_1", 64),
    "efficientnet_b0": vision("efficientnet_b0"),
    "densenet121": vision("densenet121", 64),
    "regnet_y_400mf": vision("regnet_y_400mf", 64),
    "mobilenet_v2": vision("mobilenet_v2"),
    "swin_t": vision("swin_t", 64),
}
QUICK = ("gpt", "lstm", "volumes", "attention", "transformer")


def outputs(model, batch):
    model.eval()
    with torch.no_grad():
        return model(*batch) if isinstance(batch, tuple) else model(batch)


@pytest.mark.parametrize(
    "name", [name if name in QUICK else pytest.param(name, marks=SLOW) for name in NETWORKS]
)
def test_networks_that_nobody_here_has_written(tmp_path, name):
    """compress → inspect → decompress → the library's own class, loaded strictly: the same outputs."""
    from test_inputs import run  # the command line, in this process

    make, batch = NETWORKS[name]
    torch.manual_seed(0)
    model = make()
    for module in model.modules():  # statistics as after training
        if isinstance(module, nn.BatchNorm2d):
            module.running_mean.normal_(0, 0.1)
            module.running_var.uniform_(0.5, 1.5)
    torch.save(model.state_dict(), tmp_path / "in.pth")
    state = read_state(tmp_path / "in.pth")
    made = compress_state(state, StateConfig(sparsity=0.5))
    container.save_file(made.model, tmp_path / "x.dcz")
    capture = _Silent()
    assert run(capture, ["inspect", str(tmp_path / "x.dcz")])[0] == 0
    for suffix, read in (("safetensors", load_file), ("pth", lambda p: torch.load(p, weights_only=True))):
        out = tmp_path / f"out.{suffix}"
        assert run(capture, ["decompress", str(tmp_path / "x.dcz"), "--out", str(out)])[0] == 0
        back = read(out)
        own = {n: v for n, v in model.state_dict().items() if not n.endswith("num_batches_tracked")}
        assert back.keys() == own.keys()
        assert all((back[n].shape, back[n].dtype) == (own[n].shape, own[n].dtype) for n in own)
        other = make()
        other.load_state_dict(back, strict=True)
    third = load_into(make(), tmp_path / "x.dcz")
    torch.testing.assert_close(outputs(third, batch()), outputs(other, batch()), rtol=0, atol=0)
    if name in QUICK:  # with as many values as weights, sharing loses no more than float16 does
        whole = compress_state(state, StateConfig(sparsity=0, conv_clusters=32768, linear_clusters=32768))
        same = load_into(make(), whole.model)
        torch.testing.assert_close(outputs(same, batch()), outputs(model, batch()), rtol=0.02, atol=0.02)


class _Silent:
    """In place of capsys."""

    def readouterr(self):
        return "", ""


@st.composite
def states(draw):
    """State dicts of odd names, shapes and dtypes."""
    names = st.text(
        st.characters(codec="utf-8", exclude_categories=("Cs",), exclude_characters="\0"),
        min_size=1,
        max_size=20,
    )
    state = {}
    for name in draw(st.lists(names, min_size=1, max_size=6, unique=True)):
        shape = draw(st.lists(st.integers(0, 5), max_size=4))
        dtype = draw(st.sampled_from(FLOATS + OTHERS))
        if "weight" in name or "bias" in name or name.endswith("num_batches_tracked"):
            dtype = torch.float32
        seed = draw(st.integers(0, 2**16))
        values = torch.randn(shape, generator=torch.Generator().manual_seed(seed)) * draw(
            st.sampled_from([1.0, 1e-3, 10.0])
        )
        state[name] = values.to(dtype) if dtype is not torch.bool else values > 0
    return state


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(state=states(), sparsity=st.sampled_from([0.0, 0.5, 0.9]))
def test_every_state_dict_comes_back(state, sparsity):
    read = read_like_file(state)
    tied = read.aliases
    made = compress_state(read, StateConfig(sparsity=sparsity))
    back = restore(container.load(container.save(made.model)))
    assert back.keys() == state.keys()
    for name, tensor in state.items():
        other = back[name]
        assert (other.shape, other.dtype) == (tensor.shape, tensor.dtype)
        if not tensor.is_floating_point():
            assert torch.equal(other, tensor)
            continue
        exact, got = tensor.double(), other.double()
        one = made.treatments.get(name, made.treatments.get(tied.get(name)))
        if one.reason:
            assert torch.allclose(got, exact, rtol=2.0**-11, atol=0), name
        else:  # so few values that each has an entry of its own in the codebook
            assert torch.allclose(got[got != 0], exact[got != 0], rtol=2.0**-10, atol=0), name
    shared = [tensor for tensor in made.model.tensors.values() if isinstance(tensor, SharedTensor)]
    n_weights = sum(tensor.n_weights for tensor in shared)
    assert sum(tensor.n_kept for tensor in shared) == round((1 - sparsity) * n_weights)


def read_like_file(state):
    from common.compress.state_files import _clean

    return _clean(dict(state), {}, [])


@settings(max_examples=20, deadline=None)
@given(state=states())
def test_kept_tensors_come_back_bit_for_bit(state):
    made = compress_state(read_like_file(state), StateConfig(keep=("*",)))
    back = restore(container.load(container.save(made.model)))
    for name, tensor in state.items():
        assert (back[name].shape, back[name].dtype) == (tensor.shape, tensor.dtype)
        assert _bits(back[name]).tobytes() == _bits(tensor).tobytes(), name


def test_the_same_state_gives_the_same_bytes_in_any_order():
    state = {"b.weight": images(6, 5), "a.weight": images(5, 6), "a.bias": torch.ones(6)}
    turned = dict(reversed(state.items()))
    first, second = (container.save(compress_state(read_like_file(s)).model) for s in (state, turned))
    assert {n: v.tolist() for n, v in restore(container.load(first)).items() if "bias" in n}
    assert len(first) == len(second)


def test_sparsity_is_exact_over_each_group():
    state = State(
        {"conv1.weight": images(10, 10, 3, 3), "conv2.weight": images(10, 10, 3, 3), "fc": images(30, 30)}
    )
    config = StateConfig(sparsity=0.8, sparsities=(("conv*", 0.95), ("conv2*", 0.1)), keep=("fc",))
    made = compress_state(state, config)
    kept = [made.model.tensors[name].n_kept for name in ("conv1.weight", "conv2.weight")]
    assert sum(kept) == round(0.05 * 1800), "the first pattern that fits counts"
    assert isinstance(made.model.tensors["fc"], DenseTensor)
    assert made.treatments["fc"].reason == "kept by 'fc'"


def test_reasons_are_told():
    state = {
        "weight": images(4, 4),
        "vector": images(1, 4, 1),
        "places": torch.arange(4).view(2, 2),
        "none": torch.zeros(0, 4),
        "mask": torch.zeros(3, 3).masked_fill(torch.ones(3, 3).triu(1).bool(), -torch.inf),
    }
    made = compress_state(State(state))
    reasons = {name: one.reason for name, one in made.treatments.items()}
    assert reasons == {
        "weight": "",
        "vector": "one axis",
        "places": "int64 numbers",
        "none": "empty",
        "mask": "a mask of 0 and infinity",
    }
    assert made.summary() == (
        "5 tensors, 1 pruned and shared; dense: 1 of one axis, 1 int64 numbers, 1 empty, "
        "1 a mask of 0 and infinity"
    )
    assert torch.equal(restore(made.model)["mask"], state["mask"])


def test_values_outside_float16_are_stored_whole():
    state = State(
        {"a.weight": images(5, 5) * 1e6, "a.bias": torch.tensor([1e6, 1.0]), "b": torch.tensor([1e-7, 1.0])}
    )
    made = compress_state(state, StateConfig(sparsity=0))
    back = restore(made.model)
    assert torch.allclose(back["a.weight"], state.tensors["a.weight"], rtol=1e-6)
    assert torch.equal(back["a.bias"], state.tensors["a.bias"])
    assert torch.equal(back["b"], state.tensors["b"]), "a tiny value is not rounded to one of few digits"
    assert made.notes == ("a.weight keeps float32 values: some are outside float16's range",)


@pytest.mark.parametrize(
    "weight",
    [
        torch.full((4, 4), torch.inf),
        torch.full((4, 4), -torch.inf),
        torch.full((4, 4), 1e300, dtype=torch.float64),
        torch.diag(torch.full((4,), torch.inf)),
    ],
)
def test_a_diverged_layer_is_no_mask(weight):
    with pytest.raises(ValueError, match=r"fc\.weight"):
        compress_state(State({"fc.weight": weight, "fc.bias": torch.zeros(4)}))


@pytest.mark.parametrize("broken", [float("nan"), float("inf")])
@pytest.mark.parametrize("name", ["a.weight", "a.bias"])
def test_broken_weights_are_refused_by_name(name, broken):
    state = {"a.weight": images(5, 5), "a.bias": images(5)}
    state[name].view(-1)[2] = broken
    with pytest.raises(ValueError, match=rf"{name} holds 1 NaN or infinite of"):
        compress_state(State(state))


def test_tied_tensors_stay_tied(tmp_path):
    model = TinyGPT()
    torch.save(model.state_dict(), tmp_path / "m.pth")
    save_model(model, str(tmp_path / "m.safetensors"))
    for path in ("m.pth", "m.safetensors"):
        state = read_state(tmp_path / path)
        assert set(state.aliases) | set(state.aliases.values()) == {"wte.weight", "lm_head.weight"}
        made = compress_state(state, StateConfig(keep=("lm_head*",)))
        back = restore(made.model)
        assert back["lm_head.weight"] is back["wte.weight"]
        assert torch.equal(back["wte.weight"], model.wte.weight), "what one name keeps, the other keeps"


def test_a_dcz_is_read_as_other_files_are(tmp_path, monkeypatch):
    tensors = {"wte.weight": torch.ones(3, 4), "lm_head.weight": torch.ones(3, 4), "a.bias": torch.ones(3)}
    save_file(tensors, tmp_path / "a.safetensors", metadata={"b.bias": "a.bias"})
    first = read_state(tmp_path / "a.safetensors")
    assert first.aliases == {"b.bias": "a.bias", "wte.weight": "lm_head.weight"}
    container.save_file(compress_state(first, StateConfig(sparsity=0.0)).model, tmp_path / "a.dcz")
    again = read_state(tmp_path / "a.dcz")
    assert set(again.tensors) == {"lm_head.weight", "a.bias"}
    assert again.aliases == first.aliases
    monkeypatch.setattr("common.compress.state_files.MAX_DENSE_BYTES", 40)
    assert read_state(tmp_path / "a.dcz", max_dense_bytes=4096).aliases == first.aliases
    with pytest.raises(ValueError, match=r"a\.safetensors: 27 weights: expected at most 10"):
        read_state(tmp_path / "a.safetensors")


def test_an_alias_of_what_is_left_out_is_left_out_too(tmp_path):
    tensors = {"bn.num_batches_tracked": torch.tensor(3), "a.weight": torch.ones(2, 3)}
    told = {"b.num_batches_tracked": "bn.num_batches_tracked", "b.weight": "a.weight", "format": "pt"}
    save_file(tensors, tmp_path / "a.safetensors", metadata=told)
    state = read_state(tmp_path / "a.safetensors")
    assert state.aliases == {"b.weight": "a.weight"}
    assert set(state.full()) == {"a.weight", "b.weight"}


def test_safetensors_own_name_is_refused(tmp_path):
    for names in (("__metadata__",), ("module.__metadata__",), ("__metadata___orig", "__metadata___mask")):
        torch.save(dict.fromkeys(names, torch.ones(2, 3)), tmp_path / "a.pt")
        with pytest.raises(ValueError, match="tensor __metadata__: safetensors keeps this name"):
            read_state(tmp_path / "a.pt")
    with pytest.raises(ValueError, match="keeps the name __metadata__ for itself"):
        save_state({"__metadata__": torch.ones(2)}, tmp_path / "a.safetensors")
    assert not (tmp_path / "a.safetensors").exists()


@pytest.mark.parametrize(
    "error", [AttributeError, IndexError, AssertionError, OverflowError, ModuleNotFoundError]
)
def test_whatever_torch_raises_is_one_line(tmp_path, monkeypatch, error):
    torch.save({"a": torch.ones(2, 3)}, tmp_path / "a.pt")

    def fail(*args, **options):
        raise error("deep inside\nof torch")

    monkeypatch.setattr(torch, "load", fail)
    with pytest.raises(ValueError, match=r"a\.pt is not a file of torch.save, or is damaged: deep inside$"):
        read_state(tmp_path / "a.pt")


def test_an_archive_of_a_later_zip_version_is_refused_in_one_line(tmp_path):
    torch.save({"a": torch.ones(2, 3)}, tmp_path / "a.pt")
    data = bytearray((tmp_path / "a.pt").read_bytes())
    data[data.rindex(b"PK\x01\x02") + 6] = 99  # "version needed to extract" of a directory entry
    (tmp_path / "a.pt").write_bytes(data)
    with pytest.raises(ValueError, match=r"a\.pt is a damaged archive: zip file version 9\.9"):
        read_state(tmp_path / "a.pt")


def test_a_file_is_read_tensor_by_tensor(tmp_path, monkeypatch):
    state = {"w": images(30, 20), "b": images(30).to(torch.bfloat16), "n": torch.arange(3), "tied": None}
    state["tied"] = state["w"]
    container.save_file(compress_state(read_like_file(state)).model, tmp_path / "x.dcz")
    decoded = []
    from common.compress import state_files as module

    original = module.load_tensor
    monkeypatch.setattr(
        module, "load_tensor", lambda data, name: decoded.append(name) or original(data, name)
    )
    whole = restore(container.load_file(tmp_path / "x.dcz"))
    with open_file(tmp_path / "x.dcz") as file:
        assert list(file) == ["b", "n", "w", "tied"]
        assert len(file) == 4
        info = file.info
        assert [(info[n].shape, info[n].dtype) for n in file] == [
            ((30,), "bfloat16"),
            ((3,), "int64"),
            ((30, 20), "float32"),
            ((30, 20), "float32"),
        ]
        assert info["tied"].alias_of == "w"
        assert (info["tied"].n_bytes, info["w"].n_weights) == (0, 600)
        assert sum(one.n_bytes for one in info.values()) < (tmp_path / "x.dcz").stat().st_size
        assert decoded == [], "nothing is decoded before it is asked for"
        np.testing.assert_array_equal(file["w"], whole["w"].numpy())
        assert decoded == ["w"]
        np.testing.assert_array_equal(file["b"], whole["b"].float().numpy())
        np.testing.assert_array_equal(file["tied"], file["w"])
        assert "nothing" not in file
        with pytest.raises(KeyError):
            file["nothing"]


def test_a_file_of_the_pipeline_has_its_architectures_names(tmp_path):
    from common.compress.pipeline import CompressConfig, compress
    from common.networks.models import build

    model = build("lenet_5", width=0.1)
    about = {"architecture": "lenet_5", "num_classes": 10, "width": 0.1}
    (tmp_path / "x.dcz").write_bytes(compress(model, None, CompressConfig(sparsity=0.5), about))
    with open_file(tmp_path / "x.dcz") as file:
        assert list(file) == list(model.state_dict())
        assert file["fc1.weight"].shape == tuple(model.fc1.weight.shape)


def test_open_file_refuses_what_is_none(tmp_path):
    save_file({"a": torch.zeros(2)}, tmp_path / "a.safetensors")
    with pytest.raises(ValueError, match=r"not a \.dcz file but safetensors"):
        open_file(tmp_path / "a.safetensors")
    (tmp_path / "a.dcz").write_bytes(b"DCZ\x01\x01")
    with pytest.raises(ContainerError, match=r"a\.dcz: "):
        open_file(tmp_path / "a.dcz")


def test_a_damaged_record_is_noticed_when_it_is_read(tmp_path):
    container.save_file(
        compress_state(State({"a": images(9, 9), "b": images(9, 9)})).model, tmp_path / "x.dcz"
    )
    data = bytearray((tmp_path / "x.dcz").read_bytes())
    data[-20] ^= 1
    (tmp_path / "x.dcz").write_bytes(bytes(data))
    with open_file(tmp_path / "x.dcz") as file:
        assert file["a"].shape == (9, 9)
        with pytest.raises(ContainerError, match="b: checksum"):
            file["b"]


def test_a_module_keeps_its_own_prefix():
    """What begins with ``module.`` in somebody's own class is a name, not a wrapper's prefix."""
    model = nn.ModuleDict({"module": nn.Linear(3, 2)})
    assert list(state_of(model).tensors) == ["module.weight", "module.bias"]


def test_importing_the_folder_loads_no_torch():
    import subprocess
    import sys

    code = "import sys, common.compress; print('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"


def test_shared_tensors_have_float16_codebooks_where_they_fit():
    made = compress_state(State({"a": images(40, 40)}), StateConfig(sparsity=0.5))
    tensor = made.model.tensors["a"]
    assert isinstance(tensor, SharedTensor)
    assert tensor.codebook.dtype == np.float16
    assert tensor.n_clusters <= 32
