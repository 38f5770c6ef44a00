"""Studies: run by name, stored with how they were made, read back."""

import pytest

from common import experiments as studies
from common.experiments import STUDIES, StudyResult, read_study, run_study


def test_a_study_is_stored_beside_its_lecture_and_read_back(tmp_path, monkeypatch):
    module = type("Module", (), {"run": staticmethod(lambda **options: StudyResult({"top1": 0.5}, ()))})
    monkeypatch.setattr(studies.importlib, "import_module", lambda name: module)
    monkeypatch.setattr(studies, "ROOT", tmp_path)
    assert run_study("criteria", device="cpu") == {"top1": 0.5}
    assert read_study("criteria") == {"top1": 0.5}
    assert (tmp_path / STUDIES["criteria"].result).exists()


def test_what_is_missing_is_named(tmp_path, monkeypatch):
    monkeypatch.setattr(studies, "ROOT", tmp_path)
    with pytest.raises(FileNotFoundError, match="dnnc study bits"):
        read_study("bits")
    with pytest.raises(ValueError, match="expected one of"):
        run_study("nothing")
