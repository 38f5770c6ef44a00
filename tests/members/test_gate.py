"""The gate: one's own folder and nothing else, whatever git can be made to say."""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from common.members import gate
from common.members.gate import Change, changes_between, decide, judge_pull_request
from common.members.roster import read_roster

ROOT = Path(__file__).resolve().parents[2]
ROSTER_TEXT = """
instructors = ["grace-h"]
[[members]]
name = "ada"
full_name = "Ada"
github = "Ada-L"
[[members]]
name = "ada_b"
full_name = "Another Ada"
github = "ada-b"
"""
ROSTER = read_roster(ROSTER_TEXT)


def by_ada(*changes):
    return decide("ada-l", [Change(c) if isinstance(c, str) else c for c in changes], ROSTER)


def test_ones_own_folder_is_open():
    decision = by_ada("members/ada/week03/assignment.ipynb", "members/ada/profile.md")
    assert decision.is_allowed
    assert decision.message == "2 changed files, all in `members/ada/`."
    assert (decision.member, decision.weeks) == ("ada", ("week03",))


def test_deletions_in_ones_own_folder_are_allowed_and_not_checked():
    decision = by_ada(Change("members/ada/week03/assignment.ipynb", "000000"))
    assert decision.is_allowed
    assert decision.weeks == ()


@pytest.mark.parametrize(
    "path",
    [
        "README.md",
        "members/README.md",
        "members/team.toml",
        "members/marks.toml",
        "members/template/x.md",
        "members/ada_b/week03/assignment.ipynb",
        "members/adab/x",
        "members/ad",
        "members/ada",
        "Members/ada/x",
        "members/Ada/x",
        ".github/workflows/members.yml",
        "common/checks/week03.py",
        "conftest.py",
        "members/conftest.py",
        "week03_cnns/assignment/assignment.ipynb",
        "members/\u0430da/x",
    ],
)
def test_everything_else_is_closed(path):
    decision = by_ada("members/ada/week03/assignment.ipynb", path)
    assert not decision.is_allowed
    assert "is outside your folder" in decision.message
    assert "`members/ada/` and nowhere else" in decision.message


@pytest.mark.parametrize(
    "path",
    [
        "members/ada/../ada_b/x",
        "members/ada/./x",
        "members//ada/x",
        "/members/ada/x",
        "members/ada/",
        "members/ada/a\\..\\b",
        "members/ada/a\nb",
        "members/ada/a\0b",
        "members/ada/\u202egnp.exe",
        "members/ada/\udcff",
        "",
    ],
)
def test_path_tricks_are_no_paths_for_work(path):
    decision = by_ada(path)
    assert not decision.is_allowed
    assert "is not a path for work" in decision.message
    assert decision.message.isprintable() or set("\n") >= {c for c in decision.message if not c.isprintable()}


@pytest.mark.parametrize(
    "name", [".git/config", ".gitmodules", "week01/.gitattributes", ".GitHub/x", ".GIT/x"]
)
def test_nothing_that_steers_git(name):
    decision = by_ada(f"members/ada/{name}")
    assert not decision.is_allowed
    assert "would change how git or GitHub behaves" in decision.message


def test_links_and_submodules_are_refused():
    assert "symbolic link" in by_ada(Change("members/ada/week01/assignment.ipynb", "120000")).message
    assert "repository of its own" in by_ada(Change("members/ada/week01", "160000")).message


@pytest.mark.parametrize(
    ("path", "most"),
    [
        ("week03/assignment.ipynb", 1_000_000),
        ("capstone/small.dcz", 16 << 20),
        ("week03/a.dcz", 1_000_000),
        ("presentations/slides.pdf", 8 << 20),
        ("capstone/notes.md", 1_000_000),
    ],
)
def test_files_have_a_largest_size(path, most):
    assert by_ada(Change(f"members/ada/{path}", n_bytes=most)).is_allowed
    decision = by_ada(Change(f"members/ada/{path}", n_bytes=most + 1))
    assert not decision.is_allowed
    assert f"at most {most:,} are allowed" in decision.message


def test_a_flood_of_files_is_refused_and_shortly():
    decision = by_ada(*(f"common/{i}.py" for i in range(300)))
    assert "300 files are changed, at most 200 at once" in decision.message
    assert len(decision.message.splitlines()) < 20
    assert not by_ada(*(f"members/ada/{i}" for i in range(201))).is_allowed


def test_instructors_may_change_everything_and_strangers_nothing():
    changes = [Change("common/cli.py"), Change("members/ada/week01/x")]
    assert decide("Grace-H", changes, ROSTER).is_allowed
    for stranger in ("eve", "ada", "ada-l2"):
        decision = decide(stranger, [Change("members/ada/week01/x")], ROSTER)
        assert not decision.is_allowed
        assert f'github = "{stranger}"' in decision.message
    for name in ("", "-x", "ada-l\n", "ada l", "a`b"):
        assert not decide(name, changes, ROSTER).is_allowed


@pytest.fixture
def course(tmp_path):
    """A small course under git, with a function that commits changes on a branch and comes back."""
    quiet = {"GIT_CONFIG_GLOBAL": "/dev/null", "GIT_CONFIG_SYSTEM": "/dev/null"}
    roles = [f"GIT_{role}_{what}" for role in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")]
    who = dict.fromkeys(roles, "x@example.org")

    def git(*arguments):
        done = subprocess.run(
            ["git", *arguments],
            cwd=tmp_path,
            check=True,
            capture_output=True,
            text=True,
            env={**os.environ, **quiet, **who},
        )
        return done.stdout.strip()

    def commit(**files):
        """Write files (None deletes), commit, return the commit; the working tree is main's again."""
        git("checkout", "--quiet", "-b", f"work{len(git('branch').splitlines())}", "main")
        for name, content in files.items():
            path = tmp_path / name
            path.parent.mkdir(parents=True, exist_ok=True)
            if content is None:
                path.unlink()
            elif isinstance(content, Path):
                path.symlink_to(content)
            else:
                path.write_text(content)
        git("add", "--all")
        git("commit", "--quiet", "-m", "work")
        commit = git("rev-parse", "HEAD")
        git("checkout", "--quiet", "main")
        return commit

    git("init", "--quiet", "--initial-branch=main")
    files = {"members/team.toml": ROSTER_TEXT, "members/ada/week01/a.md": "long enough\n" * 20}
    files |= {"members/ada_b/week01/b.md": "b\n", "common/code.py": "code\n" * 30}
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    git("add", "--all")
    git("commit", "--quiet", "-m", "the course")
    return tmp_path, git, commit


def judge(course, head, author="ada-l"):
    root, git, _ = course
    return judge_pull_request(author, git("rev-parse", "main"), head, root)


def test_a_real_commit_in_ones_own_folder(course):
    root, git, commit = course
    head = commit(**{"members/ada/week02/new.md": "x" * 50, "members/ada/week01/a.md": None})
    assert sorted(changes_between(git("rev-parse", "main"), head, root), key=lambda c: c.path) == [
        Change("members/ada/week01/a.md", "000000", 0),
        Change("members/ada/week02/new.md", "100644", 50),
    ]
    decision = judge(course, head)
    assert decision.is_allowed
    assert decision.weeks == ("week02",)


def test_a_renaming_counts_on_both_sides(course):
    """Git would call these renamings, and name both paths in one entry."""
    _, _, commit = course
    text = "code\n" * 30
    taken = judge(course, commit(**{"common/code.py": None, "members/ada/week01/code.py": text}))
    given = judge(
        course, commit(**{"members/ada/week01/a.md": None, "members/ada_b/a.md": "long enough\n" * 20})
    )
    assert "`common/code.py` is outside" in taken.message
    assert "`members/ada_b/a.md` is outside" in given.message
    assert not taken.is_allowed
    assert not given.is_allowed


def test_deleting_somebody_elses_work_is_refused(course):
    decision = judge(course, course[2](**{"members/ada_b/week01/b.md": None}))
    assert not decision.is_allowed
    assert "`members/ada_b/week01/b.md` is outside your folder" in decision.message


def test_a_new_roster_in_the_pull_request_changes_nothing(course):
    new = ROSTER_TEXT.replace("grace-h", "ada-l").replace("Ada-L", "someone")
    decision = judge(course, course[2](**{"members/team.toml": new, "common/code.py": "mine now\n"}))
    assert not decision.is_allowed
    assert "`members/team.toml` is outside" in decision.message


def test_a_link_in_ones_own_folder_is_refused(course):
    decision = judge(course, course[2](**{"members/ada/week02/assignment.ipynb": Path("/etc/passwd")}))
    assert "symbolic link" in decision.message


def test_odd_names_arrive_as_they_are(course):
    decision = judge(course, course[2](**{"members/ada/week01/tab\there": "x", "members/ada/ü.md": "x"}))
    assert "`members/ada/week01/tab\\there` is not a path for work" in decision.message
    assert "ü" not in decision.message
    assert judge(course, course[2](**{"members/ada/ü.md": "x"})).is_allowed


def test_what_main_did_meanwhile_is_nobodys_change(course):
    root, git, commit = course
    head = commit(**{"members/ada/week02/new.md": "x"})
    (root / "common" / "code.py").write_text("instructors go on\n")
    git("commit", "--quiet", "--all", "-m", "meanwhile")
    assert judge(course, head).is_allowed


def forged_history(course, date):
    """A merged pull request, then a branch that merges main "ours": git may see either common ancestor."""
    root, git, commit = course
    os.environ["GIT_COMMITTER_DATE"] = date
    first = commit(**{"members/ada/week01/first.md": "the first hand-in\n"})
    del os.environ["GIT_COMMITTER_DATE"]
    (root / "common/code.py").write_text("the gate, mended\n")
    (root / "members/ada_b/week02").mkdir()
    (root / "members/ada_b/week02/b.md").write_text("a classmate's hand-in\n")
    git("add", "--all")
    git("commit", "--quiet", "-m", "main goes on")
    second = git("rev-parse", "main")
    git("merge", "--quiet", "--no-ff", "-m", "the first pull request", first)
    git("checkout", "--quiet", "-b", "evil", first)
    git("merge", "--quiet", "-s", "ours", "-m", "looks harmless", second)
    (root / "members/ada/week01/first.md").write_text("the first hand-in, better\n")
    git("commit", "--quiet", "--all", "-m", "my work")
    head = git("rev-parse", "HEAD")
    git("checkout", "--quiet", "main")
    return head


@pytest.mark.parametrize("date", ["2030-01-01T00:00:00Z", "2001-01-01T00:00:00Z"])
def test_a_history_with_two_common_ancestors_is_refused(course, date):
    """Merging it would delete a classmate's work and undo what main has mended, whatever the dates say."""
    head = forged_history(course, date)
    decision = judge(course, head)
    assert not decision.is_allowed
    assert "2 common ancestors" in decision.message
    assert "git switch -c NEW origin/main" in decision.message


def test_a_branch_without_a_common_ancestor_is_refused(course):
    _root, git, _ = course
    git("checkout", "--quiet", "--orphan", "alone")
    git("commit", "--quiet", "-m", "alone")
    head = git("rev-parse", "HEAD")
    git("checkout", "--quiet", "main")
    assert "no common ancestor" in judge(course, head).message


def test_a_merge_of_main_that_drops_its_changes_is_refused(course):
    """One common ancestor, and the three-dot difference alone would still show nothing elsewhere."""
    root, git, commit = course
    work = commit(**{"members/ada/week02/new.md": "x"})
    (root / "common/code.py").write_text("main goes on\n")
    git("commit", "--quiet", "--all", "-m", "main goes on")
    git("checkout", "--quiet", "-b", "dropping", work)
    git("merge", "--quiet", "-s", "ours", "-m", "m", "main")
    head = git("rev-parse", "HEAD")
    git("checkout", "--quiet", "main")
    decision = judge(course, head)
    assert not decision.is_allowed
    assert "`common/code.py` is outside" in decision.message


def test_an_honest_merge_of_main_is_allowed(course):
    root, git, commit = course
    work = commit(**{"members/ada/week02/new.md": "x"})
    (root / "common/code.py").write_text("main goes on\n")
    git("commit", "--quiet", "--all", "-m", "main goes on")
    git("checkout", "--quiet", "-b", "updating", work)
    git("merge", "--quiet", "-m", "m", "main")
    head = git("rev-parse", "HEAD")
    git("checkout", "--quiet", "main")
    assert judge(course, head).is_allowed


def test_what_conflicts_with_main_is_refused_with_a_way_out(course):
    root, git, commit = course
    head = commit(**{"members/ada/week01/a.md": "mine\n"})
    (root / "members/ada/week01/a.md").write_text("theirs\n")
    git("commit", "--quiet", "--all", "-m", "an instructor's change")
    decision = judge(course, head)
    assert not decision.is_allowed
    assert "conflicts with main" in decision.message


def test_a_large_file_that_the_next_commit_removes_is_weighed(course):
    """It would stay in the history of every clone for ever."""
    root, git, _commit = course
    git("checkout", "--quiet", "-b", "heavy", "main")
    big = root / "members/ada/week02/data.bin"
    big.parent.mkdir()
    big.write_bytes(b"x" * 1_000_001)
    (big.parent / "new.md").write_text("x")
    git("add", "--all")
    git("commit", "--quiet", "-m", "oh")
    git("rm", "--quiet", str(big))
    git("commit", "--quiet", "-m", "gone")
    head = git("rev-parse", "HEAD")
    git("checkout", "--quiet", "main")
    decision = judge(course, head)
    assert not decision.is_allowed
    assert "an earlier commit holds `members/ada/week02/data.bin` with 1,000,001 bytes" in decision.message


def test_all_versions_together_have_a_limit():
    slides = [Change(f"members/ada/presentations/{i}.pdf", n_bytes=8 << 20) for i in range(8)]
    assert by_ada(*slides).is_allowed
    decision = by_ada(*slides, Change("members/ada/week01/a.md", n_bytes=1))
    assert "together have 67,108,865 bytes, at most 67,108,864" in decision.message
    versions = [Change("members/ada/capstone/a.dcz", n_bytes=16 << 20)] * 5
    assert not decide("ada-l", versions[:1], ROSTER, history=versions).is_allowed


@pytest.mark.parametrize(
    "name", ["aux.py", "CON", "week01/nul.tar.gz", "com1.md", "a:b.py", "a.", "a ", "what?.png", "a<b", "x|y"]
)
def test_names_that_windows_cannot_check_out_are_refused(name):
    decision = by_ada(f"members/ada/{name}")
    assert not decision.is_allowed
    assert "cannot be a file on Windows" in decision.message
    assert by_ada(Change(f"members/ada/{name}", "000000")).is_allowed, "taking it away is welcome"


@pytest.mark.parametrize("name", ["git~1/config", "GIT~2", "week01/git~1"])
def test_the_short_name_of_dot_git_is_refused(name):
    assert "how git or GitHub behaves" in by_ada(f"members/ada/{name}").message


@pytest.mark.parametrize("name", ["week01/" + "a" * 81, "/".join(["folder"] * 30)])
def test_long_paths_are_refused(name):
    assert "is too long" in by_ada(f"members/ada/{name}").message


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("helper.py", "Helper.py"),
        ("week03/x", "WEEK03/y"),
        ("\u00e9.md", "e\u0301.md"),
        ("A\u030a", "\u00e5"),
    ],
)
def test_twins_of_case_and_unicode_form_are_refused(one, other):
    decision = by_ada(f"members/ada/{one}", f"members/ada/{other}")
    assert "are one file on Windows and macOS" in decision.message
    assert by_ada(f"members/ada/{one}").is_allowed
    assert by_ada(f"members/ada/{one}", Change(f"members/ada/{other}", "000000")).is_allowed


def test_a_twin_of_what_main_has_is_refused(course):
    decision = judge(course, course[2](**{"members/ada/week01/A.md": "x"}))
    assert "`members/ada/week01/a.md` and `members/ada/week01/A.md` are one file" in decision.message or (
        "`members/ada/week01/A.md` and `members/ada/week01/a.md` are one file" in decision.message
    )
    moved = course[2](**{"members/ada/week01/A.md": "x", "members/ada/week01/a.md": None})
    assert judge(course, moved).is_allowed


def test_three_entries_at_most_whatever_the_case_of_their_ending(course):
    names = [f"members/ada/capstone/{name}" for name in ("a.dcz", "b.DCZ", "c.Dcz", "d.dcz")]
    assert by_ada(*names[:3]).weeks == ("capstone",)
    assert "would hold 4 .dcz files, at most 3" in by_ada(*names).message
    _root, git, commit = course
    three = commit(**dict.fromkeys(names[:3], "x"))
    assert judge(course, three).is_allowed
    git("merge", "--quiet", three)
    assert not judge(course, commit(**{names[3]: "x"})).is_allowed
    assert judge(course, commit(**{names[3]: "x", names[0]: None})).is_allowed
    assert by_ada(Change("members/ada/capstone/small.DCZ", n_bytes=16 << 20)).is_allowed


@pytest.mark.parametrize("commit", ["HEAD", "--output=x", "main", "0" * 40, ""])
def test_only_commits_that_exist(course, commit):
    assert not judge(course, commit).is_allowed
    assert not (course[0] / "x").exists()


def test_a_broken_roster_allows_nothing(course):
    root, _, commit = course
    head = commit(**{"members/ada/week02/new.md": "x"})
    (root / "members" / "team.toml").write_text("[[members")
    decision = judge(course, head)
    assert not decision.is_allowed
    assert "roster" in decision.message


def test_on_github_it_writes_summary_and_outputs(course, monkeypatch, capsys, tmp_path):
    root, git, commit = course
    summary, output = tmp_path / "summary", tmp_path / "output"
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(summary))
    monkeypatch.setenv("GITHUB_OUTPUT", str(output))
    monkeypatch.setattr(gate, "judge_pull_request", lambda *given: judge_pull_request(*given, root))
    main, head = git("rev-parse", "main"), commit(**{"members/ada/week02/new.md": "x"})
    assert gate.main(["ada-l", main, head]) == 0
    assert output.read_text() == "member=ada\nweeks=week02\n"
    assert "all in `members/ada/`" in summary.read_text()
    assert gate.main(["eve", main, head]) == 1
    assert "no GitHub account eve" in summary.read_text()
    assert output.read_text().endswith("member=\nweeks=\n")


def workflows():
    return {
        path.name: yaml.safe_load(path.read_text()) for path in (ROOT / ".github/workflows").glob("*.yml")
    }


def test_no_workflow_runs_strangers_code_with_rights():
    """`pull_request_target` has secrets and a token that writes; ours have a token that reads."""
    found = workflows()
    assert {"members.yml", "board.yml", "test.yml"} <= set(found)
    for name, workflow in found.items():
        triggers = workflow[True]  # YAML takes `on` for a truth value
        assert set(triggers) <= {"push", "pull_request", "workflow_dispatch"}, name
        assert workflow["permissions"] == {"contents": "read"}, name
        for job in workflow["jobs"].values():
            if set(job.get("permissions", {"contents": "read"}).values()) != {"read"}:
                # what publishes the site: pages only, after a push only, and no code of the repository
                assert (name, job["permissions"]) == ("site.yml", {"pages": "write", "id-token": "write"})
                assert "pull_request" not in triggers
                assert [step["uses"].partition("@")[0] for step in job["steps"]] == ["actions/deploy-pages"]
        text = json.dumps(workflow)
        assert "secrets" not in text, name


def test_nothing_from_a_pull_request_is_pasted_into_a_script():
    """Names of branches and accounts may hold shell code: they reach scripts as variables."""
    for name, workflow in workflows().items():
        for job in workflow["jobs"].values():
            for step in job["steps"]:
                assert "${{" not in step.get("run", ""), f"{name}: {step['run']}"


def steps():
    return [
        (name, step)
        for name, workflow in workflows().items()
        for job in workflow["jobs"].values()
        for step in job["steps"]
    ]


def test_no_checkout_leaves_a_token_behind():
    checkouts = [
        (name, step) for name, step in steps() if step.get("uses", "").startswith("actions/checkout@")
    ]
    assert {name for name, _ in checkouts} == set(workflows())
    for name, step in checkouts:
        assert step["with"]["persist-credentials"] is False, name


def test_actions_are_pinned_to_commits():
    used = [(name, step["uses"]) for name, step in steps() if "uses" in step]
    assert used
    for name, action in used:
        assert re.fullmatch(r"[\w./-]+@[0-9a-f]{40}", action), (name, action)


def test_a_hand_in_does_not_run_the_whole_test_matrix():
    triggers = workflows()["test.yml"][True]
    for event in ("push", "pull_request"):
        assert triggers[event]["paths-ignore"] == ["members/*/**"]


def test_the_gate_is_for_main_alone_and_judges_by_its_newest_commit():
    """A request to a branch with a roster of its own would get a green mark, and keep it for main."""
    workflow = workflows()["members.yml"]
    assert workflow[True]["pull_request"]["branches"] == ["main"]
    assert "edited" in workflow[True]["pull_request"]["types"], "also when it is turned to main"
    gate_steps = workflow["jobs"]["gate"]["steps"]
    assert gate_steps[0]["with"]["ref"] == "main"


@pytest.mark.parametrize("tool", [["zizmor", "--offline", "--quiet", ".github"], ["actionlint"]])
def test_workflow_linters_find_nothing(tool):
    program = shutil.which(tool[0]) or shutil.which(tool[0], path=str(Path(sys.executable).parent))
    if program is None:
        pytest.skip(f"{tool[0]} is not installed")
    done = subprocess.run([program, *tool[1:]], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_gate_needs_nothing_but_python():
    modules = "common.members.gate, common.members.roster, common.members.roster"
    blocked = "import sys; sys.modules.update(dict.fromkeys(['typer', 'numpy', 'psutil', 'yaml']))"
    subprocess.run([sys.executable, "-S", "-c", f"{blocked}; import {modules}"], cwd=ROOT, check=True)
