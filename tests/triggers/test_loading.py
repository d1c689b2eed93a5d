"""The first trigger of a process does not hold up the event loop by importing what watching needs."""

from __future__ import annotations

import json
import subprocess
import sys

SCRIPT = """
import asyncio, json, sys, threading, time
from airflow_workflow_provider.triggers.workflow import WorkflowRunTrigger

class Seen:
    names = []
    def find_spec(self, name, path=None, target=None):
        if threading.current_thread() is threading.main_thread():
            self.names.append(name)

sys.meta_path.insert(0, Seen())
heavy = {"aiohttp", "requests"} & set(sys.modules)
run = {"system": "stevesie", "conn_id": "stevesie_default", "run_id": "7", "workflow": "w", "state": "running"}
trigger = WorkflowRunTrigger("stevesie", "stevesie_default", run, 0.1, time.time() - 1)
event = asyncio.run(anext(trigger.run()))
print(json.dumps([sorted(heavy), event.payload["status"], Seen.names, "aiohttp" in sys.modules]))
"""


def test_what_watching_needs_is_imported_in_a_thread(monkeypatch):
    connection = {"conn_type": "stevesie", "host": "http://127.0.0.1:9", "password": "5e7e51e0-token"}
    monkeypatch.setenv("AIRFLOW_CONN_STEVESIE_DEFAULT", json.dumps(connection))
    done = subprocess.run([sys.executable, "-c", SCRIPT], capture_output=True, text=True, check=True)
    _, status, in_the_loop, is_loaded = json.loads(done.stdout.splitlines()[-1])
    assert status == "timeout"
    assert is_loaded
    parts = {name.partition(".")[0] for name in in_the_loop}
    assert not parts & {"aiohttp", "requests", "airflow_workflow_provider"}, in_the_loop
