"""The study of pruning criteria at a tiny scale: every criterion, equal sparsity, finished seeds kept."""

from dataclasses import replace

import numpy as np
import pytest
from tiny import CONFIG, image_set

from common.experiments import criteria
from common.experiments.criteria import Size, compare

pytestmark = pytest.mark.slow

TINY = Size(
    channels=(4, "M", 4, "M", "M"),
    n_train=24,
    n_validation=11,
    n_tune=16,
    seeds=(0, 1),
    sparsities=(0.5, 0.9),
    kept=(0.5,),
    train=CONFIG,
    tune=replace(CONFIG, epochs=1, max_lr=0.01),
)


def test_every_criterion_is_measured_before_and_after(tmp_path):
    result = compare(image_set(), TINY, workdir=tmp_path, device="cpu")
    figures = result.figures
    assert set(figures["unstructured"]) == {
        "magnitude",
        "normalized",
        "lamp",
        "gradient",
        "taylor",
        "random",
        "uniform",
    }
    assert set(figures["structured"]) == {
        "l1",
        "l2",
        "bn_scale",
        "apoz",
        "taylor",
        "random",
        "thinet_choice",
        "thinet",
    }
    for kind, points in (("unstructured", 2), ("structured", 1)):
        for rows in figures[kind].values():
            for when in ("before", "after"):
                assert np.shape(rows[when]) == (2, points)
                assert np.all((np.array(rows[when]) >= 0) & (np.array(rows[when]) <= 1))
    assert figures["macs"] == [9 * 1 * 2 * 64 + 9 * 2 * 2 * 16]
    assert len(figures["dense"]) == 2
    assert [len(images) for images in result.datasets] == [24, 11]


def test_a_finished_seed_is_not_run_again_and_other_sizes_are(tmp_path, monkeypatch):
    first = compare(image_set(), replace(TINY, seeds=(0,)), workdir=tmp_path, device="cpu").figures
    (path,) = tmp_path.glob("seed0-*/figures.json")
    made = path.read_bytes()

    def refuse(*args, **options):
        raise RuntimeError("run again")

    monkeypatch.setattr(criteria, "_one_seed", refuse)
    again = compare(image_set(), replace(TINY, seeds=(0,)), workdir=tmp_path, device="cpu").figures
    assert again == first
    with pytest.raises(RuntimeError, match="run again"):
        compare(image_set(), replace(TINY, seeds=(0,)), workdir=tmp_path, device="cpu", resume=False)
    with pytest.raises(RuntimeError, match="run again"):
        compare(image_set(), replace(TINY, seeds=(0,), n_tune=8), workdir=tmp_path, device="cpu")
    other = replace(image_set(), sha256="a" * 64)
    with pytest.raises(RuntimeError, match="run again"):
        compare(other, replace(TINY, seeds=(0,)), workdir=tmp_path, device="cpu")
    assert not path.exists(), "without resuming it was deleted"
    assert made


def test_seeds_differ_and_the_same_seed_does_not(tmp_path):
    one, same, other = (
        compare(image_set(), replace(TINY, seeds=(seed,)), workdir=tmp_path / name, device="cpu").figures
        for name, seed in (("one", 0), ("same", 0), ("other", 7))
    )
    assert one == same
    assert one["unstructured"] != other["unstructured"]
