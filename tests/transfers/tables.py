"""A CARTO that serves tables: the least of its SQL API that reading an output needs, on a real HTTP server."""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from airflow_workflow_provider.protocol.model import Output, Run, RunState

CONN_ID = "tables_conn"
_SELECT = re.compile(r"SELECT (COUNT\(\*\) AS n|\*) FROM `([^`]+)`(?: AS t WHERE .* = (\d+))?")


@dataclass
class Tables:
    """The tables by name: columns with CARTO's types, and rows. ``broken`` ones give 500 after their first shard."""

    url: str = ""
    columns: dict[str, Mapping[str, str]] = field(default_factory=dict)
    rows: dict[str, list[Sequence[Any]]] = field(default_factory=dict)
    claimed: dict[str, int] = field(default_factory=dict)
    states: dict[str, str] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)

    def put(self, name: str, columns: Mapping[str, str], *rows: Sequence[Any]) -> Run:
        """Serve a table, and give the run whose output it is."""
        self.columns[name], self.rows[name] = columns, list(rows)
        return run_with(name, run_id=f"job-{name}")

    def answer(self, query: str) -> tuple[int, Any]:
        """Answer one SELECT."""
        self.asked.append(query)
        match = _SELECT.match(query)
        name = match[2] if match else ""
        if match is None or name not in self.columns:
            return 400, {"error": f"Not found: Table {name}"}
        rows = self.rows[name]
        total = self.claimed.get(name, len(rows))
        if match[1] != "*":
            return 200, {"rows": [{"n": total}], "schema": [{"name": "n", "type": "number"}]}
        if match[3]:
            rows = rows if match[3] == "0" else []
        columns = self.columns[name]
        return 200, {
            "rows": [dict(zip(columns, row, strict=True)) for row in rows],
            "schema": [{"name": column, "type": kind} for column, kind in columns.items()],
        }


def run_with(*names: str, run_id: str = "job-1", state: RunState = RunState.SUCCEEDED) -> Run:
    """A run with these tables as its outputs."""
    outputs = tuple(Output(name, "table", name, ("jsonl",)) for name in names)
    details = {"carto_connection": "carto_dw"}
    return Run("carto", CONN_ID, "p.d.wf", run_id, state=state, outputs=outputs, details=details)


@contextmanager
def serving() -> Iterator[Tables]:
    """Serve from a thread until the block ends."""
    tables = Tables()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        wbufsize = -1

        def do_GET(self) -> None:  # the name that http.server looks for
            run_id = self.path.rpartition("/")[2]
            self.send(200, {"externalId": run_id, "status": tables.states.get(run_id, "running")})

        def do_POST(self) -> None:  # as above
            body = self.rfile.read(int(self.headers["Content-Length"]))
            self.send(*tables.answer(json.loads(body)["q"]))

        def send(self, status: int, document: Any) -> None:
            content = json.dumps(document).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *arguments: Any) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        server.daemon_threads, server.block_on_close = True, False
        tables.url = f"http://127.0.0.1:{server.server_address[1]}"
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
        thread.start()
        try:
            yield tables
        finally:
            server.shutdown()
            thread.join()
