"""Random tables in random dialects come back as an independent reader reads them, in blocks of any size and any order.

``FUZZ_CASES`` says how many cases are tried; ``make fuzz`` tries 10,000.
"""

from __future__ import annotations

import csv
import io
import json
import os
import random
from contextlib import suppress
from decimal import Decimal

import pyarrow as pa
import pytest

from airflow_workflow_provider.exceptions import OutputUnavailable
from airflow_workflow_provider.outputs import csv_file, json_file
from tests.outputs.playing import file, table_of
from tests.outputs.test_yxdb_file import FIELDS, ROW, yxdb

CASES = int(os.environ.get("FUZZ_CASES", "150"))
PIECES = [
    '"',
    '""',
    "\r\n",
    "\n",
    "\r",
    ",",
    ";",
    "\t",
    "\\",
    "a",
    "é",
    "東",
    "😀",
    " ",
    "\0",
    "'",
    "|",
    "1",
    "-",
    ".",
    "NaN",
]
NUMBERS = [
    "0",
    "-1",
    "12.50",
    "0.1",
    "1e5",
    "9007199254740993",
    "1.7976931348623157e308",
    "123456789012345678.9",
    "1E-7",
]
WORDS = ["null", "true", "false", '"x"', '""', '"2024-01-01"', '"\\u00e9"', '"😀"', '{"a": 1.10}', "[1, 2.50]"]


@pytest.fixture(autouse=True)
def sizes():
    """Block sizes as they were."""
    usual = csv_file.BLOCK, json_file.ROWS, json_file.PIECE
    yield
    csv_file.BLOCK, json_file.ROWS, json_file.PIECE = usual


def text_of(rnd: random.Random) -> str:
    """Some text of hard characters."""
    return "".join(rnd.choice(PIECES) for _ in range(rnd.randint(0, 5)))


@pytest.mark.parametrize("seed", range(4))
def test_csv_is_what_the_csv_module_reads(seed):
    rnd = random.Random(seed)  # noqa: S311 (no secret)
    for _ in range(CASES // 4):
        names = [f"c{k}" for k in range(rnd.randint(1, 4))]
        rows = [[text_of(rnd) for _ in names] for _ in range(rnd.randint(0, 12))]
        delimiter, quote, escape = rnd.choice(",;\t|"), rnd.choice("\"'"), rnd.choice(["", "", "\\"])
        form = {"delimiter": delimiter, "quotechar": quote, "doublequote": not escape, "escapechar": escape or None}
        out = io.StringIO(newline="")
        written = csv.writer(out, quoting=csv.QUOTE_ALL, lineterminator=rnd.choice(["\n", "\r\n"]), **form)
        written.writerows([names, *rows])
        expected = list(csv.reader(io.StringIO(out.getvalue(), newline=""), strict=True, **form))[1:]
        codec = rnd.choice(["utf-8", "utf-8-sig", "utf-16"])
        csv_file.BLOCK = rnd.choice([1, 2, 3, 7, 64, 4 << 20])
        options = {"delimiter": delimiter, "quote": quote, "escape": escape or None}
        given = table_of(
            file("csv", out.getvalue().encode(codec)), csv_options=options, column_types=dict.fromkeys(names, "string")
        )
        assert [list(row.values()) for row in given.to_pylist()] == expected, (options, out.getvalue())


@pytest.mark.parametrize("seed", range(4))
def test_json_is_what_the_json_module_reads(seed):
    """Numbers are compared as exact decimals; a text column holds JSON from which each value can be read again."""
    rnd = random.Random(seed)  # noqa: S311 (no secret)
    for _ in range(CASES // 4):
        pool = rnd.sample([*NUMBERS, *WORDS], rnd.randint(1, 4))
        values = [rnd.choice(pool) for _ in range(rnd.randint(1, 10))]
        rnd.shuffle(values)
        text = "[" + ",".join('{"c":' + value + "}" for value in values) + "]"
        json_file.ROWS, json_file.PIECE = rnd.choice([1, 2, 10_000]), rnd.choice([1, 5, 1 << 20])
        given = table_of(file("json", text)).column("c")
        for seen, value in zip(given.to_pylist(), values, strict=True):
            assert same(seen, json.loads(value, parse_float=Decimal), given.type), (text, seen, value)


def same(seen: object, value: object, kind: pa.DataType) -> bool:
    """True if a cell is the value, in the type of its column."""
    if value is None or (value == "" and seen is None and not pa.types.is_string(kind)):
        return seen is None
    if pa.types.is_string(kind):
        if isinstance(value, str):
            return seen == value
        return bool(json.loads(str(seen), parse_float=Decimal) == value)
    if isinstance(value, str):
        return str(seen) == value
    if isinstance(seen, float):
        return Decimal(repr(seen)) == value
    return bool(seen == value)


@pytest.mark.parametrize("kind", ["csv", "json", "yxdb"])
def test_whatever_happens_to_a_file_it_is_a_table_or_a_clear_error(kind):
    rnd = random.Random(kind)  # noqa: S311 (no secret)
    good = {
        "csv": b'a,b\r\n1,"x\r\ny"\r\n2,"say ""hi"""\r\n' * 3,
        "json": b'[{"a": 1, "b": "x\\u00e9"}, {"a": 2.50, "b": {"c": [1, null]}}]',
        "yxdb": yxdb(FIELDS, *([ROW] * 3), [None] * len(FIELDS)),
    }[kind]
    for _ in range(CASES):
        data = bytearray(good)
        for _ in range(rnd.choice([1, 1, 3, 20])):
            data[rnd.randrange(len(data))] = rnd.randrange(256)
        with suppress(OutputUnavailable):
            assert (
                table_of(file(kind, bytes(data[: rnd.choice([len(data), rnd.randrange(len(data) + 1)])]))).num_rows >= 0
            )


CELLS = {
    "int": ["0", "7", "-12", "123456", "999999999999999", "9007199254740993", "-1234567890123456789", "1" * 25],
    "number": ["0.5", "-12.25", "3", "-0", "123456789.123456", "0.1234567890123456789", "1e5", "NaN", "12345678901.5"],
    "bool": ["true", "FALSE", "True", "tRuE"],
    "date": ["2024-01-31", "2024-02-29", "1999-12-31", "1600-05-06", "9998-01-01", "2023-02-29", "0000-01-01"],
    "datetime": ["2024-01-31 10:20", "2024-01-31T10:20:30.5", "1650-01-01 00:00:00", "2024-01-31T10:20:30.1234567"],
    "timestamp": [
        "2024-01-31T10:20:30Z",
        "2024-01-31 10:20:30.25+02:00",
        "2200-01-01T00:00:00Z",
        "2024-01-31 10:20 UTC",
    ],
    "text": ["a", "007", "x,y", 'say "hi"', "two\nlines", "é", "+5", " 5", "1_000", "\\"],
}


@pytest.mark.parametrize("seed", range(4))
def test_values_and_types_do_not_depend_on_where_a_block_ends(seed):
    """Rows of one block are looked at one by one; later blocks may be certified by a pattern, and parsed at once."""
    rnd = random.Random(seed)  # noqa: S311 (no secret)
    for _ in range(CASES // 4):
        pools = [
            [*rnd.sample(CELLS[kind], rnd.randint(1, len(CELLS[kind]))), *rnd.choice([[], [], [""]])]
            for kind in rnd.choices(list(CELLS), k=rnd.randint(1, 4))
        ]
        if rnd.random() < 0.3:
            pools[0].append(rnd.choice(CELLS[rnd.choice(list(CELLS))]))
        rows = [[rnd.choice(pool) for pool in pools] for _ in range(rnd.randint(1, 40))]
        delimiter = rnd.choice(",;\t|")
        out = io.StringIO(newline="")
        quoting = rnd.choice([csv.QUOTE_MINIMAL, csv.QUOTE_ALL])
        written = csv.writer(out, quoting=quoting, delimiter=delimiter, lineterminator=rnd.choice(["\n", "\r\n"]))
        written.writerows([[f"c{k}" for k in range(len(pools))], *rows])
        options = {"csv_options": {"delimiter": delimiter}}
        if rnd.random() < 0.2:
            options["columns"] = ["c0"]
        csv_file.BLOCK = 4 << 20
        expected = table_of(file("csv", out.getvalue()), **options)
        csv_file.BLOCK = rnd.choice([1, 8, 40, 200])
        given = table_of(file("csv", out.getvalue()), **options)
        assert given.schema == expected.schema, out.getvalue()
        assert repr(given.to_pylist()) == repr(expected.to_pylist()), out.getvalue()
