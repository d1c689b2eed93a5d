"""Serves the files from loopback, as Stevesie's file host and as CARTO's SQL API do; a process of its own.

``python -m benchmarks.transfer_server FOLDER`` prints its port and serves until its input ends. Everything is a file
that was made before, sent by the kernel, so that the server is never what is measured.
"""

from __future__ import annotations

import json
import os
import re
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import urlsplit

_QUERY = re.compile(r"SELECT (COUNT\(\*\) AS n|\*) FROM `rows_(\d+)`(?: AS t WHERE .* = (\d+))?")


class Handler(BaseHTTPRequestHandler):
    """Answers what reading an output asks for."""

    protocol_version = "HTTP/1.1"
    folder = Path()

    def do_GET(self) -> None:
        """Give a file, or the execution whose results are all files."""
        name = Path(urlsplit(self.path).path).name
        path = self.folder / name
        if path.suffix in (".csv", ".gz"):
            self._send(path, "text/csv")
        else:
            self._describe(name)

    def do_POST(self) -> None:
        """Answer a query of the SQL API."""
        body = self.rfile.read(int(self.headers["Content-Length"]))
        match = _QUERY.fullmatch(json.loads(body)["q"])
        if match is None:
            self.send_error(400)
            return
        name = f"count_{match[2]}.json" if match[1] != "*" else f"page_{match[2]}_{match[3] or 0}.json"
        self._send(self.folder / name, "application/json")

    def _describe(self, run_id: str) -> None:
        host = self.headers["Host"]
        files = [f"rows_{run_id}.csv", f"rows_{run_id}.csv.gz"]
        results = [{"id": name, "url": f"http://{host}/files/{name}"} for name in files]
        document = {"id": run_id, "completed_at": "2026-01-01T00:00:00Z", "results": results}
        content = json.dumps(document).encode()
        self._head("application/json", len(content))
        self.wfile.write(content)

    def _send(self, path: Path, kind: str) -> None:
        with path.open("rb") as file:
            self._head(kind, os.fstat(file.fileno()).st_size)
            self.wfile.flush()
            self.connection.sendfile(file)

    def _head(self, kind: str, length: int) -> None:
        self.send_response(200)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(length))
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Say nothing."""


def main() -> None:
    """Serve until the standard input ends."""
    Handler.folder = Path(sys.argv[1])
    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        server.daemon_threads, server.block_on_close = True, False
        threading.Thread(target=server.serve_forever, daemon=True).start()
        print(server.server_address[1], flush=True)  # noqa: T201 (whoever started it reads this)
        sys.stdin.read()
        server.shutdown()


if __name__ == "__main__":
    main()
