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


Name = Annotated[str, typer.Argument(help="A member's name: small letters, digits, underscores.")]
Week = Annotated[str, typer.Argument(help="A number such as 3, or week03.")]
Json = Annotated[bool, typer.Option("--json", help="Print the result as JSON; all else goes to stderr.")]
Team = Annotated[str | None, typer.Option(help="The team's name, spelt like a member's.")]


@members_app.command()
def new(
    name: Name,
    team: Team = None,
    full_name: Annotated[str | None, typer.Option(help="As people write it.")] = None,
    github: Annotated[str | None, typer.Option(help="The account that pull requests come from.")] = None,
    enrol: Annotated[bool, typer.Option("--enrol", help="For instructors: write the roster, too.")] = False,
    as_json: Json = False,
) -> None:
    """Make a member's folder, with a profile and a folder a week.

    What is there already stays as it is.

    \b
    Example: dnnc members new ada_lovelace --team analytical
    """
    from common.members import folders
    from common.members.roster import load_roster

    is_new = folders.enrol(name, full_name=full_name, team=team, github=github) if enrol else False
    made = folders.new_member(name, full_name=full_name, team=team)
    roster = load_roster()
    lines = [f"members/{name}: {len(made)} new files" if made else f"members/{name} was complete already"]
    if is_new:
        lines.append("members/team.toml: a block more")
    elif enrol:
        lines.append(f"members/team.toml has {name} already: nothing was written there")
    elif roster.member(name) is None:
        block = folders.roster_block(name, full_name=full_name, team=team, github=github)
        lines += ["The roster does not know this name. An instructor adds to members/team.toml:", "", block]
    lines += [f"warning: {warning}" for warning in roster.warnings]
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
    from common.members.folders import start_week

    path, is_new = start_week(name, week)
    told = "is your notebook: open it, and go" if is_new else "was there already, and stays as it is"
    shown = _short(path)
    _show({"notebook": shown, "is_new": is_new}, f"{shown} {told}", as_json)


@members_app.command()
def check(
    name: Annotated[str | None, typer.Argument(help="A member's name; or --all.")] = None,
    week: Annotated[str | None, typer.Argument(help="A number such as 3; by default every week.")] = None,
    everybody: Annotated[bool, typer.Option("--all", help="Every member, where something changed.")] = False,
    again: Annotated[bool, typer.Option("--again", help="With --all: also where nothing changed.")] = False,
    seconds: Annotated[float, typer.Option(min=1, help="Time limit of one notebook.")] = 300.0,
    memory: Annotated[float, typer.Option(min=0.1, help="Memory limit in GB.")] = 4.0,
    details: Annotated[bool, typer.Option("--details", help="Also what failing cells have said.")] = False,
    as_json: Json = False,
) -> None:
    """Run notebooks in a sandbox, and give points.

    Exit code 0 only when every notebook ran to its end.

    \b
    Example: dnnc members check ada_lovelace 3
    """
    if (name is None) != everybody:
        raise ValueError("check: expected a member's name, or --all, and not both")
    from common.members.checking import check_week, report, store, stored, weeks_to_check
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
    told = [asdict(one if details else replace(one, detail="")) for one in found]
    _show(told, report(found, details=details), as_json)
    raise typer.Exit(0 if all(one.is_fine for one in found) else 1)


@members_app.command()
def mark(name: Name, week: Week, points: Annotated[float, typer.Argument(help="By the rubric.")]) -> None:
    """Write down the points that you gave by a rubric.

    \b
    Example: dnnc members mark ada_lovelace 3 3.5
    """
    from common.members.folders import member_folder
    from common.members.marks import MARKS, set_mark

    member_folder(name)
    set_mark(name, week, points)
    print(printable(f"{_short(MARKS)}: {name}, week {week}: {points:g} points"))


@members_app.command()
def board(
    out: Annotated[Path | None, typer.Option(help="The page; by default runs/board/board.html.")] = None,
    measure: Annotated[
        bool, typer.Option("--leaderboard/--no-leaderboard", help="Measure the .dcz files, or not.")
    ] = True,
    seconds: Annotated[float, typer.Option(min=1, help="Time limit of measuring one .dcz file.")] = 900.0,
    as_json: Json = False,
) -> None:
    """Make the board: a page, and CSV beside it.

    Shows the points that `dnnc members check` has found. A new .dcz is measured, once.

    \b
    Example: dnnc members board
    """
    from datetime import UTC, datetime

    from common.members.board import ROOT, gather, write_board

    ranks = _leaderboard(seconds) if measure else None
    written = write_board(
        gather(leaderboard=ranks, made=datetime.now(UTC)), out or ROOT / "runs" / "board" / "board.html"
    )
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


def _short(path: Path) -> str:
    """The path from the repository's top, where it is below it."""
    root = ROOT
    return path.relative_to(root).as_posix() if path.is_relative_to(root) else str(path)


def _show(result: object, text: str, as_json: bool) -> None:
    print(json_text(result, ensure_ascii=False) if as_json else printable(text, keep="\n"))
