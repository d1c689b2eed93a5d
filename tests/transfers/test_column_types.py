"""Every name of a type converts exactly, from every source and into every target, or the load is refused."""

from __future__ import annotations

import base64
import csv
import io
import json
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from typing import Any

import pyarrow.parquet
import pytest

from airflow_workflow_provider.exceptions import InvalidArgument, OutputUnavailable, WorkflowError
from airflow_workflow_provider.transfers.source.parts import checked_columns
from tests.outputs.playing import page
from tests.outputs.test_yxdb_file import yxdb
from tests.transfers.conftest import Task
from tests.transfers.files import csv_outputs, file_outputs, land, paged_outputs
from tests.transfers.test_object_storage import saved

MOMENT = datetime(2024, 2, 29, 10, 20, 30, 123456)  # noqa: DTZ001 (columns without a zone are tested too)
# By the name of a type: how a source spells a value, and the value.
VALUES: dict[str, tuple[str, Any]] = {
    "int8": ("-128", -128),
    "int16": ("32767", 32767),
    "int32": ("-2147483648", -(2**31)),
    "int64": ("9223372036854775807", 2**63 - 1),
    "uint8": ("255", 255),
    "uint16": ("65535", 65535),
    "uint32": ("4294967295", 2**32 - 1),
    "uint64": ("18446744073709551615", 2**64 - 1),
    "float32": ("0.5", 0.5),
    "float64": ("0.1", 0.1),
    "number": ("1e300", 1e300),
    "int": ("5.0", 5),
    "string": ("007", "007"),
    "large_string": (" x ", " x "),
    "json": ('{"a": 1.10}', '{"a": 1.10}'),
    "binary": ("abc", b"abc"),
    "bool": ("TRUE", True),
    "date32": ("2024-02-29", date(2024, 2, 29)),
    "timestamp": ("2024-02-29T12:20:30.123456+02:00", MOMENT.replace(tzinfo=UTC)),
    "datetime": ("2024-02-29 10:20:30.123456", MOMENT),
    "timestamp[s]": ("2024-02-29T10:20:30.000", MOMENT.replace(microsecond=0)),
    "timestamp[ms]": ("2024-02-29T10:20:30.123", MOMENT.replace(microsecond=123000)),
    "timestamp[us]": ("2024-02-29T10:20:30.1234560", MOMENT),
    "timestamp[ns]": ("2024-02-29T10:20:30.123456789", "2024-02-29 10:20:30.123456789"),
    "timestamp[s, UTC]": ("2024-02-29T10:20:30Z", MOMENT.replace(microsecond=0, tzinfo=UTC)),
    "timestamp[us, UTC]": ("2024-02-29 10:20:30.123456 UTC", MOMENT.replace(tzinfo=UTC)),
    "timestamp[us, Europe/Oslo]": ("2024-02-29T10:20:30.123456Z", MOMENT.replace(tzinfo=UTC)),
    "timestamp[ns, UTC]": ("2024-02-29T10:20:30.123456789Z", "2024-02-29 10:20:30.123456789Z"),
    "decimal128(12, 2)": ("-1.50", Decimal("-1.50")),
    "decimal128(38, 30)": ("1." + "0" * 29 + "1", Decimal("1." + "0" * 29 + "1")),
    "decimal256(50, 3)": ("1" * 40 + ".125", Decimal("1" * 40 + ".125")),
    "decimal": ("1.123456789", Decimal("1.123456789")),
    "numeric(5,1)": ("1.5", Decimal("1.5")),
    "time32[s]": ("10:20:30", time(10, 20, 30)),
    "time32[ms]": ("10:20:30.5", time(10, 20, 30, 500000)),
    "time64[us]": ("10:20:30.123456", time(10, 20, 30, 123456)),
    "time64[ns]": ("10:20:30.123456789", "10:20:30.123456789"),
}
REFUSED = [
    ("int8", "128"),
    ("uint8", "-1"),
    ("uint64", "18446744073709551616"),
    ("float32", "1e39"),
    ("bool", "maybe"),
    ("date32", "2024-02-29T10:00:00"),
    ("timestamp[s]", "2024-02-29T10:20:30.5"),
    ("timestamp[ms, UTC]", "2024-02-29T10:20:30.1234Z"),
    ("timestamp", "2024-02-29T10:20:30.1234567Z"),
    ("timestamp[ns]", "2024-02-29T10:20:30.1234567891"),
    ("decimal128(12, 2)", "1.005"),
    ("time32[s]", "10:20:30.5"),
    ("time64[us]", "10:20:30.1234567"),
    ("time64[ns]", "24:00:00"),
]
COLUMNS = {f"c{number}": name for number, name in enumerate(VALUES)}
SOURCES = ("csv", "json", "pages", "yxdb")


def outputs(source: str, texts: dict[str, str]) -> Any:
    """An output with one row of these texts, and one without values."""
    if source == "csv":
        out = io.StringIO(newline="")
        csv.writer(out, lineterminator="\n").writerows([texts, texts.values(), ["", *[""] * (len(texts) - 1)]])
        return csv_outputs(out.getvalue())
    if source == "json":
        return file_outputs("json", json.dumps([texts, dict.fromkeys(texts)]))
    if source == "yxdb":
        fields = [(column, "String", 80, 0) for column in texts]
        return file_outputs("yxdb", yxdb(fields, list(texts.values()), [None] * len(texts)))
    return paged_outputs([page(dict.fromkeys(texts, "string"), list(texts.values()), [None] * len(texts))])


def texts() -> dict[str, str]:
    """The texts of all columns."""
    return {column: VALUES[name][0] for column, name in COLUMNS.items()}


def same(seen: Any, value: Any) -> bool:  # noqa: PLR0911 (one return a kind)
    """True if a target gives back the value, in the type that it has for it."""
    if isinstance(seen, timedelta):
        seen = (datetime(1970, 1, 1, tzinfo=UTC) + seen).time()
    if isinstance(seen, memoryview):  # psycopg2
        seen = bytes(seen)
    if isinstance(value, datetime) and isinstance(seen, datetime):
        return bool(seen.replace(tzinfo=seen.tzinfo or value.tzinfo) == value)
    if isinstance(value, str) or not isinstance(seen, str):
        plain = str(seen).replace("T", " ").replace("+00:00", "Z")
        return bool(seen == value) or plain == str(value) or plain == str(value).removesuffix("Z")
    if isinstance(value, bytes):
        return base64.b64decode(seen) == value
    if isinstance(value, datetime):
        moment = datetime.fromisoformat(seen.replace("+0100", "+01:00"))
        return moment.replace(tzinfo=moment.tzinfo or value.tzinfo) == value
    if isinstance(value, bool):
        return seen.lower() == str(value).lower()
    if isinstance(value, (int, float, Decimal)):
        return Decimal(seen) == (Decimal(repr(value)) if isinstance(value, float) else value)
    return type(value).fromisoformat(seen) == value


def check(rows: list[Any]) -> None:
    """Compare what a target holds with the values."""
    first, second = rows
    wrong = {
        name: seen for (name, (_, value)), seen in zip(VALUES.items(), first, strict=True) if not same(seen, value)
    }
    assert not wrong
    assert all(seen in (None, "") for seen in second)


@pytest.mark.parametrize("source", SOURCES)
def test_every_type_converts_into_a_table(database, source):
    land(database, outputs(source, texts()), if_exists="fail", column_types=COLUMNS)
    listed = (
        ", ".join(COLUMNS)
        if database.name != "duckdb"
        else ", ".join(f"CAST({column} AS VARCHAR)" if "ns" in name else column for column, name in COLUMNS.items())
    )
    check(sorted(database.rows(f"SELECT {listed} FROM target"), key=lambda row: row[0] is None))


@pytest.mark.parametrize("source", SOURCES)
@pytest.mark.parametrize("format_", ["parquet", "csv", "jsonl"])
def test_every_type_converts_into_a_file(format_, source, tmp_path):
    path = tmp_path / "out"
    saved(outputs(source, texts()), path, format_, column_types=COLUMNS)
    if format_ == "parquet":
        columns = pyarrow.parquet.read_table(path).columns
        nanoseconds = [column.cast("string") if "ns" in name else column for column, name in
                       zip(columns, VALUES, strict=True)]  # fmt: skip
        check(list(zip(*(column.to_pylist() for column in nanoseconds), strict=True)))
    elif format_ == "csv":
        check(list(csv.reader(io.StringIO(path.read_text())))[1:])
    else:
        check([list(json.loads(line).values()) for line in path.read_text().splitlines()])


@pytest.mark.parametrize("source", SOURCES)
@pytest.mark.parametrize(("name", "text"), REFUSED)
def test_a_value_that_would_change_is_refused_by_column_and_row(name, text, source, sqlite, tmp_path):
    options = {"column_types": {"x": name}}
    with pytest.raises(WorkflowError, match=r"(?s)run job-[01].*column 'x', row 1: .* is not of type"):
        land(sqlite, outputs(source, {"x": text}), if_exists="fail", **options)
    assert not sqlite.has("target")
    for format_ in ("parquet", "csv", "jsonl"):
        with pytest.raises(OutputUnavailable, match="column 'x', row 1"):
            saved(outputs(source, {"x": text}), tmp_path / "files" / "out", format_, **options)
    assert not list((tmp_path / "files").rglob("*"))


def test_a_time_of_day_can_be_added(database):
    added = checked_columns({"clock": time(10, 20, 30, 5), "day": date(2024, 2, 29), "n": Decimal("1.50")})
    land(database, csv_outputs("k\n1\n"), if_exists="fail", add_columns=added)
    land(database, file_outputs("json", '[{"k": 2}]'), Task(task_id="b"), add_columns=added)
    for at, day in database.rows("SELECT clock, day FROM target"):
        assert same(at, time(10, 20, 30, 5))
        assert same(day, date(2024, 2, 29))
    with pytest.raises(InvalidArgument, match="a time without a zone"):
        checked_columns({"clock": time(10, tzinfo=UTC)})
