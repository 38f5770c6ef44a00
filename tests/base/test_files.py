"""Files are written whole or not at all, whatever happens meanwhile."""

import os
import signal
import subprocess
import sys

import pytest

from common.base.files import whole_file


def test_the_file_appears_when_the_block_ends(tmp_path):
    path = tmp_path / "new folder" / "file\nof two lines.txt"
    with whole_file(path) as aside:
        aside.write_text("one")
        assert aside.parent == path.parent
        assert not path.exists()
    assert path.read_text() == "one"
    with whole_file(str(path)) as aside:
        aside.write_text("two")
        assert path.read_text() == "one"
    assert path.read_text() == "two"
    assert list(path.parent.iterdir()) == [path]


@pytest.mark.parametrize("kind", [OSError, ValueError, KeyboardInterrupt, SystemExit])
def test_an_error_leaves_the_old_file_and_nothing_else(tmp_path, kind):
    path = tmp_path / "file.txt"
    path.write_text("old")

    def write_half():
        with whole_file(path) as aside:
            aside.write_text("ne")
            raise kind

    with pytest.raises(kind):
        write_half()
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_a_block_that_writes_nothing_fails(tmp_path):
    def write_nothing():
        with whole_file(tmp_path / "file.txt"):
            pass

    with pytest.raises(FileNotFoundError):
        write_nothing()
    assert not list(tmp_path.iterdir())


def test_a_folder_is_not_replaced(tmp_path):
    folder = tmp_path / "folder"
    folder.mkdir()

    def write():
        with whole_file(folder) as aside:
            aside.write_text("x")

    with pytest.raises(OSError, match="folder"):
        write()
    assert list(tmp_path.iterdir()) == [folder]


def test_a_program_stopped_while_it_writes_leaves_the_old_file(tmp_path):
    path = tmp_path / "file.txt"
    path.write_text("old")
    code = (
        "import sys, time\nfrom common.base.files import whole_file\n"
        "import signal; signal.signal(signal.SIGINT, signal.default_int_handler)\n"  # a shell's background
        "with whole_file(sys.argv[1]) as aside:\n"  # job ignores interrupts, and hands that on
        "    aside.write_text('half'); print('writing', flush=True); time.sleep(60)\n"
    )
    writer = subprocess.Popen(
        [sys.executable, "-c", code, path], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    )
    assert writer.stdout.readline() == "writing\n"
    os.kill(writer.pid, signal.SIGINT)
    assert writer.wait(timeout=60) != 0
    writer.stdout.close()
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_outputs_never_go_into_site_packages(tmp_path, monkeypatch):
    from common.base import files

    assert files.is_checkout()
    assert files.workplace() == files.ROOT
    monkeypatch.setattr(files, "ROOT", tmp_path / "site-packages")
    monkeypatch.chdir(tmp_path)
    assert files.workplace() == tmp_path
    with pytest.raises(ValueError, match="dnnc capstone needs the course's files: run it in a clone"):
        files.needs_checkout("dnnc capstone")


def test_a_user_without_a_home_has_a_temporary_cache(tmp_path, monkeypatch):
    import platformdirs

    from common.base import files

    monkeypatch.delenv("DNNC_CACHE", raising=False)
    monkeypatch.setattr(platformdirs, "user_cache_dir", lambda name: "~no_such_user_anywhere/.cache/dnnc")
    monkeypatch.setattr(files.tempfile, "gettempdir", lambda: str(tmp_path))
    assert files.user_cache().parent == tmp_path
    monkeypatch.setenv("DNNC_CACHE", str(tmp_path / "mine"))
    assert files.user_cache() == tmp_path / "mine"
