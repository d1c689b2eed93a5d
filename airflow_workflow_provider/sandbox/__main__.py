"""``python -m airflow_workflow_provider.sandbox``: serve the workflow systems on this machine."""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import shlex
import signal
import sys
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .app import Sandbox

EXTRA = "pip install 'airflow-workflow-provider[sandbox]'"
NEEDED = {"uvicorn", "h11", "starlette", "anyio", "duckdb", "sqlglot", "vega_datasets", "multipart", "python_multipart"}
LOOPBACK = {"127.0.0.1", "localhost", "::1"}


class CannotListen(Exception):
    """The address is taken or none of this machine's; the text says which."""


def port_number(text: str) -> int:
    """A TCP port; argparse prints the message."""
    if not text.isascii() or not text.isdigit() or int(text) > 65535:
        raise argparse.ArgumentTypeError(f"{text!r} is not a port (0 to 65535)")
    return int(text)


def arguments(argv: Sequence[str] | None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(
        prog="python -m airflow_workflow_provider.sandbox", description="Serve the workflow systems for trying DAGs."
    )
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on (default %(default)s)")
    parser.add_argument("--port", default=8900, type=port_number, help="port, 0 for any (default %(default)s)")
    parser.add_argument(
        "--allow-host",
        action="append",
        default=[],
        metavar="NAME",
        help="a host name under which clients reach the sandbox, such as the name of its container; may be repeated",
    )
    parser.add_argument("--print-connections", action="store_true", help="print the Airflow connections and exit")
    options = parser.parse_args(argv)
    if options.print_connections and options.port == 0:
        parser.error("--print-connections needs the --port that the sandbox will have, not 0")
    return options


def connection_lines(connections: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """One ``AIRFLOW_CONN_…='{json}'`` line per connection, ready for a shell."""
    return [f"AIRFLOW_CONN_{conn_id.upper()}={shlex.quote(json.dumps(one))}" for conn_id, one in connections.items()]


def all_connections(app: Sandbox, url: str) -> dict[str, Mapping[str, Any]]:
    """The connections of every system."""
    return {conn_id: one for system in app.systems.values() for conn_id, one in system.connections(url).items()}


def welcome(app: Sandbox, url: str) -> str:
    """What is served, as a table, and the lines to copy."""
    lines = [f"Sandbox on {url} (Ctrl+C stops it; switches and faults: {url}/_sandbox)", ""]
    for key, system in app.systems.items():
        lines.append(f"{key:<10}{'  '.join(url + prefix for prefix in system.mounts())}")
        for workflow in system.describe():
            through = f" (through {workflow.conn_id})" if workflow.conn_id else ""
            lines.append(f"  {workflow.name:<22}{workflow.summary}{through}")
            lines.append(f"  {'':<22}{workflow.workflow}  {json.dumps(workflow.parameters)}")
        lines.append("")
    lines += ["Connections to copy (put `export` before each, or them all in an env file):", ""]
    return "\n".join(lines + connection_lines(all_connections(app, url)))


def serve(options: argparse.Namespace) -> None:
    """Print the welcome and serve until interrupted."""
    from .app import Sandbox
    from .server import base_url, listening, serving, uvicorn_server
    from .systems import systems

    app = Sandbox(systems(), (options.host, *options.allow_host))
    if options.print_connections:
        print("\n".join(connection_lines(all_connections(app, base_url(options.host, options.port)))), flush=True)
        return
    try:
        bound = listening(options.host, options.port)
    except OSError as error:
        place, reason = f"{options.host} port {options.port}", error.strerror or str(error)
        raise CannotListen(f"Cannot listen on {place}: {reason}; choose another --port or --host") from error
    if options.host not in LOOPBACK:
        print(f"Warning: other machines may reach {options.host}; the sandbox has no secrets", file=sys.stderr)
    print(welcome(app, base_url(*bound.getsockname()[:2])), flush=True)
    # uvicorn raises the signal again when it has stopped; ended by it, Python would leave its temporary folders behind.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    asyncio.run(serving(app, uvicorn_server(app), bound))


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; every expected mishap is one sentence on standard error and exit code 1."""
    options = arguments(argv)
    try:
        serve(options)
    except ModuleNotFoundError as error:
        package = (error.name or "").partition(".")[0]
        if package not in NEEDED:
            raise
        print(f"The sandbox needs the package {package!r}, which is not installed: {EXTRA}", file=sys.stderr)
        return 1
    except CannotListen as error:
        print(error, file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 0
    except BrokenPipeError:
        # Whoever reads us has had enough (`| head`); nothing may be flushed into that pipe at the end either.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return 0


if __name__ == "__main__":
    sys.exit(main())
