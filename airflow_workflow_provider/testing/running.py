"""Running one task or one DAG in a test, on a worker or through a trigger."""

from __future__ import annotations

import asyncio
import contextlib
import copy
import importlib
import json
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial
from types import SimpleNamespace
from typing import Any, Literal

Mode = Literal["sync", "deferrable"]
# How often a task may defer or reschedule before the helper gives up.
MOST_STEPS = 1000


@dataclass
class TaskTestRun:
    """What a task did in a test.

    :param value: what the task returned, after one turn through JSON, as the next task reads it
    :param xcoms: the XComs that the task pushed, by key, without the returned value
    :param deferrals: how many times the task deferred to a trigger
    """

    value: Any = None
    xcoms: dict[str, Any] = field(default_factory=dict)
    deferrals: int = 0


@dataclass
class DagTestRun:
    """What a DAG run did in a test.

    :param state: the state of the DAG run, such as ``success`` or ``failed``
    :param tasks: the state of each task instance; a mapped one is named ``load[0]``
    :param run: Airflow's own ``DagRun``
    """

    state: str
    tasks: dict[str, str | None]
    run: Any


def run_task(
    operator: Any,
    *,
    mode: Mode | None = None,
    xcoms: Mapping[str, Any] | None = None,
    params: Mapping[str, Any] | None = None,
    context: Mapping[str, Any] | None = None,
    poll_interval: float | None = 0.05,
    try_number: int = 1,
    state: dict[str, Any] | None = None,
) -> TaskTestRun:
    """Run one operator or sensor, without a scheduler and without Airflow's database.

    The helper renders the template fields, executes the task, runs its trigger if the task defers, and resumes it.

    :param operator: the task, such as ``dag.get_task("run")``, or its output; the helper works on a copy
    :param mode: ``"sync"`` or ``"deferrable"``; None keeps what the task says
    :param xcoms: what earlier tasks returned, by task id, for ``run=start.output`` and ``xcom_pull``
    :param params: values for ``{{ params.… }}``, over those of the task and its DAG
    :param context: further entries of the context, such as ``ds`` or ``logical_date``
    :param poll_interval: seconds between two polls instead of the task's own; None keeps the task's own
    :param try_number: the number of the try; give 2 and the ``state`` of the first try to test a retry
    :param state: stands for the task state store of Airflow 3.3; without it the task runs as on an older Airflow
    :return: the returned value, the XComs and the number of deferrals
    :raises Exception: whatever the task raises
    """
    from airflow.exceptions import AirflowRescheduleException
    from airflow.providers.common.compat.sdk import TaskDeferred

    operator = getattr(operator, "operator", operator)
    if hasattr(operator, "partial_kwargs"):
        raise TypeError(f"task {operator.task_id!r} is mapped; run_task runs one task instance, run_dag a mapped task")
    made = _with_mode(copy.copy(operator), mode, poll_interval)
    ti = _TaskInstance(made, try_number, dict(xcoms or {}))
    whole = _context(made, ti, params, state, context)
    result = TaskTestRun(xcoms=ti.pushed)
    step: Callable[[], Any] = partial(_executed, made, whole)
    for _ in range(MOST_STEPS):
        try:
            result.value = _as_json(step())
        except AirflowRescheduleException as signal:
            ti.rescheduled_at = ti.rescheduled_at or datetime.now(UTC)
            time.sleep(max(0.0, (signal.reschedule_date - datetime.now(UTC)).total_seconds()))
        except TaskDeferred as signal:
            result.deferrals += 1
            step = _resumption(made, whole, signal)
        else:
            return result
    raise AssertionError(f"task {made.task_id!r} deferred or rescheduled {MOST_STEPS} times and did not end")


def run_dag(
    dag: Any, *, mode: Mode | None = None, conf: Mapping[str, Any] | None = None, poll_interval: float | None = 0.05
) -> DagTestRun:
    """Run a whole DAG with ``dag.test()``, which needs a migrated Airflow database but no scheduler.

    :param dag: the DAG
    :param mode: ``"sync"`` or ``"deferrable"`` for every task that knows both; None keeps what each task says
    :param conf: the configuration of the DAG run; it overrides ``params``
    :param poll_interval: seconds between two polls instead of the tasks' own; None keeps the tasks' own
    :return: the states of the DAG run and of its tasks; a failed task does not raise
    """
    with _all_with_mode(dag, mode, poll_interval):
        _add_to_database(dag)
        run = dag.test(run_conf=dict(conf) if conf is not None else None)
    states = {_label(ti): str(ti.state) if ti.state is not None else None for ti in run.get_task_instances()}
    return DagTestRun(str(getattr(run.state, "value", run.state)), states, run)


def _add_to_database(dag: Any) -> None:
    """Store the DAG as a DAG processor does: ``dag.test()`` of Airflow 3 knows only DAGs in the DAG folder."""
    try:
        from airflow.dag_processing.bundles.manager import DagBundlesManager
        from airflow.dag_processing.dagbag import sync_bag_to_db
    except ImportError:  # Airflow 2, and Airflow 3 before its DAGs had bundles here
        return
    manager: Any = DagBundlesManager()  # type: ignore[no-untyped-call]  # of Airflow
    manager.sync_bundles_to_db()
    bundle = next(iter(manager.get_all_dag_bundles()))
    found = SimpleNamespace(
        dags={dag.dag_id: dag}, import_errors={}, dag_warnings=set(), bundle_path=None, file_last_changed={}
    )
    sync_bag_to_db(found, bundle.name, None)  # type: ignore[arg-type]  # a bag with this one DAG


class _TaskInstance:
    """A task instance as far as an operator looks at it, with its XComs in a dict."""

    def __init__(self, operator: Any, try_number: int, upstream: dict[str, Any]) -> None:
        self.task = operator
        self.task_id, self.dag_id = operator.task_id, getattr(operator, "dag_id", "dag")
        self.run_id, self.map_index = "test__1", -1
        self.try_number = try_number
        # A retry does not raise this number, a clear does.
        self.max_tries = operator.retries or 0
        self.start_date = datetime.now(UTC)
        self.rescheduled_at: datetime | None = None
        self.upstream = upstream
        self.pushed: dict[str, Any] = {}

    def xcom_push(self, key: str, value: Any, **kwargs: Any) -> None:
        """Keep an XCom."""
        self.pushed[key] = _as_json(value)

    def xcom_pull(self, task_ids: Any = None, key: str = "return_value", **kwargs: Any) -> Any:
        """Give an XCom of this task, or what an earlier task returned."""
        if task_ids is None or task_ids == self.task_id:
            return self.pushed.get(key)
        if not isinstance(task_ids, str):
            return [self.xcom_pull(one, key) for one in task_ids]
        if task_ids not in self.upstream:
            raise KeyError(f"run_task has no XCom of task {task_ids!r}; give xcoms={{{task_ids!r}: …}}")
        value = self.upstream[task_ids]
        # A key of a returned mapping is an XCom of its own, as in Airflow with several outputs.
        return value if key == "return_value" else value[key]

    def get_relevant_upstream_map_indexes(self, *args: Any, **kwargs: Any) -> None:
        """No upstream task is mapped."""

    def get_dr_count(self, *args: Any, **kwargs: Any) -> int:
        """Count the DAG runs that are active: this one."""
        return 1

    def get_first_reschedule_date(self, context: Any) -> datetime | None:
        """When a sensor in reschedule mode ran for the first time."""
        return self.rescheduled_at


class _StateStore:
    """The task state store of Airflow 3.3 over a dict."""

    def __init__(self, kept: dict[str, Any]) -> None:
        self.kept = kept

    def get(self, key: str, default: Any = None) -> Any:
        """Give a value."""
        return json.loads(self.kept[key]) if key in self.kept else default

    def set(self, key: str, value: Any, **kwargs: Any) -> None:
        """Keep a value."""
        self.kept[key] = json.dumps(value)

    def delete(self, key: str) -> None:
        """Remove a value."""
        self.kept.pop(key, None)


def _context(
    operator: Any,
    ti: _TaskInstance,
    params: Mapping[str, Any] | None,
    state: dict[str, Any] | None,
    more: Mapping[str, Any] | None,
) -> Any:
    from airflow.providers.common.compat.sdk import Context

    now = datetime.now(UTC).replace(microsecond=0)
    dag = operator.dag if operator.has_dag() else None
    declared = {**(dict(dag.params) if dag else {}), **dict(operator.params)}
    entries: dict[str, Any] = {
        "ti": ti,
        "task_instance": ti,
        "task": operator,
        "dag": dag,
        "run_id": ti.run_id,
        "params": {**declared, **(params or {})},
        "logical_date": now,
        "ds": now.date().isoformat(),
        "ts": now.isoformat(),
        "data_interval_start": now,
        "data_interval_end": now,
        "task_reschedule_count": 0,
        "expanded_ti_count": None,
        **({} if state is None else {"task_state_store": _StateStore(state)}),
        **(more or {}),
    }
    # A class of its own on Airflow 2, a dict on Airflow 3.
    made: Any = Context
    return made(**entries)


def _with_mode(operator: Any, mode: Mode | None, poll_interval: float | None) -> Any:
    for name, value in _changes(operator, mode, poll_interval).items():
        setattr(operator, name, value)
    return operator


def _changes(operator: Any, mode: Mode | None, poll_interval: float | None) -> dict[str, Any]:
    values: dict[str, Any] = {}
    if mode is not None:
        values["deferrable"] = mode == "deferrable"
    if poll_interval is not None:
        values |= {"poll_interval": poll_interval, "poke_interval": poll_interval}
    return {name: value for name, value in values.items() if hasattr(operator, name)}


@contextlib.contextmanager
def _all_with_mode(dag: Any, mode: Mode | None, poll_interval: float | None) -> Iterator[None]:
    """Change the tasks of a DAG while the block runs."""
    before: list[tuple[Any, dict[str, Any]]] = []
    for task in dag.tasks:
        if hasattr(task, "partial_kwargs"):  # a mapped task: the arguments of what it will make
            before.append((task, dict(task.partial_kwargs)))
            names = _parameters(task.operator_class)
            wanted = {"deferrable": None if mode is None else mode == "deferrable"}
            wanted |= {"poll_interval": poll_interval, "poke_interval": poll_interval}  # type: ignore[dict-item]  # numbers beside the boolean
            task.partial_kwargs.update({n: v for n, v in wanted.items() if v is not None and n in names})
        else:
            values = _changes(task, mode, poll_interval)
            before.append((task, {name: getattr(task, name) for name in values}))
            _with_mode(task, mode, poll_interval)
    try:
        yield
    finally:
        for task, values in before:
            if hasattr(task, "partial_kwargs"):
                task.partial_kwargs.clear()
                task.partial_kwargs.update(values)
            else:
                for name, value in values.items():
                    setattr(task, name, value)


def _parameters(operator_class: Any) -> set[str]:
    import inspect

    classes: tuple[Any, ...] = operator_class.__mro__ if isinstance(operator_class, type) else ()
    return {name for one in classes for name in inspect.signature(one.__init__).parameters}


def _executed(operator: Any, context: Any) -> Any:
    """Call ``execute`` as Airflow's task runner does: Airflow warns of, or refuses, any other call."""
    made = _fresh(operator, context)
    try:
        from airflow.sdk.bases.operator import ExecutorSafeguard
    except ImportError:  # Airflow 2
        from airflow.models import baseoperator

        mark = {f"{type(made).__name__}__sentinel": getattr(baseoperator, "_sentinel", None)}
        return made.execute(context, **(mark if hasattr(made.execute, "__wrapped__") else {}))
    ExecutorSafeguard.tracker.set(made)
    return made.execute(context)


def _fresh(operator: Any, context: Any) -> Any:
    """A copy with rendered template fields: Airflow parses the DAG file again for each step of a task."""
    made = copy.copy(operator)
    context["task"] = made
    context["ti"].task = made
    made.render_template_fields(context)
    return made


def _resumption(operator: Any, context: Any, signal: Any) -> Callable[[], Any]:
    """Run the trigger to its first event, and give the call that resumes the task with it."""
    path, keywords = signal.trigger.serialize()
    module, _, name = path.rpartition(".")
    trigger = getattr(importlib.import_module(module), name)(**_as_json(keywords))
    event = _in_a_loop(trigger)
    return lambda: _fresh(operator, context).resume_execution(
        signal.method_name, {**(signal.kwargs or {}), "event": event}, context
    )


def _in_a_loop(trigger: Any) -> Any:
    """Run a trigger in a thread with an event loop of its own: the test itself may run in a loop."""
    ended: list[Any] = []

    async def first() -> Any:
        events = trigger.run()
        try:
            return (await anext(events)).payload
        finally:
            await events.aclose()

    def work() -> None:
        try:
            ended.append(asyncio.run(first()))
        except BaseException as error:  # noqa: BLE001  # raised again in the test's thread
            ended.append(error)

    thread = threading.Thread(target=work, name="trigger", daemon=True)
    thread.start()
    thread.join()
    if isinstance(ended[0], BaseException):
        raise ended[0]
    return _as_json(ended[0])


def _label(ti: Any) -> str:
    return str(ti.task_id) if ti.map_index < 0 else f"{ti.task_id}[{ti.map_index}]"


def _as_json(value: Any) -> Any:
    """A value after one turn through JSON, which is what Airflow does to it; other values stay as they are."""
    try:
        return json.loads(json.dumps(value))
    except TypeError:
        return value
