"""Checkpoints of a run, and weights as safetensors: what goes in comes out, and damage is named."""

from dataclasses import dataclass, field

import pytest
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import nn

from common.networks import checkpoints
from common.networks.checkpoints import (
    load_checkpoint,
    load_weights,
    round_to_half_,
    save_checkpoint,
    save_weights,
)
from common.networks.models import build


@dataclass
class Diary:
    loss: list = field(default_factory=list)


class Counter:
    def __init__(self):
        self.n = 0

    def state_dict(self):
        return {"n": self.n}

    def load_state_dict(self, state):
        self.n = state["n"]


def run(seed=0):
    """A model, its optimiser after one step, a history, and two callbacks, one of them without a state."""
    model = build("lenet_300_100", width=0.05, seed=seed)
    optimizer = torch.optim.Adam(model.parameters(), lr=0.01)
    model(torch.ones(1, 1, 28, 28)).sum().backward()
    optimizer.step()
    counter = Counter()
    counter.n = 10 + seed
    return {
        "model": model,
        "optimizer": optimizer,
        "parameters": list(model.parameters()),
        "history": Diary([0.5, 0.25 + seed]),
        "callbacks": [counter, object()],
    }


def test_a_checkpoint_restores_everything(tmp_path):
    path = tmp_path / "new folder" / "run.pt"
    saved, restored = run(), run(seed=1)
    save_checkpoint(path, **saved, options={"epochs": 3}, step=7)
    assert load_checkpoint(path, **restored, options={"epochs": 3}) == 7
    for name, value in saved["model"].state_dict().items():
        assert torch.equal(restored["model"].state_dict()[name], value)
    old, new = (run["optimizer"].state_dict()["state"] for run in (saved, restored))
    assert all(torch.equal(old[key]["exp_avg"], new[key]["exp_avg"]) for key in old)
    assert restored["history"] == saved["history"]
    assert restored["callbacks"][0].n == 10
    assert [file.name for file in path.parent.iterdir()] == ["run.pt"]


def test_parameters_outside_the_model_are_restored_too(tmp_path):
    saved, restored = run(), run()
    for state, value in ((saved, 3.0), (restored, 0.0)):
        state["parameters"] = [nn.Parameter(torch.full((2,), value))]
    save_checkpoint(tmp_path / "run.pt", **saved, options={}, step=1)
    load_checkpoint(tmp_path / "run.pt", **restored, options={})
    assert restored["parameters"][0].tolist() == [3.0, 3.0]


def test_other_options_are_refused_by_name(tmp_path):
    save_checkpoint(tmp_path / "run.pt", **run(), options={"epochs": 3, "seed": 0, "flip": True}, step=1)
    with pytest.raises(ValueError, match=r"made with other epochs, flip: delete it"):
        load_checkpoint(tmp_path / "run.pt", **run(), options={"epochs": 4, "seed": 0, "flip": False})


@pytest.mark.parametrize("damage", ["truncated", "not a checkpoint"])
def test_a_damaged_checkpoint_is_named(tmp_path, damage):
    path = tmp_path / "run.pt"
    save_checkpoint(path, **run(), options={}, step=1)
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2] if damage == "truncated" else b"something else")
    with pytest.raises(ValueError, match=r"run\.pt cannot be read .*delete it to start afresh"):
        load_checkpoint(path, **run(), options={})


def test_a_failed_write_leaves_the_old_checkpoint(tmp_path, monkeypatch):
    path = tmp_path / "run.pt"
    save_checkpoint(path, **run(), options={}, step=1)

    def disk_full(state, target):
        target.write_bytes(b"half of it")
        raise OSError("no space left on device")

    monkeypatch.setattr(torch, "save", disk_full)
    with pytest.raises(OSError, match="no space"):
        save_checkpoint(path, **run(seed=1), options={}, step=2)
    monkeypatch.undo()
    assert load_checkpoint(path, **run(), options={}) == 1


def test_a_full_disk_is_an_error_of_the_system(tmp_path, monkeypatch):
    def torch_says(state, target):
        raise RuntimeError("PytorchStreamWriter failed writing file data/0: file write failed")

    def safetensors_says(state, target):
        raise SafetensorError("I/O error: No space left on device (os error 28)")

    monkeypatch.setattr(torch, "save", torch_says)
    with pytest.raises(OSError, match=r"run\.pt cannot be written: .*file write failed"):
        save_checkpoint(tmp_path / "run.pt", **run(), options={}, step=1)
    monkeypatch.setattr(checkpoints, "save_file", safetensors_says)
    with pytest.raises(OSError, match=r"w\.safetensors cannot be written: .*No space left"):
        save_weights(nn.Linear(1, 1), tmp_path / "w.safetensors")
    assert not list(tmp_path.iterdir())


def test_a_file_of_torch_that_is_no_checkpoint_is_refused(tmp_path):
    for content in ({"model": {}}, torch.zeros(3)):
        torch.save(content, tmp_path / "run.pt")
        with pytest.raises(ValueError, match=r"run\.pt is not a checkpoint of a training: delete it"):
            load_checkpoint(tmp_path / "run.pt", **run(), options={})


def test_weights_make_the_round_trip_in_half_precision(tmp_path):
    path = tmp_path / "weights.safetensors"
    model = round_to_half_(build("vgg16", width=0.05, seed=1))
    save_weights(model, path)
    assert {value.dtype for value in load_file(path).values()} == {torch.float16}
    assert path.stat().st_mode & 0o777 == 0o644, "others may read it"
    loaded = load_weights(build("vgg16", width=0.05, seed=2), path)
    for name, value in model.state_dict().items():
        if value.is_floating_point():
            assert torch.equal(loaded.state_dict()[name], value), name
            assert loaded.state_dict()[name].dtype == torch.float32


def test_rounding_is_to_the_nearest_half_and_refuses_what_does_not_fit():
    model = nn.Linear(2, 1)
    with torch.no_grad():
        model.weight.copy_(torch.tensor([[1 + 2**-11 + 2**-20, -0.1]]))  # just above the middle of two halves
        model.bias.fill_(65504.0)
    round_to_half_(model)
    assert model.weight[0, 0] == 1 + 2**-10
    assert model.weight[0, 1] == torch.tensor(-0.1).half().float()
    with torch.no_grad():
        model.bias.fill_(70000.0)
    with pytest.raises(ValueError, match="bias holds 70000, beyond float16's largest value 65504"):
        round_to_half_(model)


def test_weights_of_another_architecture_are_refused(tmp_path):
    save_weights(build("lenet_300_100", width=0.1), tmp_path / "w.safetensors")
    with pytest.raises(ValueError, match=r"does not fit this architecture: for one, tensor \S+ of shape"):
        load_weights(build("lenet_300_100", width=0.2), tmp_path / "w.safetensors")


def test_weights_that_are_not_there_or_not_safetensors(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"no weights at .*w\.safetensors"):
        load_weights(build("lenet_5", width=0.1), tmp_path / "w.safetensors")
    (tmp_path / "w.safetensors").write_bytes(b"nothing of the kind")
    with pytest.raises(ValueError, match="is not a safetensors file"):
        load_weights(build("lenet_5", width=0.1), tmp_path / "w.safetensors")
