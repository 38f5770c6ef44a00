"""Who is recorded, who is not, and that nothing recorded is ever lost."""

import collections
import os
import random
import signal
import sqlite3
import stat
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
from attendance_class import LECTURE, Clock

from common.attendance.refusals import Refusal
from common.attendance.store import MAX_REFUSALS, AttendanceStore, StoreError

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def path(tmp_path):
    return tmp_path / "attendance" / "attendance.sqlite3"


@pytest.fixture
def store(path):
    book = AttendanceStore(path, clock=Clock())
    book.open_lecture(LECTURE)
    yield book
    book.close()


def record(store, member, device, lecture=LECTURE):
    return store.record(lecture, member, device=device, address="mark")


def refusal(store, member, device) -> str:
    before = store.presences()
    with pytest.raises(Refusal) as caught:
        record(store, member, device)
    assert store.presences() == before
    return caught.value.kind


def test_a_phone_records_one_name_once(store):
    first = record(store, "ada", "phone a")
    assert (first.lecture, first.member, first.is_present, first.source) == (LECTURE, "ada", True, "scan")
    assert record(store, "ada", "phone a") == first
    assert refusal(store, "ben", "phone a") == "second_name"
    assert refusal(store, "ada", "phone b") == "name_taken"
    assert record(store, "ben", "phone b").member == "ben"
    assert [event.kind for event in store.events()] == ["opened", "recorded", "recorded"]
    assert store.presence_of_device(LECTURE, "phone a") == first
    assert store.presence_of_device(LECTURE, "phone c") is None


def test_the_next_lecture_begins_anew_and_remembers_the_phone(store):
    record(store, "ada", "phone a")
    assert store.last_member("phone a") == "ada"
    store.open_lecture(LECTURE + 1)
    assert record(store, "ada", "phone a", LECTURE + 1).lecture == LECTURE + 1
    assert [one.lecture for one in store.presences()] == [LECTURE, LECTURE + 1]
    assert len(store.presences(LECTURE)) == 1


def test_a_closed_lecture_records_nobody_until_it_is_reopened(store):
    record(store, "ada", "phone a")
    assert store.close_lecture(LECTURE).closed_at is not None
    assert refusal(store, "ben", "phone b") == "closed"
    assert record(store, "ada", "phone a").member == "ada", "who is recorded already is told so"
    with pytest.raises(StoreError, match="add --reopen"):
        store.open_lecture(LECTURE)
    assert store.open_lecture(LECTURE, reopen=True).closed_at is None
    assert record(store, "ben", "phone b").member == "ben"
    with pytest.raises(StoreError, match="never opened"):
        store.close_lecture(9)
    with pytest.raises(Refusal, match="closed"):
        store.record(9, "ada", device="phone a", address="")


def test_opening_and_closing_again_change_nothing(store):
    opening = store.opening(LECTURE)
    store._clock.advance(60)
    assert store.open_lecture(LECTURE) == opening
    closed = store.close_lecture(LECTURE)
    store._clock.advance(60)
    assert store.close_lecture(LECTURE) == closed
    assert [event.kind for event in store.events()] == ["opened", "closed"]


def test_marks_by_hand_prevail_and_are_logged(store):
    record(store, "ben", "phone a")  # Ada's phone, and a slip of her thumb
    assert store.mark(LECTURE, "ben", is_present=False).is_present is False
    assert record(store, "ada", "phone a").member == "ada", "her phone is free again"
    assert refusal(store, "ben", "phone b") == "by_hand"
    by_hand = store.mark(LECTURE, "ben", is_present=True)
    assert (by_hand.is_present, by_hand.source, by_hand.device) == (True, "manual", None)
    scanned = record(store, "ben", "phone b")
    assert (scanned.source, scanned.device) == ("manual", "phone b")
    assert refusal(store, "ben", "phone c") == "name_taken"
    kept = store.mark(LECTURE, "ada", is_present=True)
    assert (kept.source, kept.device) == ("manual", "phone a")
    kinds = [event.kind for event in store.events() if event.kind.startswith("marked")]
    assert kinds == ["marked absent", "marked present", "marked present"]
    assert store.mark(9, "ada", is_present=True).lecture == 9, "also for a lecture without a code"


def test_a_database_of_its_own_forbids_a_second_name(store):
    """Whatever the code above it does: the index stands beneath."""
    record(store, "ada", "phone a")
    with pytest.raises(StoreError, match="UNIQUE"), store._file.transaction() as connection:
        connection.execute(
            "INSERT INTO presences VALUES (?, 'ben', 1, 'scan', 0, 'phone a', NULL)", (LECTURE,)
        )
    assert [one.member for one in store.presences()] == ["ada"]


def test_many_threads_and_two_processes_worth_of_connections(path, store):
    """Each name is claimed by four phones over two connections: one gets it."""
    other = AttendanceStore(path, clock=Clock())
    told, barrier = [], threading.Barrier(16)

    def claim(i):
        barrier.wait()
        for name in range(20):
            try:
                one = record((store, other)[i % 2], f"m{name}", f"phone {i % 4} {name}")
            except Refusal:
                continue
            told.append((one.member, one.device))

    threads = [threading.Thread(target=claim, args=(i,)) for i in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    other.close()
    stored = {(one.member, one.device) for one in store.presences()}
    assert len(stored) == 20
    assert set(told) == stored


def test_key_survives_and_only_the_owner_reads_it(path, store):
    key = store.key
    assert len(key) == 32
    record(store, "ada", "phone a")
    for file in path.parent.iterdir():  # the journals too
        assert stat.S_IMODE(file.stat().st_mode) == 0o600, file
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    store.close()
    path.chmod(0o644)  # as a careless copy would be
    again = AttendanceStore(path, create=False)
    assert again.key == key
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert AttendanceStore(path.with_name("other.sqlite3")).key != key


def test_every_commit_is_synced(store):
    settings = {name: store._file.rows(f"PRAGMA {name}")[0][0] for name in ("journal_mode", "synchronous")}
    assert settings == {"journal_mode": "wal", "synchronous": 2}  # 2: FULL, an fsync at every commit


WRITER = """
import sys
from common.attendance.store import AttendanceStore
store = AttendanceStore(sys.argv[1])
store.open_lecture(3)
for i in range(int(sys.argv[2]), 10**6):
    store.record(3, f"m{i}", device=f"d{i}", address="")
    sys.stdout.write(f"{i}\\n")
    sys.stdout.flush()
"""


def test_a_process_killed_while_writing_loses_nothing_that_it_told(path):
    """Four times, at chosen moments: what was printed is there, at most one name more, nothing torn."""
    rng, told = random.Random(0), -1
    for _ in range(4):
        command = [sys.executable, "-c", WRITER, path, str(told + 1)]
        with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as writer:
            lines = [writer.stdout.readline()]
            time.sleep(rng.uniform(0.0, 0.1))
            os.kill(writer.pid, signal.SIGKILL)
            lines += writer.stdout.readlines()
        told = max(int(line) for line in lines if line.endswith("\n"))
        book = AttendanceStore(path, create=False)
        stored = {one.member for one in book.presences()}
        assert stored >= {f"m{i}" for i in range(told + 1)}
        assert len(stored) <= told + 2
        assert book._file.rows("PRAGMA integrity_check") == [("ok",)]
        told = len(stored) - 1
        book.close()


@pytest.mark.parametrize(
    "content", [b"not a database at all" * 100, b"\0" * 5000, b"SQLite format 3\0" + b"\xff" * 4000]
)
def test_a_damaged_file_is_refused_and_left_alone(path, content):
    path.parent.mkdir()
    path.write_bytes(content)
    with pytest.raises(StoreError, match="not an attendance file"):
        AttendanceStore(path)
    assert path.read_bytes() == content


def test_another_programs_database_is_refused_and_left_alone(tmp_path):
    path = tmp_path / "other.sqlite3"
    with sqlite3.connect(path) as connection:
        connection.execute("CREATE TABLE recipes (name TEXT)")
    connection.close()
    with pytest.raises(StoreError, match="expected version 1"):
        AttendanceStore(path)
    with sqlite3.connect(path) as connection:
        assert [row[0] for row in connection.execute("SELECT name FROM sqlite_master")] == ["recipes"]
    connection.close()


def test_a_file_with_a_damaged_page_is_refused(path, store):
    for i in range(200):
        record(store, f"m{i}", f"phone {i}")
    store.close()
    content = bytearray(path.read_bytes())
    content[-4096:] = b"\xff" * 4096
    path.write_bytes(content)
    with pytest.raises(StoreError, match=r"damaged, restore it from a copy|malformed"):
        AttendanceStore(path)
    assert path.read_bytes() == content


def test_a_file_cut_short_is_refused(path, store):
    record(store, "ada", "phone a")
    store.close()
    path.write_bytes(path.read_bytes()[:-4096])
    with pytest.raises(StoreError):
        AttendanceStore(path).presences()


def test_missing_files_and_folders(path, tmp_path):
    with pytest.raises(FileNotFoundError, match="nothing has been recorded yet"):
        AttendanceStore(path, create=False)
    assert not path.parent.exists()
    with pytest.raises(StoreError, match="not a regular file"):
        AttendanceStore(tmp_path)
    path.parent.mkdir()
    path.touch()  # killed between the file's making and its first commit
    assert len(AttendanceStore(path).key) == 32


def test_refusals_are_logged_up_to_a_bound(store, monkeypatch):
    monkeypatch.setattr("common.attendance.store.MAX_REFUSALS", 5)
    assert MAX_REFUSALS >= 1000
    for i in range(9):
        store.log_refusal(
            LECTURE, Refusal("forged", f"{i}\n\x1b[2J" + "x" * 500), device=None, address="mark"
        )
    record(store, "ada", "phone a")
    events = store.events(LECTURE)
    assert [event.kind for event in events] == ["opened", *["refused: forged"] * 5, "recorded"]
    assert all(len(event.detail) <= 200 and event.detail.isprintable() for event in events)


def test_a_full_disk_is_told_and_recovered_from(store):
    store._file.rows("PRAGMA max_page_count = 1")  # as small as the file is now: no page can be added
    names = iter(f"m{i}" for i in range(2000))
    with pytest.raises(StoreError, match="cannot be written"):
        collections.deque(record(store, name, f"phone {name}") for name in names)
    n_stored = len(store.presences())
    store._file.rows("PRAGMA max_page_count = 100000")
    record(store, "ada", "phone a")
    assert len(store.presences()) == n_stored + 1


def test_late_and_excused_are_remarked_and_taken_back(store):
    store.open_lecture(LECTURE)
    assert store.mark(LECTURE, "ada", is_present=True, remark="late").is_present
    assert not store.mark(LECTURE, "ben", is_present=False, remark="excused").is_present
    assert store.remarks() == {(LECTURE, "ada"): "late", (LECTURE, "ben"): "excused"}
    store.mark(LECTURE, "ada", is_present=True)
    assert store.remarks() == {(LECTURE, "ben"): "excused"}
    assert store.unmark(LECTURE, "ben")
    assert not store.unmark(LECTURE, "ben")
    assert store.remarks() == {}
    assert [one.member for one in store.presences(LECTURE)] == ["ada"]
    assert store.events(LECTURE)[-1].kind == "taken back"


def test_a_late_scan_is_late_unless_the_name_was_there_before(store):
    store.open_lecture(LECTURE)
    store.record(LECTURE, "ada", device="a", address="x", is_late=True)
    store.mark(LECTURE, "ben", is_present=True)
    store.record(LECTURE, "ben", device="b", address="x", is_late=True)
    assert store.remarks() == {(LECTURE, "ada"): "late"}


def test_a_lecture_opened_by_mistake_is_taken_back(store):
    store.mark(9, "ada", is_present=True)
    assert store.forget_lecture(9) == 1
    assert store.presences() == []
    assert store.events(9)[-1].kind == "lecture taken back"
    assert store.events(9)[-1].detail == "ada"
    with pytest.raises(StoreError, match="nothing to take back"):
        store.forget_lecture(9)
    store.open_lecture(LECTURE)
    store.record(LECTURE, "ada", device="a", address="x")
    with pytest.raises(StoreError, match="--force"):
        store.forget_lecture(LECTURE)
    assert store.forget_lecture(LECTURE, force=True) == 1
    assert store.opening(LECTURE) is None


def test_a_file_of_the_version_before_remarks_is_read(tmp_path):
    import sqlite3

    path = tmp_path / "old.sqlite3"
    store = AttendanceStore(path)
    store.mark(1, "ada", is_present=True)
    store.close()
    with sqlite3.connect(path) as connection:
        connection.execute("DROP TABLE remarks")
    connection.close()
    store = AttendanceStore(path)
    store.mark(1, "ada", is_present=True, remark="late")
    assert store.remarks() == {(1, "ada"): "late"}
    store.close()
