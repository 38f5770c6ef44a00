"""The memory of measurements: only the same options are answered from it, whatever happened to its file."""

from dataclasses import dataclass, replace

import pytest

from common.base.memo import Memo, as_json


@dataclass(frozen=True)
class Options:
    epochs: int = 2
    rates: tuple[float, ...] = (0.1, 0.2)


OPTIONS = {"plan": Options(), "images": "ab" * 32, "model": "cd" * 32}


def measured(memo, key="top1", value=0.5):
    """Whether the memo had to measure."""
    calls = []
    memo.get(key, lambda: calls.append(key) or value)
    return bool(calls)


def test_what_was_measured_is_remembered(tmp_path):
    assert measured(Memo(tmp_path / "study", OPTIONS))
    again = Memo(tmp_path / "study", OPTIONS)
    assert "top1" in again
    assert "loss" not in again
    assert not measured(again)
    assert measured(again, "loss")
    assert not measured(Memo(tmp_path / "study", OPTIONS), "loss")


@pytest.mark.parametrize(
    "change",
    [
        {"plan": replace(Options(), epochs=3)},
        {"plan": replace(Options(), rates=(0.1,))},
        {"images": "00" * 32},
        {"model": "00" * 32},
        {"more": None},
    ],
)
def test_other_options_are_another_memory(tmp_path, change):
    first = Memo(tmp_path / "study", OPTIONS)
    assert measured(first)
    other = Memo(tmp_path / "study", OPTIONS | change)
    assert other.folder != first.folder
    assert measured(other, value=0.9)
    assert Memo(tmp_path / "study", OPTIONS).get("top1", lambda: None) == 0.5, "both are remembered"


def test_without_resuming_all_is_forgotten_checkpoints_too(tmp_path):
    memo = Memo(tmp_path / "study", OPTIONS)
    assert measured(memo)
    checkpoint = memo.folder / "network.pt"
    checkpoint.write_text("weights")
    assert measured(Memo(tmp_path / "study", OPTIONS, resume=False))
    assert not checkpoint.exists()


@pytest.mark.parametrize(
    "content",
    [
        "",
        "[]",
        '{"options": 1, "figures": {"top1": 1}}',
        '{"figures": {"top1": 1}}',
        '{"options": null}',
        "{",
    ],
)
def test_a_damaged_file_and_one_of_other_options_are_no_answer(tmp_path, content):
    memo = Memo(tmp_path / "study", OPTIONS)
    assert measured(memo)
    (file,) = memo.folder.iterdir()
    file.write_text(content)
    assert measured(Memo(tmp_path / "study", OPTIONS))
    assert not measured(Memo(tmp_path / "study", OPTIONS))


def test_a_stopped_measurement_leaves_what_was_there(tmp_path):
    memo = Memo(tmp_path / "study", OPTIONS)
    assert measured(memo)

    def stopped():
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        memo.get("loss", stopped)
    again = Memo(tmp_path / "study", OPTIONS)
    assert "top1" in again
    assert "loss" not in again


def test_figures_are_the_same_measured_and_remembered(tmp_path):
    def points():
        return [(0.5, None), (0.9, {"kept": (1, 2)})]

    first = Memo(tmp_path / "study", OPTIONS).get("points", points)
    assert first == [[0.5, None], [0.9, {"kept": [1, 2]}]]
    assert Memo(tmp_path / "study", OPTIONS).get("points", lambda: None) == first


def test_only_what_json_can_say_is_an_option(tmp_path):
    assert as_json([Options()]) == [{"epochs": 2, "rates": [0.1, 0.2]}]
    with pytest.raises(TypeError, match="a set cannot be written as JSON"):
        Memo(tmp_path / "study", {1, 2})
