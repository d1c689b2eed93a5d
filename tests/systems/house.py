"""An in-house job API with odd shapes on a real local server, and the system that declares it.

A start is a form and answers 202 with a ``Location`` and no body; how a job stands is in a list only, as a number;
pages have their cursor in a header; errors are XML. Tokens come from OAuth 2 client credentials at an address of its
own. The server counts what it has started.
"""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, ClassVar
from urllib.parse import parse_qs, unquote, urlsplit

from airflow_workflow_provider import sdk

TOKEN = "house-token-0123456789"
SECRET = "house-secret-0123456789"
FORM = sdk.Form(
    labels={"host": "Address", "login": "Client", "password": "Secret"},
    placeholders={"host": "https://jobs.example"},
    hidden=("schema",),
    extras={**sdk.COMMON_FIELDS, "token_url": sdk.Field("Token URL", "Address of the token endpoint.")},
)


class HouseSystem(sdk.RestSystem):
    """The job API of a house."""

    key = "house"
    label = "House"
    default_conn_id = "house_default"
    form = FORM
    poll_interval = 0.05
    states: ClassVar[dict[str, sdk.RunState]] = {
        "0": sdk.RunState.QUEUED,
        "1": sdk.RunState.RUNNING,
        "2": sdk.RunState.SUCCEEDED,
        "3": sdk.RunState.FAILED,
        "4": sdk.RunState.CANCELLED,
    }
    base_path = "/jobs/v1"
    authentication = sdk.OAuth2(url_field="token_url")
    start_options = frozenset({"priority"})
    start_call = sdk.Start(
        path="/submit",
        form={"job": sdk.WORKFLOW, "args": sdk.PARAMETERS, "prio": sdk.Option("priority")},
        run_id=sdk.FromHeader("Location"),
    )
    status_call = sdk.Status(
        path="/list",
        params={"ids": sdk.RUN_ID},
        rows="jobs",
        id="no",
        state="code",
        message="why",
        started_at="at",
        details={"host": "node.name"},
        paginator=sdk.CursorPages(header="X-Next", param="after"),
    )
    test_call = sdk.Call(path="/list", params={"ids": ""}, headers={"Accept": "application/vnd.house+json"})
    cancel_call = sdk.Cancel(path="/kill", form={"no": sdk.RUN_ID}, taken=lambda answer: answer["killed"])
    list_runs_call = sdk.ListRuns(
        path="/list",
        params={"job": sdk.WORKFLOW},
        rows="jobs",
        run_id="no",
        parameters=lambda row: json.loads(row["args"]),
        paginator=sdk.CursorPages(header="X-Next", param="after"),
    )
    list_workflows_call = sdk.ListWorkflows(path="/known")
    outputs_call = sdk.Outputs(
        path="/files/{run_id}", id="name", table=sdk.Table(path="/rows/{run_id}/{output}", paginator=sdk.OffsetPages(2))
    )
    log_call = sdk.Log(path="/log/{run_id}", is_text=True)

    def describe(self, response: sdk.Response) -> str:
        """Errors are ``<error>text</error>``."""
        return response.text(2_000).partition("<error>")[2].partition("</error>")[0]


class KeyedHouse(HouseSystem):
    """The same API where a start takes an id of the caller's."""

    key, default_conn_id = "keyed", "keyed_default"
    start_call = sdk.Start(
        path="/submit/{key}",
        method="PUT",
        form=sdk.PARAMETERS,
        params={"job": sdk.WORKFLOW},
        run_id=sdk.IDEMPOTENCY_KEY,
    )


class RepeatingHouse(HouseSystem):
    """The same API where a key in a header makes a start idempotent."""

    key, default_conn_id = "repeating", "repeating_default"
    start_call = sdk.Start(
        path="/submit",
        form={"job": sdk.WORKFLOW, "args": sdk.PARAMETERS},
        headers={"Idempotency-Key": sdk.IDEMPOTENCY_KEY},
        run_id=sdk.FromHeader("Location", r"/list/([^/]+)$"),
        is_idempotent=True,
    )


@dataclass
class Job:
    """A job of the server: ``code`` is its state."""

    no: str
    job: str
    args: dict[str, Any]
    code: int = 1
    why: str = ""
    key: str = ""
    at: float = field(default_factory=time.time)


@dataclass
class House:
    """The server's state and its faults. ``lose`` is how many answers to starts are lost after the job was taken."""

    jobs: dict[str, Job] = field(default_factory=dict)
    requests: list[str] = field(default_factory=list)
    lose: int = 0
    ends_at_once: bool = False
    url: str = ""
    page: int = 2

    def submitted(self, job: str, args: dict[str, Any], key: str = "", no: str = "") -> Job:
        """Take a job; a known key gives the job that it started."""
        for known in self.jobs.values():
            if key and known.key == key:
                return known
        made = Job(no or f"j-{len(self.jobs) + 1}", job, args, key=key)
        made.code = 2 if self.ends_at_once else 1
        self.jobs[made.no] = made
        return made

    def end(self, code: int = 2, why: str = "") -> None:
        """End every job that runs."""
        for job in self.jobs.values():
            if job.code in (0, 1):
                job.code, job.why = code, why

    @property
    def connection(self) -> dict[str, Any]:
        """The fields of a connection."""
        extra = {"token_url": f"{self.url}/elsewhere/token"}
        return {"conn_type": "house", "host": self.url, "login": "a-client", "password": SECRET, "extra": extra}


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    house: House

    def log_message(self, *arguments: Any) -> None:
        """Say nothing."""

    def do_GET(self) -> None:
        self._answer("GET")

    def do_POST(self) -> None:
        self._answer("POST")

    def do_PUT(self) -> None:
        self._answer("PUT")

    def _answer(self, method: str) -> None:  # noqa: PLR0911, C901  # one line for each call
        house, parts = self.house, urlsplit(self.path)
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0)).decode()
        query = {name: values[-1] for name, values in parse_qs(parts.query).items()}
        form = {name: values[-1] for name, values in parse_qs(body).items()}
        house.requests.append(f"{method} {parts.path}")
        if parts.path == "/elsewhere/token":
            is_good = (form.get("client_id"), form.get("client_secret")) == ("a-client", SECRET)
            return self._send(200 if is_good else 401, {"access_token": TOKEN, "expires_in": "600"})
        if self.headers.get("Authorization") != f"Bearer {TOKEN}":
            return self._send(401, "<error>who are you?</error>")
        place = [unquote(part) for part in parts.path.removeprefix("/jobs/v1/").split("/")]
        match (method, *place):
            case "POST", "submit":
                key = self.headers.get("Idempotency-Key", "")
                return self._taken(form["job"], json.loads(form.get("args", "{}")), key, "")
            case "PUT", "submit", key if key in house.jobs:
                return self._send(409, "<error>that job exists</error>")
            case "PUT", "submit", key:
                return self._taken(query["job"], form, key, key)
            case "GET", "list":
                return self._listed(query)
            case "POST", "kill":
                job = house.jobs.get(form.get("no", ""))
                if job is None:
                    return self._send(404, "<error>no such job</error>")
                killed = job.code in (0, 1)
                job.code = 4 if killed else job.code
                return self._send(200, {"killed": killed})
            case "GET", "known":
                return self._send(200, [{"id": "report", "name": "Report"}, {"id": "broken", "name": "Broken"}])
            case "GET", "files", no if no in house.jobs:
                return self._send(200, [{"name": "a table"}, {"name": "odd/name"}])
            case "GET", "rows", no, _ if no in house.jobs:
                rows = [{"n": n, "text": f"é{n}", "big": 12345678901234567890} for n in range(5)]
                at = int(query["offset"])
                return self._send(200, rows[at : at + int(query["limit"])])
            case "GET", "log", no if no in house.jobs:
                return self._send(200, f"begin {house.jobs[no].job}\nend\x1b[31m red\n")
        return self._send(404, f"<error>nothing at {parts.path}</error>")

    def _taken(self, job: str, args: dict[str, Any], key: str, no: str) -> None:
        if job not in ("report", "broken"):
            return self._send(404, f"<error>no job {job}</error>")
        made = self.house.submitted(job, args, key, no)
        if self.house.lose:
            self.house.lose -= 1
            return self._send(503, "<error>lost</error>")
        return self._send(202, b"", Location=f"/jobs/v1/list/{made.no}")

    def _listed(self, query: dict[str, str]) -> None:
        jobs = [
            job
            for job in self.house.jobs.values()
            if query.get("job") in (None, job.job) and ("ids" not in query or query["ids"] == job.no)
        ]
        at = int(query.get("after", "0"))
        rows = [
            {
                "no": job.no,
                "code": job.code,
                "why": job.why,
                "at": job.at,
                "args": json.dumps(job.args),
                "node": {"name": "n1"},
            }
            for job in jobs[at : at + self.house.page]
        ]
        more = {"X-Next": str(at + self.house.page)} if at + self.house.page < len(jobs) else {}
        self._send(200, {"jobs": rows}, **more)

    def _send(self, status: int, body: Any, **headers: str) -> None:
        data = (
            body if isinstance(body, bytes) else body.encode() if isinstance(body, str) else json.dumps(body).encode()
        )
        self.send_response(status)
        for name, value in {"Content-Length": str(len(data)), **headers}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(data)


@contextmanager
def running() -> Iterator[House]:
    """Run the server on loopback."""
    house = House()
    server = ThreadingHTTPServer(("127.0.0.1", 0), type("Handler", (_Handler,), {"house": house}))
    server.daemon_threads = True
    house.url = f"http://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    try:
        yield house
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
