"""Where progress bars and their notes are drawn, in a notebook and elsewhere."""

import io
import sys

from common.base.progress import note, progress


def test_in_a_notebook_a_bar_with_its_notes_is_one_line_on_stdout(monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "ipykernel", sys)
    monkeypatch.delenv("DNNC_QUIET", raising=False)
    with progress(total=2, desc="training") as bar:
        for epoch in (1, 2):
            bar.update(1)
            note(bar, "training", f"epoch {epoch}/2")
    captured = capsys.readouterr()
    assert captured.err == ""
    assert captured.out.count("\n") == 1
    last = captured.out.rstrip("\n").rsplit("\r", 1)[-1]
    assert last.startswith("training: 100%")
    assert "epoch 2/2" in last


def test_in_a_log_there_is_no_bar_and_each_note_has_a_line(monkeypatch, capsys):
    monkeypatch.delitem(sys.modules, "ipykernel", raising=False)
    monkeypatch.delenv("DNNC_QUIET", raising=False)
    with progress(total=2, desc="training") as bar:
        bar.update(2)
        note(bar, "training", "epoch 1/1  loss 0.5")
    captured = capsys.readouterr()
    assert captured.out == "training: epoch 1/1  loss 0.5\n"
    assert captured.err == ""


def test_in_a_terminal_the_bar_stays_out_of_stdout(monkeypatch, capsys):
    class Terminal(io.StringIO):
        def isatty(self):
            return True

    monkeypatch.delitem(sys.modules, "ipykernel", raising=False)
    monkeypatch.delenv("DNNC_QUIET", raising=False)
    monkeypatch.setattr(sys, "stderr", Terminal())
    with progress(total=2, desc="training") as bar:
        bar.update(2)
    assert "training: 100%" in sys.stderr.getvalue()
    assert capsys.readouterr().out == ""
