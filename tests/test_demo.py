"""What ``make demo-ui`` promises: its DAGs exist, and it starts again where it was."""

from __future__ import annotations

import json
import re
import runpy
import socket
from pathlib import Path

from scripts import demo_ui
from scripts.processes import free_port

ROOT = Path(__file__).parent.parent


def dags_of(path: Path) -> set[str]:
    """The ids of the DAGs that a file makes."""
    return set(re.findall(r'DAG\(\s*(?:dag_id=)?"(\w+)"', path.read_text()))


def test_every_dag_that_the_guide_names_exists():
    files = [*(ROOT / "scripts" / "demo_dags").glob("*.py"), *(ROOT / "example_dags").glob("*.py")]
    known = {dag_id for path in files for dag_id in dags_of(path)}
    guide = demo_ui.guide("http://airflow", "http://sandbox", Path(".demo"))
    named = set(re.findall(r"/dags/(\w+)", guide)) | set(demo_ui.dag_ids())
    assert named
    assert named <= known


def test_the_dags_of_the_demo_can_be_parsed():
    for path in (ROOT / "scripts" / "demo_dags").glob("*.py"):
        runpy.run_path(str(path))


def test_the_next_start_has_the_same_ports(tmp_path):
    first = demo_ui.ports(tmp_path)
    assert demo_ui.ports(tmp_path) == first


def test_a_port_that_is_taken_meanwhile_is_replaced(tmp_path):
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        taken, kept = other.getsockname()[1], free_port()
        (tmp_path / "ports.json").write_text(json.dumps([taken, kept]))
        airflow, sandbox = demo_ui.ports(tmp_path)
    assert airflow != taken
    assert sandbox == kept


def test_the_key_of_the_data_stays(tmp_path):
    """Deferred tasks of an earlier start are stored with it."""
    first = demo_ui.fernet_key(tmp_path)
    assert demo_ui.fernet_key(tmp_path) == first
