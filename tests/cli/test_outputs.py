"""The command that lists and downloads the outputs of a run."""

from __future__ import annotations

import csv
import io
import json

import pyarrow.parquet
import pytest

from tests.cli.calling import called

NEVER, MANY = "5f0e2c00000000000000000b", "5f0e2c000000000000000005"
SOON = ("--wait", "--poll-interval", "0.1", "--timeout", "30")


@pytest.fixture
def many_rows(quick):
    """The id of a run whose output is a CSV file of 50 rows."""
    run = called("start", "alteryx_default", MANY, "-p", "Rows=50", *SOON, "-o", "json").run
    assert run["state"] == "succeeded"
    return run["run_id"]


def test_outputs_are_listed(many_rows):
    (row,) = called("output", "alteryx_default", many_rows, "-o", "json").json
    assert (row["kind"], row["index"]) == ("file", 0)
    assert row["name"].endswith(".csv")


def test_an_output_lands_whole_or_not_at_all(many_rows, quick, tmp_path):
    target = tmp_path / "rows.csv"
    (row,) = called("output", "alteryx_default", many_rows, "--to", str(target), "-o", "json").json
    assert (row["bytes"], row["format"], row["rows"]) == (target.stat().st_size, "raw", None)
    target.write_text("kept")
    quick.fault(system="alteryx", kind="truncate", path="/output/", times=None)
    broken = called("output", "alteryx_default", many_rows, "--to", str(target), "--force")
    assert broken.code != 0
    assert [path.name for path in tmp_path.iterdir()] == ["rows.csv"]
    assert target.read_text() == "kept"


def test_a_file_that_is_there_is_not_overwritten(many_rows, tmp_path):
    target = tmp_path / "rows.csv"
    target.write_text("kept")
    refused = called("output", "alteryx_default", many_rows, "--to", str(target))
    assert refused.code == 2
    assert refused.stderr == f"--to: '{target}' exists already; --force replaces it\n"
    assert target.read_text() == "kept"
    assert called("output", "alteryx_default", many_rows, "--to", str(target), "--force").code == 0
    assert target.read_text() != "kept"
    folder = called("output", "alteryx_default", many_rows, "--to", str(tmp_path), "--force")
    assert "is a folder" in folder.stderr


def test_an_output_is_converted(many_rows, tmp_path):
    files = {form: tmp_path / f"rows.{form}" for form in ("csv", "jsonl", "parquet")}
    for form, path in files.items():
        words = ("output", "alteryx_default", many_rows, "0", "--to", str(path), "--format", form, "-o", "json")
        assert called(*words).json[0]["rows"] == 50
    rows = pyarrow.parquet.read_table(files["parquet"]).to_pylist()
    assert len(rows) == len(list(csv.DictReader(io.StringIO(files["csv"].read_text())))) == 50
    assert json.loads(files["jsonl"].read_text().splitlines()[0]).keys() == rows[0].keys()


def test_an_output_goes_to_standard_output_and_nothing_else_does(many_rows):
    poured = called("output", "alteryx_default", many_rows, "--to", "-")
    assert len(list(csv.DictReader(io.StringIO(poured.stdout)))) == 50


def test_a_run_that_goes_on_or_failed_has_no_output(quick, tmp_path):
    run_id = called("start", "alteryx_default", NEVER, "-o", "json").run["run_id"]
    refused = called("output", "alteryx_default", run_id, "--to", str(tmp_path / "x"))
    assert refused.code == 2
    assert "so there is no output to read" in refused.stderr
