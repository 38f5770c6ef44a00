"""Lists: the class from a spreadsheet, and grades for a learning platform.

Students' ids and e-mail addresses never enter the repository: they are kept beside the grades, in
``people.csv``.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from common.base.files import ROOT, whole_file
from common.base.text import printable
from common.members.folders import read_regular, roster_block
from common.members.marks import grades_folder
from common.members.roster import RosterError, account_name, load_roster, read_roster, safe_name, suggest

MAX_LIST = 1_000_000
_OTHER_NAMES = {
    **dict.fromkeys(("fullname", "student"), "full_name"),
    **dict.fromkeys(("account", "github_account", "github_username"), "github"),
    **dict.fromkeys(("student_id", "id_number", "idnumber", "matriculation"), "id"),
    **dict.fromkeys(("e-mail", "mail", "email_address"), "email"),
    **dict.fromkeys(("firstname", "given_name"), "first_name"),
    **dict.fromkeys(("lastname", "surname", "family_name"), "last_name"),
    "group": "team",
}


@dataclass(frozen=True)
class Person:
    """A member as a learning platform knows them: the id and the address are not in the repository."""

    name: str
    full_name: str = ""
    id: str = ""
    email: str = ""


def people_file(root: Path = ROOT) -> Path:
    """The file of members' ids and addresses, which need not be there."""
    return grades_folder(root) / "people.csv"


def load_people(path: Path | None = None) -> dict[str, Person]:
    """Members' ids and addresses by name; empty where there is no such file.

    Raises
    ------
    RosterError
        The file cannot be read.
    """
    path = path or people_file()
    if not path.exists():
        return {}
    found = {}
    for line in read_table(path):
        try:
            name = safe_name(line.get("name"))
        except ValueError as error:
            raise RosterError(f"{path}: {error}") from error
        found[name] = Person(name, *(line.get(key, "") for key in ("full_name", "id", "email")))
    return found


def read_table(path: Path) -> list[dict[str, str]]:
    """The lines of a CSV file, each a dict by column; the delimiter is found: comma, semicolon or tab.

    A byte-order mark at the beginning is ignored. Column names become lowercase, with underscores for spaces.

    Raises
    ------
    RosterError
        It is not UTF-8 text, has no line of column names, or a cell holds control characters.
    """
    try:
        text = read_regular(path, MAX_LIST).decode("utf-8-sig")
    except (ValueError, UnicodeDecodeError) as error:
        reason = (
            "it is not UTF-8 text: export it as CSV UTF-8" if isinstance(error, UnicodeDecodeError) else error
        )
        raise RosterError(f"{path}: {reason}") from error
    head = text.partition("\n")[0]
    delimiter = max(",;\t", key=head.count)
    lines = list(csv.reader(io.StringIO(text), delimiter=delimiter))
    if not lines:
        raise RosterError(f"{path} is empty: expected a line with the names of columns")
    columns = [_column(cell) for cell in lines[0]]
    found = []
    for number, line in enumerate(lines[1:], 2):
        cells = [cell.strip() for cell in line]
        if any(cells):
            if not all(cell.isprintable() for cell in cells):
                raise RosterError(f"{path}, line {number}: a cell holds more than one line of text")
            found.append(dict(zip(columns, cells, strict=False)))
    return found


def _column(head: str) -> str:
    plain = head.strip().lower().replace(" ", "_")
    return _OTHER_NAMES.get(plain, plain)


def import_people(
    path: Path, *, root: Path = ROOT, private_names: bool = False
) -> tuple[list[str], list[str]]:
    """Write a class from a CSV file into the roster, and its ids and addresses beside the grades.

    Members who are in the roster already stay as they are; their ids and addresses are brought up to date.

    Parameters
    ----------
    path : Path
        With a column ``name`` or ``full_name``, and perhaps ``team``, ``github``, ``nickname``, ``id`` and
        ``email``; others are ignored.
    root : Path
    private_names : bool
        Keep full names out of the roster, which is as public as the repository.

    Returns
    -------
    new, known : list of str
        Names that were added to the roster, and names that were in it before.

    Raises
    ------
    RosterError
        A line is not valid; the message names it, and nothing was written.
    """
    roster_path = root / "members" / "team.toml"
    roster, people = load_roster(roster_path), load_people(people_file(root))
    text, new, known = roster_path.read_text(encoding="utf-8").rstrip() + "\n", [], []
    for number, line in enumerate(read_table(path), 2):
        try:
            full_name = line.get("full_name") or " ".join(
                filter(None, (line.get("first_name"), line.get("last_name")))
            )
            name = safe_name(line.get("name") or suggest(full_name))
            if not full_name:
                full_name = name.replace("_", " ").title()
            account = line.get("github") and account_name(line["github"].removeprefix("@"))
            if name in new:
                raise ValueError(f"{name} is in the list twice: give one of them another `name`")
            if roster.member(name):
                known.append(name)
            else:
                new.append(name)
                shown = line.get("nickname") or name if private_names else full_name
                block = roster_block(
                    name, full_name=shown, team=line.get("team") or None, github=account or None
                )
                nickname = f'nickname = "{line["nickname"]}"\n' if line.get("nickname") else ""
                text += f"\n{block}{nickname}"
            people[name] = Person(name, full_name, line.get("id", ""), line.get("email", ""))
        except ValueError as error:
            raise RosterError(f"{path}, line {number}: {error}") from error
    read_roster(text)
    if new:
        with whole_file(roster_path) as aside:
            aside.write_text(text, encoding="utf-8")
    _write_people(people, people_file(root))
    return new, known


def _write_people(people: dict[str, Person], path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    lines = [[one.name, one.full_name, one.id, one.email] for one in people.values()]
    with whole_file(path) as aside:
        aside.touch(mode=0o600)
        write_csv(aside, [["name", "full_name", "id", "email"], *lines])


def write_csv(path: Path, lines: list[list[object]]) -> None:
    """Write lines with a byte-order mark, by which spreadsheets know UTF-8, and with no cell as a formula."""
    with path.open("w", encoding="utf-8-sig", newline="") as file:
        csv.writer(file).writerows([harmless(cell) for cell in line] for line in lines)


def harmless(value: object) -> object:
    """The value, with an apostrophe before text that a spreadsheet would run as a formula (``=1+1``)."""
    is_formula = isinstance(value, str) and value.lstrip(" ")[:1] in tuple("=+-@\t\r＝＋－＠")  # noqa: RUF001
    return f"'{value}" if is_formula else value


def grade_lines(board, people: dict[str, Person], say: Callable[[str], None] = print) -> list[list[object]]:
    """A line for each member of an instructor's board, for import into a learning platform.

    Parameters
    ----------
    board : Board
        From `common.members.board.gather`, with grades.
    people : dict
        From `load_people`; where it is empty, nobody is expected to have an id.
    say : callable
        Called with a line for each member without an id.
    """
    weeks = [f"{week} {what}" for week in board.weeks for what in ("points", "of", "days late")]
    lines: list[list[object]] = [["id", "email", "name", "full name", *weeks, "points", "days late"]]
    for row in board.rows:
        person = people.get(row.name, Person(row.name))
        if people and not person.id:
            say(printable(f"{row.name} has no id in {people_file().name}"))
        line: list[object] = [person.id, person.email, row.name, person.full_name or row.full_name]
        for cell in row.weeks:
            line += [f"{cell.points:g}", f"{cell.out_of:g}", cell.days_late]
        lines.append([*line, f"{row.points:g}", row.days_late])
    return lines
