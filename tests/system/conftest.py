"""A real Airflow for the tests in this folder: processes of its own, as a user would run them."""

from __future__ import annotations

import contextlib
import json
import shutil
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import pytest

from scripts.airflow_cluster import AirflowCluster
from scripts.airflow_home import AirflowHome
from scripts.processes import free_port

StartAirflow = Callable[..., AbstractContextManager[AirflowCluster]]


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out what only the matrix plays, unless ``-m`` asks for it."""
    if "matrix" in config.option.markexpr:
        return
    left_out = [item for item in items if item.get_closest_marker("matrix")]
    if left_out:
        config.hook.pytest_deselected(items=left_out)
        items[:] = [item for item in items if item not in left_out]


@contextlib.contextmanager
def running_airflow(
    folder: Path,
    *dag_files: Path,
    connections: Mapping[str, Mapping[str, Any]] | None = None,
    settings: Mapping[str, Mapping[str, str]] | None = None,
    **options: Any,
) -> Iterator[AirflowCluster]:
    """Run an Airflow that knows these DAG files and connections (as dicts) until the block ends.

    ``options`` are those of `AirflowCluster`; a test that fails shows what its processes said.
    """
    dags = folder / "dags"
    dags.mkdir(parents=True)
    for dag_file in dag_files:
        shutil.copy(dag_file, dags)
    variables = {f"AIRFLOW_CONN_{name.upper()}": json.dumps(one) for name, one in (connections or {}).items()}
    more = {section: dict(values) for section, values in (settings or {}).items()}
    home = AirflowHome(folder / "home", dags=dags, port=free_port(), settings=more, variables=variables)
    with AirflowCluster(home, **options) as airflow:
        try:
            yield airflow
        except BaseException:
            for process in airflow.processes.values():
                print(f"--- the end of {process.name}'s log ---\n{process.tail(60)}")
            raise


@pytest.fixture(scope="session")
def start_airflow() -> StartAirflow:
    """`running_airflow`, for tests of any scope; give it a folder of ``tmp_path_factory``."""
    return running_airflow
