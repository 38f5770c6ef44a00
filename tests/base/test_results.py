"""Results files: what they record, and that neither a crash nor a hand can leave a wrong one."""

import re
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest

from common.base import results
from common.base.results import ResultError, read_result, write_result
from common.data.image_set import ImageSet

DIGITS = ImageSet(np.zeros((1, 1, 2, 2), np.uint8), np.zeros(1, np.int64), ("0",), "digits", "ab" * 32)


def write(path, figures=None, **changes):
    options = {"command": "dnnc evaluate x", "seed": 3, "dataset": DIGITS, "device": "cpu"} | changes
    return write_result(path, {"top1": 0.935} if figures is None else figures, **options)


def test_round_trip_records_how_it_was_made(tmp_path):
    written = write(tmp_path / "deep" / "result.json")
    content = read_result(tmp_path / "deep" / "result.json")
    assert content == written
    assert content["figures"] == {"top1": 0.935}
    assert content["command"] == "dnnc evaluate x"
    assert content["seed"] == 3
    assert content["dataset"] == [{"name": "digits", "sha256": "ab" * 32}]
    assert content["device"] == "cpu"
    assert content["versions"].keys() >= {"python", "numpy", "torch"}
    assert content["machine"]["cores"] >= 1
    age = datetime.now(UTC) - datetime.fromisoformat(content["date"])
    assert timedelta(0) <= age + timedelta(seconds=1) < timedelta(minutes=5)


def test_commit_is_that_of_the_code(tmp_path):
    commit = write(tmp_path / "result.json")["commit"]
    assert commit is None or re.fullmatch(r"[0-9a-f]{40}(-dirty)?", commit)


def test_commit_is_null_outside_git(tmp_path, monkeypatch):
    monkeypatch.setattr(results, "ROOT", tmp_path)
    monkeypatch.delenv("DNNC_COMMIT", raising=False)
    assert results.git_commit() is None


def test_a_copy_outside_git_is_told_its_commit(tmp_path, monkeypatch):
    monkeypatch.setattr(results, "ROOT", tmp_path)
    monkeypatch.setenv("DNNC_COMMIT", "0" * 40)
    assert write(tmp_path / "result.json")["commit"] == "0" * 40
    monkeypatch.setenv("DNNC_COMMIT", "main")
    with pytest.raises(results.ResultError, match="DNNC_COMMIT is 'main': expected 40 hex"):
        write(tmp_path / "result.json")


def test_commit_tells_of_changed_files(tmp_path, monkeypatch):
    identity = ("-c", "user.name=a", "-c", "user.email=a@b")
    monkeypatch.setattr(results, "ROOT", tmp_path)
    results._git("init", "--quiet")
    (tmp_path / "week" / "results").mkdir(parents=True)
    for name in ("file", "network.dcz", "week/results/a.json"):
        (tmp_path / name).write_text("1")
        results._git("add", name)
    results._git(*identity, "commit", "--quiet", "--message", "x")
    clean = results.git_commit()
    assert re.fullmatch(r"[0-9a-f]{40}", clean)
    for name in ("untracked", "network.dcz", "week/results/a.json"):
        (tmp_path / name).write_text("2")
    assert results.git_commit() == clean
    (tmp_path / "file").write_text("2")
    assert results.git_commit() == f"{clean}-dirty"


def test_a_result_names_the_commit_at_the_start_of_its_measurement(tmp_path, monkeypatch):
    now = ["a" * 40]
    monkeypatch.setattr(results, "git_commit", lambda: now[0])

    @results.commit_of_start()
    def measure():
        now[0] = "b" * 40
        with results.commit_of_start():  # a part of it
            write(tmp_path / "part.json")
        return write(tmp_path / "result.json")

    assert measure()["commit"] == read_result(tmp_path / "part.json")["commit"] == "a" * 40
    assert results.code_commit() == "b" * 40
    assert write(tmp_path / "result.json")["commit"] == "b" * 40


def test_command_may_be_a_list_and_data_sets_several_or_none(tmp_path):
    path = tmp_path / "result.json"
    assert write(path, command=["dnnc", "bench", "--seed", 1])["command"] == "dnnc bench --seed 1"
    assert write(path, dataset=None)["dataset"] == []
    other = {"name": "x", "sha256": "y"}
    assert write(path, dataset=[DIGITS, other])["dataset"][1] == other


def test_numpy_values_become_plain(tmp_path):
    figures = {"n": np.int64(7), "ratio": np.float32(0.5), "bits": np.array([1, 2]), "met": np.bool_(True)}
    figures["t"] = (1,)
    write(tmp_path / "result.json", figures)
    plain = {"n": 7, "ratio": 0.5, "bits": [1, 2], "met": True, "t": [1]}
    assert read_result(tmp_path / "result.json")["figures"] == plain


@pytest.mark.parametrize("value", [float("nan"), float("inf"), np.float64("-inf"), np.array([1.0, np.nan])])
def test_what_json_cannot_hold_is_refused_by_name(tmp_path, value):
    with pytest.raises(ValueError, match=r"figures\.layers\.loss.* which JSON cannot hold"):
        write(tmp_path / "result.json", {"layers": {"loss": value}})
    assert list(tmp_path.iterdir()) == []


def test_foreign_objects_are_refused_by_name(tmp_path):
    with pytest.raises(ValueError, match=r"figures\.when is a datetime"):
        write(tmp_path / "result.json", {"when": datetime.now(UTC)})


def test_edited_figure_is_noticed(tmp_path):
    path = tmp_path / "result.json"
    write(path)
    path.write_text(path.read_text().replace("0.935", "0.953"))
    with pytest.raises(ResultError, match="was changed since it was written; make it again with: dnnc"):
        read_result(path)


@pytest.mark.parametrize(
    ("text", "message"),
    [("{", "is not JSON"), ("[1]", "has format list"), ('{"format": 2}', "has format 2, expected 1")],
)
def test_other_files_are_refused(tmp_path, text, message):
    path = tmp_path / "result.json"
    path.write_text(text)
    with pytest.raises(ResultError, match=message):
        read_result(path)


def test_failed_write_leaves_the_old_file(tmp_path, monkeypatch):
    path = tmp_path / "result.json"
    write(path)
    before = path.read_bytes()

    def disk_full(*_, **__):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "write_text", disk_full)
    with pytest.raises(OSError, match="No space left"):
        write(path, {"top1": 0.5})
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]
