"""``python -m airflow_workflow_provider.sandbox`` as a newcomer types it."""

from __future__ import annotations

import json
import os
import shlex
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest
import requests

ROOT = Path(__file__).parents[2]
COMMAND = [sys.executable, "-m", "airflow_workflow_provider.sandbox"]
ENVIRONMENT = os.environ | {"PYTHONPATH": str(ROOT)}


def ran(*command: str) -> subprocess.CompletedProcess[str]:
    """Run a command to its end."""
    return subprocess.run(command, cwd=ROOT, env=ENVIRONMENT, text=True, capture_output=True, timeout=20, check=False)


def connection(line: str) -> tuple[str, dict]:
    """Name and value of an ``AIRFLOW_CONN_…='{json}'`` line, read as a shell reads it."""
    (word,) = shlex.split(line)
    name, _, value = word.partition("=")
    return name, json.loads(value)


def test_print_connections_prints_lines_and_exits():
    """Each line is one environment variable; nothing else is printed and nothing is started."""
    done = ran(*COMMAND, "--port", "8123", "--print-connections")
    assert (done.returncode, done.stderr) == (0, "")
    found = dict(connection(line) for line in done.stdout.splitlines())
    assert {"AIRFLOW_CONN_CARTO_DEFAULT", "AIRFLOW_CONN_CARTO_OAUTH"} <= set(found)
    assert found["AIRFLOW_CONN_CARTO_DEFAULT"] == {
        "conn_type": "carto",
        "host": "http://127.0.0.1:8123/carto",
        "password": "sandbox-carto-token",
        "extra": {"carto_connection": "carto_dw"},
    }


@pytest.mark.parametrize("stop", [signal.SIGINT, signal.SIGTERM])
def test_serves_until_stopped(stop):
    """It prints what it serves and the lines to copy, answers there, and ends at once when told to."""
    with subprocess.Popen(
        [*COMMAND, "--port", "0"], cwd=ROOT, env=ENVIRONMENT, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as server:
        lines = []
        while not lines or not lines[-1].startswith("AIRFLOW_CONN_"):
            lines.append(server.stdout.readline())
            assert lines[-1], server.stderr.read()
        text = "".join(lines)
        _, default = connection(lines[-1])
        job = requests.get(
            f"{default['host']}/v3/sql/jobs", headers={"Authorization": f"Bearer {default['password']}"}, timeout=5
        )
        server.send_signal(stop)
        _, errors = server.communicate(timeout=10)
    assert job.json() == []
    assert "airports_by_state" in text
    assert "/_sandbox" in text
    assert errors == ""
    assert server.returncode in {0, -stop}


def test_busy_port_is_one_sentence():
    """Somebody else's port: which one, why, and what to do."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        done = ran(*COMMAND, "--port", str(port))
    assert done.returncode == 1
    assert (
        done.stderr
        == f"Cannot listen on 127.0.0.1 port {port}: Address already in use; choose another --port or --host\n"
    )


@pytest.mark.parametrize("port", ["70000", "-1", "http", "8_900"])
def test_bad_port_is_one_sentence(port):
    """Not a port: argparse's message, no traceback."""
    done = ran(*COMMAND, f"--port={port}")
    assert done.returncode == 2
    assert f"'{port}' is not a port (0 to 65535)" in done.stderr


def test_reader_that_has_had_enough():
    """A closed pipe (`| head`) is no reason for a traceback."""
    reading, writing = os.pipe()
    os.close(reading)
    try:
        done = subprocess.run(
            [*COMMAND, "--print-connections"],
            cwd=ROOT,
            env=ENVIRONMENT,
            stdout=writing,
            stderr=subprocess.PIPE,
            timeout=20,
            check=False,
        )
    finally:
        os.close(writing)
    assert (done.returncode, done.stderr) == (0, b"")


def test_connections_need_a_real_port():
    """A port that is only known later cannot be printed."""
    done = ran(*COMMAND, "--print-connections", "--port", "0")
    assert done.returncode == 2
    assert "--print-connections needs the --port" in done.stderr


def test_bad_host_is_one_sentence():
    """An address that is none of this machine's."""
    done = ran(*COMMAND, "--host", "host.invalid")
    assert done.returncode == 1
    assert done.stderr.startswith("Cannot listen on host.invalid port 8900: ")
    assert done.stderr.count("\n") == 1


@pytest.mark.parametrize("package", ["uvicorn", "starlette", "duckdb", "sqlglot", "vega_datasets"])
def test_missing_dependency_names_the_extra(package):
    """Without the extra there is one sentence and no traceback."""
    program = f"import sys; sys.modules[{package!r}] = None\n"
    program += "from airflow_workflow_provider.sandbox.__main__ import main; sys.exit(main(['--print-connections']))"
    done = ran(sys.executable, "-c", program)
    assert done.returncode == 1
    assert done.stderr.count("\n") == 1
    assert repr(package) in done.stderr
    assert "pip install 'airflow-workflow-provider[sandbox]'" in done.stderr


def test_sandbox_shares_nothing_with_the_client():
    """It must be able to disagree with the client, so it imports neither that nor Airflow."""
    program = "import sys, airflow_workflow_provider.sandbox.server\n"
    program += "print([m for m in sys.modules if m.startswith('airflow') and 'provider.sandbox' not in m])"
    assert ran(sys.executable, "-c", program).stdout == "['airflow_workflow_provider']\n"
