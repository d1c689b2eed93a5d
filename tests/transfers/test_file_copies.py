"""Files that keep their bytes: copied, packed or unpacked, whole or not at all."""

from __future__ import annotations

import gzip
import hashlib
import os
from contextlib import closing

import pyarrow.parquet
import pytest

from airflow_workflow_provider.exceptions import OutputUnavailable, WorkflowError
from airflow_workflow_provider.outputs import gzipped
from airflow_workflow_provider.transfers.attempt import Attempt
from airflow_workflow_provider.transfers.files.formats import checked_format
from airflow_workflow_provider.transfers.files.load import FileLoad
from airflow_workflow_provider.transfers.resolve import ResolvedOutput
from tests.outputs.serving import client, serving
from tests.transfers.tables import run_with

# What is read as a table and written anew looks different: text would be in quotes, 007 would be kept, 1.50 would not.
CSV = b'\xef\xbb\xbfid,zip,price,note\r\n1,007,1.50,"two\nlines"\r\n\r\n2,008,2.00,\r\n'
LINES = b'{"a": 1.50}\n\n{"b": 2}'


class Log:
    """Takes what is logged."""

    def info(self, text, *values):
        str(text % values)


@pytest.fixture
def served():
    with serving() as made:
        yield made


def keep(served, path, kind, form=None, compression=None, overwrite=False):
    """Keep the served file as the operator would."""
    run = run_with("result")
    chosen, packing = checked_format(form or kind, compression)
    attempt = Attempt("k" * 40, False)
    load = FileLoad(str(path), None, form or kind, chosen, packing, overwrite, attempt, None, Log())
    with closing(client()) as worker:
        return load.run([ResolvedOutput(run, run.outputs[0], 0, served.source(kind), worker)])


@pytest.mark.parametrize(("kind", "content", "rows"), [("csv", CSV, 2), ("jsonl", LINES, 2), ("raw", CSV, None)])
@pytest.mark.parametrize("compression", [None, "gzip"])
def test_a_file_of_the_same_format_keeps_its_bytes(served, tmp_path, kind, content, rows, compression):
    served.content, path = content, tmp_path / "out"
    result = keep(served, path, kind, compression=compression)
    kept = path.read_bytes()
    assert (gzip.decompress(kept) if compression else kept) == content
    assert (result["rows"], result["bytes"]) == (rows, len(kept))
    assert result["sha256"] == hashlib.sha256(kept).hexdigest()


@pytest.mark.parametrize(("kind", "content", "rows"), [("csv", CSV, 2), ("jsonl", LINES, 2), ("raw", CSV, None)])
@pytest.mark.parametrize("headers", [{"Content-Encoding": "gzip"}, {"Content-Type": "application/gzip"}])
def test_gzip_is_passed_on_untouched_where_gzip_is_wanted(served, tmp_path, kind, content, rows, headers):
    served.content, served.headers = gzip.compress(content, 9) + gzip.compress(b""), {"ETag": '"x"', **headers}
    served.cuts = [30]
    result = keep(served, tmp_path / "out.gz", kind, compression="gzip")
    assert (tmp_path / "out.gz").read_bytes() == served.content
    assert result["rows"] == rows
    assert served.asked == ["", "bytes=30-"]


@pytest.mark.parametrize("kind", ["csv", "jsonl"])
def test_gzip_is_unpacked_where_it_is_not_wanted(served, tmp_path, kind):
    content = {"csv": CSV, "jsonl": LINES}[kind]
    served.content = gzip.compress(content)
    assert keep(served, tmp_path / "out", kind)["rows"] == 2
    assert (tmp_path / "out").read_bytes() == content


def test_a_raw_gz_file_stays_what_it_is(served, tmp_path):
    served.content = gzip.compress(CSV)
    keep(served, tmp_path / "out", "raw")
    assert (tmp_path / "out").read_bytes() == served.content


@pytest.mark.parametrize("compression", [None, "gzip"])
@pytest.mark.parametrize(
    "damage", [lambda data: data[:-3], lambda data: data[:-8] + b"wrongsum", lambda data: data + b"more"]
)
def test_gzip_that_is_damaged_leaves_the_file_as_it_was(served, tmp_path, damage, compression):
    path = tmp_path / "out"
    path.write_text("kept")
    served.content = damage(gzip.compress(CSV * 1000))
    with pytest.raises(OutputUnavailable, match="damaged"):
        keep(served, path, "csv", compression=compression, overwrite=True)
    assert path.read_text() == "kept"
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize(
    ("kind", "content", "said"),
    [
        ("csv", b"", "has no header: it is empty"),
        ("csv", b"a,b\n1,2\n3", "Expected 2 columns, got 1"),
        ("jsonl", b'{"a": 1}\n{"a": ', "its last line is cut off"),
    ],
)
def test_a_file_that_is_not_what_it_is_called_is_not_kept(served, tmp_path, kind, content, said):
    served.content = content
    with pytest.raises(OutputUnavailable, match=said):
        keep(served, tmp_path / "out", kind)
    assert not list(tmp_path.iterdir())


def test_json_that_is_called_json_lines_becomes_json_lines(served, tmp_path):
    served.content = b'[{"a": 1}, {"a": 2}]'
    assert keep(served, tmp_path / "out", "jsonl")["rows"] == 2
    assert (tmp_path / "out").read_bytes() == b'{"a":1}\n{"a":2}\n'


def test_a_csv_with_one_column_has_rows_without_a_value(served, tmp_path):
    served.content = b"a\n1\n\n2"
    assert keep(served, tmp_path / "out", "csv")["rows"] == 3


@pytest.mark.parametrize("form", ["csv", "parquet"])
def test_a_download_that_breaks_off_is_whole_all_the_same(served, tmp_path, form):
    rows = 100_000
    served.content = b"n,t\n" + b"".join(b"%d,x\n" % k for k in range(rows))
    served.cuts = [5, 400_000, 0]
    assert keep(served, tmp_path / "out", "csv", form)["rows"] == rows
    if form == "csv":
        assert (tmp_path / "out").read_bytes() == served.content
    else:
        assert pyarrow.parquet.read_table(tmp_path / "out").column("n").to_pylist() == list(range(rows))


def test_a_download_that_stays_away_leaves_nothing(served, tmp_path):
    served.content, served.cuts = CSV * 1000, [50] * 20
    with pytest.raises(WorkflowError, match="broke off"):
        keep(served, tmp_path / "out", "csv")
    assert not list(tmp_path.iterdir())


def test_packing_is_the_same_each_time_and_any_gzip_can_read_it():
    content = os.urandom(3_000_000) + b"text" * 500_000
    packed = []
    for _ in range(2):
        packer = gzipped.packer()
        packed.append(packer.compress(content) + packer.flush())
    assert packed[0] == packed[1]
    assert gzip.decompress(packed[0]) == content
