"""A running sandbox, and a plain HTTP client of CARTO's API that knows nothing of the package's own."""

from __future__ import annotations

import json
import time
from typing import Any

import pytest
import requests

from airflow_workflow_provider.sandbox.server import run_sandbox

TOKEN = "sandbox-carto-token"
ENDED = {"success", "failure", "cancelled"}


class Carto:
    """CARTO's SQL API as a caller with ``requests`` sees it."""

    def __init__(self, sandbox, session: requests.Session, token: str = TOKEN, connection: str = "carto_dw") -> None:
        self.sandbox, self.session, self.token, self.connection = sandbox, session, token, connection
        self.base = f"{sandbox.url}/carto"

    def signed(self, token: str) -> Carto:
        """The same caller with another token."""
        return Carto(self.sandbox, self.session, token, self.connection)

    def on(self, connection: str) -> Carto:
        """The same caller on another CARTO connection."""
        return Carto(self.sandbox, self.session, self.token, connection)

    def send(self, method: str, path: str, **more: Any) -> requests.Response:
        """One request below the connection's path."""
        more["headers"] = {"Authorization": f"Bearer {self.token}"} | more.get("headers", {})
        return self.session.request(method, f"{self.base}/v3/sql/{self.connection}{path}", timeout=20, **more)

    def call(self, name: str, parameters: dict | list) -> dict[str, Any]:
        """The payload that the API dialog of a workflow shows."""
        workflow = next(one for one in self.sandbox.app.systems["carto"].describe() if one.name == name)
        if isinstance(parameters, dict):
            statement = f"CALL `{workflow.workflow}`({','.join('@' + one for one in parameters)})"
        else:
            statement = f"CALL {workflow.workflow}({','.join(f':{at + 1}' for at in range(len(parameters)))})"
        return {"query": statement, "queryParameters": parameters}

    def start(self, name: str, parameters: dict | list) -> dict[str, Any]:
        """Create the job of a workflow; the answer."""
        answer = self.send("POST", "/job", json=self.call(name, parameters))
        assert answer.status_code == 200, answer.text
        return answer.json()

    def status(self, job: str) -> dict[str, Any]:
        """The status answer of a job."""
        answer = self.send("GET", f"/job/{job}")
        assert answer.status_code == 200, answer.text
        return answer.json()

    def ended(self, job: str) -> dict[str, Any]:
        """The status answer of a job once the sandbox itself says that it has ended."""
        deadline = time.monotonic() + 15
        while next(run["state"] for run in self.sandbox.runs("carto") if run["id"] == job) not in ENDED:
            assert time.monotonic() < deadline, "the job does not end"
            time.sleep(0.005)
        return self.status(job)

    def run(self, name: str, parameters: dict | list) -> str:
        """Run a workflow to its success; the out table's name."""
        started = self.start(name, parameters)
        assert self.ended(started["externalId"])["status"] == {"state": "DONE"}
        return started["jobMetadata"]["workflowOutputTableName"]

    def query(self, sql: str, parameters: dict | list | None = None) -> requests.Response:
        """A synchronous query by POST."""
        return self.send("POST", "/query", json={"q": sql, "queryParameters": parameters or {}})

    def rows(self, sql: str, parameters: dict | list | None = None) -> list[dict[str, Any]]:
        """The rows of a query that must succeed."""
        answer = self.query(sql, parameters)
        assert answer.status_code == 200, answer.text
        return json.loads(answer.content)["rows"]


@pytest.fixture(scope="session")
def running():
    """One server for all tests; starting it costs more than most of them."""
    with run_sandbox() as sandbox:
        yield sandbox


@pytest.fixture
def sandbox(running):
    """The server as after its start."""
    running.reset()
    return running


@pytest.fixture
def carto(sandbox):
    """A caller with the token that may do everything; jobs are as fast as their SQL."""
    sandbox.settings("carto", pending_seconds=0, running_seconds=0)
    with requests.Session() as session:
        yield Carto(sandbox, session)
