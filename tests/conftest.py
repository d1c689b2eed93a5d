"""What every test shares: an Airflow home that is nobody's, and the sandbox."""

from __future__ import annotations

import atexit
import json
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from scripts.airflow_home import AirflowHome

if TYPE_CHECKING:
    from airflow_workflow_provider.sandbox.server import RunningSandbox


def _own_airflow_home() -> AirflowHome:
    """A home with a migrated database, so that no test reads or writes the one of whoever runs the tests."""
    for name in [name for name in os.environ if name.lstrip("_").startswith("AIRFLOW_")]:
        del os.environ[name]
    folder = Path(tempfile.mkdtemp(prefix="airflow-home-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    (folder / "dags").mkdir()
    home = AirflowHome(folder, dags=folder / "dags", port=0)
    home.prepare()
    return home


# Before any test module imports Airflow, which reads its configuration there and then.
AIRFLOW_HOME = _own_airflow_home()
os.environ["AIRFLOW_HOME"] = str(AIRFLOW_HOME.path)


@pytest.fixture(scope="session")
def sandbox_server() -> Iterator[RunningSandbox]:
    """The sandbox, in a thread of the test process."""
    from airflow_workflow_provider.sandbox.server import run_sandbox

    with run_sandbox() as running:
        yield running


@pytest.fixture
def sandbox(sandbox_server: RunningSandbox, monkeypatch: pytest.MonkeyPatch) -> RunningSandbox:
    """The sandbox as if just started, with its Airflow connections in the environment."""
    sandbox_server.reset()
    for conn_id, connection in sandbox_server.connections().items():
        monkeypatch.setenv(f"AIRFLOW_CONN_{conn_id.upper()}", json.dumps(connection))
    return sandbox_server
