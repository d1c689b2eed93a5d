"""The example DAGs come out of the package, whole, and no file of the user's is lost."""

from __future__ import annotations

from airflow_workflow_provider.cli import copying
from tests.cli.calling import ROOT, called

EXAMPLES = {path.name: path.read_text() for path in (ROOT / "example_dags").glob("*.py")}


def test_the_examples_are_copied_into_a_folder_that_is_made(tmp_path):
    folder = tmp_path / "airflow" / "dags"
    answer = called("examples", str(folder), "-o", "json")
    assert answer.code == 0
    assert {path.name: path.read_text() for path in folder.iterdir()} == EXAMPLES
    assert {row["result"] for row in answer.json} == {"copied"}


def test_a_file_that_exists_is_replaced_only_with_force(tmp_path):
    mine = tmp_path / "example_carto.py"
    mine.write_text("mine")
    answer = called("examples", str(tmp_path))
    assert mine.read_text() == "mine"
    assert "1 files exist and are unchanged; --force replaces them" in answer.stderr
    assert called("examples", str(tmp_path), "--force").code == 0
    assert mine.read_text() == EXAMPLES["example_carto.py"]


def test_a_folder_that_cannot_be_made_is_named(tmp_path):
    (tmp_path / "file").write_text("")
    answer = called("examples", str(tmp_path / "file" / "dags"))
    assert answer.code == 1
    assert answer.stderr.startswith(f"cannot write the examples to {tmp_path / 'file' / 'dags'}: Not a directory")


def test_an_installed_package_has_the_examples_inside(tmp_path, monkeypatch):
    inside = tmp_path / "example_dags"
    inside.mkdir()
    (inside / "example_x.py").write_text("")
    monkeypatch.setattr(copying, "PLACES", (inside, tmp_path / "none"))
    assert [path.name for path in copying.sources()] == ["example_x.py"]
