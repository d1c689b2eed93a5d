"""Every flow of every system, as callers run it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from random import Random
from typing import Any

from airflow_workflow_provider.protocol.capabilities import CanCancel, CanCountRows, CanListRuns, CanListWorkflows
from airflow_workflow_provider.protocol.connection import ConnectionValues
from airflow_workflow_provider.protocol.effects import Flow
from airflow_workflow_provider.protocol.limits import fitting
from airflow_workflow_provider.protocol.model import Output, Run
from airflow_workflow_provider.protocol.poll import wait
from airflow_workflow_provider.protocol.retry import guarded_start, persist
from airflow_workflow_provider.protocol.system import WorkflowSystem
from airflow_workflow_provider.systems import SYSTEMS
from tests.fuzz.mutating import SECRET
from tests.protocol.playing import EPOCH

NOW = datetime.fromtimestamp(EPOCH, UTC)
EXTRAS = {
    "data_api_key": SECRET,
    "monitoring_api_key": SECRET,
    "flow_api_key": SECRET,
    "tenant_id": "t",
    "workspace_id": "w",
}
VARIANTS: dict[str, list[dict[str, Any]]] = {
    "alteryx": [{}, {"auth": "oauth1"}],
    "carto": [{}, {"warehouse": "snowflake"}],
}
RUNS = {
    "carto": ["job_1"],
    "chorus": ["38933dd6-ecdd-4b65-b7ca-56d2bdb089be", "job:1:0", f"workfile:1000004:0:{EPOCH:.0f}"],
}
DETAILS: dict[str, list[dict[str, Any]]] = {
    "invision": [{"workflow_api": "dataflow"}, {"workflow_api": "flow"}],
    "carto": [{"carto_connection": "carto_dw"}],
}
STARTS: dict[str, list[dict[str, Any]]] = {
    "chorus": [{"run_mode": mode} for mode in ("engine", "job", "workfile")],
    "invision": [{"workflow_api": "dataflow"}, {"workflow_api": "flow"}],
}
DEADLINE = 600.0


def system_of(key: str, host: str, random: Random) -> WorkflowSystem:
    """A system at an address."""
    extra = {**EXTRAS, **random.choice(VARIANTS.get(key, [{}]))}
    login = "client" if key == "carto" and random.random() < 0.3 else "" if key == "carto" else "user"
    if login and key == "carto":
        extra["token_url"] = f"{host}/oauth/token"
    return SYSTEMS[key](ConnectionValues("fuzzed", host=host, login=login, password=SECRET, extra=extra))


def flows(system: WorkflowSystem, random: Random) -> Iterator[tuple[str, Callable[[], Flow[Any]]]]:
    """Name and maker of each flow that a hook, a trigger or the command line runs."""
    key = system.key
    run = Run(
        key,
        "fuzzed",
        "43",
        random.choice(RUNS.get(key, ["run1"])),
        started_at=NOW - timedelta(hours=1),
        details=random.choice(DETAILS.get(key, [{}])),
    )
    parameters = {} if random.random() < 0.5 else {"n": 1}
    options = random.choice(STARTS.get(key, [{}]))
    workflow = "p.d.wfproc_1" if key == "carto" else "43"
    yield "start", lambda: persist(lambda: guarded_start(system.start(workflow, parameters, options)))
    yield "look", lambda: persist(lambda: system.look(run))
    yield "wait", lambda: wait(system.look, run, poll_interval=5.0, deadline=EPOCH + DEADLINE, repeats=system.repeats)
    yield "name", lambda: persist(lambda: system.resolved("name:Some workflow"))
    yield "test", system.test
    if system.supports(CanCancel):
        yield "cancel", lambda: persist(lambda: system.require(CanCancel).cancel(run))
    if system.supports(CanListWorkflows):
        yield "workflows", lambda: persist(system.require(CanListWorkflows).list_workflows)
    if system.supports(CanListRuns):
        yield "runs", lambda: persist(lambda: system.require(CanListRuns).find_runs("43", NOW - timedelta(days=1)))
    if run_list := system.run_list(run):
        yield "list", lambda: run_list.ask({run.run_id, "other"})
    yield "outputs", lambda: persist(lambda: system.outputs(run))
    output = Output("p.d.out", "table", "p.d.out", ("csv",))
    if system.supports(CanCountRows):
        yield "count", lambda: persist(lambda: system.require(CanCountRows).count_rows(run, output))
    yield "rows", lambda: system.read(system.rebuilt(run), output).flow()


def shown(value: Any) -> Any:
    """What of a value goes into XComs and events."""
    if isinstance(value, Run):
        return fitting(value).to_json()
    if isinstance(value, list):
        return [shown(item) for item in value]
    return value if isinstance(value, (str, int, float, dict, type(None))) else str(value)
