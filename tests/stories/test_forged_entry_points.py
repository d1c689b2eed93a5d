"""A forged run object, given to everything that takes one, moves no credential and reaches no other server."""

from __future__ import annotations

import json
import re
import types
from contextlib import suppress
from urllib.parse import unquote, urlsplit

import pytest

from airflow_workflow_provider.cli.main import main
from airflow_workflow_provider.hooks.workflow import WorkflowHook
from airflow_workflow_provider.links.workflow import show_run
from airflow_workflow_provider.operators.workflow import CancelWorkflowRunOperator
from airflow_workflow_provider.protocol.model import parse_run
from airflow_workflow_provider.sandbox.systems import systems as sandbox_systems
from airflow_workflow_provider.sensors.workflow import WorkflowRunSensor
from airflow_workflow_provider.transfers.workflow_to_object_storage import WorkflowOutputToObjectStorageOperator
from airflow_workflow_provider.transfers.workflow_to_sql import WorkflowOutputToSqlOperator
from airflow_workflow_provider.triggers.events import triggering_runs
from tests.client.hostile import hostile
from tests.operators.staging import TaskInstance, context_of, executed

ANSWER = {
    "status": "success",
    "externalId": "1",
    "id": "1",
    "disposition": "Success",
    "object": {"id": "1", "completed_at": 1700000000, "created_at": 1700000000, "results": []},
    "meta": {"state": "FINISHED", "processId": "1"},
    "dataFlowRunId": "1",
    "rows": [{"a": 1}],
    "schema": [{"name": "a", "type": "int64"}],
    "access_token": "token",
    "expires_in": 36000,
    "response": {"session_id": "session"},
}
BODY = json.dumps(ANSWER).encode()
HEAD = b"HTTP/1.1 200 X\r\nContent-Type: application/json\r\nContent-Length: %d\r\nConnection: close\r\n\r\n" % len(
    BODY
)
# The first connection of each system.
CONNECTIONS = [next(iter(system.connections("URL").items())) for system in sandbox_systems()]


# Facts that systems keep in `details`, and names of connection fields, which none of them may be.
DETAILS = (
    "carto_connection",
    "provider",
    "files",
    "columns",
    "results",
    "host",
    "token_url",
    "read_token",
    "proxy_url",
)


def shapes(system, conn_id, evil):
    """Run objects as anybody can write them; each places the other server, or a statement, somewhere else."""
    path = "../../../../admin"
    statement = "`p.d.t`; DROP TABLE `p.d.prod`; --"
    for number, (run_id, workflow, place, detail) in enumerate(
        [
            ("1", "w", f"{evil}/steal", f"{evil}/steal"),
            ("1", "p.d.wfproc_1", statement, statement),
            (path, path, path, path),
            (f"{evil}/x", f"{evil}/x", f"//{evil.partition('//')[2]}/x", {"url": evil}),
            ("job:1:0", "1", "x\r\nHost: evil", [{"id": path, "url": evil, "name": evil}]),
        ]
    ):
        yield {
            "system": system,
            "conn_id": conn_id,
            "workflow": workflow,
            "run_id": run_id,
            "state": "running" if number % 3 == 2 else "succeeded",
            "message": f"see {evil}",
            "url": f"{evil}/page",
            "started_at": "2026-01-01T00:00:00Z",
            "ended_at": "2026-01-01T00:01:00Z",
            "outputs": [{"name": place, "kind": "table", "location": place, "formats": ["csv"]}],
            "output_location": place,
            "details": dict.fromkeys(DETAILS[number % 2 :], detail),
        }


def hook_calls(run, tmp_path):
    """Every method of a hook that takes a run."""
    for name in ("get_run", "outputs", "cancel_run", "read_log"):
        with suppress(Exception):
            found = getattr(WorkflowHook.for_run(run), name)(run)
            list(found or ())
    with suppress(Exception):
        WorkflowHook.for_run(run).wait_for_run(run, timeout=0.2, poll_interval=0.1)
    with suppress(Exception), WorkflowHook.for_run(run).open_output(run) as file:
        file.read()
    with suppress(Exception):
        WorkflowHook.for_run(run).read_output(run).read_all()


def transfers(run, tmp_path):
    """Both transfers, with what else they do to an output."""
    for more in ({"cleanup_output": True}, {"load_method": "in_database"}, {"add_columns": ["run_id", "url"]}):
        with suppress(Exception):
            given = json.dumps(run) if "add_columns" in more else run
            executed(
                lambda given=given, more=more: WorkflowOutputToSqlOperator(
                    task_id="t", run=given, sql_conn_id="lite", table="t", if_exists="replace", **more
                )
            )
    for form in ("csv", "raw"):
        with suppress(Exception):
            executed(
                lambda form=form: WorkflowOutputToObjectStorageOperator(
                    task_id="t", run=[run], path=f"{tmp_path}/{{run_id}}/{{output}}.{form}", format=form, overwrite=True
                )
            )


def sensors(run, tmp_path):
    """Sensors, and the trigger in which they wait."""
    for deferrable in (False, True):
        with suppress(Exception):
            executed(
                lambda deferrable=deferrable: WorkflowRunSensor(
                    task_id="s", run=run, deferrable=deferrable, timeout=0.1, poke_interval=0.05
                )
            )


def cancels(run, tmp_path):
    """The operator for teardown tasks."""
    for given in (run, json.dumps(run), [run]):
        with suppress(Exception):
            executed(lambda given=given: CancelWorkflowRunOperator(task_id="c", run=given))


def commands(run, tmp_path):
    """The command line, with the run object in an argument and in a file."""
    file = tmp_path / "run.json"
    file.write_text(json.dumps(run))
    text = json.dumps(run)
    for words in (
        ["status", run["conn_id"], text],
        ["status", run["conn_id"], f"@{file}"],
        ["logs", run["conn_id"], text],
        ["cancel", run["conn_id"], text],
        ["output", run["conn_id"], text],
        ["output", run["conn_id"], text, "0", "--to", str(tmp_path / "out")],
    ):
        with suppress(Exception, SystemExit):
            main(words)


def events(run, tmp_path):
    """A run from an asset event, and the link that a task shows of it."""
    event = types.SimpleNamespace(extra={"run": run}, timestamp=None)
    found = []
    with suppress(Exception):
        found = triggering_runs({"triggering_asset_events": {"a": [event]}})
    for one in found:
        hook_calls(one, tmp_path)
    with suppress(Exception):
        show_run(TaskInstance(), parse_run({**run, "url": "javascript:alert(1)//"}))
        assert not context_of()["ti"].xcoms


ENTRIES = {
    "hook": hook_calls,
    "transfers": transfers,
    "sensors": sensors,
    "cancel": cancels,
    "command line": commands,
    "events": events,
}


@pytest.mark.parametrize("entry", ENTRIES)
@pytest.mark.parametrize("conn_id", [conn_id for conn_id, _ in CONNECTIONS])
def test_a_forged_run_object_moves_nothing(conn_id, entry, tmp_path, monkeypatch):
    """Requests go to the own server, with ids as one part of a path or quoted in a statement, and to no other."""
    system = dict(CONNECTIONS)[conn_id]["conn_type"]
    with hostile() as own, hostile(host="127.0.0.2") as other:
        own.answer = lambda head, write: write(HEAD + BODY)
        other.answer = lambda head, write: write(HEAD + BODY)
        connection = json.loads(json.dumps(dict(CONNECTIONS)[conn_id]).replace("URL", own.url))
        connection["extra"] = {**connection.get("extra", {}), "timeout": 5}
        monkeypatch.setenv(f"AIRFLOW_CONN_{conn_id.upper()}", json.dumps(connection))
        monkeypatch.setenv("AIRFLOW_CONN_LITE", json.dumps({"conn_type": "sqlite", "host": str(tmp_path / "lite.db")}))
        for run in shapes(system, conn_id, other.url):
            ENTRIES[entry](run, tmp_path)
        assert other.heard == []
        for head in own.heard:
            target = head.split(b" ")[1].decode("latin-1")
            path = urlsplit(target).path
            assert not re.search(r"(^|/)\.\.(/|$)", unquote(unquote(path))), target
        print(f"{len(own.heard)} requests")
