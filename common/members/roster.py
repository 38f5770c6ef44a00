"""The roster: who takes part, in which team, from which GitHub account; and the schedule of lectures.

It stands in ``members/team.toml``, which instructors keep::

    instructors = ["grace-h"]          GitHub accounts that may change everything
    group_weeks = [5]                  one notebook counts for the whole team
    timezone = "Europe/Berlin"         where due dates are meant; UTC when left out
    late_days = 3                      days that a member may be late in all; 0 when left out
    lecture_hours = 1.5                for certificates; 1.5 when left out

    [due]
    week01 = 2027-02-08                to the end of that day
    week02 = 2027-02-15T18:00:00       or to a time

    [[members]]
    name = "ada_lovelace"              the folder below members/
    full_name = "Ada Lovelace"
    team = "analytical"                may be left out
    github = "ada-l"                   may be left out
    nickname = "Countess"              on the public board, in the place of the name; may be left out

    [[lectures]]
    number = 1
    week = 1                           may be left out
    title = "Images as arrays"
    date = 2027-02-01                  may be left out

Unknown keys are refused: they are probably misspelt. The file is as public as the repository: extensions and
grades are kept elsewhere (`common.members.marks`), and so are ids and addresses (`common.members.lists`).
"""

from __future__ import annotations

import re
import tomllib
import unicodedata
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time
from pathlib import Path

from common.base.files import ROOT

# ----------------------------------------------------------------------------------------------------
# Names that are safe as folders everywhere: lowercase letters, digits, single underscores.
#
# >>> safe_name("ada_lovelace"), suggest("Ada Lovelace"), suggest("../ada"), suggest("Łukasz Çelik")
# ('ada_lovelace', 'ada_lovelace', 'ada', 'ukasz_celik')

MAX_NAME = 40
_SAFE = re.compile(r"[a-z][a-z0-9]*(?:_[a-z0-9]+)*")
_ACCOUNT = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,38}")
# Names that the course itself uses below members/, and those that Windows reserves for its devices.
_TAKEN = frozenset("template team team_example readme board leaderboard results".split())
_DEVICE = re.compile(r"con|prn|aux|nul|(?:com|lpt)[0-9\u00b9\u00b2\u00b3]", re.IGNORECASE)


def safe_name(text: object, what: str = "name") -> str:
    """The text itself, if it is safe as the name of a folder on every system.

    Parameters
    ----------
    text : str
        At most 40 characters: lowercase Latin letters, digits, single underscores; a letter first.
    what : str
        What the message calls it.

    Raises
    ------
    ValueError
        It is not safe; the message offers a name that is.
    """
    is_safe = isinstance(text, str) and len(text) <= MAX_NAME and _SAFE.fullmatch(text)
    if is_safe and text not in _TAKEN and not is_device(text):
        return text
    shown = repr(text if len(str(text)) <= 60 else f"{str(text)[:60]}...")
    offer = suggest(str(text))
    rule = "lowercase Latin letters, digits and single underscores, a letter first, at most 40 characters"
    if is_safe:
        raise ValueError(f"{what} {shown} is taken by the course, or by Windows: choose another, say {offer}")
    raise ValueError(f"{what} {shown}: expected {rule}" + (f", such as {offer}" if offer else ""))


def suggest(text: str) -> str:
    """A safe name that resembles the text; empty where the text has no Latin letter."""
    plain = unicodedata.normalize("NFKD", text[:400]).encode("ascii", "ignore").decode().lower()
    name = re.sub(r"[^a-z0-9]+", "_", plain).strip("_").lstrip("0123456789_")[:MAX_NAME].rstrip("_")
    return f"{name[: MAX_NAME - 2]}_2" if name in _TAKEN or is_device(name) else name


def is_device(text: str) -> bool:
    """Whether Windows keeps the name for a device, in any case: no file can have it.

    >>> is_device("aux"), is_device("COM1"), is_device("auxiliary")
    (True, True, False)
    """
    return _DEVICE.fullmatch(text) is not None


def account_name(text: object) -> str:
    """The text itself, if it can be the name of a GitHub account.

    Raises
    ------
    ValueError
        It cannot: letters, digits, hyphens and underscores, at most 39 characters.
    """
    if isinstance(text, str) and _ACCOUNT.fullmatch(text):
        return text
    raise ValueError(f"GitHub account {text!r}: expected its name alone, of letters, digits and hyphens")


ROSTER = ROOT / "members" / "team.toml"
TEAM_SIZES = range(5, 8)
_MAX_BYTES = 1_000_000
_MAX_TEXT = 200


class RosterError(ValueError):
    """The roster, marks or a list cannot be read, or hold what is not allowed; the message says where."""


@dataclass(frozen=True)
class Member:
    """A mentee.

    Attributes
    ----------
    name : str
        A safe name, and that of the folder below ``members/``.
    full_name : str
    team : str or None
        A safe name too.
    github : str or None
        The account from which pull requests come.
    nickname : str or None
        On the public board, in the place of the name.
    """

    name: str
    full_name: str
    team: str | None = None
    github: str | None = None
    nickname: str | None = None


@dataclass(frozen=True)
class Lecture:
    """A meeting of the class; `week` is that of the course, None for one that belongs to none."""

    number: int
    title: str
    date: date | None = None
    week: int | None = None


@dataclass(frozen=True)
class Roster:
    """Members in the order of the file, lectures by number, teams in the order of their first members."""

    members: tuple[Member, ...]
    lectures: tuple[Lecture, ...]
    teams: tuple[str, ...]
    instructors: tuple[str, ...] = ()
    group_weeks: tuple[int, ...] = ()
    due: Mapping[str, datetime] = field(default_factory=dict)
    late_days: int = 0
    lecture_hours: float = 1.5
    timezone: str = "UTC"

    def due_text(self, week: str) -> str:
        """When a week is due, in words; empty where it is not said.

        >>> read_roster("[due]\\nweek01 = 2027-02-08").due_text("week01")
        'Monday 8 February 2027, 23:59 UTC'
        """
        due = self.due.get(week)
        return "" if due is None else date_text(due, self.timezone)

    def member(self, name: str) -> Member | None:
        """The member of this name, None where there is none."""
        return next((member for member in self.members if member.name == name), None)

    def of_account(self, github: str) -> Member | None:
        """The member with this GitHub account (in any case of letters), None where there is none."""
        found = (one for one in self.members if one.github and one.github.lower() == github.lower())
        return next(found, None)

    def is_instructor(self, github: str) -> bool:
        """Whether the account is an instructor's; upper and lower case are the same."""
        return github.lower() in {account.lower() for account in self.instructors}

    def of_team(self, team: str | None) -> tuple[Member, ...]:
        """The team's members; none for None."""
        return tuple(member for member in self.members if team is not None and member.team == team)

    @property
    def warnings(self) -> tuple[str, ...]:
        """What an instructor may want to change: teams smaller or larger than 5 to 7."""
        sizes = Counter(member.team for member in self.members)
        return tuple(
            f"team {team} has {sizes[team]} member{'s' * (sizes[team] != 1)}: "
            f"the course is made for teams of {TEAM_SIZES[0]} to {TEAM_SIZES[-1]}"
            for team in self.teams
            if sizes[team] not in TEAM_SIZES
        )


def date_text(when: datetime, timezone: str) -> str:
    """A moment as people write it: ``Monday 8 February 2027, 23:59 UTC``. It is not converted to the zone."""
    return f"{when:%A} {when.day} {when:%B %Y, %H:%M} {timezone}"


def in_zone(when: datetime, timezone: str) -> datetime:
    """The same moment in a time zone, whose name the roster has checked."""
    import zoneinfo

    return when.astimezone(UTC if timezone == "UTC" else zoneinfo.ZoneInfo(timezone))


def end_of(day: date | datetime, timezone: str) -> datetime:
    """The moment that a due date means: the last second of a day, or the time that it gives.

    Raises
    ------
    ValueError
        This system does not know the time zone.
    """
    import zoneinfo  # it brings a generated module, which the gate does not need

    try:
        zone = UTC if timezone == "UTC" else zoneinfo.ZoneInfo(timezone)
    except (zoneinfo.ZoneInfoNotFoundError, ValueError, OSError) as error:
        raise ValueError(
            f"timezone {timezone!r} is unknown here: expected a name such as Europe/Berlin"
        ) from error
    if not isinstance(day, datetime):
        day = datetime.combine(day, time(23, 59, 59))
    return day.replace(tzinfo=zone) if day.tzinfo is None else day


def load_roster(path: str | Path = ROSTER) -> Roster:
    """Read the roster.

    Parameters
    ----------
    path : path
        By default that of the course, ``members/team.toml``.

    Raises
    ------
    RosterError
        It is missing, not TOML, or holds something that is not allowed; the message names the place.
    """
    path = Path(path)
    try:
        with path.open("rb") as file:
            data = file.read(_MAX_BYTES + 1)
        if len(data) > _MAX_BYTES:
            raise RosterError(f"{path} is longer than {_MAX_BYTES:,} bytes: that is not a roster")
        return read_roster(data.decode())
    except RosterError as error:
        raise RosterError(f"{path}: {error}") from None
    except OSError as error:
        raise RosterError(
            f"{path} cannot be read ({error.strerror}): it is where the roster has to be"
        ) from error
    except UnicodeDecodeError as error:
        raise RosterError(f"{path} is not UTF-8 text: save it as such") from error


def read_roster(text: str) -> Roster:
    """The roster that a text in TOML holds.

    Raises
    ------
    RosterError
        As `load_roster`.

    Examples
    --------
    >>> read_roster('[[members]]\\nname = "ada"\\nfull_name = "Ada"').members
    (Member(name='ada', full_name='Ada', team=None, github=None, nickname=None),)
    """
    try:
        content = tomllib.loads(text)
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        raise RosterError(f"not TOML: {error}") from error
    known = "instructors group_weeks members lectures due late_days lecture_hours timezone".split()
    _known_keys(content, set(known), "the roster")
    members = tuple(
        _member(entry, f"member {place}") for place, entry in enumerate(_tables(content, "members"), 1)
    )
    lectures = tuple(
        _lecture(entry, f"lecture {place}") for place, entry in enumerate(_tables(content, "lectures"), 1)
    )
    instructors = tuple(
        _checked(account_name, one, "instructors") for one in _list(content, "instructors", str)
    )
    accounts = [one.github for one in members if one.github] + list(instructors)
    _no_repeats("member", [member.name for member in members])
    _no_repeats("GitHub account", [account.lower() for account in accounts])
    _no_repeats("nickname", [member.nickname.casefold() for member in members if member.nickname])
    _no_repeats("lecture number", [lecture.number for lecture in lectures])
    return Roster(
        members,
        tuple(sorted(lectures, key=lambda lecture: lecture.number)),
        tuple(dict.fromkeys(member.team for member in members if member.team)),
        instructors,
        tuple(sorted(set(_list(content, "group_weeks", int)))),
        **_dates(content),
    )


def _dates(content: Mapping) -> dict:
    """Due dates and what belongs to them."""
    zone, days, hours = (
        content.get("timezone", "UTC"),
        content.get("late_days", 0),
        content.get("lecture_hours", 1.5),
    )
    if type(days) is not int or not 0 <= days <= 365:
        raise RosterError(f"late_days is {days!r}, expected an integer from 0 to 365")
    if type(hours) not in (int, float) or not 0 < hours <= 24:
        raise RosterError(f"lecture_hours is {hours!r}, expected a number of hours up to 24")
    if not isinstance(zone, str):
        raise RosterError(f'timezone is {zone!r}, expected a name such as "Europe/Berlin"')
    _checked(lambda name: end_of(date(2027, 1, 1), name), zone, "the roster")
    due, found = content.get("due", {}), {}
    if not isinstance(due, dict):
        raise RosterError("due: expected a block that begins with [due]")
    for week, day in due.items():
        if not re.fullmatch(r"week[0-9]{2}|capstone", week):
            raise RosterError(f"due: {week!r} is not a week, expected week01, week02, ... or capstone")
        if not isinstance(day, date):
            raise RosterError(f"due: {week} is {day!r}, expected a day such as 2027-02-08, without quotes")
        found[week] = end_of(day, zone)
    return {"due": found, "late_days": days, "lecture_hours": float(hours), "timezone": zone}


def _member(entry: Mapping, where: str) -> Member:
    _known_keys(entry, {"name", "full_name", "team", "github", "nickname"}, where)
    name = _checked(safe_name, entry.get("name"), where)
    team, github = entry.get("team"), entry.get("github")
    return Member(
        name,
        _text(entry, "full_name", f"{where} ({name})"),
        None if team is None else _checked(lambda text: safe_name(text, "team"), team, f"{where} ({name})"),
        None if github is None else _checked(account_name, github, f"{where} ({name})"),
        None if entry.get("nickname") is None else _text(entry, "nickname", f"{where} ({name})"),
    )


def _lecture(entry: Mapping, where: str) -> Lecture:
    _known_keys(entry, {"number", "title", "date", "week"}, where)
    number, day, week = entry.get("number"), entry.get("date"), entry.get("week")
    if type(number) is not int or not 1 <= number <= 999:
        raise RosterError(f"{where}: number is {number!r}, expected an integer from 1 to 999")
    if week is not None and (type(week) is not int or not 1 <= week <= 99):
        raise RosterError(f"{where}: week is {week!r}, expected an integer from 1 to 99")
    if day is not None and (not isinstance(day, date) or isinstance(day, datetime)):
        raise RosterError(f"{where}: date is {day!r}, expected a day such as 2027-02-01, without quotes")
    return Lecture(number, _text(entry, "title", where), day, week)


def _text(entry: Mapping, key: str, where: str) -> str:
    """One line that is not empty, without control characters, which could steer a terminal."""
    text = entry.get(key)
    if not isinstance(text, str) or not text.strip() or not text.isprintable() or len(text) > _MAX_TEXT:
        raise RosterError(f"{where}: {key} is {text!r}, expected one line of at most {_MAX_TEXT} characters")
    return text.strip()


def _tables(content: Mapping, key: str) -> list[Mapping]:
    entries = content.get(key, [])
    if not isinstance(entries, list) or not all(isinstance(entry, dict) for entry in entries):
        raise RosterError(f"{key}: expected blocks that begin with [[{key}]]")
    return entries


def _list(content: Mapping, key: str, kind: type) -> list:
    values = content.get(key, [])
    if not isinstance(values, list) or not all(type(value) is kind for value in values):
        raise RosterError(f"{key} is {values!r}, expected a list of {kind.__name__}s in brackets")
    return values


def _known_keys(entry: Mapping, known: set[str], where: str) -> None:
    if unknown := sorted(set(entry) - known):
        names = ", ".join(map(repr, unknown))
        raise RosterError(f"{where}: unknown {names}; known are {', '.join(sorted(known))}")


def _checked(check, value: object, where: str) -> str:
    try:
        return check(value)
    except ValueError as error:
        raise RosterError(f"{where}: {error}") from None


def _no_repeats(what: str, values: list) -> None:
    if repeated := [value for value, n in Counter(values).items() if n > 1]:
        raise RosterError(f"{what} {repeated[0]} is there more than once")
