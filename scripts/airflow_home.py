"""A separate ``AIRFLOW_HOME``: quiet, quick, on SQLite, and readable with the ordinary ``airflow`` command.

Works for Airflow 2.11 and 3.x; which one it is depends on the interpreter that runs this.
"""

from __future__ import annotations

import atexit
import base64
import contextlib
import functools
import os
import secrets
import shutil
import sqlite3
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from configparser import RawConfigParser
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path

AIRFLOW_VERSION = version("apache-airflow")
AIRFLOW_3 = int(AIRFLOW_VERSION.partition(".")[0]) >= 3
# A migrated database takes 8 s to make and is the same for every home of one environment.
TEMPLATE = Path(sys.prefix) / "airflow-template" / f"airflow-{AIRFLOW_VERSION}.db"

BASIC_AUTH = "airflow.providers.fab.auth_manager.api.auth.backend.basic_auth"

Settings = dict[str, dict[str, str]]


def airflow_command() -> str:
    """The ``airflow`` program of the environment that runs this."""
    return str(Path(sys.executable).with_name("airflow"))


@dataclass
class AirflowHome:
    """Where a real Airflow keeps its configuration, database and logs, and the environment its processes get.

    :param path: the folder, made where missing
    :param dags: the folder of DAG files
    :param port: the port that the API (3.x) or the web server (2.11) will listen on
    :param settings: more configuration, ``{section: {option: value}}``
    :param variables: more environment variables, such as ``AIRFLOW_CONN_…``
    :param database_url: a metadata database elsewhere; empty for SQLite in the folder
    :param login: user and password that the REST API of 2.11 asks for; without them it asks for none
    """

    path: Path
    dags: Path
    port: int
    settings: Settings = field(default_factory=dict)
    variables: Mapping[str, str] = field(default_factory=dict)
    database_url: str = ""
    login: tuple[str, str] | None = None

    @property
    def url(self) -> str:
        """Where the API will be."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def database(self) -> Path:
        """The metadata database's file."""
        return self.path / "airflow.db"

    @property
    def logs(self) -> Path:
        """Where task logs go."""
        return self.path / "logs"

    def environment(self) -> dict[str, str]:
        """The environment of every process of this Airflow: ours, without settings for some other Airflow."""
        ours = {key: value for key, value in os.environ.items() if not key.lstrip("_").startswith("AIRFLOW_")}
        search = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", os.defpath)])
        return {
            **ours,
            "PATH": search,
            "AIRFLOW_HOME": str(self.path),
            # SQLite in WAL mode and with a long timeout is enough for some tasks; 2.11 would allow one at a time.
            "_AIRFLOW__SKIP_DATABASE_EXECUTOR_COMPATIBILITY_CHECK": "1",
            "PYTHONUNBUFFERED": "1",
            # A person reads the log; Airflow's own deprecations do not belong there.
            "PYTHONWARNINGS": "ignore",
            **self.variables,
        }

    def prepare(self) -> None:
        """Write the configuration and put a migrated database in place; an existing one stays."""
        self.path.mkdir(parents=True, exist_ok=True)
        config = RawConfigParser()
        config.read_dict(_merged(self._defaults(), self.settings))
        with (self.path / "airflow.cfg").open("w") as output:
            config.write(output)
        public = "" if self.login else "AUTH_ROLE_PUBLIC = 'Admin'  # Airflow 2.11, loopback only\n"
        (self.path / "webserver_config.py").write_text(public)
        if self.database_url:
            self.command("db", "migrate")
        elif not self.database.exists():
            self._migrate()
        if self.login and not AIRFLOW_3:
            user, password = self.login
            names = ("--firstname", user, "--lastname", user, "--email", f"{user}@example.com")
            self.command("users", "create", "--username", user, "--password", password, "--role", "Admin", *names)

    def command(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run an ``airflow`` command in this home, and return what it said."""
        return subprocess.run(
            [airflow_command(), *arguments],
            env=self.environment(),
            capture_output=True,
            text=True,
            check=True,
        )

    def _migrate(self) -> None:
        if TEMPLATE.exists():
            shutil.copyfile(TEMPLATE, self.database)
            return
        self.command("db", "migrate")
        with contextlib.closing(sqlite3.connect(self.database)) as database:
            # Readers and the writer do not shut each other out; a property of the file, so set only once.
            database.execute("PRAGMA journal_mode=WAL")
            database.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        TEMPLATE.parent.mkdir(exist_ok=True)
        unfinished = TEMPLATE.with_suffix(f".{os.getpid()}")
        shutil.copyfile(self.database, unfinished)
        unfinished.replace(TEMPLATE)

    def _defaults(self) -> Settings:
        common: Settings = {
            "core": {
                "dags_folder": str(self.dags),
                "load_examples": "False",
                "executor": "LocalExecutor",
                "parallelism": "4",
                "dags_are_paused_at_creation": "False",
                "fernet_key": base64.urlsafe_b64encode(secrets.token_bytes(32)).decode(),
                "plugins_folder": str(self.path / "plugins"),
            },
            "database": {"sql_alchemy_conn": self.database_url or f"sqlite:///{self.database}?timeout=60"},
            "logging": {"base_log_folder": str(self.logs)},
            "scheduler": {"scheduler_idle_sleep_time": "0.2"},
            "usage_data_collection": {"enabled": "False"},
        }
        return _merged(common, self._airflow_3() if AIRFLOW_3 else self._airflow_2())

    def _airflow_3(self) -> Settings:
        return {
            "core": {
                "simple_auth_manager_all_admins": "True",
                "execution_api_server_url": f"{self.url}/execution/",
            },
            "api": {"base_url": self.url, "secret_key": secrets.token_hex(32)},
            "api_auth": {"jwt_secret": secrets.token_hex(64)},
            "dag_processor": {"parsing_processes": "1"},
        }

    def _airflow_2(self) -> Settings:
        return {
            "api": {"auth_backends": BASIC_AUTH if self.login else "airflow.api.auth.backend.default"},
            "metrics": {"timer_unit_consistency": "True"},  # warns at every import otherwise
            "scheduler": {"parsing_processes": "1"},
            "webserver": {"base_url": self.url, "secret_key": secrets.token_hex(32)},
        }


@functools.cache
def own_airflow_home() -> AirflowHome:
    """Give this process a home of its own with a migrated database: no test uses that of the person who runs it."""
    for name in [name for name in os.environ if name.lstrip("_").startswith("AIRFLOW_")]:
        del os.environ[name]
    folder = Path(tempfile.mkdtemp(prefix="airflow-home-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    (folder / "dags").mkdir()
    home = AirflowHome(folder, dags=folder / "dags", port=0)
    home.prepare()
    os.environ["AIRFLOW_HOME"] = str(home.path)
    return home


def _merged(*layers: Settings) -> Settings:
    result: Settings = {}
    for layer in layers:
        for section, options in layer.items():
            result.setdefault(section, {}).update(options)
    return result
