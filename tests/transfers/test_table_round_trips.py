"""Random tables come back from every database, in every mode, as an independent reader reads the file.

``FUZZ_CASES`` says how many cases are tried, a hundredth of it for each database; at least two.
"""

from __future__ import annotations

import csv
import io
import json
import os
import random
from decimal import Decimal
from typing import Any

import pytest

from airflow_workflow_provider.outputs import csv_file, json_file
from airflow_workflow_provider.outputs.csv_options import CsvOptions
from tests.transfers.conftest import Task
from tests.transfers.files import csv_outputs, file_outputs, land

CASES = max(2, int(os.environ.get("FUZZ_CASES", "0")) // 100)
PIECES = [
    '"',
    '""',
    "\r\n",
    "\n",
    ",",
    ";",
    "\t",
    "\\",
    "\\N",
    "\\.",
    "a",
    "é",
    "東",
    "😀",
    " ",
    "'",
    "%s",
    "%",
    "NULL",
    "1",
]
NUMBERS = ["0", "-1", "12.50", "0.1", "9007199254740993", "123456789012345678.9", "-0.001", "99999999999"]
MODES = ("fail", "append", "replace", "truncate", "upsert", "replace_where")
Table = dict[int, tuple[str, Any]]


@pytest.fixture(autouse=True)
def sizes():
    """Block sizes as they were."""
    usual = csv_file.BLOCK, json_file.ROWS, json_file.PIECE
    yield
    csv_file.BLOCK, json_file.ROWS, json_file.PIECE = usual


def random_table(rnd: random.Random) -> Table:
    """Some rows by key: a text of hard characters, and a number or none."""
    pool = rnd.sample(NUMBERS, rnd.randint(1, 4))
    return {
        key: ("".join(rnd.choice(PIECES) for _ in range(rnd.randint(0, 5))), rnd.choice([None, *pool]))
        for key in rnd.sample(range(30), rnd.randint(1, 12))
    }


def outputs_of(table: Table, rnd: random.Random) -> tuple[Any, dict[str, Any]]:
    """The table as a file in a random dialect, in blocks of a random size; and the options that read it."""
    csv_file.BLOCK = rnd.choice([1, 7, 64, 4 << 20])
    json_file.ROWS, json_file.PIECE = rnd.choice([1, 3, 10_000]), rnd.choice([5, 1 << 20])
    rows = list(table.items())
    rnd.shuffle(rows)
    if rnd.random() < 0.4:
        lines = [
            f'{{"k":{key},"t":{json.dumps(text, ensure_ascii=rnd.random() < 0.5)},"n":{number or "null"}}}'
            for key, (text, number) in rows
        ]
        return file_outputs("json", "[" + ",".join(lines) + "]"), {}
    delimiter = rnd.choice(",,;\t|")
    out = io.StringIO(newline="")
    writer = csv.writer(out, delimiter=delimiter, quoting=csv.QUOTE_ALL, lineterminator=rnd.choice(["\n", "\r\n"]))
    writer.writerows([["k", "t", "n"], *([key, text, number or ""] for key, (text, number) in rows)])
    options = CsvOptions() if delimiter == "," else CsvOptions.parse({"delimiter": delimiter})
    return csv_outputs(out.getvalue()), {"csv_options": options}


def same(seen: Any, number: str | None) -> bool:
    """True if a cell holds the number, digit by digit."""
    if seen is None or number is None:
        return seen is None and number is None
    return Decimal(repr(seen) if isinstance(seen, float) else str(seen)) == Decimal(number)


def check(database: Any, table: str, expected: Table) -> None:
    """Compare a table with what it must hold."""
    found = {int(key): (text, number) for key, text, number in database.rows(f"SELECT k, t, n FROM {table}")}
    assert found.keys() == expected.keys()
    for key, (text, number) in expected.items():
        assert found[key][0] == text
        assert same(found[key][1], number), (found[key], number)
    assert database.rows(f"SELECT COUNT(*) FROM {table}")[0][0] == len(expected)


@pytest.mark.parametrize("mode", MODES)
def test_a_table_is_what_the_file_holds_after_any_mode(database, mode):
    rnd = random.Random(f"{database.name} {mode}")  # noqa: S311 (no secret)
    types = {"t": "string", "n": "decimal128(38, 9)"}
    for case in range(CASES):
        first, second, name = random_table(rnd), random_table(rnd), f"t{case}"
        method = rnd.choice(["auto", "insert"])
        common = {"table": name, "column_types": types, "load_method": method}
        given, options = outputs_of(first, rnd)
        land(database, given, Task(task_id=f"{name}a"), if_exists="fail", **common, **options)
        check(database, name, first)
        if mode == "fail":
            continue
        if mode == "append":
            second = {key: row for key, row in second.items() if key not in first} or {99: ("", None)}
        bound = rnd.randint(0, 30)
        if mode == "replace_where":
            second = {key: row for key, row in second.items() if key >= bound} or {bound + 100: ("x", None)}
        given, options = outputs_of(second, rnd)
        more = {"key_columns": ["k"], "where": f"k >= {bound}"}
        land(database, given, Task(task_id=f"{name}b"), if_exists=mode, **more, **common, **options)
        kept = {"append": first, "upsert": first, "replace_where": {k: row for k, row in first.items() if k < bound}}
        check(database, name, {**kept.get(mode, {}), **second})
