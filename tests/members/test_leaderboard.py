"""The leaderboard: ranks, ties and the front; and files that are damaged, too large, or made to harm."""

import json
import os
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from common.codec import container
from common.codec.container import CompressedModel
from common.codec.tensors import DenseTensor, SharedTensor
from common.figures.trade_off import leaderboard_figure
from common.members import leaderboard as entries
from common.members.board import leaderboard_table
from common.members.leaderboard import Entry, measure_entries, rank_entries
from common.report.published import PUBLISHED
from common.sandbox import entry as measure_entry
from common.sandbox.run import Limits

ROOT = Path(__file__).resolve().parents[2]
DENSE, BASELINE = 60_000_000, 0.92
GOOD = {
    "file_bytes": 0,
    "bits_per_weight": 0.2,
    "sparsity": 0.9,
    "top1": 0.91,
    "n_test": 10_000,
    "weights": "",
}


def entry(member, n_bytes, top1, *, sha256="", problem=""):
    return Entry(member, "a.dcz", sha256 or member, n_bytes, 0.2, 0.9, top1, 10_000, problem)


def ranked(*given):
    return rank_entries(given, dense_bytes=DENSE, baseline_top1=BASELINE)


def test_first_those_who_meet_the_targets_then_by_size():
    board = ranked(
        entry("large", 6_000_000, 0.92),
        entry("careless", 100_000, 0.80),
        entry("small", 400_000, 0.91),
        entry("huge", 10_000_000, 0.93),
        entry("exact", 300_000, 0.905),
    )
    assert [place.entry.member for place in board.places] == ["small", "large", "careless", "exact", "huge"]
    assert [place.rank for place in board.places] == [1, 2, 3, 4, 5]
    assert [place.meets_targets for place in board.places] == [True, True, False, False, False]
    small = board.places[0]
    assert (small.ratio, small.drop_points) == (150.0, 1.0)
    assert board.places[3].drop_points == 1.5, "less than 1.5 points is asked for, and this is not less"
    assert board.places[4].drop_points == -1.0


def test_equal_files_share_a_rank_and_the_next_one_is_further():
    board = ranked(
        entry("eve", 400_000, 0.91, sha256="same"),
        entry("ada", 400_000, 0.91, sha256="same"),
        entry("bob", 400_000, 0.91),
        entry("dan", 500_000, 0.91),
    )
    assert [(place.entry.member, place.rank) for place in board.places] == [
        ("ada", 1),
        ("bob", 1),
        ("eve", 1),
        ("dan", 4),
    ]
    assert [place.same_as for place in board.places] == [("eve",), (), ("ada",), ()]
    assert [place.is_on_front for place in board.places] == [True, True, True, False]


def test_the_front_is_what_nobody_beats_in_both():
    given = {
        "a": (600_000, 0.92),
        "b": (400_000, 0.91),
        "c": (500_000, 0.90),
        "d": (100_000, 0.85),
        "e": (90_000, 0.1),
    }
    board = ranked(*(entry(name, *what) for name, what in given.items()))
    assert {place.entry.member for place in board.places if place.is_on_front} == {"a", "b", "d", "e"}


def test_invalid_files_stand_apart_with_their_reason():
    board = ranked(entry("ada", 400_000, 0.91), entry("eve", 1, None, problem="damaged"))
    assert [place.entry.member for place in board.places] == ["ada"]
    assert [bad.problem for bad in board.invalid] == ["damaged"]
    assert ranked().places == ()


def test_the_baseline_is_the_shipped_one():
    board = rank_entries([])
    assert board.dense_bytes == 59_946_792
    assert 0.9 < board.baseline_top1 < 1


def test_formulas_in_names_stay_text_in_a_spreadsheet():
    board = ranked(
        replace(entry("ada", 400_000, 0.91), file="=cmd|'calc'!A1.dcz"), entry("eve", 1, None, problem="@x")
    )
    lines = leaderboard_table(board).splitlines()
    assert ",'=cmd|" in lines[1]
    assert lines[2].endswith(",'@x")


@pytest.fixture
def course(tmp_path):
    """Folders of two members, and the files that are handed in there by ada."""
    for name in ("ada", "eve"):
        (tmp_path / "members" / name / "capstone").mkdir(parents=True)
    (tmp_path / "members" / "team.toml").write_text("")
    return tmp_path


@pytest.fixture
def measured(monkeypatch):
    """In place of the sandbox: what it was asked to measure, and what it answers."""
    asked, answer = [], dict(GOOD)

    def pretend(data, **options):
        asked.append(data)
        return dict(answer)

    monkeypatch.setattr(entries, "measure_file", pretend)
    return asked, answer


def collect(course):
    return measure_entries(root=course, results=course / "results")


def test_a_member_is_told_the_rank_among_what_is_known_here(course, measured):
    asked, answer = measured
    for name, n_bytes in (("ada", 400_000), ("eve", 300_000)):
        (course / f"members/{name}/capstone/a.dcz").write_bytes(name.encode() + bytes(n_bytes - 3))
    where = {"root": course, "results": course / "results"}
    mine = entries.check_entries("ada", **where)
    known, unknown = entries.other_entries("ada", **where)
    assert (known, unknown) == ([], (300_000,))
    assert len(asked) == 1, "others' files are not measured"
    told = entries.entries_report(mine, ranked(*mine, *known), unknown)
    assert "rank 1 or 2 of 2 on the leaderboard" in told
    assert "1 file of others not measured on this machine" in told
    collect(course)
    known, unknown = entries.other_entries("ada", **where)
    assert ([one.member for one in known], unknown) == (["eve"], ())
    told = entries.entries_report(mine, ranked(*mine, *known), unknown)
    assert told.endswith("rank 2 of 2 on the leaderboard")
    assert "300,000" not in told, "others' files are not told"
    answer["top1"] = 0.5
    (course / "members/ada/capstone/a.dcz").write_bytes(b"bad" + bytes(100))
    mine = entries.check_entries("ada", **where)
    told = entries.entries_report(mine, ranked(*mine, *known), unknown)
    assert "misses the course's targets; rank 2 of 2" in told


def test_a_larger_file_overtakes_only_where_the_targets_are_missed():
    small, large = ranked(entry("ada", 400_000, 0.91)), ranked(entry("ada", 400_000, 0.80))
    assert entries.rank_text(small.places[0], 1, [500_000]) == "rank 1 of 2"
    assert entries.rank_text(large.places[0], 1, [500_000, 600_000]) == "rank 1 to 3 of 3"


def test_a_file_is_measured_once(course, measured):
    asked, _ = measured
    (course / "members/ada/capstone/a.dcz").write_bytes(b"DCZ one")
    (course / "members/eve/capstone/copy.dcz").write_bytes(b"DCZ one")
    first, second = collect(course), collect(course)
    assert first == second
    assert asked == [b"DCZ one"]
    assert [(one.member, one.file, one.file_bytes, one.problem) for one in first] == [
        ("ada", "a.dcz", 7, ""),
        ("eve", "copy.dcz", 7, ""),
    ]
    (course / "members/ada/capstone/a.dcz").write_bytes(b"DCZ two")
    collect(course)
    assert asked == [b"DCZ one", b"DCZ two"]


def test_what_is_no_small_regular_file_is_never_opened(course, measured, monkeypatch):
    monkeypatch.setattr(entries, "MAX_ENTRY", 1000)
    folder = course / "members/ada/capstone"
    (folder / "a_link.dcz").symlink_to("/etc/passwd")
    os.mkfifo(folder / "b_pipe.dcz")
    (folder / "c_large.dcz").write_bytes(b"x" * 1001)
    problems = {one.file: one.problem for one in collect(course)}
    assert "a link" in problems["a_link.dcz"]
    assert "not a regular file" in problems["b_pipe.dcz"]
    assert "at most 1,000 are allowed" in problems["c_large.dcz"]
    assert measured[0] == []


def test_only_three_files_count_and_only_dcz(course, measured):
    for name in ("1.dcz", "2.dcz", "3.dcz", "4.dcz", "model.pt", "evil.pkl"):
        (course / "members/ada/capstone" / name).write_bytes(name.encode())
    found = collect(course)
    assert [one.file for one in found] == ["1.dcz", "2.dcz", "3.dcz", "4.dcz"]
    assert [bool(one.problem) for one in found] == [False, False, False, True]
    assert len(measured[0]) == 3


def test_a_linked_folder_is_nobodys(course, measured, tmp_path_factory):
    elsewhere = tmp_path_factory.mktemp("elsewhere")
    (elsewhere / "a.dcz").write_bytes(b"DCZ")
    (course / "members/ada/capstone").rmdir()
    (course / "members/ada/capstone").symlink_to(elsewhere)
    assert collect(course) == []


def test_names_cannot_steer_a_terminal(course, measured):
    (course / "members/ada/capstone" / "a\x1b[2J\n.dcz").write_bytes(b"DCZ")
    assert collect(course)[0].file.isprintable()


@pytest.mark.parametrize(
    "wrong",
    [
        {"top1": 2.0},
        {"top1": float("nan")},
        {"top1": "1"},
        {"top1": True},
        {"n_test": 10},
        {"sparsity": None},
        {"error": "damaged\nin two lines"},
        {"missing": "no CIFAR-10"},
    ],
)
def test_answers_that_make_no_sense_do_not_count(course, measured, wrong):
    measured[1].update(wrong)
    (course / "members/ada/capstone/a.dcz").write_bytes(b"DCZ")
    (one,) = collect(course)
    assert one.problem
    assert one.problem.isprintable()
    assert one.top1 is None


def test_a_kept_answer_that_was_damaged_is_measured_again(course, measured):
    (course / "members/ada/capstone/a.dcz").write_bytes(b"DCZ")
    collect(course)
    (kept,) = (course / "results" / "entries").iterdir()
    kept.write_text("{")
    collect(course)
    assert len(measured[0]) == 2
    assert json.loads(kept.read_text())["top1"] == 0.91


@pytest.mark.parametrize("why", ["missing", "stopped"])
def test_what_may_be_the_machines_fault_is_tried_again(course, measured, why):
    asked, answer = measured
    answer.update({why: "no luck"})
    (course / "members/ada/capstone/a.dcz").write_bytes(b"DCZ")
    assert "no luck" in collect(course)[0].problem
    del answer[why]
    assert collect(course)[0].problem == ""
    assert len(asked) == 2


def tiny(**metadata):
    return container.save(CompressedModel({"a": DenseTensor(np.zeros(3, np.float32))}, metadata))


@pytest.mark.parametrize(
    ("data", "complaint"),
    [
        (lambda: b"", "not a .dcz file"),
        (lambda: b"PK\x03\x04" + b"x" * 100, "not a .dcz file"),
        (lambda: b"\x80\x04cos\nsystem\n", "not a .dcz file"),
        (lambda: (ROOT / "capstone/vgg16_cifar10.dcz").read_bytes()[:-1], "digest"),
        (lambda: (ROOT / "capstone/lenet_300_100.dcz").read_bytes(), "'lenet_300_100' is not one for"),
        (lambda: tiny(), "'None' is not one for CIFAR-10"),
        (lambda: tiny(architecture=["vgg16"]), "is not one for CIFAR-10"),
        (lambda: tiny(architecture="x" * 9999), "is not one for CIFAR-10"),
        (lambda: tiny(architecture="vgg16", num_classes=100), "has 100 classes"),
        (lambda: tiny(architecture="vgg16", num_classes=10), "belongs to another network"),
        (lambda: tiny(architecture="vgg16", num_classes=10, width="__import__('os')"), "width"),
        (lambda: tiny(architecture="vgg16", num_classes=10, width=1e9), "width"),
    ],
    ids="empty zip pickle cut lenet nothing list long classes other code wide".split(),
)
def test_files_that_hold_no_network_for_cifar_are_told_so(data, complaint, tmp_path):
    source, result = tmp_path / "a.dcz", tmp_path / "result.json"
    source.write_bytes(data())
    measure_entry.main(source, result, 0)
    told = json.loads(result.read_text())
    assert list(told) == ["error"]
    assert re.search(complaint, told["error"]), told["error"]


def test_a_file_may_not_become_a_huge_network(monkeypatch):
    monkeypatch.setattr(measure_entry, "MAX_DENSE_BYTES", 8)
    with pytest.raises(ValueError, match="raise max_dense_bytes"):
        measure_entry.measure(tiny(architecture="vgg16", num_classes=10), None)


def nearly_the_courses() -> bytes:
    """The small shipped file with one shared value moved: a copy of the course's own is not measured."""
    model = container.load((ROOT / "capstone/vgg16_cifar10_small.dcz").read_bytes())
    name, tensor = next(item for item in model.tensors.items() if isinstance(item[1], SharedTensor))
    codebook = tensor.codebook.copy()
    codebook[-1] += np.float16(0.01)
    tensors = model.tensors | {name: replace(tensor, codebook=codebook)}
    return container.save(replace(model, tensors=tensors), store_names=False)


def test_a_network_is_measured(monkeypatch):
    """The small shipped file, on forty images that nobody has labelled well."""
    from common.data import datasets
    from common.data.datasets import load_dataset

    digits = load_dataset("digits", "test")
    images = np.zeros((40, 3, 32, 32), np.uint8)
    fake = replace(digits, name="cifar10", images=images, labels=np.arange(40) % 10)
    monkeypatch.setattr(datasets, "load_dataset", lambda *args, **options: fake)
    data = nearly_the_courses()
    told = measure_entry.measure(data, 20)
    assert told["n_test"] == 20
    assert told["top1"] == 0.1, "equal images get one answer, which is right for one in ten"
    assert told["file_bytes"] == len(data)
    assert told["sparsity"] > 0.9


def test_a_copy_of_the_courses_own_file_is_told_and_not_measured():
    told = measure_entry.measure((ROOT / "capstone/vgg16_cifar10_small.dcz").read_bytes(), 20)
    assert told["course_file"] == "vgg16_cifar10_small.dcz"
    assert told["top1"] is None


def test_without_the_images_it_says_so(monkeypatch):
    from common.data import datasets
    from common.data.datasets import DatasetNotFoundError

    def missing(*args, **options):
        raise DatasetNotFoundError("cifar10/test not found")

    monkeypatch.setattr(datasets, "load_dataset", missing)
    told = measure_entry.measure(nearly_the_courses(), None)
    assert told["missing"] == "cifar10/test not found"
    assert told["top1"] is None


@pytest.mark.slow
def test_the_process_itself_answers_and_is_stopped_in_time():
    data = (ROOT / "capstone/lenet_300_100.dcz").read_bytes()
    told = entries.measure_file(data, limits=Limits(seconds=300))
    assert "not one for CIFAR-10" in told["error"]
    told = entries.measure_file(data, limits=Limits(seconds=0.2))
    assert told == {"stopped": "decoding or evaluating it took more than 0.2 seconds"}


def test_the_figure_marks_the_front_and_what_is_off_the_scale():
    places = [
        ("$a$", 100.0, 0.5, True),
        ("b", 200.0, 1.0, True),
        ("c", 50.0, 0.9, False),
        ("d", 20.0, 40.0, False),
    ]
    (axes,) = leaderboard_figure(places, PUBLISHED["vgg16"]).axes
    texts = {text.get_text(): text for text in axes.texts}
    assert {"$a$", "b", "c", "d: 40.0 points", "EPR", "LilNetX†"} <= set(texts)
    assert not texts["$a$"].get_parse_math(), "a name is no formula"
    (steps,) = [line for line in axes.lines if line.get_drawstyle().startswith("steps")]
    assert list(steps.get_xdata())[1:] == [100.0, 200.0]
    assert list(steps.get_ydata()) == [0.5, 0.5, 1.0]
    filled = {
        line.get_xdata()[0]: (line.get_marker(), line.get_markerfacecolor() != "white")
        for line in axes.lines
        if len(line.get_xdata()) == 1
    }
    assert (filled[100.0], filled[50.0], filled[20.0]) == (("o", True), ("o", False), ("^", False))
    assert axes.get_ylim()[1] < 10
    assert leaderboard_figure([], PUBLISHED["vgg16"]).axes
