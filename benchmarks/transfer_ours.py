"""Our way: the operators as a task runs them, on an Airflow that was imported before."""

from __future__ import annotations

import importlib
import json
import logging
import os
from typing import Any

_IMPORTED = (
    "airflow.providers.postgres.hooks.postgres",
    "airflow.providers.mysql.hooks.mysql",
    "mysql.connector",
    "pyarrow.csv",
    "pyarrow.json",
    "pyarrow.parquet",
    "requests",
    "airflow_workflow_provider.client.worker",
    "airflow_workflow_provider.hooks.workflow",
    "airflow_workflow_provider.transfers.files.load",
    "airflow_workflow_provider.transfers.sql.load",
    "airflow_workflow_provider.transfers.workflow_to_object_storage",
    "airflow_workflow_provider.transfers.workflow_to_sql",
)


class Task:
    """The task instance that the operators are given."""

    dag_id, run_id, task_id, map_index, max_tries, try_number = "bench", "manual", "move", -1, 1, 1

    def xcom_push(self, key: str, value: Any) -> None:
        """Take no notice."""


def csv_run(rows: int, url: str, name: str = "") -> dict[str, Any]:
    """Give the run object of a run whose results are files."""
    _connection("bench_files", {"conn_type": "stevesie", "host": url, "password": "token"})
    name = name or f"rows_{rows}.csv"
    output = {"name": name, "kind": "file", "location": f"{url}/files/{name}", "formats": ["csv"]}
    return _run("stevesie", "bench_files", str(rows), output)


def pages_run(rows: int, url: str) -> dict[str, Any]:
    """Give the run object of a run whose output is a table behind the SQL API."""
    # Without the copy of a large table: the server of the benchmark has no warehouse, and only pages are measured.
    extra = {"large_tables": "shards"}
    _connection("bench_pages", {"conn_type": "carto", "host": url, "password": "token", "extra": extra})
    output = {"name": "rows", "kind": "table", "location": f"rows_{rows}", "formats": ["jsonl"]}
    return _run("carto", "bench_pages", "job-1", output)


def table_run(location: str) -> dict[str, Any]:
    """Give the run object of a run whose output is a table of the target's own database."""
    _connection("bench_tables", {"conn_type": "carto", "host": "http://127.0.0.1:9", "password": "token"})
    output = {"name": location, "kind": "table", "location": location, "formats": ["jsonl"]}
    return _run("carto", "bench_tables", "job-2", output)


def into_sql(
    run: dict[str, Any], database: str, table: str, if_exists: str, load_method: str = "auto"
) -> dict[str, Any]:
    """Load a run into PostgreSQL."""
    from airflow_workflow_provider.transfers.workflow_to_sql import WorkflowOutputToSqlOperator

    _connection(
        "bench_database", {"conn_type": "postgres", "host": database, "login": "postgres", "schema": "postgres"}
    )
    operator = WorkflowOutputToSqlOperator(
        task_id="move",
        run=run,
        sql_conn_id="bench_database",
        table=table,
        if_exists=if_exists,
        load_method=load_method,
    )
    return operator.execute({"ti": Task()})


def into_mysql(run: dict[str, Any], port: int, table: str) -> dict[str, Any]:
    """Load a run into MariaDB, by LOAD DATA LOCAL."""
    from airflow_workflow_provider.transfers.workflow_to_sql import WorkflowOutputToSqlOperator

    extra = {"client": "mysql-connector-python", "local_infile": True}
    place = {"conn_type": "mysql", "host": "127.0.0.1", "port": port, "login": "root", "schema": "work"}
    _connection("bench_mysql", {**place, "extra": extra})
    operator = WorkflowOutputToSqlOperator(
        task_id="move", run=run, sql_conn_id="bench_mysql", table=table, if_exists="append"
    )
    return operator.execute({"ti": Task()})


def into_file(run: dict[str, Any], path: str, **options: Any) -> dict[str, Any]:
    """Write a run into a file."""
    from airflow_workflow_provider.transfers.workflow_to_object_storage import WorkflowOutputToObjectStorageOperator

    operator = WorkflowOutputToObjectStorageOperator(task_id="move", run=run, path=path, overwrite=True, **options)
    return operator.execute({"ti": Task()})


def imported() -> None:
    """Bring the process to where a task is when it begins to move rows.

    Airflow is imported, and has looked up a connection and its hook once: its task runner has done so by then, and the
    first time imports a good deal.
    """
    logging.disable(logging.INFO)
    for name in _IMPORTED:
        importlib.import_module(name)
    from airflow.providers.common.compat.sdk import BaseHook

    _connection("bench_first", {"conn_type": "postgres", "host": "nowhere"})
    BaseHook.get_connection("bench_first").get_hook()


def _run(system: str, conn_id: str, run_id: str, output: dict[str, Any]) -> dict[str, Any]:
    return {"system": system, "conn_id": conn_id, "workflow": "w", "run_id": run_id, "state": "succeeded",
            "message": "", "url": "", "started_at": None, "ended_at": None, "outputs": [output], "output_location": "",
            "details": {}}  # fmt: skip


def _connection(name: str, values: dict[str, Any]) -> None:
    os.environ[f"AIRFLOW_CONN_{name.upper()}"] = json.dumps(values)
