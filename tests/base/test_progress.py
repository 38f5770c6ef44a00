"""Where progress bars are drawn: in red in no notebook, and nowhere when they are switched off."""

import io
import sys

from common.base.progress import progress


def test_in_a_notebook_bar_and_lines_share_stdout(monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "ipykernel", sys)
    monkeypatch.delenv("DNNC_QUIET", raising=False)
    with progress(total=2, desc="training") as bar:
        bar.update(2)
        bar.write("epoch 1/1")
    captured = capsys.readouterr()
    assert "training: 100%" in captured.out
    assert "epoch 1/1" in captured.out
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
