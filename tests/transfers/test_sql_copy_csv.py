"""CSV that goes into PostgreSQL unparsed arrives as if every value had been read, and all of it or nothing."""

from __future__ import annotations

import csv
import io
from datetime import datetime

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from airflow_workflow_provider.exceptions import OutputUnavailable, WorkflowError
from airflow_workflow_provider.outputs.reading import part_of
from airflow_workflow_provider.outputs.table import table
from airflow_workflow_provider.transfers.sql import csv_copy
from airflow_workflow_provider.transfers.sql.dialects import POSTGRES
from airflow_workflow_provider.transfers.sql.types import spelled, sql_type
from tests.transfers.files import csv_outputs, land
from tests.transfers.test_sql_values import utc

TYPES = "SELECT attname, upper(format_type(atttypid, atttypmod)) FROM pg_attribute WHERE attrelid = 'target'::regclass AND attnum > 0 AND NOT attisdropped ORDER BY attnum"  # noqa: E501


def as_read(outputs, **options):
    """The table that reading every value gives: its columns as PostgreSQL types, and its rows."""
    read = table([part_of(one.source, one.client, one.where) for one in outputs], **options).read_all()
    columns = [(field.name, sql_type(field.type, POSTGRES)) for field in read.schema]
    texts = [
        spelled(column.combine_chunks()) if kind == "TEXT" else column
        for column, (_, kind) in zip(read, columns, strict=True)
    ]
    rows = zip(*(column.to_pylist() for column in texts), strict=True)
    return columns, [tuple(map(comparable, row)) for row in rows]


def comparable(value):
    """NaN is equal to itself here."""
    return repr(value) if isinstance(value, float) else utc(value)


def as_landed(postgres):
    """The table that is in the database."""
    rows = postgres.rows("SELECT * FROM target")
    return postgres.rows(TYPES), [tuple(map(comparable, row)) for row in rows]


def same(postgres, *contents, **options):
    """Load into a table that is not there, and compare; give the log."""
    outputs = csv_outputs(*contents)
    result, log = land(postgres, outputs, if_exists="replace", **options)
    landed = as_landed(postgres)
    assert landed == as_read(outputs, **options)
    assert result["rows"] == len(landed[1])
    return log


MIXED = (
    "id,zip,price,day,at,local,yes,note,nothing\n"
    '1,00501,1.50,2024-02-29,2024-01-01T10:00:00Z,2024-01-01 10:00:00.25,true,"a, ""b""\nc",\n'
    '"2",10001,"",,"2024-01-01T10:00:00+02:00",2024-01-01,FALSE,"",\n'
    ",,-0.25,2024-03-01,,,,,\n"
)


def test_values_arrive_as_if_each_had_been_read(postgres):
    log = same(postgres, MIXED)
    assert not log.began_again
    assert log.lines[-1].startswith("Wrote 3 rows")


@pytest.mark.parametrize(
    "content",
    [
        MIXED.replace("\n", "\r\n"),
        "\ufeff" + MIXED,
        MIXED.rstrip("\n"),
        "a\n1\n\n2\n",
        "a\n\n",
        "a,b\n",
        "a,b",
        "a\n\n\n",
        '"a ""x""","select"\n1,2\n',
        "a,b\n1,\n2,\n",
        'a,b\n1,""\n2,\n',
        "a,b\r\n1,x\n2,y\r\n",
        "a,b\n1,x\n\n2,y\n",
        'a,b\n1,5" pipe\n2,say "hi" now\n',
        "a,b\n007,+5\n1,2\n",
        "a\n\\.\n1\n",
        'a,b\n1,"x\n\\.\ny"\n',
        "a\n9223372036854775808\n1\n",
        "a\n12345678901234567.89\n1\n",
        "a\n0.1234567890123456\n",
        "a\n0.12345678901234567890\n",
        "a\n1e5\n2.5e-3\n",
        "a\nnan\n1.5\n",
        "a\n2024-01-01T10:00:00.123456789Z\n",
        "a\n2024-02-30\n",
        "a\n 1\n2\n",
        "a\nnow\n",
        "a,b\n0x1F,1_000\n",
        "a\ntrue\nyes\n",
        "a\n-0\n1\n",
    ],
)
def test_whatever_a_file_looks_like_the_table_is_the_one_of_its_values(postgres, content):
    same(postgres, content)


@pytest.mark.parametrize(
    ("first", "later"),
    [
        ("1", "1.5"),
        ("1", "007"),
        ("1", "+5"),
        ("1", " 5"),
        ("1", "9223372036854775808"),
        ("1", "x"),
        ("1.5", "1e400"),
        ("1.5", "0.12345678901234567"),
        ("1.5", "0.1234567890123456789"),
        ("1.5", "1e5"),
        ("1.5", "nan"),
        ("2024-01-01", "2024-01-01 10:00:00"),
        ("2024-01-01", "today"),
        ("2024-01-01", "01/02/2024"),
        ("2024-01-01T10:00:00", "2024-01-01T10:00:00Z"),
        ("2024-01-01T10:00:00Z", "2024-01-01T10:00:00"),
        ("2024-01-01T10:00:00Z", "2024-01-01T10:00:00.1234567Z"),
        ("true", "t"),
        ("true", "1"),
        ("", "1"),
        ("", '""'),
        ('""', "1"),
        ("", "007"),
        ("1", 'a"b"c'),
        ("12345678901234567.89", "1.234"),
    ],
)
def test_a_type_holds_for_all_rows_also_for_the_last_one(postgres, first, later):
    """The value that decides comes long after the rows that the types were guessed from."""
    pad = "x" * 1_000
    rows = "".join(f"{k},{first},{pad}\n" for k in range(1_500))
    assert len(rows) // csv_copy.SAMPLE > 1
    same(postgres, f"k,v,pad\n{rows}2001,{later},{pad}\n")


def quoted(text: str) -> str:
    """A field as a CSV writer puts it."""
    made = io.StringIO()
    csv.writer(made, quoting=csv.QUOTE_ALL, lineterminator="").writerow([text])
    return made.getvalue()


TIMES = st.datetimes(min_value=datetime(1, 1, 2), max_value=datetime(9999, 12, 30))  # noqa: DTZ001 (a zone is put on later)
FIELDS = st.one_of(
    st.sampled_from(
        ["", '""', "0", "-1", "1.5", "007", "true", "2024-01-01", "2024-01-01T10:00:00Z", "x", "a b", "1e3"]
    ),
    st.integers(-(2**70), 2**70).map(str),
    st.floats(allow_nan=False, allow_infinity=False, allow_subnormal=False).map(repr),
    TIMES.map(datetime.isoformat),
    TIMES.map(lambda moment: moment.isoformat() + "Z"),
    st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=6).map(quoted),
)


@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)
@given(st.lists(st.tuples(FIELDS, FIELDS, FIELDS), max_size=12), st.sampled_from(["\n", "\r\n"]))
def test_any_file_gives_the_table_of_its_values(postgres, rows, end):
    same(postgres, "a,b,c" + end + "".join(",".join(row) + end for row in rows))


@settings(
    max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)
@given(st.text(st.sampled_from('ab1,"\n\r\\. '), max_size=40))
def test_what_is_no_csv_is_refused_as_if_it_had_been_parsed(postgres, text):
    r"""Also where a database reads quotes, line ends and ``\\.`` in its own way."""
    outputs = csv_outputs("x,y\n" + text)
    try:
        expected = as_read(outputs)
    except OutputUnavailable:
        with pytest.raises(OutputUnavailable):
            land(postgres, outputs, if_exists="replace")
        return
    land(postgres, outputs, if_exists="replace")
    assert as_landed(postgres) == expected


def test_several_files_are_united_by_column_name(postgres):
    log = same(postgres, "id,name\n1,a\n", "name,id\nb,2\n")
    assert not log.began_again
    same(postgres, "id,name\n1,a\n", "id,more\n2,x\n", "id\n0.5\n")


def test_columns_are_renamed_chosen_and_typed(postgres):
    content = "id,zip,at\n1,7,2024-01-01T10:00:00Z\n"
    assert not same(postgres, content, columns={"zip": "code", "id": "n", "at": "at"}).began_again
    assert not same(postgres, content, column_types={"zip": "string", "id": "decimal128(12, 2)"}).began_again
    same(postgres, content, columns=["zip"])
    same(postgres, content, column_types={"at": "timestamp[us]", "zip": "int32"})
    with pytest.raises(OutputUnavailable, match="column 'at', row 1"):
        land(postgres, csv_outputs(content), if_exists="replace", column_types={"at": "int64"})


def test_a_table_of_others_reads_the_fields_as_its_own_types(postgres):
    """An empty field is NULL, a quoted one is empty text in a column of text, and NULL in any other."""
    postgres.run(
        "CREATE TABLE target (ID BIGINT, code VARCHAR(9), price NUMERIC(9, 2), doc JSON, more INT DEFAULT 7)",
    )
    content = 'code,id,price,doc\n007,1,1.50,"{""a"": 1}"\n"","",,\n'
    _, log = land(postgres, csv_outputs(content))
    assert not log.began_again
    rows = postgres.rows("SELECT id, code, price::text, doc::text, more FROM target")
    assert rows == [(1, "007", "1.50", '{"a": 1}', 7), (None, "", None, None, 7)]


def test_a_zone_is_never_dropped_without_a_word(postgres):
    """PostgreSQL would take the hour and forget the zone; a day would forget both."""
    postgres.run("CREATE TABLE target (at TIMESTAMP, day DATE)")
    land(postgres, csv_outputs("at,day\n2024-01-01T23:00:00-05:00,\n"))
    assert [str(value) for value in postgres.rows("SELECT at FROM target")[0]] == ["2024-01-02 04:00:00"]
    with pytest.raises(WorkflowError, match="column 'day', row 1"):
        land(postgres, csv_outputs("at,day\n,2024-01-01T23:00:00-05:00\n"))
