"""The sandbox: commands that hang, grow, breed, shout or wander off cost a line, and leave nothing behind."""

import os
import sys
import time
from pathlib import Path

import psutil
import pytest

from common.sandbox import confine as landlock
from common.sandbox import view, work_copy
from common.sandbox.run import Limits, folder_use, hidden_bytes, own_namespaces, run_limited
from common.sandbox.work_copy import remove

pytestmark = pytest.mark.skipif(os.name != "posix", reason="limits on processes need Linux or macOS")
linux = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="only Linux has it")
MB = 1 << 20


namespaces_only = pytest.mark.skipif(
    not sys.platform.startswith("linux") or not own_namespaces(),
    reason="this system gives users no namespaces",
)


def run(folder, code, *, namespaces=True, landlock=True, call_filter=True, readable=(), **limits):
    """Run Python code in a sandbox; every test ends in seconds even where the sandbox fails."""
    folder.mkdir(exist_ok=True)
    return run_limited(
        [sys.executable, "-S", "-c", code],
        folder=folder,
        limits=Limits(**{"seconds": 20, **limits}),
        environment={"PATH": os.defpath, "HOME": str(folder)},
        namespaces=namespaces,
        landlock=landlock,
        call_filter=call_filter,
        readable=readable,
    )


def left_over(word: str) -> list[int]:
    """Processes whose command line holds the word."""
    found = []
    for process in psutil.process_iter(["cmdline"]):
        if any(word in part for part in process.info["cmdline"] or []):
            found.append(process.pid)
    return found


def test_a_good_command_is_left_alone(tmp_path):
    code = (
        "import os; open('made', 'w').write('x'); print(os.environ['HOME'], os.getcwd()); raise SystemExit(3)"
    )
    done = run(tmp_path, code)
    assert (done.code, done.stopped) == (3, "")
    assert done.output.split() == [str(tmp_path), str(tmp_path)]
    assert (tmp_path / "made").read_text() == "x"
    assert {"session", "core", "fsize"} <= set(done.guards)


def test_nothing_of_the_environment_is_inherited(tmp_path, monkeypatch):
    monkeypatch.setenv("GITHUB_TOKEN", "a-secret")
    assert "a-secret" not in run(tmp_path, "import os; print(dict(os.environ))").output


def test_an_endless_loop_ends(tmp_path):
    done = run(tmp_path, "while True: pass", seconds=1)
    assert done.stopped == "more than 1 seconds"
    assert done.seconds < 10


def test_ten_gigabytes_are_not_given(tmp_path):
    done = run(tmp_path, "bytearray(10 << 30)", memory_bytes=1 << 30)
    assert "MemoryError" in done.output or done.stopped == "more than 1024 MB of memory"
    assert done.code != 0


def test_memory_is_counted_over_all_processes(tmp_path):
    code = (
        "import os, time\nfor _ in range(3):\n    if os.fork() == 0:\n"
        "        held = b'x' * (40 << 20)\n        time.sleep(20)\n        os._exit(0)\ntime.sleep(20)"
    )
    done = run(tmp_path, code, memory_bytes=100 * MB)
    assert done.stopped == "more than 100 MB of memory"


@pytest.mark.parametrize("namespaces", [True, False])
def test_a_fork_bomb_of_fifty_is_defused(tmp_path, namespaces):
    """Fifty sleeping children, each out of the group: harmless where everything fails, gone after 20 s."""
    code = (
        "import os, time\nfor _ in range(50):\n    if os.fork() == 0:\n        os.setsid()\n"
        "        time.sleep(20)  # breeding-here\n        os._exit(0)\ntime.sleep(20)"
    )
    done = run(tmp_path, code, processes=8, namespaces=namespaces)
    assert done.stopped == "more than 8 processes at once"
    assert not left_over("breeding-here")


@linux
@pytest.mark.parametrize("namespaces", [True, False])
def test_who_detaches_itself_is_found(tmp_path, namespaces):
    code = (
        "import os, time\nif os.fork() == 0:\n    os.setsid()\n    if os.fork() == 0:\n"
        "        time.sleep(20)  # detached-here\n    os._exit(0)\nprint('gone')"
    )
    done = run(tmp_path, code, namespaces=namespaces)
    assert (done.code, done.output) == (0, "gone\n")
    assert done.seconds < 15
    assert not left_over("detached-here")


def test_output_is_capped(tmp_path):
    done = run(tmp_path, "while True: print('x' * 1000)", output_bytes=10_000)
    assert done.stopped == "more than 10000 bytes of output"
    assert len(done.output) == 10_000


def test_a_file_cannot_grow_beyond_the_limit(tmp_path):
    done = run(tmp_path, "with open('big', 'wb') as f: f.write(b'x' * 5000)", file_bytes=1000)
    assert "File too large" in done.output
    assert (tmp_path / "big").stat().st_size <= 1000


def test_many_files_are_counted_together(tmp_path):
    code = (
        "import time\nfor i in range(30):\n    with open(f'f{i}', 'wb') as f: f.write(b'x' * 50_000)\n"
        "time.sleep(20)"
    )
    assert run(tmp_path, code, folder_bytes=1_000_000).stopped == "more than 1000000 bytes of files"


@pytest.mark.skipif(not landlock.landlock_version(), reason="this kernel has no Landlock")
@pytest.mark.parametrize(
    "attempt",
    [
        "open(outside / 'new', 'w')",
        "open(outside / 'mine', 'a')",
        "(outside / 'mine').unlink()",
        "(outside / 'made').mkdir()",
        "(outside / 'mine').rename('stolen')",
        "os.truncate(outside / 'mine', 0)",
        "os.symlink('/', outside / 'link')",
        "os.link(outside / 'mine', 'hard')",
        "os.symlink(outside, 'way'); open('way/new', 'w')",
    ],
)
def test_nothing_is_written_outside_the_folder(tmp_path, attempt):
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "mine").write_text("as it was")
    code = f"import os, pathlib\noutside = pathlib.Path({str(outside)!r})\n{attempt}\nprint('done it')"
    done = run(tmp_path / "inside", code)
    assert "writes" in done.guards
    assert "done it" not in done.output
    assert "Error" in done.output
    assert [path.name for path in outside.iterdir()] == ["mine"]
    assert (outside / "mine").read_text() == "as it was"


@pytest.mark.skipif(landlock.landlock_version() < 4, reason="this kernel's Landlock knows no network")
def test_no_tcp_even_without_namespaces(tmp_path):
    code = "import socket; socket.create_connection(('127.0.0.1', 9), timeout=5)"
    assert "PermissionError" in run(tmp_path, code, namespaces=False).output


@pytest.mark.skipif(landlock.landlock_version() < 6, reason="this kernel's Landlock knows no signals")
@pytest.mark.parametrize("namespaces", [True, False])
def test_nobody_outside_can_be_killed(tmp_path, namespaces):
    victims = {psutil.Process().pid, os.getppid()}
    code = f"import os\nfor pid in {victims}:\n    try: os.kill(pid, 9)\n    except OSError as e: print(e)\n"
    done = run(tmp_path, code + "os.kill(os.getppid(), 9)\nprint('done it')", namespaces=namespaces)
    assert "done it" not in done.output
    assert done.output.count("Operation not permitted") + done.output.count("No such process") >= 3


def test_without_landlock_it_says_so(tmp_path):
    done = run(tmp_path, "print(1)", landlock=False)
    assert "writes" not in done.guards
    assert done.output == "1\n"


def test_a_crash_is_a_code(tmp_path):
    done = run(tmp_path, "import os; os.abort()")
    assert (done.code, done.stopped) == (134, "")


def test_a_command_that_is_not_there_is_told(tmp_path):
    done = run_limited([str(tmp_path / "no")], folder=tmp_path, limits=Limits(seconds=20), environment={})
    assert done.code == 125
    assert "the sandbox did not start" in done.output


def test_the_sandbox_is_gone_with_its_parent(tmp_path):
    """Whoever stops the checker stops what it checks."""
    code = (
        "from common.sandbox.run import *\nimport sys\nfrom pathlib import Path\n"
        "run_limited([sys.executable, '-c', 'import time; print(1); time.sleep(60)  # orphan-here'], "
        f"folder=Path({str(tmp_path)!r}), limits=Limits(), environment={{}})"
    )
    if not sys.platform.startswith("linux"):
        pytest.skip("only Linux ends a process with its parent")
    parent = psutil.Popen([sys.executable, "-c", code], cwd=Path(__file__).parents[2])
    deadline = time.monotonic() + 30
    while not any(pid != parent.pid for pid in left_over("orphan-here")) and time.monotonic() < deadline:
        time.sleep(0.05)
    time.sleep(0.3)
    parent.kill()
    parent.wait()
    deadline = time.monotonic() + 10
    while left_over("orphan-here") and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not left_over("orphan-here")


def test_folder_bytes_does_not_follow_links(tmp_path):
    (tmp_path / "a").write_bytes(b"x" * 100)
    (tmp_path / "loop").symlink_to(tmp_path, target_is_directory=True)
    n_bytes, n_files, depth = folder_use(tmp_path, 40)
    assert 100 <= n_bytes < 400
    assert (n_files, depth) == (2, 0)


@namespaces_only
@pytest.mark.parametrize(("namespaces", "landlock"), [(True, False), (False, True), (True, True)])
def test_nothing_of_the_instructors_is_read(tmp_path, namespaces, landlock):
    """By the view alone, and by Landlock alone: each is enough."""
    if landlock and not view_of_landlock():
        pytest.skip("this kernel has no Landlock")
    secret = tmp_path / "attendance" / "key"
    secret.parent.mkdir()
    secret.write_text("a-secret")
    code = (
        "import os, pathlib\n"
        f"for place in ({str(secret)!r}, '/etc/passwd', {str(Path.home() / '.bashrc')!r}):\n"
        "    try: print(pathlib.Path(place).read_text())\n    except OSError: print('refused')\n"
        f"for place in ({str(secret.parent)!r}, '/run', '/var'):\n"
        "    try: print('listed', os.listdir(place))\n    except OSError as e: print('refused', e.errno)\n"
    )
    done = run(tmp_path / "inside", code, namespaces=namespaces, landlock=landlock)
    assert "a-secret" not in done.output
    assert "root:" not in done.output
    assert done.output.count("refused") == 6, done.output
    assert ("view" if namespaces else "reads") in done.guards


def view_of_landlock():
    return landlock.landlock_version()


@namespaces_only
def test_what_it_may_read_it_reads_and_cannot_change(tmp_path):
    """Modes, times and attributes included: Landlock alone does not cover them."""
    data = tmp_path / "data"
    data.mkdir()
    (data / "images").write_text("pixels")
    before = (data / "images").stat()
    code = (
        f"import os\nplace = {str(data / 'images')!r}\nprint(open(place).read())\n"
        "for attempt in (lambda: os.chmod(place, 0o777), lambda: os.utime(place, (0, 0)),\n"
        "                lambda: os.setxattr(place, 'user.evil', b'x'), lambda: open(place, 'w')):\n"
        "    try: attempt(); print('done it')\n    except OSError as e: print('refused', e.errno)\n"
    )
    for kind in (True, False):
        done = run(tmp_path / "inside", code, landlock=kind, readable=[data])
        assert done.output.split() == ["pixels", *["refused", "30"] * 4] or (
            kind and done.output.count("refused") == 4
        ), done.output
    after = (data / "images").stat()
    assert (after.st_mode, after.st_mtime_ns) == (before.st_mode, before.st_mtime_ns)
    assert not os.listxattr(data / "images")


@namespaces_only
def test_unix_sockets_outside_cannot_be_reached(tmp_path):
    """Such as the desktop's bus, an ssh agent, a container daemon: each would be a way out."""
    import socket

    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(tmp_path / "bus"))
        listener.listen(1)
        place = str(tmp_path / "bus")
        code = f"import socket; socket.socket(socket.AF_UNIX).connect({place!r}); print('reached')"
        done = run(tmp_path / "inside", code)
        assert "reached" not in done.output
        assert "FileNotFoundError" in done.output


@namespaces_only
@pytest.mark.parametrize("landlock", [True, False])
def test_nothing_can_be_mounted_again(tmp_path, landlock):
    code = (
        "import ctypes, os\nlibc = ctypes.CDLL(None, use_errno=True)\n"
        "print(libc.mount(b'tmpfs', b'/tmp', b'tmpfs', 0, None), libc.umount2(b'/proc', 2),"
        " libc.mount(None, b'/usr', None, 32 | 4096, None))"
    )
    done = run(tmp_path, code, landlock=landlock)
    assert done.output == "-1 -1 -1\n"


MEMFDS = (
    "import os, time\nheld = []\nfor i in range(10):\n    held.append(os.memfd_create(str(i)))\n"
    "    os.write(held[-1], b'x' * (20 << 20))\ntime.sleep(15)\nprint('held it')"
)


@linux
def test_memory_in_nameless_files_is_refused_or_counted(tmp_path):
    refused = run(tmp_path, MEMFDS, memory_bytes=100 * MB)
    assert "held it" not in refused.output
    if "hidden memory" in refused.guards:
        assert "PermissionError" in refused.output
    counted = run(tmp_path, MEMFDS, memory_bytes=100 * MB, call_filter=False)
    assert counted.stopped == "more than 100 MB of memory"


@linux
def test_the_filter_refuses_shared_segments(tmp_path):
    code = "import ctypes; print(ctypes.CDLL(None).shmget(0, 1 << 20, 0o1600))"
    done = run(tmp_path, code)
    if "hidden memory" not in done.guards:
        pytest.skip("this machine's calls have other numbers")
    assert done.output == "-1\n"


@linux
def test_hidden_bytes_counts_a_file_once(tmp_path):
    handle = os.memfd_create("one")
    again = os.dup(handle)
    try:
        before = hidden_bytes([os.getpid()])
        os.write(handle, b"x" * (1 << 20))
        assert hidden_bytes([os.getpid(), os.getpid()]) - before == 1 << 20
    finally:
        os.close(handle)
        os.close(again)


def test_files_are_counted_and_folders_in_folders(tmp_path):
    code = "import time\nfor i in range(5000): open(f'f{i}', 'w').close()\ntime.sleep(20)"
    assert run(tmp_path / "many", code, files=1000).stopped == "more than 1,000 files"
    code = "import os, time\nfor _ in range(3000):\n    os.mkdir('d'); os.chdir('d')\ntime.sleep(20)"
    assert run(tmp_path / "deep", code).stopped == "more than 40 folders in each other"
    remove(tmp_path / "deep")
    assert not (tmp_path / "deep").exists()


def test_a_copy_of_a_killed_process_is_swept_and_one_in_use_is_not(tmp_path, monkeypatch):
    monkeypatch.setattr(work_copy.tempfile, "tempdir", str(tmp_path))
    left = tmp_path / "dnnc-check-left"
    (left / "deep").mkdir(parents=True)
    young = tmp_path / "dnnc-check-young"
    young.mkdir()
    with _copy(tmp_path) as base:
        for place in (left, base):
            os.utime(place, (0, 0))
        work_copy._sweep()
        assert not left.exists()
        assert base.exists()
        assert young.exists()
    assert not base.exists()


def _copy(tmp_path):
    (tmp_path / "root" / "common").mkdir(parents=True)
    return work_copy.work_copy(None, root=tmp_path / "root")


@pytest.mark.skipif(not view.bubblewrap([], "/", "/"), reason="bubblewrap is not installed")
def test_bubblewrap_shows_the_same_view_where_namespaces_are_refused(tmp_path, monkeypatch):
    from common.sandbox import run as sandbox

    monkeypatch.setattr(sandbox, "own_namespaces", lambda: False)
    secret = tmp_path / "secret"
    secret.write_text("a-secret")
    code = (
        f"import os\nopen('made', 'w').write('x')\nfor place in ({str(secret)!r}, '/etc/passwd'):\n"
        "    try: print(open(place).read())\n    except OSError as e: print('refused')\n"
        "try: os.chmod('/usr', 0o755); print('done it')\nexcept OSError: print('refused')"
    )
    for kind in (True, False):
        done = run(tmp_path / "inside", code, landlock=kind)
        if "bubblewrap" not in done.guards:
            pytest.skip("bubblewrap does not start here")
        assert done.output.split() == ["refused"] * 3, done.output
        assert (tmp_path / "inside/made").exists()
    assert run(tmp_path / "inside", "while True: pass", seconds=1).stopped == "more than 1 seconds"
