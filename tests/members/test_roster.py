"""The roster: what it holds, what it refuses, and names that are safe as folders everywhere."""

from datetime import UTC, date, datetime
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from common.members.roster import (
    ROSTER,
    Lecture,
    Member,
    RosterError,
    account_name,
    date_text,
    in_zone,
    load_roster,
    read_roster,
    safe_name,
    suggest,
)

ROOT = Path(__file__).resolve().parents[2]


def block(name, **more):
    lines = ["[[members]]", f'name = "{name}"', f'full_name = "{name.title()}"']
    return "\n".join([*lines, *(f'{key} = "{value}"' for key, value in more.items())]) + "\n"


def test_the_course_has_fifteen_lectures_over_seven_weeks():
    roster = load_roster()
    assert [lecture.number for lecture in roster.lectures] == list(range(1, 16))
    assert {lecture.week for lecture in roster.lectures} == {*range(1, 8), None}
    assert all(ROOT.glob(f"week{week:02}_*") for week in range(1, 8))
    assert roster.group_weeks == (5,)


def test_the_example_is_a_team_without_warnings():
    roster = load_roster(ROSTER.with_name("team_example.toml"))
    assert roster.members[0] == Member("ada_lovelace", "Ada Lovelace", "analytical", "ada-l", "Countess")
    assert roster.lectures[0] == Lecture(1, "Images as arrays", date(2027, 2, 1), 1)
    assert roster.teams == ("analytical",)
    assert len(roster.of_team("analytical")) == 6
    assert roster.warnings == ()


def test_due_dates_are_moments_of_a_time_zone():
    roster = read_roster(
        'timezone = "Europe/Berlin"\nlate_days = 3\n[due]\n'
        "week01 = 2027-02-08\nweek02 = 2027-07-15T18:00:00\nweek03 = 2027-02-22T12:00:00Z\n"
    )
    assert roster.due["week01"].isoformat() == "2027-02-08T23:59:59+01:00"
    assert roster.due["week02"].isoformat() == "2027-07-15T18:00:00+02:00", "summer time"
    assert roster.due["week03"].isoformat() == "2027-02-22T12:00:00+00:00"
    assert roster.due_text("week01") == "Monday 8 February 2027, 23:59 Europe/Berlin"
    assert roster.due_text("week07") == ""
    assert roster.late_days == 3


def test_accounts_are_found_whatever_their_capitals():
    roster = read_roster('instructors = ["Grace-H"]\n' + block("ada", github="Ada-L"))
    assert roster.of_account("ada-l").name == roster.of_account("ADA-L").name == "ada"
    assert roster.is_instructor("gRACE-h")
    assert not roster.is_instructor("ada-l")
    assert roster.of_account("eve") is None
    assert roster.member("ada").full_name == "Ada"
    assert roster.of_team(None) == ()


@pytest.mark.parametrize(("n", "warns"), [(1, True), (4, True), (5, False), (7, False), (8, True)])
def test_teams_outside_five_to_seven_are_warned_of(n, warns):
    roster = read_roster("".join(block(f"m{i}", team="a") for i in range(n)))
    assert roster.warnings == (
        (f"team a has {n} member{'s' * (n > 1)}: the course is made for teams of 5 to 7",) if warns else ()
    )


def test_members_without_a_team_are_warned_of_by_nobody():
    assert read_roster(block("ada")).warnings == ()


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("[[members", "not TOML"),
        ("[[members]]\nfull_name = 'Ada'", "member 1: name None"),
        ("[[members]]\nname = 'ada'", "member 1 .ada.: full_name is None"),
        (block("ada") + block("ada"), "member ada is there more than once"),
        (block("ada", github="x") + block("eve", github="X"), "account x is there more than once"),
        ('instructors = ["x"]\n' + block("ada", github="x"), "account x is there more than once"),
        (block("../ada"), "member 1: name '../ada': expected lowercase Latin letters.*such as ada"),
        (block("ada", github="ada@home"), "GitHub account 'ada@home'"),
        (block("ada", team="The Team"), "team 'The Team'.*such as the_team"),
        (block("ada", tema="a"), "unknown 'tema'; known are full_name, github, name, nickname, team"),
        ("members = 3", r"expected blocks that begin with \[\[members\]\]"),
        ("group_weeks = [true]", "expected a list of ints"),
        ("[[lectures]]\nnumber = 0\ntitle = 'a'", "number is 0"),
        ("[[lectures]]\nnumber = 1\ntitle = ''", "title is ''"),
        ('[[lectures]]\nnumber = 1\ntitle = "a\\u001b[2J"', "title is"),
        ("[[lectures]]\nnumber = 1\ntitle = 'a'\ndate = '2027-02-01'", "without quotes"),
        ("[[lectures]]\nnumber = 1\ntitle = 'a'\ndate = 2027-02-01T10:00:00", "without quotes"),
        ("[[lectures]]\nnumber = 1\ntitle = 'a'\n[[lectures]]\nnumber = 1\ntitle = 'b'", "more than once"),
        ("[[lectures]]\nnumber = 1\ntitle = 'a'\nweek = 'one'", "week is 'one'"),
        ("x = " + "[" * 5000, "not TOML"),
        (block("ada", nickname="x") + block("eve", nickname="X"), "nickname x is there more than once"),
        ("[due]\nweek1 = 2027-02-08", "'week1' is not a week"),
        ("[due]\nweek01 = '2027-02-08'", "without quotes"),
        ("due = 3", r"begins with \[due\]"),
        ("late_days = -1", "late_days is -1"),
        ("lecture_hours = 0", "lecture_hours is 0"),
        ("timezone = 'Middle Earth'", "timezone 'Middle Earth' is unknown"),
        ("timezone = 3", "timezone is 3"),
    ],
)
def test_what_cannot_be_is_refused_with_its_place(text, complaint):
    with pytest.raises(RosterError, match=complaint):
        read_roster(text)


def test_files_that_cannot_be_read_are_named(tmp_path):
    for data in (None, b"\xff\xfe", b"# " + b"x" * 1_100_000):
        path = tmp_path / "team.toml"
        if data is not None:
            path.write_bytes(data)
        with pytest.raises(RosterError, match=r"team\.toml"):
            load_roster(path)


@pytest.mark.parametrize("name", ["ada", "ada_lovelace", "a1", "x" * 40, "mary_ann_2"])
def test_safe_names(name):
    assert safe_name(name) == name


@pytest.mark.parametrize(
    "name",
    [
        "",
        ".",
        "..",
        "../ada",
        "ada/../eve",
        "/etc",
        "ada\\eve",
        "ada\0",
        "ada\n",
        "Ada",
        "ada lovelace",
        "_ada",
        "ada_",
        "a__b",
        "1a",
        "-rf",
        "~ada",
        "$HOME",
        "`id`",
        "ada;id",
        "\u0430da",
        "ada\u202e",
        "ada.md",
        "con",
        "nul",
        "com1",
        "lpt9",
        "template",
        "team",
        "x" * 41,
        "C:ada",
        "*",
        None,
        3,
        b"ada",
        "\ufb01",
    ],
)
def test_path_tricks_in_names_are_refused(name):
    with pytest.raises(ValueError, match="name"):
        safe_name(name)


@settings(max_examples=50)
@given(st.text(max_size=60))
def test_suggestions_are_safe_or_empty(text):
    offer = suggest(text)
    assert offer == "" or safe_name(offer) == offer


@pytest.mark.parametrize(
    "name", ["", "-ada", "ada l", "a" * 40, "ada/../x", "@ada", "ada[bot]", None, "ada\n"]
)
def test_account_names_that_cannot_be(name):
    with pytest.raises(ValueError, match="GitHub account"):
        account_name(name)


def test_a_moment_is_told_on_the_clocks_of_the_course():
    moment = datetime(2027, 2, 15, 17, 30, tzinfo=UTC)
    for zone, clock in (("Europe/Berlin", "18:30"), ("UTC", "17:30")):
        assert date_text(in_zone(moment, zone), zone) == f"Monday 15 February 2027, {clock} {zone}"
