"""A stage for tasks: what Airflow gives to an operator, and the way through the triggerer, played by the test."""

from __future__ import annotations

import asyncio
import importlib
import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial
from typing import Any

from airflow.providers.common.compat.sdk import TaskDeferred

from airflow_workflow_provider.client.worker import WorkerClient

MODES = ("sync", "deferrable")


@dataclass
class TaskInstance:
    """A task instance as far as operators look at it. XComs have to be JSON, as in a database."""

    task_id: str = "run_workflow"
    dag_id: str = "dag"
    run_id: str = "manual__1"
    map_index: int = -1
    try_number: int = 1
    max_tries: int = 0
    start_date: datetime = field(default_factory=lambda: datetime.now(UTC))
    xcoms: dict[str, Any] = field(default_factory=dict)
    pushed: list[tuple[str, Any]] = field(default_factory=list)
    rescheduled_at: datetime | None = None
    dag_runs: int = 1

    def xcom_push(self, key: str, value: Any) -> None:
        """Keep a value."""
        self.pushed.append((key, json.loads(json.dumps(value))))
        self.xcoms[key] = self.pushed[-1][1]

    def xcom_pull(self, task_ids: str | None = None, key: str = "return_value", *, map_indexes: Any = -2) -> Any:
        """Give it back; without ``map_indexes`` Airflow 3 gives those of all indexes of a mapped task."""
        assert task_ids in (None, self.task_id)
        value = self.xcoms.get(key)
        return [value] if self.map_index >= 0 and map_indexes == -2 else value

    def get_dr_count(self, dag_id: str, states: list[str]) -> int:
        """How many runs of the DAG are going, this one among them."""
        assert (dag_id, states) == (self.dag_id, ["running"])
        return self.dag_runs

    def get_first_reschedule_date(self, context: Any) -> datetime | None:
        """When a sensor in reschedule mode looked for the first time."""
        return self.rescheduled_at

    def pushed_soon(self, key: str) -> Any:
        """Wait, in another thread, until the task has pushed a value."""
        deadline = time.monotonic() + 15
        while key not in self.xcoms:
            assert time.monotonic() < deadline, f"{key} is not pushed"
            time.sleep(0.002)
        return self.xcoms[key]

    def retried(self) -> TaskInstance:
        """The same task instance at its next try: Airflow deletes the XComs."""
        return TaskInstance(try_number=self.try_number + 1, max_tries=self.max_tries, dag_runs=self.dag_runs)

    def cleared(self) -> TaskInstance:
        """The same task instance after somebody cleared it: that raises ``max_tries``."""
        return TaskInstance(try_number=self.try_number + 1, max_tries=self.try_number + self.max_tries)


class TaskStateStore:
    """Airflow 3.3's task state store as a dict; values have to be JSON and not None."""

    def __init__(self) -> None:
        self.kept: dict[str, str] = {}
        self.history: list[Any] = []

    def get(self, key: str, default: Any = None) -> Any:
        """Give a value."""
        return json.loads(self.kept[key]) if key in self.kept else default

    def set(self, key: str, value: Any, *, retention: Any = None) -> None:
        """Keep a value."""
        assert value is not None
        self.kept[key] = json.dumps(value)
        self.history.append(value)

    def delete(self, key: str) -> None:
        """Forget a value."""
        self.kept.pop(key, None)


def context_of(ti: TaskInstance | None = None, store: TaskStateStore | None = None, **more: Any) -> Any:
    """The context of one try; without a store it is that of an Airflow below 3.3."""
    context: dict[str, Any] = {"ti": ti or TaskInstance(), **more}
    return context if store is None else {**context, "task_state_store": store}


def revived(trigger: Any) -> Any:
    """The trigger as it comes out of the database: its class path and keywords as JSON."""
    path, kwargs = trigger.serialize()
    module, _, name = path.rpartition(".")
    return getattr(importlib.import_module(module), name)(**json.loads(json.dumps(kwargs)))


async def first_event(trigger: Any) -> Any:
    """What the triggerer hands on: the payload of the first event."""
    events = trigger.run()
    try:
        event = await anext(events)
    finally:
        await events.aclose()
    return json.loads(json.dumps(event.payload))


@dataclass
class Deferral:
    """A task that has deferred."""

    make: Callable[[], Any]
    context: Any
    deferred: Any

    @property
    def trigger(self) -> Any:
        """Its trigger, as the triggerer gets it."""
        return revived(self.deferred.trigger)

    def event(self) -> Any:
        """Let the trigger wait."""
        return asyncio.run(first_event(self.trigger))

    def resumed(self, event: Any) -> Any:
        """Come back on a worker, with an operator made anew, as the DAG file is parsed again."""
        assert not self.deferred.kwargs
        return self.make().resume_execution(self.deferred.method_name, {"event": event}, self.context)


def deferred(make: Callable[[], Any], context: Any) -> Deferral:
    """Run a task until it defers."""
    try:
        ended = make().execute(context)
    except TaskDeferred as signal:
        return Deferral(make, context, signal)
    raise AssertionError(f"the task has not deferred, but ended with {ended!r}")


def executed(make: Callable[[], Any], context: Any = None) -> Any:
    """Run a task to its end, through the triggerer where it defers; give what it returns."""
    context = context_of() if context is None else context
    step = partial(make().execute, context)
    for _ in range(3):  # a task may defer again when it has come back
        try:
            return step()
        except TaskDeferred as signal:
            there = Deferral(make, context, signal)
            step = partial(there.resumed, there.event())
    raise AssertionError("the task defers for ever")


class Clock:
    """Time that sleeping moves on at once, though it really waits a little: the sandbox works in real time."""

    def __init__(self) -> None:
        self.ahead, self.slept = 0.0, 0.0

    def now(self) -> float:
        """Seconds since 1970."""
        return time.time() + self.ahead

    def sleep(self, seconds: float) -> None:
        """Pass the time."""
        self.ahead, self.slept = self.ahead + seconds, self.slept + seconds
        time.sleep(min(seconds, 0.003))


def hurried(hook: Any) -> Clock:
    """Let a hook's client not wait for its sleeps."""
    clock = Clock()
    hook.client = WorkerClient(hook.system.transport, sleep=clock.sleep, now=clock.now, logger=hook.log)
    return clock


@contextmanager
def meanwhile(action: Callable[[], Any]) -> Iterator[None]:
    """Do something from another thread while the block runs."""
    thread = threading.Thread(target=action)
    thread.start()
    try:
        yield
    finally:
        thread.join()
