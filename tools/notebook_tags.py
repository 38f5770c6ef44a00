"""Tags and metadata of the lectures, set by rule: ``python tools/notebook_tags.py [--check] [notebook ...]``.

A cell's text says what the cell is for. From it this tool sets the tags and metadata that Jupyter, Colab and
the mentees' edition use:

- A markdown cell that ends in a question and the line ``My prediction: …`` makes the code cells up to the
  next markdown cell, which holds the folded answer, *predictions*: tagged ``predict``, their output folded.
- A code cell with a ``# solution:`` region is tagged ``exercise``; the next code cell, which checks it, is
  tagged ``check``.
- A code cell that begins with ``#@title`` is folded (on Colab, a form), and so is the first code cell.

It also counts what a learner reads and sees: words of the markdown cells, lines of the code cells that are
not folded. What follows a heading marked *second reading*, up to the next heading of its level or a higher
one, is not counted; nor are the title's cell, folded answers, questions, exercises, glossary and references.

A lecture that has a prediction is *done*: only then are its tags set and its limits checked
(`limits_broken`). Without ``--check`` outdated notebooks are rewritten, outputs untouched, and the counts are
printed. With it they are only named, and the exit code is 1.
"""

from __future__ import annotations

import json
import re
import sys
from dataclasses import dataclass, field
from pathlib import Path

from common.members.release import reading_order
from common.members.solutions import has_solution, solution_lines, without_solutions

ROOT = Path(__file__).resolve().parents[1]
MOST_WORDS, MOST_LINES = 1_500, 250
PREDICTION = "My prediction: …"
_OWN_TAGS = ("predict", "exercise", "check")
_HEADING = re.compile(r"^(#{1,6})\s+(.*)$")
_SECOND_READING = re.compile(r"second reading", re.IGNORECASE)
_NOT_READING = re.compile(r"^(questions|exercises|glossary|references)\b", re.IGNORECASE)
_PICTURE_OR_LINK = re.compile(r"\[?!\[[^\]]*\]\([^)]*\)(?:\]\([^)]*\))?|\]\([^)]*\)")
_DETAILS = re.compile(r"<details>\s*<summary>(.*?)</summary>(.*?)</details>", re.DOTALL)


def lectures(root: Path = ROOT) -> list[Path]:
    """Return the lecture notebooks in reading order: weeks and capstone, without assignments and slides."""
    folders = [*sorted(root.glob("week[0-9][0-9]_*")), root / "capstone"]
    return [notebook for folder in folders for notebook in reading_order(folder / "README.md")]


def source_of(cell: dict) -> str:
    """Return a cell's text."""
    return "".join(cell["source"])


def is_prediction(cell: dict) -> bool:
    """Return whether a cell is a markdown cell that asks for a prediction."""
    return cell["cell_type"] == "markdown" and source_of(cell).rstrip().endswith(PREDICTION)


def is_done(notebook: dict) -> bool:
    """Return whether a lecture is done: whether it asks for a prediction."""
    return any(map(is_prediction, notebook["cells"]))


def set_tags(notebook: dict) -> None:
    """Give every cell the tags and metadata that follow from its text; other tags and metadata stay."""
    code = [cell for cell in notebook["cells"] if cell["cell_type"] == "code"]
    asked = after_exercise = False
    for cell in notebook["cells"]:
        if cell["cell_type"] != "code":
            asked = is_prediction(cell)
            continue
        text = source_of(cell)
        is_exercise = has_solution(text)
        wanted = {"predict": asked, "exercise": is_exercise, "check": after_exercise and not is_exercise}
        is_title = text.startswith("#@title")
        _set_cell(cell, wanted, hide_source=is_title or cell is code[0], hide_output=asked, form=is_title)
        after_exercise = is_exercise


def _set_cell(cell: dict, tags: dict[str, bool], *, hide_source: bool, hide_output: bool, form: bool) -> None:
    metadata = cell["metadata"]
    kept = [tag for tag in metadata.get("tags", []) if tag not in _OWN_TAGS]
    _set(metadata, "tags", kept + [tag for tag, is_wanted in tags.items() if is_wanted])
    jupyter = dict(metadata.get("jupyter", {}))
    _set(jupyter, "source_hidden", hide_source)
    _set(jupyter, "outputs_hidden", hide_output)
    _set(metadata, "jupyter", jupyter)
    _set(metadata, "cellView", "form" if form else "")


def _set(where: dict, name: str, value: object) -> None:
    """Set a value, or remove the name when the value is empty, so that there is one notation only."""
    if value:
        where[name] = value
    else:
        where.pop(name, None)


@dataclass
class Counts:
    """What a learner reads, sees and does in a lecture."""

    words: int = 0
    lines: int = 0
    predictions: int = 0
    fill_ins: int = 0
    sliders: int = 0
    questions: int = 0
    exercises: int = 0
    parts: list[str] = field(default_factory=list)

    def __str__(self) -> str:
        return (
            f"{self.words:5,} words, {self.lines:3} visible lines; {self.predictions} predictions, "
            f"{self.fill_ins} to fill in, {self.sliders} sliders, {self.questions} questions, "
            f"{self.exercises} exercises"
        )


def count(notebook: dict) -> Counts:
    """Count a lecture's first reading, and what there is to do."""
    counts = Counts()
    section, second_level = "", 0
    for number, cell in enumerate(notebook["cells"]):
        text = source_of(cell)
        if cell["cell_type"] == "code":
            is_hidden = cell["metadata"].get("jupyter", {}).get("source_hidden", False)
            if not (second_level or is_hidden):
                counts.lines += sum(bool(line.strip()) for line in text.splitlines())
            counts.fill_ins += has_solution(text)
            counts.sliders += bool(re.search(r"\bsliders\(", text))
            continue
        counts.predictions += is_prediction(cell)
        for line in _DETAILS.sub("", text).splitlines():
            if heading := _HEADING.match(line):
                level = len(heading[1])
                if second_level and level <= second_level:
                    second_level = 0
                if not second_level and _SECOND_READING.search(heading[2]):
                    second_level = level
                if level <= 2:
                    section = heading[2].lower()
                    counts.parts.append(section)
            is_read = number > 0 and not (second_level or _NOT_READING.match(section))
            counts.words += n_words(line) if is_read else 0
    counts.questions = len(_folded(notebook, "questions", "answer"))
    counts.exercises = len(_folded(notebook, "exercises", "solution"))
    return counts


def n_words(line: str) -> int:
    r"""Return the number of words in a line of Markdown: a formula counts as one, markup and pictures as 0.

    >>> n_words("| **at most** $H + 1$ | [bits](x.md) |"), n_words("[![Open in Colab](a)](b)")
    (4, 0)
    """
    plain = _PICTURE_OR_LINK.sub(" ", re.sub(r"<[^>]*>", " ", line))
    return sum(bool(re.search(r"\w", word)) for word in re.sub(r"\$+[^$]*\$+", " x ", plain).split())


def _folded(notebook: dict, section: str, summary: str) -> list[str]:
    """Return the folded texts of one section whose summary begins with the given word."""
    found: list[str] = []
    inside = False
    for cell in notebook["cells"]:
        if cell["cell_type"] != "markdown":
            continue
        for part in re.split(r"^(?=## )", source_of(cell), flags=re.MULTILINE):
            if heading := _HEADING.match(part.partition("\n")[0]):
                inside = heading[2].lower().startswith(section)
            if inside:
                found += [body for title, body in _DETAILS.findall(part) if title.lower().startswith(summary)]
    return found


def limits_broken(notebook: dict) -> list[str]:
    """Return which limits a lecture that is done breaks, one line each."""
    counts, cells = count(notebook), notebook["cells"]
    broken = []
    if counts.words > MOST_WORDS:
        broken.append(f"{counts.words:,} words, at most {MOST_WORDS:,}: shorten, or mark a second reading")
    if counts.lines > MOST_LINES:
        broken.append(f"{counts.lines} visible lines of code, at most {MOST_LINES}: fold plots with #@title")
    if counts.predictions < 2:
        broken.append(f"{counts.predictions} predictions, at least 2")
    if not 2 <= counts.fill_ins <= 3:
        broken.append(f"{counts.fill_ins} cells to fill in, expected 2 or 3")
    if counts.questions != 5:
        broken.append(f"{counts.questions} folded answers below `## Questions`, expected 5")
    if not 3 <= counts.exercises <= 5:
        broken.append(f"{counts.exercises} folded solutions below `## Exercises`, expected 3 to 5")
    if len(_folded(notebook, "exercises", "hint")) != counts.exercises:
        broken.append("each exercise has one <summary>Hint</summary> and one <summary>Solution</summary>")
    if not any(part.startswith("glossary") for part in counts.parts):
        broken.append("no `## Glossary`")
    for number, cell in enumerate(cells):
        broken += [f"cell {number}: {complaint}" for complaint in _cell_broken(cells, number, cell)]
    return broken


def _cell_broken(cells: list[dict], number: int, cell: dict) -> list[str]:
    text = source_of(cell)
    following = cells[number + 1 :]
    broken = []
    if is_prediction(cell):
        answer = next((each for each in following if each["cell_type"] == "markdown"), cell)
        is_answered = re.match(r"<details>\s*<summary>Answer</summary>\n\n", source_of(answer))
        if not is_answered or following[0] is answer:
            broken.append("a prediction is followed by its code cell and a folded <summary>Answer</summary>")
        if "?" not in text:
            broken.append("a prediction asks a question")
    elif cell["cell_type"] == "markdown":
        if "Predict, then run" in text:
            broken.append(f"a question without its last line `{PREDICTION}`")
        if text.count("<details>") != text.count("</details>"):
            broken.append("a <details> that is not closed")
        if "**Turn.**" in text and any("sliders(" in source_of(each) for each in cells):
            below = next((source_of(each) for each in following if each["cell_type"] == "markdown"), "")
            if "<summary>Answer</summary>" not in text.partition("**Turn.**")[2] + below:
                broken.append("a **Turn.** question has a folded <summary>Answer</summary> below its figure")
    if cell["cell_type"] == "code" and has_solution(text):
        broken += _exercise_broken(text, following)
    return broken


def _exercise_broken(text: str, following: list[dict]) -> list[str]:
    broken = []
    try:
        stub = without_solutions(text, todo=True)
        compile(stub, "stub", "exec")
    except (ValueError, SyntaxError) as error:
        return [f"the stub is not valid Python: {error}"]
    if re.search(r"^raise NotImplementedError", stub, re.MULTILINE):
        broken.append("a solution stands outside of a function: its stub would end the lecture")
    for lines in solution_lines(text):
        if not 1 <= len([line for line in lines if line.strip()]) <= 6:
            broken.append(f"{len(lines)} lines to fill in, expected 1 to 6")
    if not following or following[0]["cell_type"] != "code" or "checks." not in source_of(following[0]):
        broken.append("a cell to fill in is followed by the cell that checks it: name = checks.name(name)")
    return broken


def dumped(notebook: dict) -> str:
    """Return a notebook's text as nbformat writes it."""
    return json.dumps(notebook, indent=1, ensure_ascii=False) + "\n"


def main(arguments: list[str]) -> int:
    """Set the tags, or with ``--check`` only say where they are wrong; return 1 when something is wrong."""
    is_check = "--check" in arguments
    named = [Path(name) for name in arguments if name != "--check"]
    n_broken = 0
    for path in named or lectures():
        text = path.read_text(encoding="utf-8")
        notebook, before = json.loads(text), json.loads(text)
        if is_done(notebook):
            set_tags(notebook)
        name = path.resolve().relative_to(ROOT) if path.resolve().is_relative_to(ROOT) else path
        if notebook != before and is_check:
            n_broken += 1
            print(f"{name}: tags are out of step: run `make tags`")
        elif notebook != before:
            path.write_text(dumped(notebook), encoding="utf-8")
        broken = limits_broken(notebook) if is_done(notebook) else []
        n_broken += len(broken)
        print(f"{name}: {count(notebook)}" + ("" if is_done(notebook) else "; not done yet"))
        for complaint in broken:
            print(f"  {complaint}")
    return 1 if n_broken else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
