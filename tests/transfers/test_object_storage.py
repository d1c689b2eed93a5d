"""Outputs as files, whole or not at all."""

from __future__ import annotations

import gzip
import hashlib
import json
import resource
from contextlib import contextmanager
from datetime import UTC, date, datetime
from decimal import Decimal
from importlib import import_module

import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet
import pytest

from airflow_workflow_provider.exceptions import InvalidArgument, OutputUnavailable, WorkflowError
from airflow_workflow_provider.outputs.csv_options import CsvOptions
from airflow_workflow_provider.protocol.results import FileSource
from airflow_workflow_provider.transfers.attempt import Attempt
from airflow_workflow_provider.transfers.files.formats import checked_format
from airflow_workflow_provider.transfers.files.load import FileLoad
from airflow_workflow_provider.transfers.resolve import ResolvedOutput
from airflow_workflow_provider.transfers.workflow_to_object_storage import WorkflowOutputToObjectStorageOperator
from scripts.airflow_home import AIRFLOW_3
from tests.outputs.playing import BrokenBody, Player, file
from tests.transfers.conftest import Store, Task, context
from tests.transfers.files import Log, csv_outputs
from tests.transfers.tables import run_with

COLUMNS = {
    "n": "number",
    "price": "number",
    "t": "string",
    "at": "timestamp",
    "day": "date",
    "yes": "boolean",
    "no": "any",
}
ROWS = [
    [2**53 + 1, "12345678901234567.89", 'æ "q",\n', "2024-01-01T10:00:00+02:00", "2024-02-29", True, None],
    [None, None, "", None, None, None, None],
]
VALUES = [
    {"n": 2**53 + 1, "price": Decimal("12345678901234567.89"), "t": 'æ "q",\n',
     "at": datetime(2024, 1, 1, 8, tzinfo=UTC), "day": date(2024, 2, 29), "yes": True, "no": None},
    {"n": None, "price": None, "t": "", "at": None, "day": None, "yes": None, "no": None},
]  # fmt: skip


def save(run, path, task=None, store=None, **options):
    """Save a run's output as the operator does."""
    operator = WorkflowOutputToObjectStorageOperator(task_id="land", run=run, path=str(path), **options)
    return operator.execute(context(task, store))


def leftovers(folder):
    """What lies there beside the files that were asked for."""
    return [found.name for found in folder.rglob(".*")]


def test_parquet_keeps_every_type(tables, tmp_path):
    path, task = tmp_path / "new" / "out.parquet", Task()
    result = save(tables.put("out", COLUMNS, *ROWS), f"file://{path}", task)
    assert pyarrow.parquet.read_table(path).to_pylist() == VALUES
    content = path.read_bytes()
    assert result == task.pushed == {
        "path": f"file://{path}",
        "format": "parquet",
        "rows": 2,
        "bytes": len(content),
        "sha256": hashlib.sha256(content).hexdigest(),
    }  # fmt: skip
    assert not leftovers(tmp_path)


def test_csv_tells_no_value_from_empty_text(tables, tmp_path):
    path = tmp_path / "out.csv"
    result = save(tables.put("out", COLUMNS, *ROWS), path, format="csv")
    assert path.read_text().splitlines()[0] == '"n","price","t","at","day","yes","no"'
    types = {"price": pa.decimal128(38, 2), "at": pa.timestamp("us", "UTC")}
    options = pyarrow.csv.ConvertOptions(column_types=types, strings_can_be_null=True, quoted_strings_can_be_null=False)
    parsed = pyarrow.csv.read_csv(
        path, parse_options=pyarrow.csv.ParseOptions(newlines_in_values=True), convert_options=options
    )
    assert parsed.to_pylist() == VALUES
    assert (result["rows"], result["format"]) == (2, "csv")


def test_json_lines_keep_digits_and_zones(tables, tmp_path):
    path = tmp_path / "out.jsonl"
    save(tables.put("out", COLUMNS, *ROWS), path, format="jsonl")
    first, second = map(json.loads, path.read_text().splitlines())
    assert first == {"n": 2**53 + 1, "price": "12345678901234567.89", "t": 'æ "q",\n',
                     "at": "2024-01-01T08:00:00.000000Z", "day": "2024-02-29", "yes": True, "no": None}  # fmt: skip
    assert second == {**dict.fromkeys(COLUMNS), "t": ""}
    assert "æ" in path.read_text()


def test_a_table_kept_raw_is_json_lines_as_they_come(tables, tmp_path):
    path = tmp_path / "out.jsonl.gz"
    result = save(tables.put("out", {"n": "number"}, [1], [2]), path, format="raw", compression="gzip")
    assert gzip.decompress(path.read_bytes()) == b'{"n": 1}\n{"n": 2}\n'
    assert result["rows"] is None
    assert result["sha256"] == hashlib.sha256(path.read_bytes()).hexdigest()


@pytest.mark.parametrize("compression", [None, "none", "snappy", "gzip", "zstd", "lz4", "brotli"])
def test_parquet_is_compressed_as_asked(tables, tmp_path, compression):
    path = tmp_path / "out.parquet"
    save(tables.put("out", COLUMNS, *ROWS), path, compression=compression)
    used = pyarrow.parquet.ParquetFile(path).metadata.row_group(0).column(0).compression
    assert used.lower() == {None: "snappy", "none": "uncompressed"}.get(compression, compression)


@pytest.mark.parametrize("form", ["csv", "jsonl"])
def test_text_is_compressed_as_asked(tables, tmp_path, form):
    run = tables.put("out", COLUMNS, *ROWS)
    save(run, tmp_path / "plain", format=form)
    save(run, tmp_path / "packed", format=form, compression="gzip")
    assert gzip.decompress((tmp_path / "packed").read_bytes()) == (tmp_path / "plain").read_bytes()


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"format": "xlsx"}, "format: expected one of 'parquet', 'csv', 'jsonl', 'raw'"),
        ({"compression": "zip"}, "compression: parquet knows"),
        ({"format": "csv", "compression": "snappy"}, "compression: csv knows 'none', 'gzip'"),
        ({"path": ""}, "path: is empty"),
        ({"path": "nothing://x/y"}, r"path: 'nothing://x/y' cannot be used"),
    ],
)
def test_an_argument_that_makes_no_sense_is_named(tables, tmp_path, options, said):
    options = {"path": tmp_path / "x", **options}
    with pytest.raises(InvalidArgument, match=said):
        save(tables.put("out", COLUMNS, *ROWS), **options)


def test_any_storage_of_fsspec_will_do(tables):
    import fsspec  # type: ignore[import-untyped]

    attach = import_module("airflow.sdk.io" if AIRFLOW_3 else "airflow.io.store").attach
    memory = fsspec.filesystem("memory")
    attach("memory", fs=memory)
    save(tables.put("out", {"n": "number"}, [1]), "memory://bucket/day=1/out.csv", format="csv")
    assert memory.cat("/bucket/day=1/out.csv") == b'"n"\n1\n'
    assert memory.ls("/bucket/day=1", detail=False) == ["/bucket/day=1/out.csv"]
    save(tables.put("out", {"n": "number"}, [2]), "memory://bucket/day=[1]/out*.csv", format="csv")
    assert memory.ls("/bucket/day=[1]", detail=False) == ["/bucket/day=[1]/out*.csv"]
    memory.rm("/bucket", recursive=True)


def test_a_file_that_is_there_is_left_or_replaced(tables, tmp_path):
    path = tmp_path / "out.csv"
    path.write_text("kept")
    run = tables.put("out", {"n": "number"}, [1])
    with pytest.raises(InvalidArgument, match=r"path: '.*out\.csv' exists already; overwrite=True"):
        save(run, path, format="csv")
    assert path.read_text() == "kept"
    assert not tables.asked, "the output was read although there is no place for it"
    save(run, path, format="csv", overwrite=True)
    assert path.read_text() == '"n"\n1\n'


@pytest.mark.parametrize("try_number", [1, 2])
@pytest.mark.parametrize("path", ["folder", "new/"])
def test_a_folder_is_no_place_for_a_file(tables, tmp_path, path, try_number):
    (tmp_path / "folder").mkdir()
    with pytest.raises(InvalidArgument, match=f"path: '.*{path}' is a folder"):
        save(tables.put("out", {"n": "number"}, [1]), f"{tmp_path}/{path}", Task(try_number), overwrite=True)
    assert not tables.asked, "the output was read although there is no place for it"
    assert list(tmp_path.rglob("*")) == [tmp_path / "folder"]


@pytest.mark.parametrize("form", ["parquet", "csv", "jsonl", "raw"])
def test_a_source_that_fails_leaves_the_file_and_nothing_else(tables, tmp_path, form):
    path = tmp_path / "out"
    path.write_text("kept")
    tables.claimed["out"] = 5
    with pytest.raises(OutputUnavailable, match="has 5 rows, but 1 came"):
        save(tables.put("out", {"n": "number"}, [1]), path, format=form, overwrite=True)
    assert path.read_text() == "kept"
    assert not leftovers(tmp_path)


def test_a_place_that_takes_nothing_is_a_clear_error(tables, tmp_path):
    (tmp_path / "file").write_text("in the way")
    path = tmp_path / "file" / "out.csv"
    with pytest.raises(WorkflowError, match=r"path '.*out\.csv': (writing|looking for) it failed"):
        save(tables.put("out", {"n": "number"}, [1]), path, format="csv")


@pytest.mark.parametrize("form", ["parquet", "csv", "jsonl", "raw"])
def test_a_disk_that_takes_no_more_leaves_nothing_behind(tables, tmp_path, form):
    """Here the limit on a file's size; a full disk is the same error with another number."""
    run = tables.put("out", {"t": "string"}, *([f"{k * 7919 % 10_007:x}" * 40] for k in range(5000)))
    path = tmp_path / "out"
    path.write_text("kept")
    with (
        file_size_limit(50_000),
        pytest.raises(WorkflowError, match=r"path '.*out': writing it failed: .*File too large"),
    ):
        save(run, path, format=form, overwrite=True)
    assert path.read_text() == "kept"
    assert not leftovers(tmp_path)


@contextmanager
def file_size_limit(size):
    """Let no file grow bigger."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_runs_are_united_in_one_file_or_kept_apart(tables, tmp_path):
    one = tables.put("one", {"id": "number"}, [1])
    two = tables.put("two", {"id": "number", "name": "string"}, [0.5, "b"])
    result = save([one, two], tmp_path / "all.parquet")
    assert pyarrow.parquet.read_table(tmp_path / "all.parquet").to_pylist() == [
        {"id": 1.0, "name": None},
        {"id": 0.5, "name": "b"},
    ]
    assert result["rows"] == 2
    apart = save([one, two], tmp_path / "{run_id}/{output}-{index}.jsonl", format="jsonl")
    assert apart["path"] == [str(tmp_path / "job-one/one-0.jsonl"), str(tmp_path / "job-two/two-1.jsonl")]
    assert (apart["rows"], len(apart["sha256"])) == (2, 2)
    with pytest.raises(InvalidArgument, match="would hold 2 outputs"):
        save([one, two], tmp_path / "raw", format="raw")


def test_no_rows_are_a_file_with_columns(tables, tmp_path):
    run = tables.put("out", COLUMNS)
    assert save(run, tmp_path / "out.parquet")["rows"] == 0
    assert pyarrow.parquet.read_schema(tmp_path / "out.parquet").names == list(COLUMNS)
    save(run, tmp_path / "out.csv", format="csv")
    assert (tmp_path / "out.csv").read_text() == '"n","price","t","at","day","yes","no"\n'
    save(run, tmp_path / "out.jsonl", format="jsonl")
    assert (tmp_path / "out.jsonl").read_text() == ""


@pytest.mark.parametrize("store", [Store(), None], ids=["3.3", "older"])
@pytest.mark.parametrize("form", ["parquet", "csv", "raw"])
def test_a_retry_after_our_own_file_succeeds(tables, tmp_path, store, form):
    """Airflow 3.3 remembers what was written; before it, the file's own bytes tell."""
    path, run = tmp_path / "out", tables.put("out", {"n": "number"}, [1], [2])
    first = save(run, path, Task(), store, format=form)
    tables.asked.clear()
    assert save(run, path, Task(try_number=2), store, format=form) == first
    assert bool(tables.asked) == (store is None)
    assert not leftovers(tmp_path)
    with pytest.raises(InvalidArgument, match="exists already"):
        save(tables.put("out", {"n": "number"}, [3]), path, Task(try_number=3, max_tries=4), store, format=form)


def test_a_store_that_takes_nothing_is_no_reason_to_fail(tables, tmp_path):
    class Full(Store):
        def set(self, key, value):
            raise RuntimeError("value too large")

    assert save(tables.put("out", {"n": "number"}, [1]), tmp_path / "out", store=Full())["rows"] == 1


def test_a_retry_does_not_take_anothers_file_for_its_own(tables, tmp_path):
    path, run, store = tmp_path / "out", tables.put("out", {"n": "number"}, [1]), Store()
    save(run, path, Task(), store, format="csv")
    path.write_text("somebody else's")
    with pytest.raises(InvalidArgument, match="exists already"):
        save(run, path, Task(try_number=2), store, format="csv")
    assert path.read_text() == "somebody else's"
    assert save(run, path, Task(try_number=2), store, format="csv", overwrite=True)["rows"] == 1


def test_a_try_that_was_killed_before_the_move_is_done_again(tables, tmp_path):
    """What was noted is what would be there; an old file of the same length is not taken for it."""
    path, store = tmp_path / "out", Store()
    save(tables.put("out", {"n": "number"}, [1]), path, Task(), store, format="csv")
    store["workflow_output_files"]["moved"] = False
    path.write_text('"n"\n9\n')
    save(tables.put("out", {"n": "number"}, [1]), path, Task(try_number=2), store, format="csv", overwrite=True)
    assert path.read_text() == '"n"\n1\n'


def load_file(source, path, **options):
    """Save a file as the operator would, from a source that plays it."""
    form, compression = checked_format(options.get("format", "raw"), options.get("compression"))
    run = run_with("result.csv")
    item = ResolvedOutput(run, run.outputs[0], 0, source, Player())

    class Log:
        def info(self, text, *values):
            str(text % values)

    load = FileLoad(
        path=str(path),
        conn_id=None,
        name=options.get("format", "raw"),
        format=form,
        compression=compression,
        overwrite=options.get("overwrite", False),
        attempt=options.get("attempt", Attempt("k" * 40, False)),
        store=None,
        log=Log(),
    )
    return load.run([item])


def while_reading(act):
    """A file during whose download something happens."""

    def flow():
        act()
        return (yield from file("raw", b"late").flow())

    return FileSource("raw", flow)


def test_a_folder_that_comes_meanwhile_is_left_alone(tmp_path):
    path = tmp_path / "out"
    with pytest.raises(InvalidArgument, match=r"path: .*out' is a folder"):
        load_file(while_reading(path.mkdir), path, overwrite=True)
    assert list(tmp_path.rglob("*")) == [path]


def test_a_try_that_was_given_up_cannot_spoil_the_file_of_its_retry(tmp_path):
    """It is still reading while the retry writes, publishes, and takes its leftovers away."""
    path = tmp_path / "out"
    retry = {"attempt": Attempt("k" * 40, True, 2), "overwrite": True}
    with pytest.raises(WorkflowError, match="moving it failed"):
        load_file(while_reading(lambda: load_file(file("raw", b"of the retry"), path, **retry)), path, overwrite=True)
    assert path.read_bytes() == b"of the retry"
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("size", [0, 10, 3_000_000])
def test_a_raw_file_is_copied_byte_by_byte(tmp_path, size):
    content = bytes(range(256)) * (size // 256 + 1)
    result = load_file(file("raw", content), tmp_path / "out.bin")
    assert (tmp_path / "out.bin").read_bytes() == content
    assert result["bytes"] == len(content)


def test_a_csv_becomes_parquet(tmp_path):
    load_file(file("csv", "id,zip\n9007199254740993,007\n"), tmp_path / "out.parquet", format="parquet")
    assert pyarrow.parquet.read_table(tmp_path / "out.parquet").to_pylist() == [{"id": 9007199254740993, "zip": "007"}]


def test_a_download_that_breaks_off_leaves_no_file(tmp_path):
    with pytest.raises(WorkflowError, match="writing it failed: BrokenBody") as caught:
        load_file(file("raw", bytes(100_000), breaks_at=50_000), tmp_path / "out.bin")
    assert isinstance(caught.value.__cause__, BrokenBody)
    assert list(tmp_path.iterdir()) == []


def test_many_rows_make_few_row_groups(tmp_path):
    content = "n\n" + "".join(f"{k}\n" for k in range(600_000))
    load_file(file("csv", content), tmp_path / "out.parquet", format="parquet")
    assert pyarrow.parquet.ParquetFile(tmp_path / "out.parquet").metadata.num_row_groups == 3


@pytest.mark.parametrize("word", ["NaN", "inf", "-Infinity"])
def test_json_lines_refuse_what_json_has_no_number_for(word, tmp_path):
    """No value would be another value; the other formats keep it."""
    path = tmp_path / "out.jsonl"
    with pytest.raises(
        OutputUnavailable, match=r"run job-0, output 'out0': column 'x', row 2: -?(?:nan|inf) is no number"
    ):
        saved(csv_outputs(f"x\n1.5\n{word}\n"), path, "jsonl")
    assert not list(tmp_path.iterdir())
    for name in ("parquet", "csv"):
        saved(csv_outputs(f"x\n1.5\n{word}\n"), tmp_path / f"out.{name}", name)
    saved(csv_outputs(f"x\n1.5\n{word}\n"), path, "jsonl", column_types={"x": "string"})
    assert json.loads(path.read_text().splitlines()[1]) == {"x": word}
    assert str(pyarrow.parquet.read_table(tmp_path / "out.parquet")["x"][1].as_py()).strip("-") in ("nan", "inf")


@pytest.mark.parametrize("name", ["raw", "csv", "parquet", "jsonl"])
def test_a_message_of_a_server_is_no_file(name, tmp_path):
    with pytest.raises(OutputUnavailable, match="looks like a message"):
        saved(csv_outputs("Unauthorized"), tmp_path / "out", name)
    assert not list(tmp_path.iterdir())
    saved(csv_outputs("Unauthorized\n"), tmp_path / "out", name, csv_options=CsvOptions.parse({"delimiter": ","}))


def saved(outputs, path, name, **options):
    """Write outputs as the operator does."""
    checked, compression = checked_format(name, None)
    attempt = Attempt.of(context(Task()))
    is_new = options.pop("overwrite", False)
    load = FileLoad(str(path), None, name, checked, compression, is_new, attempt, None, Log(), **options)
    return load.earlier() or load.run(outputs)


def test_a_file_that_is_copied_may_have_a_column_twice(tmp_path):
    """Its bytes are kept, and its rows are counted."""
    assert saved(csv_outputs("a,a\n1,2\n3,4\n"), tmp_path / "out.csv", "csv")["rows"] == 2
    assert (tmp_path / "out.csv").read_text() == "a,a\n1,2\n3,4\n"
    with pytest.raises(OutputUnavailable, match="the file has the column 'a' twice"):
        saved(csv_outputs("a,a\n1,2\n"), tmp_path / "out.parquet", "parquet")


LONG = "x" * 90
# Each has rows behind the first block that need another type than the first ones, or fit it.
LATE = {
    "a number is text": ("1", "one", pa.string()),
    "a whole number has digits": ("1", "1.5", pa.float64()),
    "no value, then one": ("", "2024-01-01", pa.date32()),
    "no value, then none": ("", "", pa.string()),
    "all the same": ("2024-01-01T00:00:00Z", "", pa.timestamp("us", "UTC")),
}


@pytest.mark.parametrize("case", LATE)
def test_a_file_that_is_written_while_it_is_read_has_the_types_of_all_rows(tmp_path, case):
    """The rows are those of a file that was read to its end first; it is read again only where types change."""
    first, last, kind = LATE[case]
    body = "id,v,long\n" + "".join(f"{k},{first},{LONG}\n" for k in range(60_000)) + f"60000,{last},{LONG}\n"
    log = Log()
    checked, compression = checked_format("parquet", None)
    path = tmp_path / "out.parquet"
    load = FileLoad(str(path), None, "parquet", checked, compression, False, Attempt("k" * 40, False), None, log)
    result = load.run(csv_outputs(body))
    found = pyarrow.parquet.read_table(path)
    assert result["rows"] == found.num_rows == 60_001
    assert found.schema.field("v").type == kind
    assert found.column("id").to_pylist() == list(range(60_001))
    expected = {"a number is text": "one", "a whole number has digits": 1.5, "no value, then one": date(2024, 1, 1)}
    assert found.column("v")[-1].as_py() == expected.get(case)
    assert bool(log.began_again) is (case in expected)
    assert not leftovers(tmp_path)


@pytest.mark.parametrize("what", ["breaks off", "is no CSV at its end"])
def test_a_file_that_fails_while_it_is_written_leaves_nothing(tmp_path, what):
    body = "id,long\n" + "".join(f"{k},{LONG}\n" for k in range(100_000))
    breaks_at = len(body) - 20 if what == "breaks off" else None
    body += "1,2,3\n" if breaks_at is None else ""
    path = tmp_path / "out.parquet"
    path.write_bytes(b"old")
    with pytest.raises(Exception, match=r"broke|row 100,001|BrokenBody"):
        saved(csv_outputs(body, breaks_at=breaks_at), path, "parquet", overwrite=True)
    assert path.read_bytes() == b"old"
    assert not leftovers(tmp_path)
