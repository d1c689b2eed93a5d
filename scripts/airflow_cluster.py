"""A real Airflow as processes of its own, for what ``dag.test()`` leaves out, on Airflow 2.11 and 3.x alike.

    home = AirflowHome(folder, dags=dags, port=free_port(), variables={"AIRFLOW_CONN_…": "…"})
    with AirflowCluster(home) as airflow:
        airflow.wait_until_ready("my_dag")
        run_id = airflow.trigger("my_dag", conf={"n": 3})
        for change in airflow.changes("my_dag", run_id, timeout=60):
            print(change)
        airflow.xcom("my_dag", run_id, "my_task")

One thread drives it: on SQLite, Airflow's own server does not survive several writes at once.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self
from urllib.parse import quote

import requests

from scripts.airflow_home import AIRFLOW_3, AirflowHome, airflow_command
from scripts.processes import Background, stop_all

# The processes of an Airflow; "api" is the API server, or 2.11's web server.
COMPONENTS = ("api", "scheduler", "dag-processor", "triggerer")
ENDED = frozenset({"success", "failed"})


@dataclass(frozen=True)
class TaskState:
    """How one task instance stands."""

    task_id: str
    map_index: int
    state: str | None
    try_number: int

    @property
    def label(self) -> str:
        """The task as a person names it."""
        return self.task_id if self.map_index < 0 else f"{self.task_id}[{self.map_index}]"


class AirflowCluster:
    """The processes of one Airflow home, and its REST API to drive them by.

    :param home: configuration, database and DAG folder
    :param components: the processes to run, a subset of ``COMPONENTS``; leave ``api`` in to drive it by REST
    :param patience: seconds that the processes get to end by themselves
    """

    def __init__(self, home: AirflowHome, components: Sequence[str] = COMPONENTS, patience: float = 10) -> None:
        self.home = home
        self.patience = patience
        self.timeout = 60.0  # seconds that one call of the REST API may take
        self.processes = {name: self._process(name) for name in components if AIRFLOW_3 or name != "dag-processor"}
        self._session = requests.Session()
        self._session.auth = None if AIRFLOW_3 else home.login
        self._session.trust_env = False  # loopback; no proxy of the user's has a say in it

    def start(self) -> None:
        """Start every process at once; they wait for each other by themselves."""
        self.home.prepare()
        for process in self.processes.values():
            process.start()

    def stop(self) -> None:
        """End every process, and all that these started."""
        self._session.close()
        stop_all(list(self.processes.values()), self.patience)

    def __enter__(self) -> Self:
        try:
            self.start()
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.stop()

    def check(self) -> None:
        """Raise when one of the processes has ended by itself."""
        for process in self.processes.values():
            process.check()

    def wait_until_ready(self, *dag_ids: str, timeout: float = 120) -> None:
        """Wait until every process reports to be healthy and the DAGs are known; an import error ends it."""
        deadline = time.monotonic() + timeout
        while waiting := self._not_ready(dag_ids):
            self.check()
            if time.monotonic() > deadline:
                raise TimeoutError(f"after {timeout} s Airflow still waits for: {waiting}")
            time.sleep(0.25)

    def trigger(self, dag_id: str, conf: dict[str, Any] | None = None, run_id: str | None = None) -> str:
        """Start a DAG run and return its id."""
        body: dict[str, Any] = {"conf": conf or {}}
        if AIRFLOW_3:
            body["logical_date"] = None
        if run_id:
            body["dag_run_id"] = run_id
        started: str = self.api("POST", f"dags/{dag_id}/dagRuns", body)["dag_run_id"]
        return started

    def run_state(self, dag_id: str, run_id: str) -> str:
        """The state of a DAG run."""
        state: str = self.api("GET", _run(dag_id, run_id))["state"]
        return state

    def tasks(self, dag_id: str, run_id: str) -> list[TaskState]:
        """How the task instances of a run stand."""
        rows = self.api("GET", f"{_run(dag_id, run_id)}/taskInstances")["task_instances"]
        return [TaskState(row["task_id"], row["map_index"], row["state"], row["try_number"]) for row in rows]

    def changes(self, dag_id: str, run_id: str, *, timeout: float = 300, interval: float = 0.5) -> Iterator[TaskState]:
        """Yield each task instance that has changed, until the run has ended; TimeoutError after ``timeout``."""
        deadline = time.monotonic() + timeout
        seen: dict[str, TaskState] = {}
        ended = False
        while not ended:
            ended = self.run_state(dag_id, run_id) in ENDED  # asked first, so that the last changes are seen too
            for task in self.tasks(dag_id, run_id):
                if task.state and seen.get(task.label) != task:
                    seen[task.label] = task
                    yield task
            self.check()
            if not ended and time.monotonic() > deadline:
                raise TimeoutError(f"{dag_id} {run_id} has not ended after {timeout} s: {self.tasks(dag_id, run_id)}")
            time.sleep(0 if ended else interval)

    def wait(self, dag_id: str, run_id: str, *, timeout: float = 300) -> str:
        """Wait for the end of a DAG run and return its state."""
        for _ in self.changes(dag_id, run_id, timeout=timeout):
            pass
        return self.run_state(dag_id, run_id)

    def xcom(self, dag_id: str, run_id: str, task_id: str, key: str = "return_value", map_index: int = -1) -> Any:
        """The value of an XCom."""
        where = f"{_run(dag_id, run_id)}/taskInstances/{task_id}/xcomEntries/{key}?map_index={map_index}"
        if AIRFLOW_3:
            return self.api("GET", where)["value"]
        return self.api("GET", f"{where}&stringify=false")["value"]

    def clear(self, dag_id: str, run_id: str, *task_ids: str) -> None:
        """Clear these tasks of a run (every task where none is named), so that they run again."""
        body: dict[str, Any] = {"dag_run_id": run_id, "dry_run": False, "only_failed": False, "reset_dag_runs": True}
        if task_ids:
            body["task_ids"] = list(task_ids)
        self.api("POST", f"dags/{dag_id}/clearTaskInstances", body)

    def mark(self, dag_id: str, run_id: str, task_id: str, state: str, map_index: int = -1) -> None:
        """Set a task's state by hand (``success`` or ``failed``), as a person does in the UI."""
        body = {"new_state": state} if AIRFLOW_3 else {"new_state": state, "dry_run": False}
        which = task_id if map_index < 0 else f"{task_id}/{map_index}"
        self.api("PATCH", f"{_run(dag_id, run_id)}/taskInstances/{which}", body)

    def log(self, dag_id: str, run_id: str, task: TaskState | str) -> str:
        """What a task and its trigger logged, over all its tries."""
        folder = self.home.logs / f"dag_id={dag_id}" / f"run_id={run_id}"
        name, index = (task.task_id, task.map_index) if isinstance(task, TaskState) else (task, -1)
        folder = folder / f"task_id={name}" / (f"map_index={index}" if index >= 0 else "")
        return "\n".join(line for path in sorted(folder.glob("attempt=*")) for line in _log_lines(path))

    def api(self, method: str, path: str, body: dict[str, Any] | None = None) -> Any:
        """Call Airflow's REST API: ``/api/v2`` of 3.x, ``/api/v1`` of 2.11."""
        if AIRFLOW_3 and "Authorization" not in self._session.headers:
            token = self._session.get(f"{self.home.url}/auth/token", timeout=30)
            token.raise_for_status()
            self._session.headers["Authorization"] = f"Bearer {token.json()['access_token']}"
        url = f"{self.home.url}/api/{'v2' if AIRFLOW_3 else 'v1'}/{path}"
        answer = self._session.request(method, url, json=body, timeout=self.timeout)
        if not answer.ok:
            raise requests.HTTPError(f"{method} {path}: {answer.status_code} {answer.text[:1000]}", response=answer)
        return answer.json() if answer.content else None

    def _not_ready(self, dag_ids: Sequence[str]) -> str:
        """What is not there yet, or an empty string."""
        try:
            health = self.api("GET", "monitor/health" if AIRFLOW_3 else "health")
            for name in {component_of(name) for name in self.processes} & set(COMPONENTS) - {"api"}:
                if health[name.replace("-", "_")]["status"] != "healthy":
                    return name
            errors = self.api("GET", "importErrors")["import_errors"]
            if errors and dag_ids:
                raise ImportError("\n".join(f"{error['filename']}: {error['stack_trace']}" for error in errors))
            known = {dag["dag_id"] for dag in self.api("GET", "dags?limit=100")["dags"]}
        except requests.RequestException as error:
            return f"the API ({error})"
        return ", ".join(sorted(set(dag_ids) - known))

    def _process(self, name: str) -> Background:
        command = [airflow_command(), *self._arguments(name)]
        return Background(name, command, env=self.home.environment(), log=self.home.path / "processes" / f"{name}.log")

    def _arguments(self, name: str) -> list[str]:
        if name == "api":
            where = ["--port", str(self.home.port), "--workers", "1"]
            host = ["--host", "127.0.0.1"] if AIRFLOW_3 else ["--hostname", "127.0.0.1"]
            return ["api-server" if AIRFLOW_3 else "webserver", *where, *host]
        # Logs are read from their files; serving them would want ports of their own.
        return [name, "--skip-serve-logs"] if name in {"scheduler", "triggerer"} else [name]


def component_of(process: str) -> str:
    """The component that a process is one of: ``scheduler`` for ``scheduler-2``."""
    return process.rstrip("-0123456789")


def _run(dag_id: str, run_id: str) -> str:
    return f"dags/{dag_id}/dagRuns/{quote(run_id, safe='')}"


def _log_lines(path: Path) -> Iterator[str]:
    for line in path.read_text(errors="replace").splitlines():
        try:
            entry = json.loads(line)
        except ValueError:
            entry = None
        if not isinstance(entry, dict):  # 2.11 writes plain lines
            yield line
        elif not str(entry.get("event")).startswith("::"):  # the UI's folds
            yield f"{entry.get('timestamp', '')} {entry.get('level', '')}: {entry.get('event', '')}".strip()
            yield from _traceback(entry.get("error_detail") or [])


def _traceback(errors: list[dict[str, Any]]) -> Iterator[str]:
    for error in errors:
        for frame in error.get("frames") or []:
            yield f"    {frame.get('filename')}:{frame.get('lineno')} in {frame.get('name')}"
        yield f"    {error.get('exc_type')}: {error.get('exc_value')}"
