"""A run that somebody started elsewhere triggers a DAG here."""

from __future__ import annotations

from collections.abc import AsyncIterator, Hashable, Iterable
from contextlib import aclosing
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from airflow.triggers import base
from airflow.triggers.base import TriggerEvent

from airflow_workflow_provider.exceptions import InvalidArgument, NotSupported
from airflow_workflow_provider.protocol.capabilities import CanListRuns
from airflow_workflow_provider.protocol.durations import seconds_of
from airflow_workflow_provider.protocol.model import RunState
from airflow_workflow_provider.protocol.times import iso, parse_time
from airflow_workflow_provider.systems import SYSTEMS, is_loaded, known_keys, system_class
from airflow_workflow_provider.triggers.event_runs import triggering_runs

if TYPE_CHECKING:
    from airflow.triggers.base import BaseEventTrigger

    from airflow_workflow_provider.client.list_poller import Page
    from airflow_workflow_provider.triggers.event_feed import Source
    from airflow_workflow_provider.triggers.event_watch import Watch
else:
    # Below 3.0 the trigger can be imported, but not used.
    BaseEventTrigger = getattr(base, "BaseEventTrigger", base.BaseTrigger)

__all__ = ["WorkflowRunEventTrigger", "triggering_runs"]
ENDS = tuple(state.value for state in RunState if state.is_terminal)


class WorkflowRunEventTrigger(BaseEventTrigger):
    """Fires once for every run of a workflow that ends in one of the states, whoever started it (Airflow 3.0+).

    It is for an asset's ``AssetWatcher``; the payload of its events is the run object. Runs that ended before the
    watcher did its first list call do not fire, those that were going then fire when they end. On Airflow 3.3 a cursor
    in the asset's state store keeps that up across restarts. It never ends by itself: whatever fails is logged once
    and tried again.

    :param system: key of the workflow system: one whose API lists runs, such as ``"alteryx"`` or ``"stevesie"``.
    :param conn_id: the Airflow connection.
    :param workflow: the workflow's id, or ``name:…`` with its exact name.
    :param states: the final states that fire: ``succeeded``, ``failed``, ``cancelled``.
    :param poll_interval: seconds between two list requests; default per system.
    :param since: a datetime or ISO 8601 text; runs that ended at that moment or later fire although they had ended
        before the watcher existed. If the API's list has no end times, the start counts.
    """

    def __init__(
        self,
        system: str,
        conn_id: str,
        workflow: str,
        *,
        states: Iterable[str] = ("succeeded",),
        poll_interval: float | timedelta | None = None,
        since: datetime | str | None = None,
    ) -> None:
        if BaseEventTrigger is base.BaseTrigger:
            raise NotSupported(
                "WorkflowRunEventTrigger needs Airflow 3.0 or newer, which has asset watchers; on Airflow 2 use a "
                "scheduled DAG with the system's run sensor"
            )
        super().__init__()
        self.system = _listing(system)
        self.conn_id = _text("conn_id", conn_id)
        self.workflow = _text("workflow", workflow)
        self.states = _ends(states)
        self.poll_interval = seconds_of("poll_interval", poll_interval)
        self.since = _moment(since)

    def serialize(self) -> tuple[str, dict[str, Any]]:
        """Give class path and keywords, which never change; the same watcher always gives the same ones."""
        return (
            "airflow_workflow_provider.triggers.events.WorkflowRunEventTrigger",
            {
                "system": self.system,
                "conn_id": self.conn_id,
                "workflow": self.workflow,
                "states": list(self.states),
                "poll_interval": self.poll_interval,
                "since": self.since,
            },
        )

    def shared_stream_key(self) -> Hashable:
        """Let all watchers of one workflow share its list calls, whatever states they want (Airflow 3.3+)."""
        return ("airflow_workflow_provider.runs", self.system, self.conn_id, self.workflow, self._interval)

    @classmethod
    async def open_shared_stream(cls, kwargs: dict[str, Any]) -> AsyncIterator[Page]:
        """Give each page of the list, for an Airflow that does not ask for a producer."""
        from airflow_workflow_provider.triggers.event_feed import pages

        async with aclosing(pages(cls(**kwargs).source)) as stream:  # type: ignore[type-var]  # it is a generator
            async for page in stream:
                yield page

    @classmethod
    def create_shared_stream_producer(cls, kwargs: dict[str, Any]) -> Any:
        """Make what lists for all, and hears when their events have been stored."""
        from airflow_workflow_provider.triggers.event_stream import RunsProducer

        return RunsProducer(cls(**kwargs).source)

    async def filter_shared_stream(self, shared_stream: AsyncIterator[Page]) -> AsyncIterator[TriggerEvent]:
        """Turn the pages into this watcher's events; its cursor follows when Airflow has stored them."""
        watch = await self._watch()
        write = None
        async for page in shared_stream:
            if write:  # Airflow does not say that the last page's events are stored, but an interval has passed
                await write()
            async for run in watch.runs(page):
                yield TriggerEvent(run.to_json())
            write = watch.keeper()
            if write and page.kept is not None:
                page.kept.append(write)
                write = None

    async def run(self) -> AsyncIterator[TriggerEvent]:
        """Fire as above where Airflow has no shared streams (3.0 to 3.2); one process still lists once for all."""
        from airflow_workflow_provider.triggers.event_feed import pages

        watch = await self._watch()
        async with aclosing(pages(self.source)) as stream:  # type: ignore[type-var]  # it is a generator
            async for page in stream:
                async for run in watch.runs(page):
                    if write := watch.keeper():
                        await write()  # what came before this one has been taken
                    yield TriggerEvent(run.to_json())
                if write := watch.keeper():
                    await write()

    @property
    def _interval(self) -> float | None:
        """Seconds between two list calls; None for a system of another distribution, which is not imported here."""
        if self.poll_interval or self.system not in SYSTEMS:
            return self.poll_interval
        return system_class(self.system).poll_interval

    @property
    def source(self) -> Source:
        """What is listed."""
        from airflow_workflow_provider.triggers.event_feed import Source

        return Source(self.system, self.conn_id, self.workflow, self._interval)

    async def _watch(self) -> Watch:
        from airflow_workflow_provider.triggers.event_watch import Watch

        store = getattr(self, "asset_state_store", None)
        watch = Watch(self.source, self.states, parse_time(self.since), store)
        await watch.load()
        return watch


def _listing(system: Any) -> str:
    """Check that the system's API lists runs.

    A system of another distribution is not imported here, where a DAG file is parsed or an event loop runs: its import
    may take long. It is checked when it lists.
    """
    if not isinstance(system, str):
        raise InvalidArgument(f"system: expected the key of a system, such as 'alteryx', not {system!r}")
    if system in known_keys() and system not in SYSTEMS and not is_loaded(system):
        return str(system)
    made = system_class(system)
    if not made.offers(CanListRuns):
        raise NotSupported(
            f"system: {made.label} cannot list runs, so its runs cannot be watched. Start the workflow from a DAG "
            "whose run operator updates an asset, or wait for a run whose id you know with the sensor."
        )
    return made.key


def _text(name: str, value: Any) -> str:
    if isinstance(value, bool) or not isinstance(value, (str, int)) or not str(value).strip():
        raise InvalidArgument(f"{name}: expected text, not {value!r}")
    return str(value).strip()


def _ends(states: Any) -> tuple[str, ...]:
    if not isinstance(states, Iterable):
        raise InvalidArgument(f"states: expected some of {', '.join(ENDS)}, not {states!r}")
    given = [states] if isinstance(states, str) else list(states)
    words = {str(getattr(state, "value", state)).strip().lower() for state in given}
    unknown = sorted(words - set(ENDS))
    if unknown or not words:
        what = f"{unknown[0]!r} is not a final state of a run" if unknown else "is empty"
        raise InvalidArgument(f"states: {what}; expected some of {', '.join(ENDS)}")
    return tuple(sorted(words))


def _moment(since: Any) -> str | None:
    try:
        return iso(parse_time(since))
    except (TypeError, ValueError) as error:
        raise InvalidArgument(f"since: expected a datetime or ISO 8601 text, not {since!r}") from error
