"""Waits for one run of any workflow system, without a worker slot."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from typing import TYPE_CHECKING, Any

from airflow.triggers.base import BaseTrigger, TriggerEvent

from airflow_workflow_provider.client.start_throttle import throttle
from airflow_workflow_provider.exceptions import CancelNotSupported, CancelRefused, RunTimedOut, WorkflowError
from airflow_workflow_provider.hooks.supervisor import finished
from airflow_workflow_provider.protocol.capabilities import CanCancel
from airflow_workflow_provider.protocol.durations import seconds_of
from airflow_workflow_provider.protocol.lifecycle import Cancelled, CancelOutcome, event_of, failure_note
from airflow_workflow_provider.protocol.model import Run
from airflow_workflow_provider.protocol.pace import Pace
from airflow_workflow_provider.triggers.kill import kill_is_announced, was_killed
from airflow_workflow_provider.triggers.loading import has_changed, load, loaded
from airflow_workflow_provider.triggers.metrics import reporter

if TYPE_CHECKING:
    from airflow_workflow_provider.client.pool import Member
    from airflow_workflow_provider.protocol.effects import Flow
    from airflow_workflow_provider.protocol.poll import Watch
    from airflow_workflow_provider.protocol.system import WorkflowSystem
    from airflow_workflow_provider.triggers.task_log import TaskLog

EXPECTED = "expected_duration"  # among the options
CANCEL_LIMIT = 20.0  # seconds; Airflow gives `on_kill` 30
FIRST_POLL = 3.0  # seconds at most before the first poll: a trigger that fires at once races with Airflow (#71580)


def watching(expected_duration: Any) -> dict[str, Any]:
    """Give the trigger's options for what a user says of a run's duration (seconds or timedelta; None: nothing)."""
    seconds = seconds_of(EXPECTED, expected_duration)
    return {} if seconds is None else {EXPECTED: seconds}


class WorkflowRunTrigger(BaseTrigger):
    """Polls a run until it has ended or its deadline has passed, then fires one event.

    The event is ``{"status", "run", "message"}``: status is the run's state, ``timeout``, ``unavailable`` or
    ``not_found``. Everything that it needs besides comes from the connection, so no secret is stored with it.

    :param system: key of the workflow system.
    :param conn_id: the Airflow connection.
    :param run: the run object.
    :param poll_interval: seconds between two polls of a young run; the interval grows with the age of the run.
    :param deadline: the end of the wait, in seconds since 1970; None waits without a limit.
    :param cancel_on_kill: cancel the run when a user kills, clears or marks the deferred task.
    :param options: watch options of the system; ``expected_duration`` (seconds) is how long the run usually takes.
    :param run_log: follow the log of the run: ``interval`` (seconds) between two requests for it, and ``state``, the
        position in it. None does not read the log.
    """

    def __init__(
        self,
        system: str,
        conn_id: str,
        run: dict[str, Any],
        poll_interval: float,
        deadline: float | None = None,
        cancel_on_kill: bool = True,
        options: Mapping[str, Any] | None = None,
        run_log: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__()
        self.system = system
        self.conn_id = conn_id
        self.run_json = run.to_json() if isinstance(run, Run) else dict(run)
        self.poll_interval = poll_interval
        self.deadline = deadline
        self.cancel_on_kill = cancel_on_kill
        self.options = dict(options or {})
        self.run_log = dict(run_log) if isinstance(run_log, Mapping) else None
        self._fired = False

    def serialize(self) -> tuple[str, dict[str, Any]]:
        """Give class path and keywords; both are permanent, later keywords have defaults."""
        return (
            "airflow_workflow_provider.triggers.workflow.WorkflowRunTrigger",
            {
                "system": self.system,
                "conn_id": self.conn_id,
                "run": self.run_json,
                "poll_interval": self.poll_interval,
                "deadline": self.deadline,
                "cancel_on_kill": self.cancel_on_kill,
                "options": self.options,
                "run_log": self.run_log,
            },
        )

    async def run(self) -> AsyncIterator[TriggerEvent]:
        """Wait, and fire once."""
        # One coroutine holds all of it: thousands wait here, and each one more inside would weigh 300 bytes.
        await throttle()
        try:
            # Imported here and not at the top: an operator imports this module when it defers, without aiohttp.
            await loaded()
            from airflow_workflow_provider.client.pool import join, leave, renew, retire
            from airflow_workflow_provider.protocol.poll import CredentialsRefused

            watch, task_log = self._watch()
            event: dict[str, Any] | None = None
            refused: Member | None = None
            meter = reporter().start()
            meter.waiters += 1
            try:
                while event is None:
                    entry = join(self._key, self._load)
                    try:
                        member = await asyncio.shield(entry.making)
                        flow = self._flow(watch, member.system, refused, task_log)
                        event = event_of(await member.client.run(flow), log=task_log.state if task_log else None)
                    except CredentialsRefused:
                        refused = member
                        renew(self._key, member)  # read the connection again, and go on
                    finally:
                        await leave(entry)
            except RunTimedOut as error:
                event = self._event(error, error.run, task_log)
            except WorkflowError as error:
                retire(self._key)  # the connection may have been changed since it was read
                event = self._event(error, None, task_log)
            finally:
                meter.waiters -= 1
        except asyncio.CancelledError:
            # Airflow below 3.3 says neither that a user killed the task nor waits: it just cancels.
            if not kill_is_announced(self):
                await finished(self._cancel_if_killed())
            raise
        except Exception as error:
            error.add_note(failure_note(Run.from_json(self.run_json)))
            raise
        self._fired = True
        yield TriggerEvent(event)

    async def on_kill(self) -> None:
        """Cancel the run, if a user killed the task (Airflow 3.3+).

        Airflow also calls this for a trigger that moved to another triggerer, or that lingers after its event.
        """
        if not self._fired:
            await finished(self._cancel_if_killed())  # Airflow may cancel this again while the state is looked up

    def _event(self, error: WorkflowError, run: Run | None, task_log: TaskLog | None) -> dict[str, Any]:
        return event_of(run or Run.from_json(self.run_json), error, log=task_log.state if task_log else None)

    def _watch(self) -> tuple[Watch, TaskLog | None]:
        from airflow_workflow_provider.protocol.poll import Watch
        from airflow_workflow_provider.triggers.task_log import TaskLog

        run = Run.from_json(self.run_json)  # made here alone: who waits holds it, and only as it was last seen
        pace = Pace.of(run, self.poll_interval, self.options.get(EXPECTED))
        first = min(self.poll_interval, FIRST_POLL)
        watch = Watch(
            run, poll_interval=self.poll_interval, deadline=self.deadline, pace=pace, first=first, renews=True
        )
        return watch, TaskLog(self, self.run_log, run, pace.phase) if self.run_log is not None else None

    def _flow(self, watch: Watch, system: WorkflowSystem, refused: Member | None, log: TaskLog | None) -> Flow[Run]:
        is_renewed = refused is None or has_changed(refused.system, system)
        options = {name: value for name, value in self.options.items() if name != EXPECTED}
        watch.run = system.with_options(watch.run, options)
        if log:
            log.follower.system = system
        flow = watch.flow(
            system.look, run_list=system.run_list(watch.run), repeats=system.repeats, is_renewed=is_renewed, log=log
        )
        return log.settled(flow) if log else flow

    @property
    def _key(self) -> tuple[str, str]:
        return self.system, self.conn_id

    async def _load(self) -> Any:
        return await load(self.system, self.conn_id)

    async def _cancel_if_killed(self) -> None:
        if self.cancel_on_kill and await was_killed(self):
            await self._cancel()

    async def _cancel(self) -> None:
        await loaded()
        from airflow_workflow_provider.client.pool import shared_client
        from airflow_workflow_provider.protocol.retry import persist

        run = Run.from_json(self.run_json)
        try:
            async with asyncio.timeout(CANCEL_LIMIT), shared_client(self._key, self._load) as member:
                await member.client.run(persist(lambda: member.system.require(CanCancel).cancel(run)), urgent=True)
            cancelled = Cancelled(CancelOutcome.TAKEN)
        except CancelNotSupported as error:
            cancelled = Cancelled(CancelOutcome.NOT_SUPPORTED, str(error))
        except CancelRefused as error:
            cancelled = Cancelled(CancelOutcome.REFUSED, str(error))
        except (WorkflowError, TimeoutError) as error:
            cancelled = Cancelled(CancelOutcome.UNKNOWN, str(error) or "no answer in time")
        text, level = cancelled.sentence(run, "the task was killed while deferred")
        getattr(self.log, level)("%s", text)
