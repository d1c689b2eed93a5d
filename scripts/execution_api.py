"""A second API server of an Airflow on SQLite, for its workers alone.

In one server for both, a REST call that writes its line of the audit log blocks the event loop that a worker's
transaction needs to be committed, and on SQLite the call then waits for that very transaction.
"""

from __future__ import annotations

import contextlib
import socket
import time
from collections.abc import Iterator

from scripts.airflow_home import AirflowHome, Settings, airflow_command
from scripts.processes import Background


def settings(port: int) -> Settings:
    """The configuration that sends the workers to this server."""
    return {"core": {"execution_api_server_url": f"http://127.0.0.1:{port}/execution/"}}


@contextlib.contextmanager
def execution_api(home: AirflowHome, port: int) -> Iterator[Background]:
    """Run the server for an Airflow whose home is prepared; it listens from the beginning of the block."""
    command = [airflow_command(), "api-server", "--apps", "execution", "--workers", "1"]
    log = home.path / "processes" / "execution-api.log"
    server = Background(
        "execution-api", [*command, "--host", "127.0.0.1", "--port", str(port)], env=home.environment(), log=log
    )
    with server:
        wait_until_it_listens(server, port)
        yield server


def wait_until_it_listens(server: Background, port: int) -> None:
    """Wait until a server takes connections."""
    deadline = time.monotonic() + 240
    while True:
        server.check()
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
            return
        if time.monotonic() > deadline:
            raise TimeoutError(f"{server.name} does not listen; the end of its log:\n{server.tail()}")
        time.sleep(0.2)
