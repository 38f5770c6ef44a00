"""The board: what it gathers, what it shows, that names stay text; and how it looks in a real browser."""

import json
import os
import subprocess
from dataclasses import replace
from datetime import UTC, date, datetime
from pathlib import Path

import pytest
from browsers import chromium

from common.members import board as board_page
from common.members import board as boards
from common.members.board import Board, Row, WeekCell
from common.members.checking import WeekCheck, digest, store
from common.members.leaderboard import Entry, rank_entries
from common.members.marks import hand_ins, set_mark
from common.members.roster import Lecture, load_roster

ROOT = Path(__file__).resolve().parents[2]
NOW = datetime(2027, 2, 5, 12, 30, tzinfo=UTC)
ROSTER = """
group_weeks = [2]
[[members]]
name = "ada"
full_name = "Ada <b>Lovelace</b>"
team = "one"
[[members]]
name = "bob"
full_name = "Bob"
team = "one"
[[members]]
name = "eve"
full_name = "Eve"
"""


@pytest.fixture
def course(tmp_path):
    """Two weeks, three members in the roster, one folder that it does not know."""
    for week in ("week01_tea", "week02_cake"):
        (tmp_path / week / "assignment").mkdir(parents=True)
        (tmp_path / week / "assignment" / "assignment.ipynb").write_text("{}")
    for name in ("ada", "bob", "guest", "template", "Not Safe"):
        (tmp_path / "members" / name / "week01").mkdir(parents=True)
    (tmp_path / "members" / "team.toml").write_text(ROSTER)
    return tmp_path


def hand_in(course, name, week, status="ran", points=10, rubric=4):
    """A notebook with the result of a check."""
    path = course / "members" / name / week / "assignment.ipynb"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps({"by": name}))
    found = WeekCheck(
        name, week, status, f"{status} it", points, 16, rubric, digest=digest(name, week, root=course)
    )
    store(found, course / "results")


def gathered(course, **options):
    board = boards.gather(root=course, results=course / "results", made=NOW, **options)
    return board, {row.name: row for row in board.rows}


def test_weeks_points_and_states_are_gathered(course):
    hand_in(course, "ada", "week01", points=12)
    hand_in(course, "bob", "week01", status="failed", points=3)
    (course / "members/guest/week01/assignment.ipynb").write_text("{}")
    set_mark("ada", 1, 3.5, course / "members/marks.toml")
    set_mark("bob", 1, 99, course / "members/marks.toml")
    board, rows = gathered(course)
    assert board.weeks == ("week01", "week02")
    assert [row.name for row in board.rows] == ["ada", "bob", "eve", "guest"]
    week = {name: row.weeks[0] for name, row in rows.items()}
    assert (week["ada"].state, week["ada"].points, week["ada"].out_of) == ("ran", 15.5, 20)
    assert (week["bob"].state, week["bob"].points) == ("failed", 7), "a mark is at most what the rubric gives"
    assert week["bob"].message == "failed it"
    assert (week["guest"].state, week["eve"].state) == ("unchecked", "none")
    assert rows["ada"].points == 15.5
    assert not rows["guest"].is_listed
    assert rows["eve"].last is None
    assert board.warnings[0].startswith("team one has 2 members")


def test_a_changed_notebook_is_not_the_checked_one(course):
    hand_in(course, "ada", "week01")
    (course / "members/ada/week01/assignment.ipynb").write_text("changed")
    assert gathered(course)[1]["ada"].weeks[0].state == "outdated"


def test_group_work_counts_for_the_team(course):
    hand_in(course, "ada", "week02", points=5)
    hand_in(course, "bob", "week02", points=9)
    hand_in(course, "guest", "week02", points=16)
    _, rows = gathered(course)
    group = {name: (row.weeks[1].points, row.weeks[1].by) for name, row in rows.items()}
    assert group == {"ada": (9, "bob"), "bob": (9, ""), "guest": (16, ""), "eve": (0, "")}


def test_presentations_are_listed(course):
    folder = course / "members/ada/presentations"
    folder.mkdir()
    for name in ("README.md", ".hidden", "lecture09.pdf", "a\x1b[2J.pdf"):
        (folder / name).touch()
    (folder / "link").symlink_to("/etc/passwd")
    assert gathered(course)[1]["ada"].presentations == (r"a\x1b[2J.pdf", "lecture09.pdf")


def test_the_last_hand_in_is_that_of_the_commit(course):
    quiet = {"GIT_CONFIG_GLOBAL": "/dev/null", "GIT_CONFIG_SYSTEM": "/dev/null"}
    quiet |= {
        f"GIT_{role}_{what}": "x@example.org"
        for role in ("AUTHOR", "COMMITTER")
        for what in ("NAME", "EMAIL")
    }

    def git(*arguments, day="2027-02-01"):
        when = dict.fromkeys(("GIT_AUTHOR_DATE", "GIT_COMMITTER_DATE"), f"{day}T10:00:00+02:00")
        environment = {**os.environ, **quiet, **when}
        subprocess.run(["git", *arguments], cwd=course, check=True, capture_output=True, env=environment)

    for path in ("ada/week01/assignment.ipynb", "ada/week01/README.md", "bob/week01/b c ü.txt"):
        (course / "members" / path).write_text("x")
    git("init", "--quiet")
    git("add", "--all")
    git("commit", "--quiet", "-m", "first")
    (course / "members/ada/week01/assignment.ipynb").write_text("y")
    git("commit", "--quiet", "--all", "-m", "second", day="2027-02-03")
    (course / "members/guest/week01/new.txt").write_text("not committed")
    found = hand_ins(course)
    assert found["ada", "week01"] == datetime(2027, 2, 3, 8, tzinfo=UTC)
    assert found["bob", "week01"] == datetime(2027, 2, 1, 8, tzinfo=UTC)
    assert abs((found["guest", "week01"] - datetime.now(UTC)).total_seconds()) < 600
    assert ("eve", "week01") not in found


def full_board():
    """A board as it may be at the end: all states, long names, ties, files that do not count."""
    cells = [
        WeekCell("week01", "ran", 19.5, 20, "", NOW),
        WeekCell("week02", "ran", 7, 20, "", NOW),
        WeekCell("week03", "failed", 3, 20, "stops in code cell 7 (`<script>alert(1)</script>`)", NOW),
        WeekCell("week04", "stopped", 0, 20, "stopped in code cell 2: it took more than 300 seconds", NOW),
        WeekCell("week05", "ran", 20, 20, "", NOW, "blaise_pascal"),
        WeekCell("week06", "outdated", 12, 20, "", NOW),
        WeekCell("week07", "none"),
    ]
    roster = load_roster(ROOT / "members" / "team_example.toml")
    names = [(member.name, member.full_name) for member in roster.members]
    names += [
        ("x" * 40, "Wolfeschlegelsteinhausenbergerdorff " + "W" * 60),
        ("eve", "<script>alert('Eve')</script>"),
    ]
    rows = [
        Row(
            name,
            full_name,
            "analytical",
            name != "eve",
            tuple(cells[i:] + cells[:i]),
            ("lecture09_pruning.pdf", "a_very_long_name_of_slides_" + "y" * 30) if i % 2 else (),
        )
        for i, (name, full_name) in enumerate(names)
    ]
    rows = [replace(row, weeks=tuple(sorted(row.weeks, key=lambda cell: cell.week))) for row in rows]
    entries = [
        Entry("ada_lovelace", "vgg16.dcz", "a", 405_073, 0.2, 0.96, 0.915, 10_000),
        Entry("emmy_noether", "vgg16.dcz", "a", 405_073, 0.2, 0.96, 0.915, 10_000),
        Entry("blaise_pascal", "small.dcz", "b", 133_085, 0.07, 0.98, 0.9031, 10_000),
        Entry("david_huffman", "first_try.dcz", "c", 2_000_000, 1.0, 0.9, 0.55, 10_000),
        Entry("eve", "evil<img src=x onerror=alert(1)>.dcz", problem="this is not a .dcz file"),
    ]
    lectures = (Lecture(1, "Images as arrays", date(2027, 2, 1), 1), Lecture(2, "The <i>capstone</i>"))
    weeks = tuple(f"week{number:02}" for number in range(1, 8))
    ranks = rank_entries(entries, dense_bytes=59_946_792, baseline_top1=0.9238)
    return Board(tuple(rows), weeks, ("week05",), lectures, ("team a has 8 members: too many",), ranks, NOW)


@pytest.fixture(scope="module")
def page(tmp_path_factory):
    """The full board as files."""
    path = tmp_path_factory.mktemp("board") / "board.html"
    board_page.write_board(full_board(), path)
    return path


def test_the_page_stands_alone_and_shows_names_as_text(page):
    text = page.read_text()
    assert "<script" not in text
    assert "<img src=x" not in text
    assert "&lt;script&gt;alert(&#39;Eve&#39;)&lt;/script&gt;" in text
    assert "http://" not in text.replace("http://www.w3.org", "")
    assert "https://" not in text
    assert "src=" not in text.replace('src="data:image/png', "").replace("&lt;img src=", "")
    assert "by blaise_pascal" in text
    assert "the same network as emmy_noether" in text


def test_every_state_has_words_of_its_own(page):
    text = page.read_text()
    for said in ("✓ 19.5/20", "◐ 7/20", "✗ 3/20", "✗ 0/20", "? 12/20", "–"):
        assert said in text


def test_the_public_board_has_hand_ins_and_nicknames_and_no_grades(course):
    text = ROSTER.replace('full_name = "Bob"', 'full_name = "Robert Private"\nnickname = "Blue Whale"')
    (course / "members/team.toml").write_text("late_days = 3\n" + text + "[due]\nweek01 = 2001-01-01\n")
    hand_in(course, "bob", "week01", points=12)
    hand_in(course, "eve", "week01", status="failed")
    set_mark("bob", 1, 3.5, course / "members/marks.toml", comment="A secret remark")
    board, rows = gathered(course, grades=False)
    shown = boards.page(board) + boards.table(board)
    assert "Blue Whale" in shown
    for private in ("Robert", "15.5", "/20", "A secret", "failed", "late", "&lt;b&gt;", "marks.toml"):
        assert private not in shown.split("</style>")[1], private
    assert board.called("bob") == "Blue Whale"
    assert rows["bob"].weeks[0].state == rows["eve"].weeks[0].state == "handed in"
    own, rows = gathered(course)
    shown = boards.page(own)
    assert "Robert Private" in shown
    assert "run `dnnc members migrate`" in shown
    assert own.called("bob") == "bob"
    assert rows["bob"].days_late > 3
    assert "days late" in shown


def test_a_team_s_late_days_count_for_each_and_its_latest_extension_for_all(course):
    (course / "members/team.toml").write_text(ROSTER + "[due]\nweek02 = 2001-01-01\n")
    hand_in(course, "ada", "week02", points=12)
    _, rows = gathered(course)
    assert rows["ada"].days_late == rows["bob"].days_late == rows["bob"].weeks[1].days_late > 3
    assert rows["eve"].days_late == 0
    until = datetime(2100, 1, 1, tzinfo=UTC)
    set_mark("bob", 2, path=course / "members/marks.toml", extension=until)
    _, rows = gathered(course)
    assert rows["ada"].days_late == rows["bob"].days_late == 0


def test_late_days_are_counted_from_the_merge_and_extensions_spare_them(tmp_path):
    from datetime import timedelta

    from common.members.marks import Mark, days_late
    from common.members.roster import read_roster

    roster = read_roster("[due]\nweek01 = 2027-02-08T18:00:00\n")
    due = roster.due["week01"]
    minute = timedelta(minutes=1)
    waits = (-minute, timedelta(0), minute, timedelta(days=1), timedelta(days=1) + minute)
    assert [days_late("week01", due + wait, roster) for wait in waits] == [0, 0, 1, 1, 2]
    assert days_late("week01", due + minute, roster, Mark(extension=due + minute)) == 0
    assert days_late("week02", due + minute, roster) == 0
    assert days_late("week01", None, roster) == 0


def test_a_hand_in_counts_from_the_merge_whatever_date_the_commit_bears(tmp_path):
    import os
    import subprocess

    who = {
        f"GIT_{role}_{what}": "x@example.org"
        for role in ("AUTHOR", "COMMITTER")
        for what in ("NAME", "EMAIL")
    }
    quiet = {"GIT_CONFIG_GLOBAL": "/dev/null", "GIT_CONFIG_SYSTEM": "/dev/null"}

    def git(*arguments, date="2027-01-01T00:00:00Z"):
        env = {**os.environ, **who, **quiet, "GIT_COMMITTER_DATE": date}
        subprocess.run(["git", *arguments], cwd=tmp_path, check=True, capture_output=True, env=env)

    git("init", "--quiet", "--initial-branch=main")
    git("commit", "--quiet", "--allow-empty", "-m", "the course")
    git("switch", "--quiet", "-c", "work")
    path = tmp_path / "members/ada/week01/assignment.ipynb"
    path.parent.mkdir(parents=True)
    path.write_text("{}")
    git("add", "--all")
    git("commit", "--quiet", "-m", "in time, it says", date="2026-10-01T00:00:00Z")
    git("switch", "--quiet", "main")
    git("merge", "--quiet", "--no-ff", "-m", "merged", "work", date="2027-03-05T10:00:00Z")
    assert hand_ins(tmp_path)["ada", "week01"] == datetime(2027, 3, 5, 10, tzinfo=UTC)


def test_tables_beside_the_page(page):
    import csv

    members = list(csv.DictReader(page.with_suffix(".csv").open(newline="", encoding="utf-8-sig")))
    assert members[0]["name"] == "ada_lovelace"
    assert members[0]["week01 points"] == "19.5"
    assert members[0]["week01 handed in"] == "2027-02-05 12:30"
    ranks = list(
        csv.DictReader(page.with_name("board_leaderboard.csv").open(newline="", encoding="utf-8-sig"))
    )
    assert [(row["rank"], row["member"]) for row in ranks] == [
        ("1", "ada_lovelace"),
        ("1", "emmy_noether"),
        ("3", "blaise_pascal"),
        ("4", "david_huffman"),
        ("", "eve"),
    ]


def test_an_empty_course_has_a_board():
    empty = Board((), (), (), (), (), rank_entries([], dense_bytes=1, baseline_top1=0.9), NOW)
    text = board_page.page(empty)
    assert "Nobody yet" in text
    assert "No file counts yet" in text
    assert board_page.table(empty).count("\n") == 1


@pytest.fixture(scope="module")
def browser():
    with chromium("--disable-gpu") as opened:
        yield opened


@pytest.mark.parametrize("colours", ["light", "dark"])
@pytest.mark.parametrize("width", [320, 390, 1100, 1280])
def test_nothing_is_wider_than_the_screen(browser, page, width, colours, tmp_path):
    context = browser.new_context(
        viewport={"width": width, "height": 800}, color_scheme=colours, java_script_enabled=True
    )
    shown = context.new_page()
    errors = []
    shown.on("pageerror", lambda error: errors.append(str(error)))
    shown.on("dialog", lambda dialog: errors.append(dialog.message))
    shown.goto(page.as_uri())
    assert shown.evaluate("document.documentElement.scrollWidth") <= width
    style = "getComputedStyle(document.body)"
    back, text = (
        shown.evaluate(f"{style}.{key}.match(/\\d+/g).map(Number)") for key in ("backgroundColor", "color")
    )
    is_dark = sum(back) < sum(text)
    assert is_dark == (colours == "dark")
    boxes = "[...document.querySelectorAll('.cell, th, td, img')].map(e => e.getBoundingClientRect().right)"
    widest = shown.evaluate(f"Math.max(...{boxes})")
    assert widest <= width
    assert shown.locator("img").evaluate("image => image.naturalWidth") > 300
    assert shown.locator("table").first.locator("tbody tr").count() == 8
    assert errors == []
    if folder := os.environ.get("DNNC_SCREENSHOTS"):
        shown.screenshot(path=f"{folder}/board_{width}_{colours}.png", full_page=True)
    context.close()


@pytest.mark.parametrize("colours", ["light", "dark"])
def test_text_stands_out_from_its_background(browser, page, colours):
    """WCAG's contrast of at least 4.5 for every kind of text, in both colour schemes."""
    context = browser.new_context(color_scheme=colours)
    shown = context.new_page()
    shown.goto(page.as_uri())
    ratios = shown.evaluate(
        """() => {
          const light = rgb => { const [r, g, b] = rgb.map(v => { v /= 255;
            return v <= 0.03928 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4; });
            return 0.2126 * r + 0.7152 * g + 0.0722 * b; };
          const numbers = text => text.match(/[\\d.]+/g).map(Number);
          const back = e => { const c = numbers(getComputedStyle(e).backgroundColor);
            return c.length === 4 && c[3] === 0 && e.parentElement ? back(e.parentElement) : c.slice(0, 3); };
          const kinds = '.full .part .wrong .none .soft .small .warning a h2 th'.split(' ');
          return kinds.map(s => {
            const e = document.querySelector(s);
            const [a, b] = [light(numbers(getComputedStyle(e).color).slice(0, 3)), light(back(e))];
            return [s, (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05)]; });
        }"""
    )
    assert all(ratio >= 4.5 for _, ratio in ratios), ratios
    context.close()
