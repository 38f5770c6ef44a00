"""``dnnc members`` and ``dnnc course``: one thin function per command."""

from __future__ import annotations

import sys
from dataclasses import asdict, replace
from pathlib import Path
from typing import Annotated

import typer

from common.base.files import ROOT, needs_checkout
from common.base.text import json_text, printable

members_app = typer.Typer(
    no_args_is_help=True, rich_markup_mode=None, help="Members' folders, their work checked, the board."
)
course_app = typer.Typer(
    no_args_is_help=True, rich_markup_mode=None, help="The course as a whole: its editions."
)


@members_app.callback()
def in_a_clone() -> None:
    """Members' folders, their work checked, the board."""
    if not set(sys.argv) & {"--help", "-h"}:
        needs_checkout("dnnc members")


Name = Annotated[str, typer.Argument(help="A member's name: lowercase letters, digits, underscores.")]
Week = Annotated[str, typer.Argument(help="A number such as 3, or week03.")]
Json = Annotated[bool, typer.Option("--json", help="Print the result as JSON; all else goes to stderr.")]
Team = Annotated[str | None, typer.Option(help="The team's name, written like a member's.")]


@members_app.command()
def new(
    name: Name,
    team: Team = None,
    full_name: Annotated[str | None, typer.Option(help="As people write it.")] = None,
    github: Annotated[str | None, typer.Option(help="The account that pull requests come from.")] = None,
    enrol: Annotated[bool, typer.Option("--enrol", help="For instructors: write the roster.")] = False,
    as_json: Json = False,
) -> None:
    """Make a member's folder, with a profile and a folder per week.

    What is there already stays as it is. With --enrol an instructor writes the roster, and nothing else:
    the folder is the member's to make.

    \b
    Example: dnnc members new ada_lovelace --team analytical
    """
    from common.members import folders
    from common.members.roster import load_roster

    if enrol:
        is_new = folders.enrol(name, full_name=full_name, team=team, github=github)
        roster = load_roster()
        lines = [
            "members/team.toml: one block added; the member makes the folder: `dnnc members new` or `start`"
            if is_new
            else f"members/team.toml has {name} already: nothing was written there"
        ]
        if roster.member(name).github is None:
            lines.append(f"No hand-in of {name} passes the gate until `github` is in the block.")
        made = []
    else:
        made = folders.new_member(name, full_name=full_name, team=team)
        roster = load_roster()
        lines = [f"members/{name}: {len(made)} new files" if made else f"members/{name} was complete already"]
        member = roster.member(name)
        if member is None:
            block = folders.roster_block(name, full_name=full_name, team=team, github=github)
            lines += [
                "The roster does not know this name. Send this to an instructor, for members/team.toml:"
            ]
            lines += ["", block]
        if github is None and (member is None or member.github is None):
            lines.append(
                "Tell your instructor your GitHub account (--github writes it above): hand-ins need it."
            )
    lines += [f"warning: {warning}" for warning in roster.warnings] if enrol else []
    result = {
        "name": name,
        "files": [_short(path) for path in made],
        "warnings": list(roster.warnings),
        "is_in_roster": roster.member(name) is not None,
    }
    _show(result, "\n".join(lines).rstrip(), as_json)


@members_app.command()
def start(name: Name, week: Week, as_json: Json = False) -> None:
    """Copy a week's assignment into a member's folder.

    A notebook that is there is never written over.

    \b
    Example: dnnc members start ada_lovelace 3
    """
    from common.members.folders import start_week, week_folder
    from common.members.roster import load_roster

    path, is_new = start_week(name, week)
    due = load_roster().due_text(week_folder(week))
    told = "is your notebook: open it, and go" if is_new else "was there already, and stays as it is"
    shown = _short(path)
    text = f"{shown} {told}" + (f"\nDue: {due}" if due else "")
    _show({"notebook": shown, "is_new": is_new, "due": due}, text, as_json)


@members_app.command()
def check(
    name: Annotated[str | None, typer.Argument(help="A member's name; or --all.")] = None,
    week: Annotated[
        str | None, typer.Argument(help="A number such as 3, or capstone; by default every week.")
    ] = None,
    everybody: Annotated[bool, typer.Option("--all", help="Every member, where something changed.")] = False,
    again: Annotated[bool, typer.Option("--again", help="With --all: also where nothing changed.")] = False,
    seconds: Annotated[float, typer.Option(min=1, help="Time limit of one notebook.")] = 300.0,
    memory: Annotated[float, typer.Option(min=0.1, help="Memory limit in GB.")] = 4.0,
    details: Annotated[bool, typer.Option("--details", help="Also what failing cells have said.")] = False,
    as_json: Json = False,
) -> None:
    """Run notebooks in a sandbox, and give points.

    Exit code 0 only when every notebook ran to its end. For `capstone` the .dcz files are measured instead.

    \b
    Example: dnnc members check ada_lovelace 3
    """
    if (name is None) != everybody:
        raise ValueError("check: expected a member's name, or --all, and not both")
    if week is not None and week.lower() == "capstone":
        _check_capstone(name, as_json)
    from common.members.checking import check_week, report, store, stored, weeks_to_check
    from common.members.folders import week_folder
    from common.members.roster import load_roster
    from common.sandbox.run import Limits

    limits = Limits(seconds=seconds, memory_bytes=int(memory * 2**30))
    found = []
    for member, label, is_current in weeks_to_check(name, week):
        kept = stored(member, label) if everybody and is_current and not again else None
        if kept is None:
            print(f"{member}, {label} ...", file=sys.stderr, flush=True)
            kept = check_week(member, label, limits=limits)
            store(kept)
        found.append(kept)
    text = report(found, details=details)
    due = load_roster().due_text(week_folder(week)) if week else ""
    text += f"\nDue: {due}." if due else ""
    told = [asdict(one if details else replace(one, detail="")) for one in found]
    _show(told, text, as_json)
    raise typer.Exit(0 if all(one.is_fine for one in found) else 1)


@members_app.command(context_settings={"ignore_unknown_options": True})
def mark(
    name: Name,
    week: Week,
    points: Annotated[str, typer.Argument(help="By the rubric.")],
    comment: Annotated[str | None, typer.Option(help="What the member should know.")] = None,
) -> None:
    """Write down the points that you gave by a rubric, outside of the repository.

    \b
    Example: dnnc members mark ada_lovelace 3 3.5 --comment "The third claim needs a figure."
    """
    from common.members.folders import known_member
    from common.members.marks import marks_file, set_mark
    from common.members.review import rubric_points

    known_member(name)
    try:
        given = float(points)
    except ValueError:
        raise ValueError(f"points {points!r}: expected a number such as 3.5") from None
    most = rubric_points(week)
    if not 0 <= given <= most:
        raise ValueError(f"points {points}: the rubric of week {week} gives 0 to {most}")
    set_mark(name, week, given, **({} if comment is None else {"comment": comment}))
    print(printable(f"{marks_file()}: {name}, week {week}: {given:g} of {most} points"))


@members_app.command()
def extend(
    name: Name,
    week: Week,
    day: Annotated[str, typer.Argument(help="2027-02-26, 2027-02-26T18:00, or none to take it back.")],
) -> None:
    """Give a member a later due date for a week; it stays private.

    \b
    Example: dnnc members extend ada_lovelace 3 2027-02-26
    """
    from datetime import date, datetime

    from common.members.folders import known_member
    from common.members.marks import set_mark
    from common.members.review import rubric_points
    from common.members.roster import date_text, end_of, load_roster

    known_member(name)
    rubric_points(week)  # refuses a week that is not there
    zone = load_roster().timezone
    if day == "none":
        until = None
    else:
        try:
            until = end_of(date.fromisoformat(day) if len(day) == 10 else datetime.fromisoformat(day), zone)
        except ValueError:
            raise ValueError(f"day {day!r}: expected one such as 2027-02-26 or 2027-02-26T18:00") from None
    set_mark(name, week, extension=until)
    print(printable(f"{name}, week {week}: {f'until {date_text(until, zone)}' if until else 'no extension'}"))


@members_app.command()
def migrate() -> None:
    """Move members/marks.toml of earlier versions out of the repository.

    \b
    Example: dnnc members migrate
    """
    from common.members.marks import migrate as move

    n_marks, path = move()
    if not n_marks:
        print("members/marks.toml is not there: nothing to move")
        return
    print(printable(f"{path}: {n_marks} marks added; members/marks.toml is deleted: commit that."))
    print("The repository's history still shows it: what was public once cannot be taken back.")


@members_app.command()
def review(
    week: Week,
    port: Annotated[int, typer.Option(min=0, max=65535, help="0 takes a free one.")] = 0,
    browser: Annotated[bool, typer.Option(help="Open the page in a browser.")] = True,
) -> None:
    """Read what a person has to read of every notebook of a week, in a page of this machine.

    Points and comments are written outside of the repository as you type. Ctrl-C ends it.

    \b
    Example: dnnc members review 3
    """
    from common.members.review import serve

    serve(week, port=port, browser=browser)


@members_app.command()
def feedback(
    name: Annotated[str | None, typer.Argument(help="A member's name; by default everybody.")] = None,
    week: Annotated[str | None, typer.Option(help="Only this week.")] = None,
    into_folders: Annotated[
        bool, typer.Option("--into-folders", help="Into members/NAME/feedback/: as public as the repository.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Write a report for each member: points, what the checks said, your comments.

    By default beside the grades, ready to be sent.

    \b
    Example: dnnc members feedback
    """
    from common.members.feedback import write_feedback

    written = write_feedback(name, week=week, into_folders=into_folders)
    _show(
        {"files": [str(path) for path in written]}, "\n".join(map(_short, written)) or "nobody yet", as_json
    )


@members_app.command("import")
def import_class(
    source: Annotated[Path, typer.Argument(help="CSV with name or full_name; team, github, id, email.")],
    private_names: Annotated[
        bool, typer.Option("--private-names", help="Keep full names out of the public roster.")
    ] = False,
) -> None:
    """Write a class from a spreadsheet into the roster; ids and addresses go beside the grades.

    \b
    Example: dnnc members import class.csv
    """
    from common.members.lists import import_people, people_file
    from common.members.roster import load_roster

    new, known = import_people(source, private_names=private_names)
    roster = load_roster()
    print(printable(f"members/team.toml: {len(new)} members added, {len(known)} were there already"))
    print(printable(f"{people_file()}: ids and addresses of {len(new) + len(known)}"))
    if missing := [name for name in new if roster.member(name).github is None]:
        print(printable(f"without a GitHub account, so without hand-ins: {', '.join(missing)}"))
    for warning in roster.warnings:
        print(printable(f"warning: {warning}"))


@members_app.command()
def export(
    out: Annotated[Path, typer.Argument(help="The CSV file; keep it out of the repository.")],
    force: Annotated[bool, typer.Option("--force", help="Replace it.")] = False,
) -> None:
    """Write everybody's points as CSV, for a learning platform.

    \b
    Example: dnnc members export ../grades.csv
    """
    from datetime import UTC, datetime

    from common.base.files import whole_file
    from common.members.board import gather
    from common.members.lists import grade_lines, load_people, write_csv

    if out.exists() and not force:
        raise ValueError(f"{out} exists: choose another name, or add --force")
    lines = grade_lines(
        gather(made=datetime.now(UTC)),
        load_people(),
        say=lambda text: print(f"warning: {text}", file=sys.stderr),
    )
    with whole_file(out) as aside:
        aside.touch(mode=0o600)
        write_csv(aside, lines)
    print(printable(f"{_short(out)}: {len(lines) - 1} members"))


@members_app.command()
def board(
    out: Annotated[Path | None, typer.Option(help="The page; by default runs/board/board.html.")] = None,
    grades: Annotated[
        bool, typer.Option("--grades", help="The instructor's board: points, full names.")
    ] = False,
    measure: Annotated[
        bool, typer.Option("--leaderboard/--no-leaderboard", help="Measure the .dcz files, or not.")
    ] = True,
    seconds: Annotated[float, typer.Option(min=1, help="Time limit of measuring one .dcz file.")] = 900.0,
    as_json: Json = False,
) -> None:
    """Make the board: a page, and CSV beside it.

    The public one says who has handed in what, and shows the leaderboard. With --grades it is the
    instructor's, with the points of `dnnc members check` and yours, and lies beside the grades. A new .dcz is
    measured, once.

    \b
    Example: dnnc members board --grades
    """
    from datetime import UTC, datetime

    from common.members.board import ROOT, gather, write_board
    from common.members.marks import grades_folder

    ranks = _leaderboard(seconds) if measure else None
    default = grades_folder() / "board.html" if grades else ROOT / "runs" / "board" / "board.html"
    written = write_board(gather(leaderboard=ranks, made=datetime.now(UTC), grades=grades), out or default)
    text = "\n".join(_short(path) for path in written)
    result = {"files": [str(path) for path in written]}
    result["leaderboard"] = [asdict(place) for place in ranks.places] if ranks else []
    result["invalid"] = [asdict(entry) for entry in ranks.invalid] if ranks else []
    _show(result, text, as_json)


@members_app.command()
def gate(
    author: Annotated[str, typer.Option(help="The GitHub account that opened the pull request.")],
    base: Annotated[str, typer.Option(help="The commit of the main branch, all of its digits.")],
    head: Annotated[str, typer.Option(help="The commit that is to be merged.")],
    as_json: Json = False,
) -> None:
    """Decide whether a pull request touches its author's folder only.

    \b
    Example: dnnc members gate --author ada-l --base $(git rev-parse main) --head $(git rev-parse HEAD)
    """
    from common.members.gate import judge_pull_request

    decision = judge_pull_request(author, base, head)
    _show(asdict(decision), decision.message, as_json)
    raise typer.Exit(0 if decision.is_allowed else 1)


@course_app.command("release")
def release_edition(
    folder: Annotated[Path, typer.Argument(help="New, empty, or made by an earlier release.")],
    repository: Annotated[str, typer.Option(help="https://github.com/<owner>/<name> of the group.")],
    as_json: Json = False,
) -> None:
    """Make the mentees' edition of the course, or renew one.

    Solutions become stubs, answers are cleared, the answer key and the tests stay here. In an edition that is
    there, members/ and .git stay as they are.

    \b
    Example: dnnc course release ../course-2027 --repository https://github.com/ada-l/course-2027
    """
    from common.members.release import release

    done = release(folder, repository)
    _show(asdict(done) | {"folder": str(folder)}, f"{folder}\n{done.table()}", as_json)


@course_app.callback()
def _course() -> None:
    """Keep `release` a command of its own, although it is the only one yet."""
    if not set(sys.argv) & {"--help", "-h"}:
        needs_checkout("dnnc course")


def _leaderboard(seconds: float):
    """The files of all members, measured and ranked."""
    from common.members.leaderboard import ENTRY_LIMITS, measure_entries, rank_entries

    entries = measure_entries(
        limits=replace(ENTRY_LIMITS, seconds=seconds),
        say=lambda text: print(text, "...", file=sys.stderr, flush=True),
    )
    return rank_entries(entries)


def _check_capstone(name: str | None, as_json: bool) -> None:
    """Measure a member's .dcz files, say what counts, and end."""
    if name is None:
        raise ValueError("check: capstone needs a member's name; `dnnc members board` measures everybody's")
    from common.members.leaderboard import check_entries, entries_report, other_entries, rank_entries

    entries = check_entries(name)
    others, unknown = other_entries(name)
    board = rank_entries([*entries, *others])
    is_wrong = any(entry.problem and not entry.problem.startswith("not measured") for entry in entries)
    ranks = {place.entry.file: place.rank for place in board.places if place.entry.member == name}
    told = [
        asdict(entry) | {"rank": ranks.get(entry.file), "others_not_measured": len(unknown)}
        for entry in entries
    ]
    _show(told, entries_report(entries, board, unknown), as_json)
    raise typer.Exit(1 if is_wrong else 0)


def _short(path: Path) -> str:
    """The path from the repository's top, where it is below it."""
    root = ROOT
    return path.relative_to(root).as_posix() if path.is_relative_to(root) else str(path)


def _show(result: object, text: str, as_json: bool) -> None:
    print(json_text(result, ensure_ascii=False) if as_json else printable(text, keep="\n"))
