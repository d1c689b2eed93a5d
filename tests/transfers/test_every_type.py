"""Every kind of value meets every type of column: what a column takes by any path comes back as the same value."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, time, timedelta
from decimal import Decimal, InvalidOperation
from typing import Any

import pyarrow as pa
import pytest

from airflow_workflow_provider.exceptions import OutputUnavailable
from airflow_workflow_provider.transfers.sql.columns import Fitting, TargetColumn
from airflow_workflow_provider.transfers.sql.names import parse_table
from airflow_workflow_provider.transfers.sql.session import session, sql_hook
from tests.transfers.conftest import Task, opened
from tests.transfers.files import csv_outputs, file_outputs, land


def listed(text: str, by: str = " | ") -> list[str]:
    """Texts that are written one behind the other."""
    return text.split(by)


NUMBERS = listed(
    "0 1 -1 127 128 255 256 -128 -129 32767 32768 -32768 -32769 2147483647 2147483648 -2147483649 "
    "9223372036854775807 9223372036854775808 -9223372036854775808 18446744073709551615 "
    "18446744073709551616 10.75 1.10 -0 0.1 16777216 16777217 9007199254740993 0.1234567890123456789 "
    "123456789012345678901234567890.123456789 1E3 1e400 1e-400",
    " ",
)
TEXTS = [
    *listed(
        "01234~+5~ 5~5 ~1_000~1,5~0x1F~.5~5.~NaN~Infinity~-inf~true~FALSE~yes~t~on~x~abc ~null~NULL~\\N~\\.~é😀~"
        "'; --~%s~2024-02-29~2023-02-29~0000-01-01~0001-01-01~9999-12-31~10000-01-01~03/04/2024~now~"
        "2024-01-02T10:30:00~2024-01-02T10:30:00Z~2024-03-31T02:30:00+01:00~2024-03-31 02:30:00.5 UTC~"
        "2024-01-02 10:30:00.123456~2024-01-02 10:30:00.1234567~2024-01-02T23:59:60Z~24:00:00~10:30:00.5~"
        '1 day~P1Y2M~{"a": 1.10, "b": [1, 2]}~{"a": 1, "a": 2}~[1]~\\x41~{1,2}~(1,2)~::1~'
        "00000000-0000-0000-0000-0000000000ab~10.0.0.1~101~X~10:30:00~1999",
        "~",
    ),
    "y" * 70_000,
    "a\tb\\c",
    "a\r\nb",
]
TYPES = {
    "postgres": listed(
        "smallint | integer | bigint | numeric | numeric(10,2) | numeric(3,-1) | numeric(2,4) | real | "
        "double precision | boolean | text | varchar(10) | char(4) | date | timestamp | timestamp(0) | "
        "timestamptz | timestamptz(3) | time | time(0) | timetz | interval | interval(2) | bytea | uuid | "
        "jsonb | inet | cidr | macaddr | money | point | int[] | name | oid | tsvector | int4range | mood | "
        'small | "char"'
    ),
    "duckdb": listed(
        "TINYINT | SMALLINT | INTEGER | BIGINT | HUGEINT | UTINYINT | UINTEGER | UBIGINT | UHUGEINT | "
        "DECIMAL(10,2) | DECIMAL(38,10) | FLOAT | DOUBLE | BOOLEAN | VARCHAR | DATE | TIMESTAMP | "
        "TIMESTAMP_S | TIMESTAMP_MS | TIMESTAMP_NS | TIMESTAMPTZ | TIME | TIMETZ | INTERVAL | BLOB | UUID | "
        "JSON | BIT | ENUM('x', 't') | INTEGER[] | STRUCT(a INTEGER)"
    ),
    "sqlite": listed(
        "INTEGER | BIGINT | TEXT | VARCHAR(3) | REAL | NUMERIC | DECIMAL(10,2) | BLOB | BOOLEAN | DATE | "
        "DATETIME | TIMESTAMP | TIME | "
    ),
    "mariadb": listed(
        "TINYINT | TINYINT(1) | SMALLINT | MEDIUMINT UNSIGNED | INT | BIGINT | BIGINT UNSIGNED | "
        "DECIMAL(10,2) | FLOAT | DOUBLE | CHAR(4) | VARCHAR(10) | TINYTEXT | LONGTEXT | DATE | DATETIME | "
        "DATETIME(6) | TIMESTAMP(3) NULL | TIME | TIME(6) | YEAR | BIT(4) | BLOB | VARBINARY(5) | "
        "ENUM('x', 't') | SET('x', 't') | UUID | INT ZEROFILL"
    ),
}
PATHS = {
    "postgres": ["csv", "csv insert", "json", "json insert"],
    "duckdb": ["csv", "json"],
    "sqlite": ["csv", "json"],
    "mariadb": ["csv bulk", "csv insert", "json"],
}
# Types that take none of these values as text.
CLOSED = {
    "timetz", "interval(2)", "bytea", "macaddr", "tsvector", "int4range", "TIMETZ", "BLOB", "INTEGER[]",
    "STRUCT(a INTEGER)", "VARBINARY(5)", "SET('x', 't')",
}  # fmt: skip
AS_TEXT = {"postgres": "::text", "duckdb": "::VARCHAR", "sqlite": "", "mariadb": ""}


def number(text: str) -> Decimal | None:
    """A number as Python reads it; None where text is none."""
    try:
        return Decimal(text)
    except InvalidOperation:
        return None


def moment(text: Any) -> datetime:
    """A moment without a zone, in UTC."""
    found = text if isinstance(text, datetime) else datetime.fromisoformat(str(text).replace(" UTC", "Z"))
    return found.replace(tzinfo=None) if found.tzinfo is None else found.astimezone(UTC).replace(tzinfo=None)


def clock(given: Any) -> timedelta:
    """The time since midnight."""
    if isinstance(given, timedelta):
        return given
    found = given if isinstance(given, time) else time.fromisoformat(str(given))
    return timedelta(hours=found.hour, minutes=found.minute, seconds=found.second, microseconds=found.microsecond)


def numbers_are_equal(source: str, got: Any, bits: int = 64) -> bool:
    """True if both are one number; a float stands for the number that is nearest to it in its shortest spelling."""
    truth = {"true": "1", "false": "0", "t": "1", "f": "0"}.get(source.lower(), source)
    one, other = (
        number(truth),
        number(str(int(got)) if isinstance(got, bool) else str(got).replace("$", "").replace(",", "")),
    )
    if one is None or other is None:
        return False
    if isinstance(got, float) and bits == 32:
        return math.isclose(got, float(one), rel_tol=1e-7) and len(one.normalize().as_tuple().digits) <= 7
    return (one.is_nan() and other.is_nan()) or one == other


def document(text: str) -> Any:
    """A JSON document with its numbers digit by digit."""
    return json.loads(text, parse_float=str, parse_int=str)


JSON = ("0", "1.10", "true", "null", "[1]", '{"a": 1.10, "b": [1, 2]}')
SPELLED = {"P1Y2M": "1 year 2 mons"}
SAME: dict[str, Callable[[str, Any, TargetColumn], bool]] = {
    **dict.fromkeys(("int", "decimal"), lambda source, got, column: numbers_are_equal(source, got)),
    "float": lambda source, got, column: numbers_are_equal(source, got, column.type.bits),
    "bool": lambda source, got, column: source.lower()[0] == str(bool(got) if got in (0, 1) else got).lower()[0],
    "date": lambda source, got, column: str(got) == source,
    "datetime": lambda source, got, column: moment(got) == moment(source),
    "timestamp": lambda source, got, column: moment(got) == moment(source),
    "time": lambda source, got, column: clock(got) == clock(source),
    "interval": lambda source, got, column: got == SPELLED.get(source, source),
    "json": lambda source, got, column: document(got) == document(source),
    "network": lambda source, got, column: str(got).removesuffix("/32").removesuffix("/128") == source,
    "uuid": lambda source, got, column: str(got).lower() == source.lower(),
}


def is_same(source: str, got: Any, column: TargetColumn) -> bool:
    """True if a column gives the value that was put into it."""
    if isinstance(got, bytes) and column.type.kind == "int":  # MySQL's BIT
        got = int.from_bytes(got, "big")
    if column.type.kind in ("untyped", "number") and isinstance(got, (int, float)):
        return repr(got) == source
    return SAME.get(column.type.kind, lambda source, got, column: got == source)(source, got, column)


def taken(fitting: Fitting, column: TargetColumn, values: Sequence[str]) -> list[str]:
    """Those values that a column takes, as the check says that every path has."""
    held = []
    for value in values:
        batch = pa.RecordBatch.from_arrays([pa.array([value])], names=["x"])
        try:
            fitting.fit(batch, lambda row: ("", row))
        except OutputUnavailable as refused:
            said = str(refused)
            assert said.startswith(f"column 'x', row 1: {value[:20]!r}"[:-1])
            assert "does not fit the table's column" in said
        else:
            held.append(value)
    return [value for value in held if not refused_by_the_server(value, column)]


def refused_by_the_server(text: str, column: TargetColumn) -> bool:
    """True for what the server refuses by itself: it names the row."""
    if column.declared.startswith("timestamp(3)") and not column.declared.endswith("zone"):  # MariaDB's
        return text[:4] in ("0001", "9999")
    known = {"json": JSON, "shape": ("(1,2)",), "own": ("x", "t")}.get(column.type.kind)
    return known is not None and text not in known


def prepared(database, spelled: Sequence[str]) -> list[tuple[TargetColumn, list[str]]]:
    """Make a table with a column of each type; give the columns and what they take."""
    if database.name == "postgres":
        database.run("CREATE TYPE mood AS ENUM ('x', 't')", "CREATE DOMAIN small AS integer")
    columns = ", ".join(f"x{number} {kind}" for number, kind in enumerate(spelled))
    options = " CHARACTER SET utf8mb4" if database.name == "mariadb" else ""
    database.run(f"CREATE TABLE target (k BIGINT, {columns}){options}")
    with session(sql_hook(database.conn_id)) as opened_session:
        name = opened_session.resolve(parse_table("target", opened_session.dialect))
        found = list((opened_session.look(name).columns or {}).values())[1:]
        made = []
        for column in found:
            one = TargetColumn("x", column.declared, column.type)
            made.append((column, taken(opened_session.fitting([one]), column, NUMBERS + TEXTS)))
    return made


def rows_of(columns: Sequence[tuple[TargetColumn, list[str]]]) -> list[dict[str, str | None]]:
    """Rows with the values that each column takes; a column that has no more of them is empty."""
    most = max(len(values) for _, values in columns)
    return [
        {"k": str(row), **{column.name: (values[row] if row < len(values) else None) for column, values in columns}}
        for row in range(most)
    ]


def outputs_of(kind: str, rows: Sequence[dict[str, str | None]]) -> Any:
    """The rows as a CSV file in which every value is quoted, or as JSON in which every value is text."""
    if kind == "json":
        return file_outputs("json", json.dumps([{**row, "k": int(str(row["k"]))} for row in rows]))
    lines = [",".join(rows[0])]
    lines += [
        ",".join("" if value is None else '"' + value.replace('"', '""') + '"' for value in row.values())
        for row in rows
    ]
    return csv_outputs("\n".join(lines) + "\n")


def compared(database, columns: Sequence[tuple[TargetColumn, list[str]]]) -> list[str]:
    """Give what is not the same in the table."""
    cast = AS_TEXT[database.name]
    wrong = []
    for column, values in columns:
        named = database.quoted(column.name)
        got = dict(database.rows(f"SELECT k, {named}{cast} FROM target"))
        assert len(got) == max(len(held) for _, held in columns)
        wrong += [
            f"{column.declared}: {source!r} is {got[row]!r}"
            for row, source in enumerate(values)
            if not is_same(source, got[row], column)
        ]
        wrong += [
            f"{column.declared}: nothing is {got[row]!r}"
            for row in range(len(values), len(got))
            if got[row] is not None
        ]
    return wrong


@pytest.mark.parametrize("name", PATHS)
def test_a_value_that_a_column_takes_comes_back(name, servers, tmp_path, monkeypatch):
    """Every other value is refused before the database sees it, and the error shows it."""
    database = opened(name, servers, tmp_path, monkeypatch)
    if name == "mariadb":
        database.connection["extra"] = {**database.connection["extra"], "local_infile": True}
        database.export()
    columns = prepared(database, TYPES[name])
    assert {kind for kind, (_, values) in zip(TYPES[name], columns, strict=True) if not values} <= CLOSED
    for path in PATHS[name]:
        kind, _, method = path.partition(" ")
        land(database, outputs_of(kind, rows_of(columns)), Task(task_id=path), load_method=method or "auto")
        assert compared(database, columns) == [], path
        database.run("DELETE FROM target")
