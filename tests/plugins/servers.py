"""Real servers of the plug-ins' systems, whose runs a test ends by hand; and a proxy that loses answers to starts."""

from __future__ import annotations

import contextlib
import json
import os
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Self

import requests

from scripts.airflow_cluster import AirflowCluster
from scripts.airflow_home import AirflowHome
from scripts.processes import Background, free_port

JOB = "from airflow.sdk import DAG, task\nwith DAG('job', schedule=None):\n    @task\n    def work(): ...\n    work()\n"


class Remote:
    """A server whose runs are known by the story that they were started with."""

    url: str

    def runs(self, story: str) -> list[dict[str, Any]]:
        """The runs of a story as the server lists them, with ``id`` and ``word``."""
        raise NotImplementedError

    def end(self, run_id: str, *, well: bool = True) -> None:
        """Let a run end."""
        raise NotImplementedError


class AirflowRemote(Remote):
    """An Airflow without a scheduler: its runs stay queued."""

    cancelled, going = ("failed",), ("queued", "running")

    def __init__(self, airflow: AirflowCluster) -> None:
        self.airflow, self.url = airflow, airflow.home.url

    def runs(self, story: str) -> list[dict[str, Any]]:
        """DAG runs by their conf."""
        rows = self.airflow.api("GET", "dags/job/dagRuns?limit=100&order_by=id")["dag_runs"]
        return [{"id": row["dag_run_id"], "word": row["state"]} for row in rows if row["conf"].get("story") == story]

    def end(self, run_id: str, *, well: bool = True) -> None:
        """Mark it."""
        self.airflow.api("PATCH", f"dags/job/dagRuns/{run_id}", {"state": "success" if well else "failed"})


class PrefectRemote(Remote):
    """A Prefect server without a worker: its runs stay scheduled."""

    cancelled, going = ("CANCELLING", "CANCELLED"), ("SCHEDULED", "PENDING", "RUNNING")

    def __init__(self, url: str) -> None:
        self.url = url
        flow = self.api("flows/", {"name": "job"})
        schema = {"type": "object", "properties": {"story": {"type": "string"}}}
        body = {"name": "job", "flow_id": flow["id"], "parameter_openapi_schema": schema, "paused": False}
        self.api("deployments/", body)

    def api(self, path: str, body: Any) -> Any:
        """Call the API."""
        for _ in range(20):
            answer = requests.post(f"{self.url}/api/{path}", json=body, timeout=60)
            if answer.status_code != 503:  # its database is busy
                break
            time.sleep(1)
        assert answer.ok, answer.text
        return answer.json()

    def runs(self, story: str) -> list[dict[str, Any]]:
        """Flow runs by their parameters."""
        rows = self.api("flow_runs/filter", {"sort": "EXPECTED_START_TIME_ASC"})
        return [
            {"id": row["id"], "word": row["state"]["type"]} for row in rows if row["parameters"].get("story") == story
        ]

    def end(self, run_id: str, *, well: bool = True) -> None:
        """Set its state."""
        state = {"type": "COMPLETED" if well else "FAILED", "message": "as the story has it"}
        self.api(f"flow_runs/{run_id}/set_state", {"state": state, "force": True})


class Proxy:
    """Passes requests on. The answer to a start of the story ``lost`` is lost, that of ``dead`` is held back."""

    def __init__(self, target: str, is_start: Callable[[str, str], bool]) -> None:
        self.target, self.is_start = target, is_start
        self.starts: list[str] = []
        self.polled: list[str] = []
        self.held, self.let_go = threading.Event(), threading.Event()
        proxy = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def log_message(self, *arguments: Any) -> None:
                """Say nothing."""

            def _pass(self) -> None:
                body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
                headers = {name: value for name, value in self.headers.items() if name.lower() != "host"}
                if self.command == "GET":
                    proxy.polled.append(self.path)
                answer = requests.request(
                    self.command, f"{proxy.target}{self.path}", data=body, headers=headers, timeout=60
                )
                if proxy.is_start(self.command, self.path) and proxy.loses(body):
                    self.close_connection = True
                    return
                self.send_response(answer.status_code)
                self.send_header("Content-Type", answer.headers.get("Content-Type", "application/json"))
                self.send_header("Content-Length", str(len(answer.content)))
                self.end_headers()
                with contextlib.suppress(ConnectionError):  # whoever asked may be dead
                    self.wfile.write(answer.content)

            do_GET = do_POST = do_PATCH = _pass  # noqa: N815  # the names that http.server wants

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"

    def loses(self, body: bytes) -> bool:
        """Say whether the answer to a start is lost; the server has taken it already."""
        document = json.loads(body)
        story = (document.get("conf") or document.get("parameters") or {}).get("story", "")
        self.starts.append(story)
        if story == "dead" and not self.let_go.is_set():
            self.held.set()
            self.let_go.wait(60)
            return True
        return story == "lost" and self.starts.count("lost") == 1

    def __enter__(self) -> Self:
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self.let_go.set()
        self._server.shutdown()
        self._server.server_close()


@contextmanager
def airflow_remote(folder: Path) -> Iterator[AirflowRemote]:
    """Run an API server that knows one DAG."""
    (folder / "dags").mkdir(parents=True)
    (folder / "dags" / "job.py").write_text(JOB)
    home = AirflowHome(folder / "home", dags=folder / "dags", port=free_port())
    with AirflowCluster(home, components=("api", "dag-processor")) as airflow:
        airflow.wait_until_ready("job", timeout=240)
        yield AirflowRemote(airflow)


@contextmanager
def prefect_server(python: str, folder: Path) -> Iterator[tuple[str, dict[str, str]]]:
    """Run ``prefect server`` with a Python that has Prefect; give its address and the environment of its clients."""
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    env = {
        **{name: value for name, value in os.environ.items() if name != "PYTHONPATH"},
        "PREFECT_HOME": str(folder / "home"),
        "PREFECT_API_URL": f"{url}/api",
        "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
        "PREFECT_RUNNER_POLL_FREQUENCY": "1",
    }
    command = [python, "-m", "prefect", "server", "start", "--port", str(port), "--no-ui", "--no-services"]
    with Background("prefect", command, env=env, log=folder / "server.log") as server:
        deadline = time.monotonic() + 240
        while True:
            server.check()
            try:
                if requests.get(f"{url}/api/health", timeout=2).ok:
                    break
            except requests.RequestException:
                pass
            assert time.monotonic() < deadline, server.tail(30)
            time.sleep(0.25)
        yield url, env
