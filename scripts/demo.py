"""``make demo``: start the sandbox and a real Airflow, run one DAG, and show the rows that it loads.

All files are below ``.demo/``. All processes end when this program ends.
"""

from __future__ import annotations

import contextlib
import fcntl
import shlex
import shutil
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from scripts.airflow_cluster import AirflowCluster, TaskState
from scripts.airflow_home import AIRFLOW_VERSION, AirflowHome
from scripts.environment import ROOT
from scripts.processes import Background, free_port

DAG_ID = "example_carto"
SANDBOX = [sys.executable, "-m", "airflow_workflow_provider.sandbox"]
BEGAN = time.monotonic()
ENDS = ("success", "failed", "skipped", "upstream_failed")


def say(text: str) -> None:
    """Print a line with the seconds since the start."""
    print(f"{time.monotonic() - BEGAN:5.1f} s  {text}", flush=True)


def sandbox_connections(port: int) -> dict[str, str]:
    """The ``AIRFLOW_CONN_…`` variables of a sandbox on this port."""
    command = [*SANDBOX, "--port", str(port), "--print-connections"]
    answer = subprocess.run(command, check=True, capture_output=True, text=True)
    words = [word for line in answer.stdout.splitlines() for word in shlex.split(line)]
    return dict(word.split("=", 1) for word in words if word.startswith("AIRFLOW_CONN_"))


@contextlib.contextmanager
def locked_folder(folder: Path) -> Iterator[Path]:
    """A folder that one demo at a time may use."""
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise SystemExit(f"Another demo is running in {folder}; wait for it or stop it.") from None
        yield folder


@contextlib.contextmanager
def demo_folder() -> Iterator[Path]:
    """An empty ``.demo/run/``."""
    with locked_folder(ROOT / ".demo" / "run") as folder:
        for old in folder.iterdir():
            if old.is_dir():
                shutil.rmtree(old)
        yield folder


def home_in(folder: Path, sandbox_port: int) -> AirflowHome:
    """An Airflow with the example DAG, the sandbox's connections and a SQLite database to load rows into."""
    landed = folder / "landed"
    landed.mkdir()
    variables = sandbox_connections(sandbox_port)
    variables["AIRFLOW_CONN_WAREHOUSE"] = f'{{"conn_type": "sqlite", "host": "{landed / "warehouse.db"}"}}'
    dags = folder / "dags"
    dags.mkdir()
    shutil.copyfile(ROOT / "example_dags" / f"{DAG_ID}.py", dags / f"{DAG_ID}.py")
    return AirflowHome(folder / "airflow", dags=dags, port=free_port(), variables=variables)


def run_dag(airflow: AirflowCluster, folder: Path) -> bool:
    """Run the DAG once, with one line per task when it ends; print the logs of failed tasks."""
    run_id = airflow.trigger(DAG_ID, conf={"landing_zone": (folder / "landed").as_uri()})
    began: dict[str, float] = {}
    deferred: set[str] = set()
    failed: list[TaskState] = []
    for task in airflow.changes(DAG_ID, run_id, timeout=240):
        began.setdefault(task.label, time.monotonic())
        if task.state == "deferred":
            deferred.add(task.label)
        if task.state in ENDS:
            how = ", deferred meanwhile" if task.label in deferred else ""
            say(f"{task.label:<18} {task.state} after {time.monotonic() - began[task.label]:.0f} s{how}")
        if task.state == "failed":
            failed.append(task)
    for task in failed:
        print(f"\n--- log of {task.label} ---\n{airflow.log(DAG_ID, run_id, task)}", file=sys.stderr)
    return airflow.run_state(DAG_ID, run_id) == "success"


def show(title: str, columns: list[str], rows: list[tuple[Any, ...]], total: int) -> None:
    """Print rows as a table, and how many more there are."""
    lines = [columns, *([f"{cell:.4f}" if isinstance(cell, float) else str(cell) for cell in row] for row in rows)]
    widths = [max(len(line[place]) for line in lines) for place in range(len(columns))]
    print(f"\n{total} rows in {title}")
    for line in [lines[0], ["-" * width for width in widths], *lines[1:]]:
        print("  " + "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip())
    if total > len(rows):
        print(f"  … and {total - len(rows)} more")


def show_landed(folder: Path, most: int = 6) -> None:
    """Print what the DAG has loaded, and where."""
    import pyarrow.parquet

    warehouse = folder / "landed" / "warehouse.db"
    with contextlib.closing(sqlite3.connect(warehouse)) as database:
        found = database.execute("SELECT * FROM airports_by_state ORDER BY airports DESC, state")
        rows, columns = found.fetchall(), [column[0] for column in found.description]
    show(f"table airports_by_state of {warehouse}", columns, rows[:most], len(rows))
    for path in sorted((folder / "landed").glob("*.parquet")):
        table = pyarrow.parquet.read_table(path)
        records = [tuple(row.values()) for row in table.slice(0, most).to_pylist()]
        show(str(path), table.column_names, records, table.num_rows)
    print()


def demo() -> bool:
    """Run the whole demo; true when every task succeeded."""
    with demo_folder() as folder:
        port = free_port()
        sandbox = [*SANDBOX, "--port", str(port)]
        home = home_in(folder, port)
        with Background("sandbox", sandbox, env=home.environment(), log=folder / "sandbox" / "sandbox.log") as server:
            say(f"The sandbox stands in for CARTO on http://127.0.0.1:{port}/carto")
            cluster = AirflowCluster(home, patience=2)
            say(f"Starting Airflow {AIRFLOW_VERSION}: {', '.join(cluster.processes)}")
            with cluster as airflow:
                airflow.wait_until_ready(DAG_ID)
                server.check()
                say(f"Airflow is ready on {home.url}; starting {DAG_ID}")
                succeeded = run_dag(airflow, folder)
            if succeeded:
                show_landed(folder)
    say("Done; all processes have been stopped" if succeeded else "The DAG run failed")
    if succeeded:
        print("\nTo look at it in Airflow's own pages: make demo-ui")
    return succeeded


def terminated(number: int, frame: object) -> None:
    """End as on Ctrl-C, so that all processes are stopped; a second signal does not disturb that."""
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    raise KeyboardInterrupt


def main() -> int:
    """Run the demo as a program."""
    signal.signal(signal.SIGTERM, terminated)
    signal.signal(signal.SIGINT, terminated)
    try:
        return 0 if demo() else 1
    except KeyboardInterrupt:
        print("\nStopped; all processes have been stopped", file=sys.stderr)
        return 130
    except (RuntimeError, TimeoutError, ImportError) as error:
        print(f"\nThe demo could not run: {error}", file=sys.stderr)
        return 1


if __name__ == "__main__":
    sys.exit(main())
