"""The command ``orphans``: runs that are going and that no task of this Airflow waits for."""

from __future__ import annotations

import json
from argparse import Namespace
from collections.abc import Iterator, Mapping
from typing import Any, cast

from airflow_workflow_provider.cli import results
from airflow_workflow_provider.cli.arguments import hook_of
from airflow_workflow_provider.cli.terminal import Result, Terminal
from airflow_workflow_provider.exceptions import InvalidArgument, NotSupported, WorkflowError
from airflow_workflow_provider.hooks.workflow import WorkflowHook
from airflow_workflow_provider.protocol.capabilities import CanListRuns, CanListWorkflows
from airflow_workflow_provider.protocol.model import Run, parse_runs

# States of a task that waits for its run, or will take it over.
WAITING = (
    "scheduled",
    "queued",
    "running",
    "restarting",
    "deferred",
    "up_for_retry",
    "up_for_reschedule",
    "awaiting_input",
)


def orphans(options: Namespace, terminal: Terminal) -> Result:
    """List the runs of a connection that are going and that no task waits for."""
    hook = hook_of(options, terminal)
    hook.system.require(CanListRuns)
    going = [run for workflow in workflows_of(options, hook) for run in going_runs(options, hook, workflow, terminal)]
    awaited = awaited_ids() if going else set()
    found = list({run.run_id: run for run in going if run.run_id not in awaited}.values())
    note = (
        f"{len(going)} runs are active; a task of this Airflow waits for {len(going) - len(found)} of them. The others "
        "can belong to people and programs outside Airflow: check a run before you cancel it."
    )
    shown = results.many(found)
    return Result(shown.rows, shown.data, note=note if going else "No run is active.")


def workflows_of(options: Namespace, hook: WorkflowHook) -> list[str]:
    """Give the workflows to look at: those that are named, else all that the connection may start."""
    if options.workflow:
        return [str(workflow) for workflow in options.workflow]
    if not hook.system.supports(CanListWorkflows):
        raise InvalidArgument(f"--workflow: is missing; {hook.system.label} has no API call that lists workflows")
    return [workflow.id for workflow in hook.list_workflows()]


def going_runs(options: Namespace, hook: WorkflowHook, workflow: str, terminal: Terminal) -> list[Run]:
    """List the runs of one workflow that are going; a workflow whose runs cannot be listed is named."""
    try:
        return [run for run in hook.find_runs(workflow, since=options.since) if not run.state.is_terminal]
    except NotSupported:
        raise
    except WorkflowError as error:
        terminal.say(f"The runs of workflow {workflow} cannot be listed: {error.summary}")
        return []


def awaited_ids() -> set[str]:
    """Read the ids of the runs that tasks wait for, from Airflow's metadata database.

    They are in the XComs of run operators, the triggers of deferred tasks, the task state store (3.3+) and the rendered
    fields of sensors.
    """
    from airflow.utils.session import create_session

    with create_session() as session:
        return {run_id for read in (_xcoms, _triggers, _task_states, _rendered_fields) for run_id in read(session)}


def _of_waiting_tasks(session: Any, column: Any, model: Any) -> Any:
    """Give a query of a column of a table, for the rows of tasks that wait."""
    from airflow.models.taskinstance import TaskInstance

    task = cast("Any", TaskInstance)
    names = ("dag_id", "task_id", "run_id", "map_index")
    query = session.query(column).filter(task.state.in_(WAITING))
    for name in names:
        query = query.filter(getattr(model, name) == getattr(task, name))
    return query


def _xcoms(session: Any) -> Iterator[str]:
    import airflow.models.xcom as module

    model = cast("Any", getattr(module, "XComModel", None) or module.XCom)
    for (value,) in _of_waiting_tasks(session, model.value, model).filter(model.key == "run_id"):
        yield str(_decoded(value))


def _triggers(session: Any) -> Iterator[str]:
    from airflow.models.trigger import Trigger

    model = cast("Any", Trigger)
    ours = model.classpath.like("airflow_workflow_provider.triggers.workflow.%")
    for trigger in session.query(model).filter(ours):
        yield from _ids(trigger.kwargs.get("run"))


def _task_states(session: Any) -> Iterator[str]:
    try:
        from airflow.models.task_state_store import TaskStateStoreModel as Model
    except ImportError:
        return
    model = cast("Any", Model)
    for (value,) in _of_waiting_tasks(session, model.value, model).filter(model.key.like("workflow_run%")):
        stored = _decoded(value)
        if isinstance(stored, Mapping):
            yield from _ids(stored.get("run"))


def _rendered_fields(session: Any) -> Iterator[str]:
    from airflow.models.renderedtifields import RenderedTaskInstanceFields

    model = cast("Any", RenderedTaskInstanceFields)
    for (fields,) in _of_waiting_tasks(session, model.rendered_fields, model):
        rendered = _decoded(fields)
        if isinstance(rendered, Mapping):
            yield from _ids(rendered.get("run"))
            yield from [str(rendered["run_id"])] if rendered.get("run_id") else []


def _ids(value: Any) -> list[str]:
    """Give the ids of run objects in any of the forms in which Airflow stores an argument."""
    try:
        return [run.run_id for run in parse_runs(value, system="any", conn_id="any")] if value else []
    except InvalidArgument:
        return []


def _decoded(value: Any) -> Any:
    """Read a JSON value that may be stored as bytes or text."""
    text = value.decode(errors="replace") if isinstance(value, bytes) else value
    if not isinstance(text, str):
        return text
    try:
        return json.loads(text)
    except ValueError:
        return text
