"""A workflow system in memory, and the Airflow around one task: everything that may happen to a run, at every moment.

A try of the task runs for real: operator, life cycle, run store, hook and client. Each time that it turns to the
system, to Airflow's state store or to its XComs it passes a point, and a plan says what happens there. A kill comes as
from a signal handler, in the middle of whatever the try does. No request is sent and no time passes.
"""

from __future__ import annotations

import asyncio
import json
import threading
import time
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any, ClassVar, cast

from airflow.providers.common.compat.sdk import AirflowFailException, AirflowSkipException, TaskDeferred

from airflow_workflow_provider.client.worker import WorkerClient
from airflow_workflow_provider.exceptions import (
    AuthenticationFailed,
    CancelRefused,
    ProtocolError,
    RequestRejected,
    RunFailed,
    RunTimedOut,
    ServerUnavailable,
    UnknownStart,
    WorkflowError,
    WorkflowNotFound,
)
from airflow_workflow_provider.operators.workflow import RunWorkflowOperator
from airflow_workflow_provider.protocol.capabilities import CanCancel, CanListRuns
from airflow_workflow_provider.protocol.form import COMMON_FIELDS, Form
from airflow_workflow_provider.protocol.lifecycle import event_of, failure_note
from airflow_workflow_provider.protocol.model import Run, RunState
from airflow_workflow_provider.protocol.parameters import Fingerprint
from airflow_workflow_provider.protocol.system import WorkflowSystem
from airflow_workflow_provider.protocol.times import from_epoch
from tests.operators.staging import TaskInstance, TaskStateStore, context_of

KEY = "memory"
RETRIES = 2
GOING = RunState.RUNNING
JUMP = 1800.0  # seconds

# What may happen at which point of a try. The words of the first list may happen at any point.
ANYWHERE = (
    "kill",
    "kill for good",
    "die",
    "supersede",
    "somebody cancels",
    "run fails",
    "run succeeds",
    "down",
    "jump",
)
POINTS: Mapping[str, tuple[str, ...]] = {
    "recall": (*ANYWHERE, "breaks"),
    "store": (*ANYWHERE, "breaks"),
    "start": (*ANYWHERE, "lost", "lost and not taken", "refused", "unavailable"),
    "poll": (*ANYWHERE, "unknown", "unauthorized", "garbage"),
    "list": ANYWHERE,
    "xcom": (*ANYWHERE, "breaks"),
    "cancel": ("refused", "no answer", "run succeeds", "somebody cancels", "down"),
}
ANOTHERS_EVENT, ANOTHERS_FAILURE, NO_EVENT = "another's event", "another's failure", "no event about a run"
WHILE_DEFERRED = (
    "ends",
    "somebody cancels",
    "time is up",
    "killed for good",
    "cleared",
    "trigger dies",
    "unavailable",
    "gone",
    ANOTHERS_EVENT,
    ANOTHERS_FAILURE,
    NO_EVENT,
)


class Broken(BaseException):
    """A promise is broken. It passes every handler of `Exception`."""


def must(holds: bool, what: str) -> None:
    """Raise `Broken` where something does not hold."""
    if not holds:
        raise Broken(what)


class Died(BaseException):
    """The worker's process is gone; nothing else of it runs."""


@dataclass
class Job:
    """A run on the server, and what a check needs to know about it."""

    run_id: str
    workflow: str
    conn_id: str
    parameters: Any
    version: str
    started_at: float
    polls: int
    end: RunState
    state: RunState = GOING
    clears: int = 0
    is_others: bool = False
    is_known: bool = False
    by_somebody: bool = False
    cancel_was_asked: bool = False
    excuse: str = ""


@dataclass
class Asked:
    """What the DAG file asks for now."""

    workflow: str = "w1"
    conn_id: str = "memory_a"
    parameters: dict[str, Any] = field(default_factory=lambda: {"day": 1})
    version: str = "v1"


@dataclass
class Frame:
    """One process that runs a try."""

    number: tuple[int, int]
    plan: dict[tuple[str, int], str]
    is_new_request: bool
    operator: Any = None
    passed: Counter[str] = field(default_factory=Counter)
    in_handler: bool = False
    killed: str = ""
    saw_somebodys_cancel: bool = False
    is_down: bool = False
    starts: int = 0


def refuse(context: Any) -> None:
    """Fail as a template or a `pre_execute` may, before `execute`."""
    raise RuntimeError("not today")


class Clock:
    """A worker's clock: sleeping passes the time at once, and a plan may set the clock to another time."""

    def __init__(self) -> None:
        self.slept = self.ahead = 0.0

    def now(self) -> float:
        """Seconds since 1970, by the clock of the worker."""
        return self.true_time() + self.ahead

    def true_time(self) -> float:
        """Seconds since 1970, by the clock of the server."""
        return time.time() + self.slept

    def sleep(self, seconds: float) -> None:
        """Pass the time."""
        self.slept += seconds


class DatedClient(WorkerClient):
    """A client whose server dates its answers, by a clock that a worker's may differ from."""

    clock: Clock

    @property
    def server_lag(self) -> float:
        """How far the server's clock is behind the worker's."""
        return self.clock.ahead


class MemorySystem(WorkflowSystem):
    """The system whose server is a `World`."""

    key: ClassVar[str] = KEY
    label: ClassVar[str] = "Memory"
    default_conn_id: ClassVar[str] = "memory_a"
    form: ClassVar[Form] = Form({"host": "Host"}, {}, (), COMMON_FIELDS)
    states: ClassVar[Mapping[str, RunState]] = {state.value: state for state in RunState}
    poll_interval: ClassVar[float] = 1.0
    world: ClassVar[World]

    def __init__(self, values: Any) -> None:
        super().__init__(values)
        self.secrets = self.world.secrets
        if not self.world.can_cancel:
            self.lacks[CanCancel] = "Memory cannot cancel"
        if not self.world.can_list:
            self.lacks[CanListRuns] = "Memory cannot list"

    @property
    def lists_parameters(self) -> bool:  # type: ignore[override]  # it differs from world to world
        """Whether lists show parameters."""
        return self.world.lists_parameters

    def start(self, workflow: str, parameters: Any, options: Any) -> Any:
        """Start a run."""
        return self.world.start(workflow, self.conn_id, parameters)
        yield

    def get_run(self, run: Run) -> Any:
        """Read its state."""
        return self.world.polled(run, self.conn_id)
        yield

    def cancel(self, run: Run) -> Any:
        """Cancel it."""
        self.world.cancel(run)
        return
        yield

    def find_runs(self, workflow: str, since: datetime | None = None) -> Any:
        """List runs."""
        return self.world.listed(workflow, self.conn_id, None, since)
        yield

    def find_started(self, workflow: str, parameters: Any, options: Any, since: datetime) -> Any:
        """List the runs that fit a lost start."""
        if not self.supports(CanListRuns):
            self.require(CanListRuns)
        return self.world.listed(workflow, self.conn_id, parameters if self.lists_parameters else None, since)
        yield

    def test(self) -> Any:
        """Say that all is well."""
        return "fine"
        yield

    def read(self, run: Run, output: Any) -> Any:
        """There are no outputs."""
        raise NotImplementedError


class Store(TaskStateStore):
    """The state store of the task's tries; each use of it is a point."""

    def __init__(self, world: World) -> None:
        super().__init__()
        self.world = world

    def get(self, key: str, default: Any = None) -> Any:
        """Give a value."""
        if self.world.point("recall") == "breaks":
            self.world.excuse("the store cannot be read")
            raise RuntimeError("the API server restarts")
        return json.loads(self.kept[key]) if key in self.kept else default

    def set(self, key: str, value: Any, *, retention: Any = None) -> None:
        """Keep a value."""
        if self.world.point("store") == "breaks":
            raise RuntimeError("the API server restarts")
        self.kept[key] = json.dumps(value)

    def delete(self, key: str) -> None:
        """Forget a value."""
        if self.world.point("store") == "breaks":
            raise RuntimeError("the API server restarts")
        self.kept.pop(key, None)

    def holds(self, run_id: str) -> bool:
        """Whether a run is stored."""
        return any((json.loads(text).get("run") or {}).get("run_id") == run_id for text in self.kept.values())


class PassingTaskInstance(TaskInstance):
    """A task instance each of whose XComs is a point."""

    world: Any = None
    dag_version_id: Any = None

    def xcom_push(self, key: str, value: Any) -> None:
        """Keep a value."""
        if self.world.point("xcom") == "breaks":
            raise RuntimeError("the API server restarts")
        super().xcom_push(key, value)


class World:
    """The server, Airflow and the DAG file. What must never happen raises `Broken` at once."""

    def __init__(
        self,
        *,
        policy: Mapping[str, Any],
        is_deferrable: bool,
        can_cancel: bool,
        can_list: bool,
        lists_parameters: bool,
        is_alone: bool,
        fates: list[tuple[int, RunState]],
    ) -> None:
        self.policy, self.is_deferrable = dict(policy), is_deferrable
        self.can_cancel, self.can_list, self.lists_parameters = can_cancel, can_list, lists_parameters
        self.is_alone, self.fates = is_alone, list(fates)
        self.jobs: dict[str, Job] = {}
        self.asked = Asked()
        self.store, self.clock = Store(self), Clock()
        self.try_number, self.max_tries = 1, RETRIES
        self.frames: list[Frame] = []
        self.clears = 0
        self.is_over = False
        self.is_new_request = False
        self.last_outcome: Any = None
        self.outcomes: list[Any] = []
        self.told: list[str] = []
        self.prefix, self.secrets = "r", ()
        MemorySystem.world = self

    # What a try meets

    @property
    def frame(self) -> Frame:
        """The process that runs now."""
        return self.frames[-1]

    @property
    def can_tell(self) -> bool:
        """Whether a list can tell which run is this task's."""
        return self.can_list and (self.lists_parameters or self.is_alone)

    @property
    def may_cancel(self) -> bool:
        """Whether an end of the task may cancel its run."""
        return self.can_cancel and bool(self.policy["cancel_on_kill"])

    def mine(self) -> list[Job]:
        """The task's runs that go on."""
        return [job for job in self.jobs.values() if job.state is GOING and not job.is_others]

    def excuse(self, why: str, *jobs: Job, only: bool = False) -> None:
        """From now on these runs may go on without the task: it could do nothing, or the user wanted that."""
        for job in jobs if only else jobs or self.mine():
            job.excuse = job.excuse or why

    def point(self, name: str) -> str:
        """Let happen what the plan has for this point."""
        if not self.frames or threading.current_thread() is not threading.main_thread():
            return ""
        frame = self.frame
        frame.passed[name] += 1
        if frame.in_handler and name != "cancel":
            return ""
        what = frame.plan.pop((name, frame.passed[name]), "")
        if what:
            self.told.append(f"{name} {frame.passed[name]}: {what}")
        self.happen(what)
        return what

    def happen(self, what: str) -> None:
        """Do what is the same at every point."""
        frame = self.frame
        match what:
            case "kill" | "kill for good":
                frame.killed = frame.killed or what
                self.kill(frame)
            case "die":
                raise Died
            case "supersede" if self.try_number <= self.max_tries and len(self.frames) == 1 and not frame.killed:
                self.supersede()
            case "somebody cancels":
                for job in self.mine():
                    job.state, job.by_somebody = RunState.CANCELLED, True
            case "run fails" | "run succeeds":
                for job in self.mine():
                    job.state = RunState.FAILED if what == "run fails" else RunState.SUCCEEDED
            case "down":
                frame.is_down = True
            case "jump":
                self.clock.ahead = JUMP if frame.passed["poll"] % 2 else -JUMP

    def kill(self, frame: Frame) -> None:
        """Airflow's signal handler."""
        if not self.policy["cancel_on_kill"]:
            self.excuse("cancel_on_kill=False")
        elif not self.can_cancel:
            self.excuse("it cannot be cancelled")
        if frame.operator is not None:
            was, frame.in_handler = frame.in_handler, True
            try:
                frame.operator.on_kill()
            finally:
                frame.in_handler = was

    def supersede(self) -> None:
        """Airflow takes the process for dead, begins the next try, and kills the old process later."""
        old = self.frame
        held = old.operator._life.run if old.operator and old.operator._life else None
        self.try_number += 1
        self.begin({})
        taken = self.jobs.get(held.run_id) if held else None
        was = (
            taken.state if taken and self.store.holds(taken.run_id) and self.owner(taken.run_id) > old.number else None
        )
        old.killed = "kill"
        self.kill(old)
        if taken and was is not None:
            must(taken.state is was, "a try that was replaced has cancelled the run of its successor")

    def owner(self, run_id: str) -> tuple[int, int]:
        """The number of the try that has stored a run last."""
        for text in self.store.kept.values():
            record = json.loads(text)
            if (record.get("run") or {}).get("run_id") == run_id:
                return record["max_tries"], record["try_number"]
        return (0, 0)

    def start(self, workflow: str, conn_id: str, parameters: Any) -> Run:
        """The server is asked to start a run."""
        what = self.point("start")
        frame = self.frame
        if what == "unavailable" or frame.is_down:
            raise ServerUnavailable("HTTP 503")
        if what == "refused":
            raise RequestRejected("no such parameter")
        must(not (frame.saw_somebodys_cancel and not frame.is_new_request), "somebody's cancel was a reason to start")
        must(len(self.frames) > 1 or not [job for job in self.mine() if not job.excuse], "a second run is started")
        frame.starts += 1
        frame.saw_somebodys_cancel = False
        self.is_new_request = frame.is_new_request = False
        must(frame.starts <= 3, "one try starts run after run")
        polls, end = self.fates.pop(0) if self.fates else (2, RunState.SUCCEEDED)
        run_id = f"{self.prefix}{len(self.jobs) + 1}"
        job = Job(
            run_id,
            workflow,
            conn_id,
            parameters,
            self.asked.version,
            self.clock.true_time(),
            polls,
            end,
            clears=self.clears,
        )
        if what != "lost and not taken":
            self.jobs[run_id] = job
        if what.startswith("lost"):
            if (self.policy["on_unknown_start"] == "restart" and not self.can_tell) or not self.policy["reattach"]:
                job.excuse = "a lost start, and the user's choice"
            raise UnknownStart("the answer is lost")
        return self.run_of(job)

    def run_of(self, job: Job) -> Run:
        """The run object of a run."""
        return Run(KEY, job.conn_id, job.workflow, job.run_id, job.state, started_at=from_epoch(job.started_at))

    def polled(self, run: Run, conn_id: str) -> Run:
        """The server is asked for the state of a run."""
        what = self.point("poll")
        if self.frames and self.frame.is_down:
            raise ProtocolError("an error page") if conn_id != self.asked.conn_id else ServerUnavailable("HTTP 503")
        if what == "unknown":
            raise WorkflowNotFound("no such run")
        if what == "unauthorized":
            raise AuthenticationFailed("HTTP 401")
        if what == "garbage":
            raise ProtocolError("an error page")
        job = self.jobs[run.run_id]
        must(not job.is_others, "the task polls another task's run")
        job.is_known = True
        job.polls -= 1
        if job.polls <= 0 and job.state is GOING:
            job.state = job.end
            job.by_somebody = job.end is RunState.CANCELLED
        if job.by_somebody and not job.cancel_was_asked and self.frames:
            self.frame.saw_somebodys_cancel = True
        return self.run_of(job)

    def listed(self, workflow: str, conn_id: str, parameters: Any, since: datetime | None) -> list[Run]:
        """The server is asked for its runs."""
        self.point("list")
        if self.frame.is_down:
            raise ServerUnavailable("HTTP 503")
        sent = parameters if isinstance(parameters, Fingerprint) else Fingerprint.of(parameters)
        return [
            self.run_of(job)
            for job in reversed(self.jobs.values())
            if (job.workflow, job.conn_id) == (workflow, conn_id)
            and (since is None or job.started_at >= since.timestamp())
            and (parameters is None or sent.matches(job.parameters))
        ]

    def cancel(self, run: Run) -> None:
        """The server is asked to cancel a run."""
        job = self.jobs[run.run_id]
        must(not job.is_others, "the task cancels another task's run")
        may = self.policy["cancel_on_kill"] or self.policy["cancel_on_timeout"]
        must(bool(may), "the task cancels a run although the user forbids it")
        what = self.point("cancel")
        if what == "refused":
            job.excuse = "the server refuses to cancel it"
            raise CancelRefused("not now")
        job.cancel_was_asked = True
        if what in ("no answer", "down"):
            job.excuse = "whether it is cancelled is unknown"
            raise ProtocolError("an error page")
        if job.state is GOING:
            job.state = RunState.CANCELLED

    # What Airflow and people do

    def other_task_starts(self, *, same_parameters: bool) -> None:
        """Another task starts a run of the same workflow. Only a list that shows parameters could tell it apart."""
        parameters = dict(self.asked.parameters) if same_parameters else {"day": 99}
        run_id = f"{self.prefix}{len(self.jobs) + 1}"
        self.jobs[run_id] = Job(
            run_id,
            self.asked.workflow,
            self.asked.conn_id,
            parameters,
            "",
            self.clock.true_time(),
            99,
            GOING,
            is_others=True,
        )

    def edit(self, what: str) -> None:
        """The DAG file is changed between two tries."""
        asked = self.asked
        match what:
            case "workflow":
                asked.workflow = "w2" if asked.workflow == "w1" else "w1"
            case "connection":
                asked.conn_id = "memory_b" if asked.conn_id == "memory_a" else "memory_a"
            case "parameters":
                asked.parameters = {"day": asked.parameters["day"] + 1}
            case "version":
                asked.version += "+"
            case "parameters and version":
                asked.parameters, asked.version = {"day": asked.parameters["day"] + 1}, asked.version + "+"
        is_edited = any(
            job.version != asked.version and job.parameters != asked.parameters
            for job in self.jobs.values()
            if not job.is_others
        )
        if what in ("workflow", "connection") or is_edited:
            self.new_request()

    def clear(self) -> None:
        """Somebody clears the task."""
        self.max_tries, self.try_number = self.try_number + RETRIES, self.try_number + 1
        self.is_over = False
        self.clears += 1
        self.new_request()

    def new_request(self) -> None:
        """What went on before is an old run now."""
        self.is_new_request = True
        for job in self.mine():
            if not self.may_cancel or not self.policy["reattach"]:
                self.excuse("an old run, and the user's choice", job)
            if not self.store.holds(job.run_id):
                self.excuse("a lost start, and the task was changed", job)

    def context(self) -> Any:
        """What Airflow gives to this try."""
        ti = PassingTaskInstance(
            try_number=self.try_number, max_tries=self.max_tries, dag_runs=1 if self.is_alone else 2
        )
        ti.world, ti.dag_version_id = self, self.asked.version
        return context_of(ti, self.store)

    def operator(self, **more: Any) -> RunWorkflowOperator:
        """The operator as the DAG file makes it now."""
        made = RunWorkflowOperator(
            task_id="run_workflow",
            system=KEY,
            conn_id=self.asked.conn_id,
            workflow=self.asked.workflow,
            query_parameters=self.asked.parameters,
            deferrable=self.is_deferrable,
            poll_interval=1,
            timeout=600,
            retries=RETRIES,
            get_logs=False,
            **self.policy,
            **more,
        )
        made.hook.client = client = DatedClient(
            made.hook.system.transport, sleep=self.clock.sleep, now=self.clock.now, logger=made.hook.log
        )
        client.clock = self.clock
        return made

    def begin(
        self, plan: Mapping[tuple[str, int], str], *, while_deferred: str = "ends", is_broken: bool = False
    ) -> None:
        """One try, from its first point to what Airflow does after its end."""
        frame = Frame((self.max_tries, self.try_number), dict(plan), self.is_new_request)
        self.frames.append(frame)
        context = self.context()
        try:
            outcome = self.tried(frame, context, while_deferred, is_broken=is_broken)
        finally:
            self.frames.pop()
        self.after(frame, outcome)

    def tried(self, frame: Frame, context: Any, while_deferred: str, *, is_broken: bool) -> Any:
        """Run the try; give what it returns or raises."""
        operator = frame.operator = self.operator(**({"pre_execute": refuse} if is_broken else {}))
        try:
            if is_broken:
                cast("Any", operator)._pre_execute_hook(context)
            return operator.execute(context)
        except TaskDeferred as signal:
            return self.deferred(frame, context, signal, while_deferred)
        except (Exception, Died) as error:  # noqa: BLE001  # the end of the try
            self.bug(error)
            return error

    def deferred(self, frame: Frame, context: Any, signal: Any, what: str) -> Any:
        """Let something happen to a task that is deferred, and bring it back."""
        self.told.append(f"deferred: {what}")
        frame.operator = None
        job = self.jobs[signal.trigger.run_json["run_id"]]
        if what in ("killed for good", "cleared"):
            if signal.trigger.cancel_on_kill and self.can_cancel:
                asyncio.run(signal.trigger._cancel())
            else:
                self.excuse("it cannot or must not be cancelled", job)
            return what
        run, more = self.seen_by_trigger(frame, job, what)
        operator = frame.operator = self.operator()
        method: str = signal.method_name
        kwargs: dict[str, Any] = {"event": event_of(run, more)}
        if what == "trigger dies":
            method, kwargs = "__fail__", {"error": "Trigger failure", "traceback": []}
        elif more is None and not run.state.is_terminal:  # the run's fate is to go on
            return Died()
        if what in (ANOTHERS_EVENT, ANOTHERS_FAILURE, NO_EVENT):
            method, kwargs = self.of_another(run, what)
        try:
            return operator.resume_execution(method, json.loads(json.dumps(kwargs)), context)
        except TaskDeferred as again:
            is_news = what not in (ANOTHERS_EVENT, ANOTHERS_FAILURE, NO_EVENT)
            must(is_news or again.trigger.run_json["run_id"] == job.run_id, "the task waits for another run")
            return self.deferred(frame, context, again, "ends")
        except (Exception, Died) as error:  # noqa: BLE001  # the end of the try
            self.bug(error)
            return error

    @staticmethod
    def of_another(own: Run, what: str) -> tuple[str, dict[str, Any]]:
        """Come back with what the trigger of another run or of another kind of task has reported."""
        run = replace(own, run_id="another", state=RunState.SUCCEEDED)
        if what == ANOTHERS_FAILURE:
            return "__fail__", {"error": "Trigger failure", "traceback": ["RuntimeError: no\n", failure_note(run)]}
        return "execute_complete", {"event": event_of(run) if what == ANOTHERS_EVENT else True}

    def seen_by_trigger(self, frame: Frame, job: Job, what: str) -> tuple[Run, WorkflowError | None]:
        """What a trigger makes of its wait: the run, and an error about it."""
        run: Run = self.run_of(job)
        more: WorkflowError | None = None
        match what:
            case "ends" | "somebody cancels":
                if job.state is GOING:
                    job.state = RunState.CANCELLED if what == "somebody cancels" else job.end
                    job.by_somebody = job.state is RunState.CANCELLED
                frame.saw_somebodys_cancel = job.by_somebody and not job.cancel_was_asked
                run = self.run_of(job)
            case "time is up":
                more = RunTimedOut("late", run=run)
            case "unavailable":
                more = ServerUnavailable("five refusals")
            case "gone":
                more = WorkflowNotFound("gone")
        return run, more

    @staticmethod
    def bug(error: BaseException) -> None:
        """Raise an error of the test itself; it does not end the try as an error of the task does."""
        if isinstance(error, Broken) or type(error).__name__ == "LifeCycleError":
            raise error

    def after(self, frame: Frame, outcome: Any) -> None:
        """What Airflow does after a try, and what must hold then."""
        self.told.append(f"try {frame.number[1]} of {frame.number[0] + 1}: {outcome!r:.150}")
        for job in self.mine():
            job.is_known = job.is_known or self.store.holds(job.run_id)
        if isinstance(outcome, dict):
            self.check_result(outcome)
        if frame.saw_somebodys_cancel and not frame.killed and isinstance(outcome, (dict, RunFailed, RunTimedOut)):
            raise Broken(f"a run that somebody has cancelled ends in {outcome!r}")
        self.excuses(outcome)
        self.outcomes.append(outcome)
        is_stale = frame.number < (self.max_tries, self.try_number)
        if is_stale:
            if self.is_over:
                self.nothing_is_left()
            return
        if isinstance(outcome, RunTimedOut):
            must(not [job for job in self.mine() if not job.excuse], "a run that is out of time goes on")
        if outcome == "cleared":
            self.clear()
            return
        is_final = (
            isinstance(outcome, (dict, AirflowFailException, AirflowSkipException))
            or outcome == "killed for good"
            or frame.killed == "kill for good"
            or self.try_number > self.max_tries
        )
        if is_final:
            self.task_is_over(outcome)
        else:
            self.try_number += 1

    def excuses(self, outcome: Any) -> None:
        """Runs that go on because of how a try ended."""
        if not self.policy["reattach"] and (isinstance(outcome, Died) or not self.may_cancel):
            self.excuse("no try looks for it, and the worker died, or the user's choice")
        if isinstance(outcome, Died) and self.policy["on_unknown_start"] == "restart" and not self.can_tell:
            unknown = [job for job in self.mine() if not job.is_known]
            self.excuse("a lost start, and the user's choice", *unknown, only=True)
        if self.policy["on_unknown_start"] == "restart" and not self.can_tell and not self.may_cancel:
            unstored = [job for job in self.mine() if not self.store.holds(job.run_id)]
            self.excuse("it cannot be stored, found or cancelled, and the user's choice", *unstored, only=True)
        if isinstance(outcome, RunTimedOut) and not (self.policy["cancel_on_timeout"] and self.can_cancel):
            self.excuse("cancel_on_timeout=False, or it cannot be cancelled")
        if isinstance(outcome, WorkflowNotFound):
            self.excuse("the server says that it is gone")

    def check_result(self, document: Mapping[str, Any]) -> None:
        """The run that a task returns is its own, and one that it asks for."""
        job = self.jobs[document["run_id"]]
        must(not job.is_others, "another task's run is the result")
        must(job.state is RunState.SUCCEEDED, "a run that has not succeeded is the result")
        must(job.clears == self.clears, "the run of before a clear is the result")
        must((job.workflow, job.conn_id) == (self.asked.workflow, self.asked.conn_id), "the run of an old request")
        if job.version != self.asked.version:
            must(job.parameters == self.asked.parameters, "the run of an edited DAG's parameters")

    def task_is_over(self, outcome: Any) -> None:
        """No try follows: nothing of the task goes on that could have been cancelled."""
        self.is_over = True
        if isinstance(outcome, Died):
            self.excuse("the worker of the last try died")
        self.last_outcome = outcome
        if not self.frames:  # else the process of an older try is killed next
            self.nothing_is_left()

    def nothing_is_left(self) -> None:
        """What goes on after the end of a task has a reason for that."""
        if not self.may_cancel:
            self.excuse("the user's choice")
        left = [job for job in self.mine() if not job.excuse]
        if not isinstance(self.last_outcome, dict):
            left = [job for job in left if job.is_known]  # the error says that a start is unknown
        must(not left, f"a run goes on without the task: {left}")
