"""Values and names arrive in every database as they were."""
# ruff: noqa: DTZ001 (columns without a zone are tested too)

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, date, datetime
from decimal import Decimal

import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from airflow_workflow_provider.exceptions import InvalidArgument, InvalidConnection, WorkflowError
from airflow_workflow_provider.transfers.sql.dialects import DIALECTS, GENERIC, POSTGRES, SQLITE
from airflow_workflow_provider.transfers.sql.names import parse_table
from airflow_workflow_provider.transfers.sql.session import sql_hook
from airflow_workflow_provider.transfers.sql.types import kind_of, sql_type
from tests.outputs.playing import page
from tests.transfers.conftest import opened
from tests.transfers.databases import skip_where_keys_linger
from tests.transfers.files import csv_outputs, file_outputs, land, paged_outputs
from tests.transfers.test_sql_modes import load

COLUMNS = {
    "big": "number",
    "huge": "number",
    "price": "number",
    "share": "number",
    "yes": "boolean",
    "day": "date",
    "local": "datetime",
    "at": "timestamp",
    "zip": "string",
    "nothing": "any",
}
ROW = [
    2**53 + 1,
    2**63,
    Decimal("12345678901234567.89"),
    0.1,
    True,
    "2024-02-29",
    "2024-03-31T02:30:00.123456",
    "2024-01-01T10:00:00.5+02:00",
    "007 æ 日本 'q' \"q\" \\ %s\n",
    None,
]
AT = datetime(2024, 1, 1, 8, 0, 0, 500_000, tzinfo=UTC)
# Where a database has no such type, how the value is kept instead.
KEPT = {
    "sqlite": {1: str(2**63), 2: "12345678901234567.89", 4: 1, 5: "2024-02-29", 6: "2024-03-31 02:30:00.123456",
               7: "2024-01-01 08:00:00.500000+00:00"},
    "mariadb": {4: 1, 7: AT.replace(tzinfo=None)},
}  # fmt: skip


def test_a_value_keeps_its_type_and_every_digit(tables, database):
    given_row = [float(value) if isinstance(value, Decimal) else value for value in ROW]
    given_row[2] = "12345678901234567.89"
    load(database, tables.put("out", COLUMNS, given_row, [None] * len(ROW)))
    listed = ", ".join(map(database.quoted, COLUMNS))
    first, second = database.rows(f"SELECT {listed} FROM target ORDER BY big IS NULL")
    expected = [2**53 + 1, Decimal(2**63), Decimal("12345678901234567.89"), 0.1, True, date(2024, 2, 29),
                datetime(2024, 3, 31, 2, 30, 0, 123456), AT, ROW[8], None]  # fmt: skip
    for place, value in KEPT.get(database.name, {}).items():
        expected[place] = value
    assert [utc(value) for value in first] == expected
    assert set(second) == {None}


def test_a_table_that_we_made_is_known_again_whatever_its_types(tables, database):
    """So replace empties it instead of dropping it, and what hangs on it stays: PostgreSQL would refuse the drop."""
    skip_where_keys_linger(database)
    row = [float(value) if isinstance(value, Decimal) else value for value in ROW]
    run = tables.put("out", {**COLUMNS, "price": "string"}, row)
    types = {"price": "decimal128(12, 2)", "day": "date32", "zip": "binary", "nothing": "uint64"}
    row[2] = "1.5"
    load(database, run, column_types=types)
    database.run("CREATE VIEW looking AS SELECT * FROM target", "CREATE UNIQUE INDEX kept ON target (big)")
    load(database, run, if_exists="replace", column_types=types)
    assert database.rows("SELECT COUNT(*) FROM looking") == [(1,)]
    with pytest.raises(WorkflowError):
        load(database, run, column_types=types)


def utc(value):
    """The same moment, whatever the session's zone."""
    return value.astimezone(UTC) if isinstance(value, datetime) and value.tzinfo else value


NAMES = [
    "a b",
    'say "hi"',
    "it's",
    "semi;colon",
    "100%",
    "%s",
    "select",
    "æ日本",
    "back`tick",
    "a.b",
    "UPPER",
    "?",
    ":x",
    "--",
]


def test_a_column_may_be_called_anything(tables, database):
    names = [name for name in NAMES if name != "%s" or not takes_marks_for_parameters(database)]
    columns = {"id": "number"} | dict.fromkeys(names, "string")
    run = tables.put("out", columns, [1, *names], [2, *names])
    for if_exists in ("fail", "replace", "upsert", "replace_where"):
        load(database, run, if_exists=if_exists, key_columns=["id"], where="id > 0")
        assert database.rows("SELECT * FROM target ORDER BY id") == [(1, *names), (2, *names)]


def takes_marks_for_parameters(database) -> bool:
    """True for the MySQL client that replaces every ``%s``, whatever stands around it."""
    return database.connection.get("extra", {}).get("client") == "mysql-connector-python"


def test_a_name_that_the_client_would_replace_is_refused(tables, servers, tmp_path, monkeypatch):
    database = opened("mariadb", servers, tmp_path, monkeypatch)
    if not takes_marks_for_parameters(database):
        pytest.skip("mysqlclient is installed, which takes these names")
    run = tables.put("out", {"id": "number", "%s": "string"}, [1, "a"])
    with pytest.raises(InvalidArgument, match=r"a name or a condition holds %s.*use the client mysqlclient"):
        load(database, run, load_method="insert")


@pytest.mark.parametrize(
    "table", ['"my table"', '"order"', "order", '"it\'s; DROP TABLE x"', '"a.b"', "with space", "tab_æ"]
)
def test_a_table_may_be_called_anything_in_quotes(tables, database, table):
    run = tables.put("out", {"id": "number"}, [1])
    for _ in range(2):
        result = load(database, run, table=table)
    assert result["table"] == table
    name = table.strip('"')
    assert database.rows(f"SELECT COUNT(*) FROM {database.quoted(name)}") == [(2,)]


def test_a_schema_before_the_table(tables, postgres):
    """The ledger lies in the same schema; what has no quotes is lower case, as in PostgreSQL's own SQL."""
    postgres.run("CREATE SCHEMA other")
    load(postgres, tables.put("out", {"id": "number"}, [1]), table="Other.Target")
    assert postgres.rows("SELECT id FROM other.target") == [(1,)]
    assert postgres.has("other.airflow_workflow_loads")
    assert not postgres.has("airflow_workflow_loads")
    with pytest.raises(WorkflowError, match=r"(?s)schema \"absent\".*table 'absent\.t'"):
        load(postgres, tables.put("out", {"id": "number"}, [1]), table="absent.t")


@pytest.mark.parametrize(
    ("text", "dialect", "parts"),
    [
        ("t", SQLITE, ("t",)),
        ("S.T", SQLITE, ("S", "T")),
        ("S.T", POSTGRES, ("s", "t")),
        ('"S"."T"', POSTGRES, ("S", "T")),
        ("db.s.t", GENERIC, ("db", "s", "t")),
        ('"a""b"', POSTGRES, ('a"b',)),
        ("`a.b`.c", POSTGRES, ("a.b", "c")),
        ("My Table", POSTGRES, ("My Table",)),
        ("t$1", POSTGRES, ("t$1",)),
        ("daily", DIALECTS["snowflake"], ("DAILY",)),
        ('hr."daily"', DIALECTS["oracle"], ("HR", "daily")),
    ],
)
def test_a_tables_name_is_read(text, dialect, parts):
    assert parse_table(text, dialect).parts == parts


NO_NAMES = ["", " ", "a..b", ".a", "a.", "a.b.c.d", '"a', "a;b", "(SELECT 1)", "a/*x*/", "a\nb", None, 5]


@pytest.mark.parametrize(
    "text",
    [*NO_NAMES, *("a'b", "t WHERE 1=1", '"a"b', "x" * 64)],
)
def test_what_is_no_name_is_refused(text):
    with pytest.raises(InvalidArgument, match="table"):
        parse_table(text, POSTGRES)


@settings(max_examples=200, deadline=None)
@given(st.text(max_size=20))
def test_no_name_gets_out_of_its_quotes(text):
    """Whatever is accepted is one quoted name a part."""
    try:
        name = parse_table(text, SQLITE)
    except InvalidArgument:
        return
    inner = [part[1:-1].replace('""', "") for part in name.sql.split('"."')] if len(name.parts) == 1 else []
    assert name.sql.startswith('"')
    assert name.sql.endswith('"')
    assert all('"' not in part for part in inner)


def test_a_name_that_the_database_would_cut_off_is_refused(tables, postgres):
    long = "results.user.profile.address.street.name.of.the.first.house.in.row"
    run = tables.put("out", {"id": "number", long: "string"}, [1, "x"])
    with pytest.raises(
        InvalidArgument, match=r"columns: the name .* more than the 63 bytes that PostgreSQL allows; give it"
    ):
        load(postgres, run)
    load(postgres, run, columns={"id": "id", long: "street"})
    assert postgres.rows("SELECT id, street FROM target") == [(1, "x")]


def test_columns_are_chosen_renamed_and_typed(tables, database):
    run = tables.put("out", {"a": "number", "b": "string", "c": "string"}, [1, "007", "x"])
    load(database, run, columns='{"b": "zip", "a": "n"}', column_types={"zip": "int64", "a": "string"})
    assert database.rows("SELECT zip, n FROM target") == [(7, "1")]


SPELLED = [("1", "1.10", "TRUE", "2024-01-01T10:00:00+02:00"), ("2", "1.9", "false", "2024-01-02T10:00:00Z")]
TEXTS = "version VARCHAR(9), flag TEXT, moment VARCHAR(40)"


@pytest.mark.parametrize("if_exists", ["append", "upsert", "replace_where"])
@pytest.mark.parametrize("source", ["plain CSV", "CSV of which columns are left out", "JSON", "pages"])
def test_a_column_of_text_that_is_there_gets_the_text_of_the_source(database, if_exists, source):
    """Even where every value looks like a number, a boolean or a time; an upsert finds such a key."""
    database.run(f"CREATE TABLE target (id BIGINT, {TEXTS})",
                 "INSERT INTO target VALUES (1, '1.10', 'old', 'old')")  # fmt: skip
    columns = ["id", "Version", "flag", "moment"]
    options = {"if_exists": if_exists, "key_columns": ["Version"], "where": "id = 1"}
    lines = [",".join(columns), *map(",".join, SPELLED)]
    if source == "pages":
        words = dict(zip(columns, ("number", "any", "any", "timestamp"), strict=True))
        outputs = paged_outputs([page(words, (int(row[0]), *row[1:])) for row in SPELLED])
    elif source == "JSON":
        outputs = file_outputs("jsonl", "".join(json.dumps(dict(zip(columns, row, strict=True))) for row in SPELLED))
    elif source == "plain CSV":
        outputs = csv_outputs("\n".join(lines))
    else:
        outputs = csv_outputs("\n".join(f"{line},x" for line in lines))
        options["columns"] = columns
    land(database, outputs, **options)
    rows = database.rows("SELECT id, version, flag, moment FROM target WHERE flag <> 'old' ORDER BY id")
    assert rows == [(int(row[0]), *row[1:]) for row in SPELLED]
    assert len(database.rows("SELECT id FROM target")) == (3 if if_exists == "append" else 2)


def test_a_type_that_was_asked_for_wins_over_the_text_of_the_source(database):
    database.run(f"CREATE TABLE target (id BIGINT, {TEXTS})")
    text = "id,version,more\n1,1.10,x\n"
    land(database, csv_outputs(text), columns=["id", "version"], column_types={"version": "decimal128(9, 3)"})
    assert database.rows("SELECT version FROM target") == [("1.100",)]


@pytest.mark.parametrize("kind", ["postgres", "mariadb"])
def test_a_time_without_a_zone_is_utc_whatever_the_servers_zone(servers, tmp_path, monkeypatch, kind):
    database = opened(kind, servers, tmp_path, monkeypatch)
    database.run("CREATE TABLE target (id BIGINT, at TIMESTAMP WITH TIME ZONE)" if kind == "postgres" else
                 "CREATE TABLE target (id BIGINT, at TIMESTAMP NULL)")  # fmt: skip
    elsewhere = {"options": "-c timezone=Asia/Tokyo"} if kind == "postgres" else {}
    more = {"extra": elsewhere} if elsewhere else {}
    replace(database, connection={**database.connection, **more}).export()
    if kind == "mariadb":
        database.run("SET GLOBAL time_zone = '+09:00'")
    try:
        land(database, csv_outputs("id,at\n1,2024-01-01T10:00:00\n"))
        land(database, paged_outputs([page({"id": "number", "at": "timestamp"}, [2, "2024-01-01T10:00:00Z"])]))
    finally:
        if kind == "mariadb":
            database.run("SET GLOBAL time_zone = SYSTEM")
    database.export()
    seconds = "extract(epoch FROM at)::bigint" if kind == "postgres" else "UNIX_TIMESTAMP(at)"
    assert database.rows(f"SELECT id, {seconds} FROM target ORDER BY id") == [(1, 1704103200), (2, 1704103200)]


def test_a_server_that_is_not_strict_is_for_a_load(servers, tmp_path, monkeypatch):
    database = opened("mariadb", servers, tmp_path, monkeypatch)
    database.run("CREATE TABLE target (id BIGINT, name VARCHAR(3))", "SET GLOBAL sql_mode = ''")
    try:
        with pytest.raises(WorkflowError, match="'abcd' does not fit"):
            land(database, csv_outputs("id,name\n1,abcd\n"))
    finally:
        database.run("SET GLOBAL sql_mode = DEFAULT")
    assert database.rows("SELECT * FROM target") == []


def test_a_number_beyond_sqlite_is_text(tables, sqlite):
    load(sqlite, tables.put("out", {"n": "number"}, [2**64], [1]))
    assert sqlite.rows("SELECT n, typeof(n) FROM target") == [(str(2**64), "text"), ("1", "text")]


KINDS = [
    *(pa.bool_(), pa.int8(), pa.int64(), pa.uint64(), pa.float32(), pa.float64()),
    *(pa.decimal128(12, 2), pa.decimal128(38, 38), pa.date32(), pa.timestamp("ns"), pa.timestamp("us", "UTC")),
    *(pa.time64("us"), pa.binary(), pa.string(), pa.large_string(), pa.null()),
]


@pytest.mark.parametrize("dialect", [*dict.fromkeys(DIALECTS.values()), GENERIC], ids=lambda dialect: str(dialect.name))
@pytest.mark.parametrize("kind", KINDS, ids=str)
def test_every_type_has_one_in_every_database(dialect, kind):
    assert kind_of(kind, dialect) in dialect.types
    assert "{" not in sql_type(kind, dialect, is_key=True)


@pytest.mark.parametrize(
    ("conn_id", "connection", "said"),
    [
        ("nowhere", None, "connection 'nowhere' is not defined"),
        ("", None, "is empty"),
        (None, None, "is empty"),
        ("plain", '{"conn_type": "carto"}', "of type '.*', which is no SQL database|has no hook"),
        ("plain", '{"conn_type": "unheard_of"}', "has no hook"),
    ],
)
def test_a_connection_that_is_no_database_is_named(monkeypatch, conn_id, connection, said):
    if connection:
        monkeypatch.setenv(f"AIRFLOW_CONN_{conn_id.upper()}", connection)
    with pytest.raises(InvalidConnection, match=f"sql_conn_id: .*({said})"):
        sql_hook(conn_id)


VALUES = st.tuples(
    st.none() | st.integers(-(2**70), 2**70),
    st.none() | st.floats(allow_nan=False, allow_infinity=False, allow_subnormal=False),
    st.none() | st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=20),
    st.none() | st.dates(),
    st.none() | st.datetimes(min_value=datetime(1, 1, 2), max_value=datetime(9999, 12, 30), timezones=st.just(UTC)),
    st.none() | st.booleans(),
)


@settings(
    max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)
@given(st.lists(VALUES, max_size=20))
def test_whatever_a_table_holds_arrives_in_postgresql(tables, postgres, rows):
    columns = {
        "k": "number",
        "i": "number",
        "f": "number",
        "t": "string",
        "d": "date",
        "at": "timestamp",
        "b": "boolean",
    }
    served = [
        [k, i, f, t, d and d.isoformat(), at and at.isoformat().replace("+00:00", "Z"), b]
        for k, (i, f, t, d, at, b) in enumerate(rows)
    ]
    load(postgres, tables.put("out", columns, *served), if_exists="replace")
    got = postgres.rows("SELECT i, f, t, d, at, b FROM target ORDER BY k")
    assert [tuple(utc(value) for value in row) for row in got] == rows
