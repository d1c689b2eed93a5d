"""Drives a run's life cycle in a task: the run store, the hook, XComs, deferral and the task's log."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from functools import partial
from typing import TYPE_CHECKING, Any
from uuid import uuid4

from airflow.providers.common.compat.sdk import AirflowFailException

from airflow_workflow_provider.exceptions import CancelNotSupported, CancelRefused, NotSupported, WorkflowError
from airflow_workflow_provider.operators.metadata import runs_alone
from airflow_workflow_provider.operators.run_store import RunStore
from airflow_workflow_provider.protocol import lifecycle as life
from airflow_workflow_provider.protocol.capabilities import CanCancel
from airflow_workflow_provider.protocol.effects import Flow, Note, T, intercept, value_of
from airflow_workflow_provider.protocol.model import Run, RunState
from airflow_workflow_provider.protocol.parameters import Fingerprint
from airflow_workflow_provider.protocol.retry import is_storable
from airflow_workflow_provider.protocol.system import KEY_OPTION
from airflow_workflow_provider.protocol.times import LONGEST_LAG, SURE_LAG, from_epoch

if TYPE_CHECKING:
    from airflow_workflow_provider.hooks.workflow import WorkflowHook
    from airflow_workflow_provider.protocol.system import WorkflowSystem

CLOCK_SKEW = timedelta(seconds=60)  # how far the server's clock may be behind ours without a look at its dates
BRIEF = 2.0  # seconds; Airflow 3 kills a task's process 5 seconds after it asked it to stop


@dataclass(frozen=True)
class RunRequest:
    """What a task asks its system for. ``parameters`` and ``start_options`` are made when needed and may raise."""

    workflow: str
    parameters: Callable[[], Any]
    start_options: Callable[[], Mapping[str, Any]]
    watch_options: Mapping[str, Any]


class TaskDriver:
    """Performs the effects of a `LifeCycle` for one task.

    :param publish: writes the XComs and links of a run; the second argument is True at the end of the run.
    :param wait: waits for the end of a run, or defers.
    """

    def __init__(
        self,
        *,
        hook: WorkflowHook,
        context: Mapping[str, Any],
        store: RunStore,
        log: Any,
        request: RunRequest,
        publish: Callable[[Run, bool], None],
        wait: Callable[[Run], Run],
    ) -> None:
        self._hook, self._context, self._store, self._log = hook, context, store, log
        self._request, self._publish, self._wait = request, publish, wait
        self._key = ""  # the idempotency key of the start

    def drive(self, flow: Flow[T]) -> T:
        """Perform the effects of a flow of the life cycle, and give its value. The flow decides about every error."""
        return value_of(intercept(flow, self._performed, (Exception,)))

    def _performed(self, effect: Any) -> Flow[Any]:
        return self._perform(effect)
        yield  # as a flow; it leaves nothing to another driver

    def _perform(self, effect: Any) -> Any:  # noqa: C901, PLR0911, PLR0912  # one line for each effect
        store, hook = self._store, self._hook
        match effect:
            case Note(text=text, level=level):
                return getattr(self._log, level)("%s", text)
            case life.Recall():
                return self._recall()
            case life.CompareParameters():
                return self._compare()
            case life.StoreIntent(is_again=is_again):
                self._key = self._key_of_start(self._key if is_again else "")
                moment = from_epoch(hook.client.now())
                return store.intend(self._fingerprint(), self._key, moment=moment)
            case life.ForgetIntent():
                return store.forget()
            case life.StartRun():
                return self._start()
            case life.StoreRun(run=run, cancelled=cancelled):
                return store.keep(run, cancelled)
            case life.PollRun(run=run):
                return hook.poll_enduringly(run)
            case life.PollOnce(run=run):
                store.is_old(run)
                return hook.get_run(run) if run.conn_id == hook.conn_id else type(hook).for_run(run).get_run(run)
            case life.FindRuns():
                return self._find(effect)
            case life.PublishRun(run=run, is_end=is_end):
                return self._publish(run, is_end)
            case life.AwaitRun(run=run):
                return self._wait(run)
            case life.OwnsRun(run=run, briefly=briefly):
                return store.owns(run, briefly=briefly)
            case life.StoreCancel(run=run, why=why, briefly=briefly):
                return store.mark_cancelled(run, why, briefly=briefly)
            case life.CancelledByUs(run=run):
                return store.was_cancelled(run)
            case life.CancelRun(run=run, briefly=briefly):
                return self._cancel_briefly(run) if briefly else self._cancel(run)
            case life.NextTry(run=run, error=error):
                return self._has_next_try(run, error)
        raise TypeError(f"a life cycle yielded {effect!r}, which is no effect here")

    def _recall(self) -> life.Earlier:
        from airflow_workflow_provider.hooks.connections import system_class

        earlier, key = self._store.recall(), self._hook.system_name
        self._key = earlier.key
        if earlier.run is None or earlier.run.system != key:
            return earlier
        # It is watched as this try asks. The connection, which may be broken, is not read yet.
        return replace(earlier, run=system_class(key).with_options(earlier.run, self._request.watch_options))

    def _fingerprint(self) -> Fingerprint:
        from airflow_workflow_provider.hooks.connections import system_class

        return Fingerprint.of(system_class(self._hook.system_name).sent_form(self._request.parameters()))

    def _compare(self) -> str:
        names, is_edit = self._store.compare(self._fingerprint())
        if not names:
            return ""
        differing = ", ".join(names)
        if is_edit:
            return f"The DAG was changed, and so were the parameters {differing}: this try starts its own run"
        self._log.info("The parameters %s differ from those of the earlier try's run", differing)
        return ""

    def _key_of_start(self, known: str) -> str:
        """Give the idempotency key of a start: the known one or a new one; empty where the system takes none."""
        from airflow_workflow_provider.hooks.connections import system_class

        return (known or str(uuid4())) if system_class(self._hook.system_name).keyed_start else ""

    def _options(self) -> dict[str, Any]:
        """Give the start options; a key that the user gave wins over that of the task."""
        options = dict(self._request.start_options())
        if self._key and not options.get(KEY_OPTION):
            options[KEY_OPTION] = self._key
        return options

    def _start(self) -> Run:
        run = self._hook.start_run(self._request.workflow, self._request.parameters(), **self._options())
        return self._hook.system.with_options(run, self._request.watch_options)

    def _find(self, wanted: life.FindRuns) -> life.Found:
        system, ti = self._hook.system, self._context["ti"]
        since = wanted.since or getattr(self._context.get("dag_run"), "start_date", None)
        if since is None and not wanted.is_lost_start:
            raise NotSupported("the beginning of the DAG run is unknown")
        options = self._options() if wanted.is_lost_start else self._request.start_options()
        has_key = bool(options.get(KEY_OPTION))
        if has_key and wanted.is_lost_start and system.keyed_start == "repeated":
            return life.Found(may_repeat=True)
        parameters = wanted.sent or self._request.parameters()
        since = since or from_epoch(CLOCK_SKEW.total_seconds())
        found = self._listed(parameters, since, options, is_lost=wanted.is_lost_start)
        for run in found if wanted.are_old else ():
            self._store.is_old(run)
        if unusable := [run for run in found if not is_storable(run)]:
            label = self._hook.system.label
            raise NotSupported(f"{label} lists {len(unusable)} runs whose ids hold a secret or what cannot be stored")
        if found and not (has_key and system.keyed_start == "found"):  # that there is none says enough
            check_list_can_tell(system, ti)
        return life.Found(tuple(self._watched(run) for run in found), system.lists_parameters)

    def _within_dag_run(self, since: datetime) -> datetime:
        """Give the moment since when a lost start is looked for; one that is still to come shows that clocks differ.

        It was stored by a worker whose clock is ahead of this one's, or this clock was set back. How far is unknown, so
        the whole DAG run is searched.
        """
        now = from_epoch(self._hook.client.now())
        if since <= now + timedelta(seconds=SURE_LAG):
            return since
        begun = getattr(self._context.get("dag_run"), "start_date", None) or now
        self._log.warning("The start was stored with the time %s, which is still to come: clocks differ", since)
        return min(begun, now - timedelta(seconds=LONGEST_LAG))

    def _listed(self, parameters: Any, since: datetime, options: Mapping[str, Any], *, is_lost: bool) -> list[Run]:
        """List the runs, unknown to this task, that began since a moment of our clock, by the clock of the server.

        The list's own answer shows how far that clock is from ours. Where it is behind, the list is asked again, from
        an earlier moment on. Where it is ahead, runs that began before that moment are left out; if there are no
        others, it is unknown whether one of them is the run of a lost start.
        """
        find = partial(self._hook.find_started, self._request.workflow, parameters, **options)
        known = self._store.known_runs()

        def unknown(moment: datetime) -> list[Run]:
            return [run for run in find(since=moment) if run.run_id not in known]

        listed = unknown(since - CLOCK_SKEW)
        possible = self._within_dag_run(since)
        if possible != since:
            since, listed = possible, unknown(possible - CLOCK_SKEW)
        lag = timedelta(seconds=self._hook.client.server_lag or 0.0)
        begin, sure = since - lag - CLOCK_SKEW, timedelta(seconds=SURE_LAG)
        clock = f"the clock of {self._hook.system.label} is {abs(lag.total_seconds()):.0f} s"
        if lag < -sure:
            later = [run for run in listed if run.started_at is None or run.started_at >= begin]
            if listed and not later and is_lost:
                raise NotSupported(f"{clock} ahead of this worker's, and its list shows no run that is surely later")
            return later
        if lag <= CLOCK_SKEW:
            return listed
        behind = f"{clock} behind this worker's"
        if lag > timedelta(seconds=LONGEST_LAG):  # that clock is wrong, and so may be the times in the list
            raise NotSupported(f"{behind}, so the list of runs does not show which one is this task's")
        self._log.warning("%s; the list of runs is searched from an earlier time on", behind[0].upper() + behind[1:])
        return unknown(begin)

    def _watched(self, run: Run) -> Run:
        """Give a run as this task watches its runs; the list may have judged it by other options."""
        mine = self._hook.system.with_options(run, self._request.watch_options)
        needs_poll = self._request.watch_options and mine.state is RunState.FAILED
        return self._hook.get_run(mine) if needs_poll else mine

    def _cancel(self, run: Run) -> life.Cancelled:
        from airflow_workflow_provider.hooks.connections import load_system

        try:
            system = load_system(run.system, run.conn_id)
        except WorkflowError as error:
            return life.Cancelled(life.CancelOutcome.UNKNOWN, f"nothing was sent: {error}")
        return cancelled(system, run, self._log)

    def _cancel_briefly(self, run: Run) -> life.Cancelled:
        """Cancel with one short call, in a signal handler.

        The handler may have interrupted the reading of the connection, and would wait for what only the interrupted
        code can release.
        """
        system = vars(self._hook).get("system")
        if system is None or run.conn_id != self._hook.conn_id:
            return life.Cancelled(life.CancelOutcome.NOT_SENT)
        return cancelled(system, run, self._log, briefly=True)

    def _has_next_try(self, run: Run, error: BaseException) -> bool:
        ti = self._context["ti"]
        has_tries = ti.try_number <= ti.max_tries and not isinstance(error, AirflowFailException)
        # What the next try does not know, it cannot take over: an earlier write of it may have failed.
        return has_tries and self._store.holds(run)


def check_list_can_tell(system: WorkflowSystem, ti: Any) -> None:
    """A list without parameters cannot tell a task's run from those of its other indexes and DAG runs."""
    if system.lists_parameters:
        return
    if getattr(ti, "map_index", -1) >= 0:
        raise NotSupported(f"{system.label} lists runs without their parameters")
    if not runs_alone(ti):
        raise NotSupported(
            f"{system.label} lists runs without their parameters, and other DAG runs may start runs of this workflow"
        )


def cancelled(system: WorkflowSystem, run: Run, log: Any, *, briefly: bool = False) -> life.Cancelled:
    """Ask a system to cancel a run and tell what became of the request; nothing is raised."""
    from airflow_workflow_provider.client.worker import WorkerClient
    from airflow_workflow_provider.hooks.connections import mask
    from airflow_workflow_provider.protocol.retry import Retry, persist

    # A client of its own: the task's may be in the middle of a call when a signal handler gets here.
    transport = system.transport.within(BRIEF) if briefly else system.transport
    try:
        client = WorkerClient(transport, mask=mask, logger=log, secrets=system.credentials)
        client.run(persist(lambda: system.require(CanCancel).cancel(run), Retry(attempts=1 if briefly else 4)))
    except CancelNotSupported as error:
        return life.Cancelled(life.CancelOutcome.NOT_SUPPORTED, str(error))
    except CancelRefused as error:
        return life.Cancelled(life.CancelOutcome.REFUSED, str(error))
    except Exception as error:  # noqa: BLE001  # the reason for the cancel is the task's outcome, not this
        return life.Cancelled(life.CancelOutcome.UNKNOWN, str(error) or type(error).__name__)
    return life.Cancelled(life.CancelOutcome.TAKEN)
