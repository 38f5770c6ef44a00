"""The attendance's report, its CSV and figure, and the commands of ``dnnc attendance``."""

import csv
import io
import json
from dataclasses import replace
from datetime import UTC, datetime
from types import SimpleNamespace

import pytest
from attendance_class import LECTURE, Clock, roster, roster_text

from common import cli
from common.attendance.certificate import certificate, certificate_page
from common.attendance.commands import _has_screen
from common.attendance.refusals import Refusal
from common.attendance.report import AttendanceReport, MemberRow, attendance_figure, attendance_report
from common.attendance.store import AttendanceStore
from common.members.board import Board, Row, WeekCell
from common.members.leaderboard import Entry, rank_entries
from common.members.lists import Person
from common.members.roster import Lecture, Member, Roster, read_roster

NOW = datetime(2027, 3, 1, tzinfo=UTC)


@pytest.fixture
def store(tmp_path):
    """Lectures 1 and 3: m000 in both, m001 in the first, m002 by hand in the third; m003 marked absent."""
    book = AttendanceStore(tmp_path / "attendance.sqlite3", clock=Clock())
    for number, names in ((1, ("m000", "m001", "m003")), (3, ("m000",))):
        book.open_lecture(number)
        for name in names:
            book.record(number, name, device=f"phone of {name}", address=f"address of {name}")
    book.mark(3, "m002", is_present=True)
    book.mark(1, "m003", is_present=False)
    book.close_lecture(1)
    return book


def test_report_counts_every_lecture_and_member(store):
    report = attendance_report(store, roster(5))
    assert [(one.number, one.is_open, one.n_present) for one in report.lectures] == [
        (1, False, 2),
        (3, True, 2),
    ]
    assert [one.n_present for one in report.members] == [2, 1, 1, 0, 0]
    assert [list(one.marks.values()) for one in report.members[:4]] == [
        ["present", "present"],
        ["present", "absent"],
        ["absent", "present (by hand)"],
        ["absent", "absent"],
    ]
    assert report.members[0].times[1].startswith("2027-01-1")
    assert report.members[1].times[3] is None
    assert report.notes == ()
    text = report.to_text()
    assert text.splitlines()[:3] == [
        "| member     | team | L1 | L3 | present |",
        "|------------|------|----|----|---------|",
        "| Member 000 | even | ✓  | ✓  | 2 of 2  |",
    ]
    assert "| Member 002 | even | –  | ✓* | 1 of 2  |" in text
    assert text.endswith("L3: Lecture on 3 (open now)")
    assert json.loads(json.dumps(report.to_dict()))["members"][2]["marks"] == {
        "1": "absent",
        "3": "present (by hand)",
    }


def test_report_without_lectures_and_with_names_that_left(store, tmp_path):
    empty = AttendanceStore(tmp_path / "empty.sqlite3")
    assert attendance_report(empty, roster()).to_text() == "No lecture has been opened yet."
    left = Roster(roster(5).members[1:], (Lecture(1, "One"),), ())
    report = attendance_report(store, left)
    assert report.members[-1].full_name == "m000 (not in the roster)"
    assert report.members[-1].n_present == 2
    assert report.lectures[1].title == "(not in the schedule)"


def test_report_names_what_is_worth_a_look(store):
    store.record(3, "m001", device="phone of m003", address="address of m000")
    store.record(3, "m003", device="phone of m000 2", address="elsewhere")
    store.open_lecture(2)
    store.record(2, "m000", device="phone of m001", address="")
    for kind in ("stale", "stale", "second_name"):
        store.log_refusal(3, Refusal(kind), device=None, address="")
    notes = attendance_report(store, roster(5)).notes
    assert "lecture 3: m000 and m001 came from one network address" in notes
    assert "one phone has recorded m000 and m001, in different lectures" in notes
    assert "lecture 3: refused 1 × second name, 2 × stale" in notes
    assert len(notes) == 3


def test_a_class_behind_one_router_is_no_note(tmp_path):
    store = AttendanceStore(tmp_path / "attendance.sqlite3")
    store.open_lecture(1)
    for i in range(6):
        store.record(1, f"m{i:03}", device=f"phone {i}", address="the router")
    assert attendance_report(store, roster(6)).notes == ()


@pytest.mark.parametrize(
    "evil",
    ["=1+1", "+1", "-1", "@SUM(A1)", "  =1", "\uff1d1", "=cmd|' /C calc'!A0", '=HYPERLINK("http://x")', "-"],
)
def test_no_cell_of_the_csv_is_a_formula(tmp_path, evil):
    people = Roster(
        (Member("ada", evil, "team"), Member("ben", 'Ben, "B"', None)), (Lecture(1, evil),), ("team",)
    )
    store = AttendanceStore(tmp_path / "attendance.sqlite3")
    store.open_lecture(1)
    store.record(1, "ben", device="phone", address="")
    rows = list(csv.reader(io.StringIO(attendance_report(store, people).to_csv())))
    assert rows == [
        ["name", "full name", "team", "lecture 1", "present", "lectures"],
        ["ada", f"'{evil}", "team", "absent", "0", "1"],
        ["ben", 'Ben, "B"', "", "present", "1", "1"],
    ]


def test_figure_shows_each_mark(store):
    people = Roster(
        (*roster(5).members, Member("long", "A name that is $far$ too long for its place")), (), ()
    )
    report = attendance_report(store, people)
    figure = attendance_figure(report)
    above, below = figure.axes
    assert [bar.get_height() for bar in above.patches] == [2, 2]
    assert len(below.patches) == 2 * 6
    filled = [patch for patch in below.patches if patch.get_facecolor()[:3] != (1.0, 1.0, 1.0)]
    assert len(filled) == 4
    rings = [line for line in below.lines if line.get_marker() == "o"]
    assert [tuple(ring.get_xydata()[0]) for ring in rings] == [(1.0, 2.0)]
    assert [label.get_text() for label in below.get_xticklabels()] == ["1", "3"]
    assert figure._repr_png_().startswith(b"\x89PNG")
    with pytest.raises(ValueError, match="nothing to draw"):
        attendance_figure(AttendanceReport((), (), ()))


@pytest.fixture
def dnnc(tmp_path, capsys):
    """Run ``dnnc attendance`` on files of its own; gives exit code, stdout, stderr."""
    people, files = tmp_path / "team.toml", tmp_path / "book" / "attendance.sqlite3"
    people.write_text(roster_text(roster()))

    def run(command, *arguments):
        options = ["--store", files] + (["--roster", people] if command != "log" else [])
        with pytest.raises(SystemExit) as stop:
            cli.main(["attendance", command, *map(str, [*arguments, *options])])
        return stop.value.code or 0, *capsys.readouterr()

    return run


def test_what_was_marked_by_mistake_is_taken_back(dnnc):
    assert dnnc("mark", 4, "m001", "--late")[1].startswith("Lecture 4: Member 001 is late, set by hand.")
    assert dnnc("mark", 4, "m002", "--excused")[1] == "Lecture 4: Member 002 is excused, set by hand.\n"
    assert "expected one of" in dnnc("mark", 4, "m002", "--excused", "--late")[2]
    assert dnnc("mark", 4, "m002", "--undo")[1] == "Lecture 4: Member 002 is taken back.\n"
    assert dnnc("mark", 4, "m002", "--undo")[1] == "Lecture 4: Member 002 had nothing recorded.\n"


def test_mark_report_log_close(dnnc, tmp_path):
    code, out, _ = dnnc("mark", LECTURE, "m001")
    assert (code, out.splitlines()[0]) == (0, "Lecture 3: Member 001 is present, set by hand.")
    assert "`dnnc attendance undo 3` takes it back" in out
    assert (
        dnnc("mark", LECTURE, "member 002", "--absent")[1]
        == "Lecture 3: Member 002 is absent, set by hand.\n"
    )
    code, out, _ = dnnc("report", "--json")
    assert (code, json.loads(out)["lectures"][0]["n_present"]) == (0, 1)
    table, picture = tmp_path / "new" / "table.csv", tmp_path / "attendance.svg"
    code, out, _ = dnnc("report", "--csv", table, "--figure", picture)
    assert code == 0
    assert f"{table}: {table.stat().st_size:,} bytes" in out
    assert table.read_bytes().startswith(b"\xef\xbb\xbfname,")
    assert "<svg" in picture.read_text()
    code, _, err = dnnc("report", "--csv", table)
    assert (code, err.count("\n")) == (1, 1)
    assert "exists: choose another name, or add --force" in err
    assert dnnc("report", "--csv", table, "--force")[0] == 0
    code, out, _ = dnnc("log", LECTURE)
    assert [line.split("|")[3].strip() for line in out.splitlines()[2:]] == [
        "marked present",
        "marked absent",
    ]
    assert "never opened" in dnnc("close", LECTURE)[2]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("report",), "attendance.sqlite3 is not there: nothing has been recorded yet"),
        (("log",), "nothing has been recorded yet"),
        (("close", 3), "nothing has been recorded yet"),
        (("mark", 77, "m001"), "lecture 77 is not in the schedule; there are: 1, 2, 3, 4"),
        (("mark", 3, "m00"), "no member is named 'm00': did you mean m000 or m001 or m002?"),
        (("mark", 3, "zzz"), "it is the name of the member's folder"),
        (("open", 77), "lecture 77 is not in the schedule"),
        (("open", 3, "--url", "class.example"), "begins with http:// or https://"),
        (("open", 3, "--host", "203.0.113.77"), "not an address of this machine"),
        (("report", "--figure", "x.gif"), "ends in .png, .svg or .pdf"),
    ],
)
def test_mistakes_are_told_in_one_line_and_write_nothing(dnnc, tmp_path, arguments, message):
    code, out, err = dnnc(*arguments)
    assert (code, out, err.count("\n")) == (1, "", 1)
    assert message in err
    assert not (tmp_path / "book").exists()


def test_two_members_of_the_same_name_are_marked_by_folder(dnnc, tmp_path):
    people = Roster((Member("ada", "Ada L."), Member("ada_2", "Ada L.")), (Lecture(3, "x"),), ())
    (tmp_path / "team.toml").write_text(roster_text(people))
    assert "2 members are named 'ada l.': did you mean ada or ada_2?" in dnnc("mark", 3, "ada l.")[2]
    assert dnnc("mark", 3, "ada_2")[0] == 0


def test_open_behind_a_tunnel_shows_its_address(dnnc, monkeypatch):
    made, tunnel = [], "https://class.example"
    server = SimpleNamespace(run=lambda: None, close=lambda: None)
    monkeypatch.setattr("common.attendance.network.lan_addresses", lambda: ["10.0.0.9"])
    monkeypatch.setattr(
        "common.attendance.app.make_server",
        lambda app, sockets: made.append((app, [one.close() for one in sockets])) or server,
    )
    options = ("--host", "127.0.0.1", "--port", 0, "--no-browser", "--url", f"{tunnel}/")
    out = dnnc("open", 3, *options)[1]
    assert f"Phones     {tunnel}\n" in out
    assert "10.0.0.9" not in out
    assert "nowhere" not in out
    assert "This address leads phones nowhere" in dnnc("open", 3, *options[:-2])[1]


def test_open_without_members_or_network(dnnc, tmp_path, monkeypatch):
    monkeypatch.setattr("common.attendance.network.lan_addresses", lambda: [])
    assert "in no network: connect it to the room's Wi-Fi" in dnnc("open", 3)[2]
    (tmp_path / "team.toml").write_text(roster_text(Roster((), roster().lectures, ())))
    assert "has no members yet" in dnnc("open", 3)[2]


def test_open_tells_the_addresses_and_where_the_projector_is(dnnc, monkeypatch):
    served, shown = [], []
    monkeypatch.setattr("common.attendance.network.lan_addresses", lambda: ["127.0.0.5", "127.0.0.6"])
    server = SimpleNamespace(run=lambda: None, close=lambda: None)
    monkeypatch.setattr(
        "common.attendance.app.make_server", lambda app, sockets: served.extend(sockets) or server
    )
    monkeypatch.setattr("webbrowser.open", shown.append)
    monkeypatch.setenv("DISPLAY", ":0")
    code, out, _ = dnnc("open", 3, "--port", 0)
    addresses = [one.getsockname()[0] for one in served]
    port = served[0].getsockname()[1]
    for one in served:
        one.close()
    assert (code, addresses) == (0, ["127.0.0.5", "127.0.0.1"])
    assert f"Phones     http://127.0.0.5:{port}," in out
    assert "other addresses of this machine: 127.0.0.6" in out
    assert shown == [out.split("Projector  ")[1].split()[0]]
    assert shown[0].startswith(f"http://127.0.0.1:{port}/projector/")
    assert dnnc("close", 3)[1].endswith("0 of 6 present.\n")
    assert "add --reopen" in dnnc("open", 3, "--port", 0)[2]


def test_no_browser_opens_in_a_terminal(monkeypatch):
    monkeypatch.setattr("sys.platform", "linux")
    monkeypatch.delenv("DISPLAY", raising=False)
    monkeypatch.delenv("WAYLAND_DISPLAY", raising=False)
    assert not _has_screen()
    monkeypatch.setattr("sys.platform", "darwin")
    assert _has_screen()


def test_late_counts_and_excused_does_not(tmp_path):
    book = AttendanceStore(tmp_path / "a.sqlite3")
    for lecture in (1, 2):
        book.mark(lecture, "m000", is_present=True)
    book.mark(1, "m001", is_present=True, remark="late")
    book.mark(2, "m001", is_present=False, remark="excused")
    report = attendance_report(book, roster())
    row = report.members[1]
    assert list(row.marks.values()) == ["late", "excused"]
    assert (row.n_present, row.n_expected) == (1, 1)
    assert "| L " in report.to_text()
    people = {"m001": Person("m001", "", "007", "=evil@x")}
    lines = report.to_csv(people, times=True).splitlines()
    assert lines[0].startswith(
        "id,email,name,full name,team,lecture 1,lecture 2,present,lectures,lecture 1 at"
    )
    assert lines[2].startswith("007,'=evil@x,m001,Member 001,odd,late,excused,1,1,2")
    assert attendance_figure(report)._repr_png_()
    book.close()


def test_a_certificate_says_weeks_hours_and_the_measured_file():
    entry = Entry("ada", "small <b>.dcz", "", 128_410, top1=0.9093, n_test=10_000)
    ranks = rank_entries([entry], dense_bytes=59_900_000, baseline_top1=0.9238)
    cells = (WeekCell("week01", "ran"), WeekCell("week02", "none"))
    row = Row("ada", "Ada", "", True, cells, (), "Ada <i>Lovelace</i>")
    people = read_roster("lecture_hours = 2")
    board = Board((row,), ("week01", "week02"), (), (), (), ranks, NOW, False, people)
    mine = MemberRow("ada", "Ada", None, {1: "present", 2: "late", 3: "excused", 4: "absent"}, {})
    found = certificate("ada", board, AttendanceReport((), (mine,), ()), NOW.date())
    assert (found.n_attended, found.n_held, found.hours) == (2, 3, 4)
    page = certificate_page(found)
    for text in ("Ada &lt;i&gt;Lovelace", "2 of 3 attended: 4 hours", "✓ Week 1", "– Week 2, not completed"):
        assert text in page
    for text in ("128,410 bytes", "466.5×", "90.93 %", "1.45 points", "small &lt;b&gt;.dcz", "<td>met</td>"):
        assert text in page
    assert "<script" not in page
    assert "Capstone" not in certificate_page(
        certificate("ada", replace(board, leaderboard=None), None, NOW.date())
    )
    with pytest.raises(ValueError, match="nobody is named eve"):
        certificate("eve", board, None, NOW.date())
