"""A page on which a person grades by the rubric: the answers of all notebooks of a week, side by side.

``dnnc members review WEEK`` serves it to this machine alone, under an address that cannot be guessed. Points
and comments are written outside of the repository as they are typed (`common.members.marks`). What comes from
notebooks is shown, never run: text is escaped, Markdown is rendered without HTML, and the page's policy lets
nothing be loaded from elsewhere.
"""

from __future__ import annotations

import base64
import binascii
import importlib
import json
import re
import secrets
import socket
import webbrowser
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from common.base.files import ROOT
from common.base.text import printable
from common.members.checking import MAX_NOTEBOOK, stored
from common.members.folders import NOTEBOOK, assignments, member_names, read_regular, week_folder
from common.members.lists import load_people
from common.members.marks import Mark, load_grades, marks_file, set_mark
from common.members.roster import load_roster

MAX_SHOWN = 60_000  # characters of one output or cell
MAX_PICTURE = 2_000_000
_HEADING = re.compile(r"##\s+Question\s+(\d+)\b")


@dataclass(frozen=True)
class Piece:
    """A cell or an output: ``markdown``, ``code``, ``text`` or ``picture`` (PNG in base64)."""

    kind: str
    content: str


@dataclass(frozen=True)
class Answer:
    """What a member has written, what was decided about it so far, and what the checks gave (`checked`)."""

    name: str
    full_name: str
    pieces: tuple[Piece, ...]
    mark: Mark
    checked: str
    problem: str = ""


def rubric_questions(week: str | int) -> dict[int, str]:
    """Titles of the questions of a week that a person reads, by number.

    Raises
    ------
    ValueError
        There is no such week.
    """
    return {one.number: one.title for one in _questions(week) if one.check is None}


def rubric_points(week: str | int) -> int:
    """Points that a person gives in a week.

    Raises
    ------
    ValueError
        There is no such week.
    """
    return sum(one.points for one in _questions(week) if one.check is None)


def _questions(week: str | int):
    label = week_folder(week)
    try:
        return importlib.import_module(f"common.checks.{label}").QUESTIONS
    except ModuleNotFoundError as error:
        raise ValueError(
            f"{label} has no assignment: there are {', '.join(assignments()) or 'none'}"
        ) from error


def question_pieces(notebook: Mapping, numbers: set[int]) -> tuple[Piece, ...]:
    """The cells of some questions, from their headings to the next, with their stored outputs.

    Raises
    ------
    ValueError
        It is not a notebook.
    """
    pieces, is_inside = [], False
    try:
        for cell in notebook["cells"]:
            source = cell["source"] if isinstance(cell["source"], str) else "".join(cell["source"])
            if cell["cell_type"] == "markdown" and source.startswith("## "):
                found = _HEADING.match(source)
                is_inside = found is not None and int(found[1]) in numbers
            if is_inside and source.strip():
                kind = "markdown" if cell["cell_type"] == "markdown" else "code"
                pieces.append(Piece(kind, source[:MAX_SHOWN]))
                pieces += [piece for one in cell.get("outputs", []) if (piece := _output(one))]
    except (KeyError, TypeError, AttributeError, ValueError) as error:
        raise ValueError(f"the notebook is broken ({type(error).__name__})") from error
    return tuple(pieces)


def _output(output: Mapping) -> Piece | None:
    """An output as it can be shown; None for one that cannot."""
    data = output.get("data", {})
    if isinstance(picture := data.get("image/png"), str | list):
        plain = "".join(picture).replace("\n", "")
        try:
            is_png = len(plain) < MAX_PICTURE and base64.b64decode(plain, validate=True)[:4] == b"\x89PNG"
        except binascii.Error:
            is_png = False
        if is_png:
            return Piece("picture", plain)
    if output.get("output_type") == "error":
        return Piece("text", f"{output.get('ename', '')}: {output.get('evalue', '')}"[:500])
    text = "".join(output.get("text") or data.get("text/plain") or "")[:MAX_SHOWN]
    return Piece("text", text) if text.strip() else None


def answers(week: str | int, *, root: Path = ROOT, path: Path | None = None) -> list[Answer]:
    """Everybody's answers to the questions that a person reads, in the order of names.

    Parameters
    ----------
    week : str or int
    root : Path
        The repository.
    path : Path, optional
        The file of grades.
    """
    label, numbers = week_folder(week), set(rubric_questions(week))
    given = set(question_pieces(json.loads(assignments(root)[label].read_bytes()), numbers))
    roster, marks, people = load_roster(root / "members" / "team.toml"), load_grades(path), load_people()
    found = []
    for name in member_names(root):
        notebook = root / "members" / name / label / NOTEBOOK
        if not notebook.exists() or notebook.parent.is_symlink():
            continue
        pieces, problem = (), ""
        try:
            pieces = question_pieces(json.loads(read_regular(notebook, MAX_NOTEBOOK)), numbers)
            problem = "" if pieces else "the notebook no longer has this question"
            # the assignment's own cells are left out: the page shows them once, above all answers
            pieces = tuple(one for one in pieces if one.kind not in ("markdown", "code") or one not in given)
            if not problem and all(one.kind in ("text", "picture") for one in pieces):
                problem = "nothing is written besides the assignment's own cells"
        except (ValueError, RecursionError) as error:
            problem = (
                printable(str(error))[:200]
                if not isinstance(error, json.JSONDecodeError)
                else "it is not JSON"
            )
        check, member, person = stored(name, label), roster.member(name), people.get(name)
        checked = f"{check.points} of {check.checkable} by the checks" if check else "not checked yet"
        full_name = (person and person.full_name) or (member.full_name if member else name)
        found.append(Answer(name, full_name, pieces, marks.get((name, label), Mark()), checked, problem))
    return found


def make_app(
    week: str | int,
    secret: str,
    *,
    root: Path = ROOT,
    path: Path | None = None,
    tell: Callable[[str], None] = print,
):
    """The page as a WSGI application; everything lies below ``/<secret>/``.

    Parameters
    ----------
    week : str or int
    secret : str
        A part of the address that nobody can guess.
    root, path : Path
        As in `answers`.
    tell : callable
        Called with a line for the terminal whenever something is written.
    """
    from flask import Flask, abort, request
    from markdown_it import MarkdownIt
    from markupsafe import Markup

    from common.members.board import template_environment

    most, titles = rubric_points(week), rubric_questions(week)
    known = assignments(root)[week_folder(week)]
    rubric = question_pieces(json.loads(known.read_bytes()), set(titles))
    markdown = MarkdownIt("commonmark", {"html": False}).enable("table").disable("image")
    app = Flask(__name__, static_folder=None)
    app.config.update(MAX_CONTENT_LENGTH=100_000)

    @app.after_request
    def add_headers(response):
        response.headers["Content-Security-Policy"] = (
            f"default-src 'none'; style-src 'unsafe-inline'; script-src 'nonce-{secret}'; img-src data:; "
            "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
        )
        response.headers["Referrer-Policy"] = "no-referrer"
        response.headers["X-Content-Type-Options"] = "nosniff"
        response.headers["Cache-Control"] = "no-store"
        return response

    @app.get(f"/{secret}/")
    def page() -> str:
        return (
            template_environment()
            .get_template("review.html")
            .render(
                week=int(week_folder(week)[4:]),
                titles=titles,
                most=most,
                rubric=[one for one in rubric if one.kind == "markdown"][:1],
                answers=answers(week, root=root, path=path),
                render=lambda text: Markup(markdown.render(text)),
                nonce=secret,
                file=path or marks_file(root),
            )
        )

    @app.post(f"/{secret}/mark")
    def write() -> dict:
        given = request.get_json(silent=True)
        if not isinstance(given, dict) or given.get("name") not in member_names(root):
            abort(400)
        points, comment = given.get("points"), given.get("comment", "")
        try:
            if points is not None and (type(points) not in (int, float) or not 0 <= points <= most):
                raise ValueError(f"points: expected 0 to {most}")
            text = comment.replace("\r\n", "\n").strip() if isinstance(comment, str) else None
            mark = set_mark(given["name"], week, points, path or marks_file(root), comment=text)
        except (ValueError, AttributeError) as error:
            return {"problem": str(error)}
        tell(
            printable(
                f"{given['name']}: {'no points yet' if mark.points is None else f'{mark.points:g}'} of {most}"
            )
        )
        return {"problem": ""}

    return app


def serve(week: str | int, *, port: int = 0, browser: bool = True) -> None:
    """Serve the page to this machine until an interrupt."""
    import waitress

    secret = secrets.token_urlsafe(18)
    app = make_app(week, secret, tell=lambda line: print(line, flush=True))
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", port))
        link = f"http://127.0.0.1:{listener.getsockname()[1]}/{secret}/"
        server = waitress.create_server(app, sockets=[listener], threads=4, ident=None)
        print(f"Week {int(week_folder(week)[4:])}: {link}", flush=True)
        print(printable(f"Writes to {marks_file()}. Ctrl-C ends it."), flush=True)
        if browser:
            webbrowser.open(link)
        server.run()
