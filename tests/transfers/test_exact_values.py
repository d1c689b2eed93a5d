"""A value goes into a column that holds it exactly, or is refused with column, row and value; on every database."""

from __future__ import annotations

from datetime import date, datetime
from decimal import Decimal

import pyarrow as pa
import pytest

from airflow_workflow_provider.exceptions import OutputUnavailable, WorkflowError
from airflow_workflow_provider.transfers.sql.columns import (
    Fitting,
    TargetColumn,
    duckdb_type,
    mysql_type,
    postgres_type,
    sqlite_type,
)
from tests.transfers.conftest import Task
from tests.transfers.files import csv_outputs, file_outputs, land

READ = {"postgres": postgres_type, "mariadb": mysql_type, "duckdb": duckdb_type, "sqlite": sqlite_type}
HELD = {
    "bigint": ["0", "-1", "9223372036854775807", "-9223372036854775808", ""],
    "smallint": ["32767", "-32768"],
    "numeric(10,2)": ["10", "10.75", "-0.5", "10.750", "99999999.99"],
    "numeric": ["0.123456789012345678901234567890", "1" * 40],
    "real": ["0.1", "16777216", "-1.5", "3.25e10", "NaN"],
    "double precision": ["0.1", "1e300", "9007199254740992", "-0", "inf"],
    "boolean": ["true", "FALSE", "t"],
    "character varying(3)": ["abc", "é😀x"],
    "date": ["2024-02-29", "0001-01-01"],
    "timestamp without time zone": [
        "2024-01-02",
        "2024-01-02T10:30",
        "2024-01-02 10:30:00.123456",
        "2024-01-02T10:30Z",
    ],
    "timestamp(0) without time zone": ["2024-01-02T10:30:00.000"],
    "timestamp with time zone": ["2024-01-02T10:30:00+02:00", "2024-01-02 10:30:00 UTC", "2024-01-02"],
    "time without time zone": ["10:30:00.5", "23:59"],
    "uuid": ["00000000-0000-0000-0000-0000000000ab"],
    "integer[]": ["{1,-2}", "{}", "{NULL,3}"],
    "jsonb": ['{"a": 1, "b": {"a": 2.50}}', "[1, 2]", '"x"', '[{"a": 1}, {"a": 2}]', '{"a":' * 20 + "1" + "}" * 20],
    "interval": ["1 day", "-3 mons", "1 year 2 months 3 days 04:05:06.123456", "P1Y2M3DT4H5M6.5S", "7.5 seconds"],
    "point": ["(1.5,-2)"],
    "inet": ["192.168.0.1", "10.0.0.0/8", "::1", "2001:db8::/32"],
    "cidr": ["10.0.0.0/8"],
    "macaddr": ["08:00:2b:01:02:03", "08-00-2B-01-02-03"],
}
REFUSED = {
    "bigint": ["10.75", "10.0", "1E3", "01234", "+5", " 5", "5 ", "-0", "9223372036854775808", "true", "x"],
    "smallint": ["32768", "-32769"],
    "numeric(10,2)": ["10.755", "100000000", "1E3", "007", "NaN", "1,5"],
    "numeric": ["1E3", "+1", " 1", "0x1F"],
    "real": ["16777217", "0.123456789", "1e39", "1e-60", "05"],
    "double precision": ["0.1234567890123456789", "9007199254740993", "1e400", "05", "0x1F", "1_000"],
    "boolean": ["1", "0", "yes", "on", "x"],
    "character varying(3)": ["abcd", "abc ", "é😀xy"],
    "character(3)": ["ab ", "abcd"],
    "date": ["2024-01-02T10:30:00", "2024-01-02T00:00:00", "03/04/2024", "2024-02-30", "0000-01-01", "today", "24"],
    "timestamp without time zone": ["2024-01-02 10:30:00.1234567", "24:00:00", "now", "2024-01-02T24:00:00"],
    "timestamp(0) without time zone": ["2024-01-02T10:30:00.5"],
    "timestamp with time zone": ["2024-01-02T10:30:00.1234567Z", "yesterday"],
    "time without time zone": ["24:00:00", "10:30:00.1234567", "2024-01-02T10:30:00"],
    "bytea": ["\\x41", "text"],
    "uuid": ["{00000000-0000-0000-0000-0000000000ab}", "1"],
    "integer[]": ["{01}", "{1.5}", "[1]"],
    "numeric(4,2)[]": ["{1.005}"],
    "character varying(3)[]": ["{a}"],
    "interval(0)": ["1 day"],
    "interval": ["1.5 months", "0.1 years", "1 day 02:03:04.1234567", "P0.5Y", "PT0.1234567S", "5"],
    "jsonb": ['{"a": 1, "a": 2}', '[{"x": {"b": 1, "\\u0062": 2}}]', '{"a": 1, "b": NaN}'],
    "tsquery": ["a & b"],
    "box": ["(1,2),(3,4)"],
    "point": ["(0.1234567890123456789,2)"],
    "cidr": ["5", "1.10", "10.0"],
    "macaddr": ["1900-01-01", "08002b010203"],
    "macaddr8": ["08:00:2b:01:02:03"],
    "regclass": ["target"],
    "time with time zone": ["10:30:00+02"],
}
CASES = [(kind, value, True) for kind, values in HELD.items() for value in values] + [
    (kind, value, False) for kind, values in REFUSED.items() for value in values
]


def fitted(column: TargetColumn, array: pa.Array, **options: bool) -> pa.Array:
    """What a column makes of values, by the check that text-taking databases and the others have."""
    return Fitting([column], takes_text=False, **options).fit(
        pa.RecordBatch.from_arrays([array], names=["x"]), lambda row: ("", row)
    )[0]


@pytest.mark.parametrize("takes_text", [True, False])
@pytest.mark.parametrize(("kind", "value", "is_held"), CASES)
def test_text_is_compared_with_the_type_of_the_column(kind, value, is_held, takes_text):
    """The pattern and the exact look agree, whether the text itself is sent or a value made of it."""
    column = TargetColumn("x", kind, postgres_type(kind))
    batch = pa.RecordBatch.from_arrays([pa.array([None, value], pa.string())], names=["x"])
    fitting = Fitting([column], takes_text=takes_text)
    if is_held:
        assert fitting.fit(batch, lambda row: ("", row)).num_rows == 2
    else:
        with pytest.raises(OutputUnavailable, match=r"(?s)^run: column 'x', row 12: .* of type .* exactly"):
            fitting.fit(batch, lambda row: ("run: ", row + 10))


@pytest.mark.parametrize(
    ("kind", "values", "is_held"),
    [
        ("bigint", pa.array([1.0, None]), True),
        ("bigint", pa.array([1.5]), False),
        ("bigint", pa.array([2**63], pa.uint64()), False),
        ("smallint", pa.array([70_000]), False),
        ("integer", pa.array([Decimal("7.00")]), True),
        ("integer", pa.array([Decimal("7.01")]), False),
        ("numeric(10,2)", pa.array([Decimal("1.50")], pa.decimal128(38, 9)), True),
        ("numeric(10,2)", pa.array([Decimal("1.505")], pa.decimal128(38, 9)), False),
        ("numeric(10,2)", pa.array([5]), True),
        ("real", pa.array([0.1]), True),
        ("real", pa.array([0.123456789]), False),
        ("double precision", pa.array([2**53 + 1]), False),
        ("boolean", pa.array([1]), False),
        ("date", pa.array([datetime(2024, 1, 2, 3)]), False),  # noqa: DTZ001 (without a zone)
        ("timestamp without time zone", pa.array([date(2024, 1, 2)]), True),
        ("timestamp without time zone", pa.array([1], pa.timestamp("ns")), False),
        ("timestamp(0) without time zone", pa.array([1], pa.timestamp("us")), False),
        ("timestamp with time zone", pa.array([1], pa.timestamp("us")), True),
        ("character varying(3)", pa.array([12345]), False),
        ("text", pa.array([Decimal("1.10")]), True),
        ("text", pa.array([b"x"]), False),
        ("bytea", pa.array([b"x"]), True),
        ("uuid", pa.array([5]), False),
    ],
)
def test_values_that_have_a_type_are_compared_as_well(kind, values, is_held):
    column = TargetColumn("x", kind, postgres_type(kind))
    if is_held:
        assert len(fitted(column, values)) == len(values)
    else:
        with pytest.raises(OutputUnavailable, match="column 'x', row 1: "):
            fitted(column, values)


@pytest.mark.parametrize(
    ("database", "kind", "held", "refused"),
    [
        ("mariadb", "tinyint(1)", ["true", "1", "-128", "127"], ["128", "1.0", "yes"]),
        ("mariadb", "tinyint(3) unsigned", ["255"], ["256", "-1"]),
        ("mariadb", "decimal(10,2)", ["1.50"], ["1.505"]),
        ("mariadb", "float", ["0.1", "123456", "1.5e10"], ["8388608", "16777217"]),
        ("mariadb", "double(10,2)", ["1.50"], ["1.505"]),
        ("mariadb", "datetime", ["2024-01-02 03:04:05"], ["2024-01-02 03:04:05.5"]),
        ("mariadb", "year(4)", ["1999"], ["99", "24", "1900"]),
        ("mariadb", "enum('red','it''s')", ["red", "it's"], ["RED", "1", "blue"]),
        ("mariadb", "set('a','b')", [], ["a"]),
        ("mariadb", "tinytext", ["x" * 255], ["x" * 256, "é" * 128]),
        ("mariadb", "bit(3)", ["7"], ["8", "101"]),
        ("duckdb", "UTINYINT", ["255"], ["256", "-1", "1.0"]),
        ("duckdb", "HUGEINT", ["1" + "0" * 37], ["1" + "0" * 38]),
        ("duckdb", "TIMESTAMP_NS", ["2024-01-02 03:04:05.123456789"], ["2024-01-02 03:04:05.1234567891"]),
        ("duckdb", "TIMESTAMP_S", ["2024-01-02 03:04:05.0"], ["2024-01-02 03:04:05.5"]),
        ("duckdb", "ENUM('red', 'b')", ["red"], ["RED"]),
        ("duckdb", "INTEGER[]", [], ["[1]"]),
        ("sqlite", "INTEGER", ["5"], ["05", "5.0", "9223372036854775808"]),
        ("sqlite", "STRING", ["abc", "1.5", "5"], ["01234", "1.10", "1E3", "+5", " 5"]),
        ("sqlite", "DECIMAL(10,2)", ["1.5", "5"], ["1.10", "0.1234567890123456789", "x"]),
        ("sqlite", "ANY", ["abc", "5"], ["01234", "9223372036854775808", "12345678901234567890.123"]),
        ("sqlite", "VARCHAR(3)", ["abcdef"], []),
        ("sqlite", "BLOB", [], ["x", "1"]),
        (
            "mariadb",
            "json",
            ['{"a": 0.1, "b": 18446744073709551615}'],
            ['{"a":1,"a":2}', '{"a":0.12345678901234567890, "b":1}', '{"a":1,"b":18446744073709551616}'],
        ),
        ("duckdb", "INTERVAL", ["1 day 02:03:04.5"], ["1.5 days", "00:00:00.1234567"]),
    ],
)
def test_each_database_has_types_of_its_own(database, kind, held, refused):
    column = TargetColumn("x", kind, READ[database](kind))
    for value in held:
        fitted(column, pa.array([value]))
    for value in refused:
        with pytest.raises(OutputUnavailable, match="does not fit"):
            fitted(column, pa.array([value]))


def test_no_value_for_a_column_that_needs_one_is_refused_by_row():
    column = TargetColumn("x", "bigint", postgres_type("bigint"), nullable=False)
    with pytest.raises(OutputUnavailable, match=r"row 2: there is no value, and the table's column 'x' .* needs one"):
        fitted(column, pa.array(["1", None]))


def test_a_float_that_a_database_does_not_keep_is_refused():
    column = TargetColumn("x", "double", mysql_type("double"))
    for value in (pa.array([float("nan")]), pa.array(["NaN"])):
        with pytest.raises(OutputUnavailable, match="does not fit"):
            fitted(column, value, takes_nan=False)


SPELLED = {"BIGINT": "BIGINT", "DATE": "DATE", "DECIMAL": "DECIMAL(10,2)"}
DAYS = [
    ("BIGINT", "10", ["10.75", "01234", "1E3", "+4712", "true"]),
    ("DATE", "2024-01-01", ["2024-01-02T10:30:00", "01/02/2024"]),
]


@pytest.mark.parametrize(("kind", "one", "others"), DAYS, ids=[kind for kind, *_ in DAYS])
@pytest.mark.parametrize(
    ("source", "if_exists"), [("csv", "append"), ("json", "append"), ("csv", "upsert"), ("csv", "truncate")]
)
def test_day_two_does_not_change_a_value_without_a_word(database, kind, one, others, source, if_exists):
    """The table was made on day one; the file of day two holds values of a wider kind."""
    database.run(f"CREATE TABLE target (k BIGINT, x {SPELLED[kind]})")
    options = {"if_exists": if_exists, "key_columns": ["k"], "where": "k = 2"}

    def outputs(value):
        text = f"k,x\n2,{value}\n" if source == "csv" else f'[{{"k": 2, "x": "{value}"}}]'
        return csv_outputs(text) if source == "csv" else file_outputs("json", text)

    land(database, outputs(one), **options)
    before = database.rows("SELECT k, x FROM target")
    for value in others:
        with pytest.raises(WorkflowError, match=r"(?s)column 'x', row 1: .*nothing was changed"):
            land(database, outputs(value), **options)
    assert database.rows("SELECT k, x FROM target") == before


def test_nothing_below_a_microsecond_is_cut(database):
    """A table that is made keeps nanoseconds as text, or in the type that has them."""
    land(database, csv_outputs("at\n2024-01-01T10:00:00.123456789\n"), if_exists="fail")
    kind = 'CAST("at" AS VARCHAR)' if database.name == "duckdb" else "at"
    assert str(database.rows(f"SELECT {kind} FROM target")[0][0]).endswith("10:00:00.123456789")


def test_rows_of_a_composite_type_and_keys_of_an_hstore_are_compared():
    """The parts of a row would be rounded one by one; of two values for one key a database keeps one."""
    column = TargetColumn("x", "price", postgres_type("price", "C"))
    with pytest.raises(OutputUnavailable, match="does not fit"):
        fitted(column, pa.array(["(1,2.55)"]))
    column = TargetColumn("x", "hstore", postgres_type("hstore", "U"))
    assert len(fitted(column, pa.array(['a=>1, "b c"=>"x, y=>z"', "a=>NULL"]))) == 2
    for twice in ("a=>1, a=>2", 'a=>1,"a"=>2'):
        with pytest.raises(OutputUnavailable, match="a key occurs twice"):
            fitted(column, pa.array([twice]))


@pytest.mark.parametrize("method", ["auto", "insert"])
@pytest.mark.parametrize("if_exists", ["append", "upsert", "replace", "truncate", "replace_where"])
def test_a_key_that_stands_twice_in_an_object_is_refused_where_a_database_keeps_one(postgres, if_exists, method):
    postgres.run("CREATE TABLE target (k bigint, j jsonb)")
    options = {"if_exists": if_exists, "key_columns": ["k"], "where": "k = 1", "load_method": method}
    options["column_types"] = {"k": "int64"}
    twice = ('k,j\n1,"{""a"": 1, ""a"": 2}"\n', '[{"k": 1, "j": "{\\"a\\": 1, \\"a\\": 2}"}]')
    for kind, text in zip(("csv", "json"), twice, strict=True):
        if if_exists == "replace":
            continue  # its column is text, which is another shape
        with pytest.raises(WorkflowError, match=r"column 'j', row 1: .* a key occurs twice"):
            land(postgres, file_outputs(kind, text), **options)
    assert postgres.rows("SELECT * FROM target") == []
    land(postgres, csv_outputs('k,j\n1,"{""a"": 1, ""b"": {""a"": 1.50}}"\n'), Task(task_id="b"), **options)
    assert postgres.rows("SELECT j::text FROM target") == [('{"a": 1, "b": {"a": 1.50}}',)] or if_exists == "replace"


def test_a_column_without_a_type_keeps_the_text_of_a_csv_file(sqlite):
    """Whatever other values the file has; a key that would be stored in two ways is refused."""
    sqlite.run("CREATE TABLE target (k, v)")
    land(sqlite, csv_outputs("k,v\n1,1.10\n2,007\n"))
    land(sqlite, csv_outputs("k,v\n3,5\n"), Task(task_id="b"))
    assert sqlite.rows("SELECT k, v FROM target") == [("1", "1.10"), ("2", "007"), ("3", "5")]
    land(sqlite, csv_outputs("k,v\n3,new\n"), Task(task_id="c"), if_exists="upsert", key_columns=["k"])
    assert sqlite.rows("SELECT v FROM target WHERE k = '3'") == [("new",)]
    with pytest.raises(WorkflowError, match="the key 3 is a number on one side and text on the other"):
        land(sqlite, file_outputs("json", '[{"k": 3, "v": "x"}]'), if_exists="upsert", key_columns=["k"])
    assert sqlite.rows("SELECT count(*) FROM target") == [(3,)]


@pytest.mark.parametrize("method", ["auto", "insert"])
def test_an_error_names_the_run_the_output_the_column_and_the_row(database, method):
    """Also for the second of several outputs, and of several tables; a single output is named in the error's note."""
    database.run("CREATE TABLE t_0 (k BIGINT)", "CREATE TABLE t_1 (k BIGINT)", "CREATE TABLE once (k BIGINT UNIQUE)")
    for outputs, table, said in (
        (csv_outputs("k\n1\nx\n"), "t_0", r"column 'k', row 2: 'x'"),
        (csv_outputs("k\n1\n2\n", "k\n3\nx\n"), "t_0", r"run job-1, output 'out1': column 'k', row 2: 'x'"),
        (csv_outputs("k\n1\n2\n", "k\n3\nx\n"), "t_{index}", r"column 'k', row 2: 'x'"),
        (csv_outputs("k\n1\n1\n"), "once", r"run job-0, output 'out0': (?:line 3|rows 1 to 2)"),
        (file_outputs("json", '[{"k": 1}]', '[{"k": 2}, {"k": 1}]'), "once", r"run job-[01], output 'out[01]': rows? "),
    ):
        with pytest.raises(WorkflowError, match=rf"\A{said}") as caught:
            land(database, outputs, table=table, load_method=method)
        assert "output 'out" in "\n".join([str(caught.value), *getattr(caught.value, "__notes__", [])])
    assert database.rows("SELECT * FROM t_0") == database.rows("SELECT * FROM once") == []
