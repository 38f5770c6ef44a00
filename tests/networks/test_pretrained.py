"""ImageNet's AlexNet is fetched on demand only, and its absence is one line, never an error."""

import socket
import urllib.error

import pytest
import torch
from torchvision.models import AlexNet_Weights, alexnet

from common.networks.pretrained import imagenet_alexnet


@pytest.fixture
def said():
    return []


def answer_with(monkeypatch, answer):
    asked = []

    def get_state_dict(self, **options):
        asked.append((options, socket.getdefaulttimeout()))
        if isinstance(answer, Exception):
            raise answer
        return answer

    monkeypatch.setattr(AlexNet_Weights, "get_state_dict", get_state_dict)
    return asked


def test_nothing_is_fetched_unasked(monkeypatch, said):
    asked = answer_with(monkeypatch, AssertionError("asked"))
    assert imagenet_alexnet(fetch=False, say=said.append) is None
    assert asked == []
    assert len(said) == 1
    assert "ONLINE = True" in said[0]


@pytest.mark.parametrize(
    "error",
    [
        urllib.error.URLError("no route"),
        TimeoutError("timed out"),
        RuntimeError("another hash value than the published one"),
    ],
)
def test_without_a_network_it_says_so_in_one_line(monkeypatch, said, error):
    before = socket.getdefaulttimeout()
    asked = answer_with(monkeypatch, error)
    assert imagenet_alexnet(fetch=True, say=said.append) is None
    assert len(said) == 1
    assert "\n" not in said[0]
    assert str(error) in said[0]
    options, patience = asked[0]
    assert options["weights_only"]  # a stranger's pickle is not run
    assert options["check_hash"]
    assert patience is not None
    assert socket.getdefaulttimeout() == before


def test_with_a_network_it_returns_the_published_weights_and_the_classes(monkeypatch, said):
    with torch.device("meta"):
        shapes = {name: tensor.shape for name, tensor in alexnet().state_dict().items()}
    state = {name: torch.zeros(1).expand(shape) for name, shape in shapes.items()}
    answer_with(monkeypatch, state)
    network, names = imagenet_alexnet(fetch=True, say=said.append)
    assert said == []
    assert not network.training
    assert len(names) == network.classifier[-1].out_features == 1000
    assert "tabby" in names
    assert all(parameter.device.type == "cpu" for parameter in network.parameters())
