"""What the tries of one task store for each other: the run of each call, the intent to start it, and who owns it.

It is kept in Airflow's task state store (3.3+), which retries of a task instance share. Older Airflows have no such
place: a clear and a retry both delete XComs before the task begins.
"""

from __future__ import annotations

import logging
import os
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from functools import partial
from secrets import token_hex
from typing import Any, TypeVar

from airflow_workflow_provider.exceptions import TaskStopped, WorkflowError
from airflow_workflow_provider.operators.calls import next_call, runs_of
from airflow_workflow_provider.protocol.lifecycle import STORE_IS_BUSY, Earlier, Event
from airflow_workflow_provider.protocol.limits import fitting
from airflow_workflow_provider.protocol.model import Run
from airflow_workflow_provider.protocol.parameters import Fingerprint
from airflow_workflow_provider.protocol.system import NAME_PREFIX
from airflow_workflow_provider.protocol.times import iso, time_or_none
from airflow_workflow_provider.systems import system_class

KEY = "workflow_run"  # of the first call; later ones have their number behind it
GAPS = 3  # calls that may have stored nothing, between others that have
MOST_KNOWN = 20  # ids of runs of before that are kept
BRIEFLY = 1.5  # seconds that a signal handler waits for the store
PROCESS = token_hex(8)
log = logging.getLogger(__name__)
T = TypeVar("T")


@dataclass(frozen=True)
class Request:
    """What a run was asked for: system, connection and workflow identify it, parameters may differ between tries."""

    system: str
    conn_id: str
    workflow: str
    is_guessed: bool = False
    """Made from a run of version 0.1.0, which knows the id of its workflow, and not what was asked for."""

    def to_json(self) -> dict[str, str]:
        """Give the request as a JSON object."""
        return {"system": self.system, "conn_id": self.conn_id, "workflow": self.workflow}

    def differs(self, other: Request) -> list[str]:
        """Give the names of the parts that differ."""
        by_name = self.is_guessed and other.workflow.lower().startswith(NAME_PREFIX)
        names = ("system", "conn_id") if by_name else ("system", "conn_id", "workflow")
        return [name for name in names if getattr(self, name) != getattr(other, name)]


@dataclass(frozen=True)
class Record:
    """What one call has stored.

    ``request`` is None in records of version 0.1.0 that hold no run. ``try_number`` and ``max_tries`` are those of the
    try that owns the run, ``retries`` and ``dag_version`` were the task's at that time. ``known`` has the ids of runs
    that this call had before, which a lost start cannot have left.
    """

    request: Request | None
    run: Run | None
    intended_at: datetime | None
    sent: Fingerprint | None
    cancelled: str
    max_tries: int | None
    retries: int | None
    try_number: int | None
    dag_version: str | None
    process: str | None
    key: str = ""
    """The idempotency key of a start whose answer has not come."""
    known: tuple[str, ...] = ()

    @classmethod
    def from_json(cls, value: Any) -> Record | None:
        """Read a record; None for anything else."""
        if not isinstance(value, Mapping):
            return None
        try:
            run = Run.from_json(value["run"]) if value.get("run") else None
        except WorkflowError as error:
            log.warning("The run that an earlier try has stored cannot be read: %s", error)
            return None
        asked, request = value.get("request"), None
        if isinstance(asked, Mapping):
            system, conn_id, workflow = (str(asked.get(name) or "") for name in ("system", "conn_id", "workflow"))
            request = Request(system, conn_id, workflow)
        elif run:
            request = Request(run.system, run.conn_id, _workflow_key(run), is_guessed=True)
        return cls(
            request,
            run,
            time_or_none(value.get("intended_at")),
            Fingerprint.from_json(value.get("sent")),
            str(value.get("cancelled") or ""),
            value.get("max_tries"),
            value.get("retries"),
            value.get("try_number"),
            value.get("dag_version"),
            value.get("process"),
            str(value.get("key") or ""),
            tuple(map(str, value.get("known") or ())),
        )

    def to_json(self) -> dict[str, Any]:
        """Give the record as a JSON object."""
        found = {
            "request": self.request.to_json() if self.request else None,
            "run": fitting(self.run).to_json() if self.run else None,
            "intended_at": iso(self.intended_at),
            "sent": self.sent.to_json() if self.sent else None,
            "cancelled": self.cancelled,
            "max_tries": self.max_tries,
            "retries": self.retries,
            "try_number": self.try_number,
            "dag_version": self.dag_version,
            "process": self.process,
            "key": self.key,
            "known": list(self.known),
        }
        return {name: value for name, value in found.items() if value not in (None, "", [])}


def _workflow_key(run: Run) -> str:
    try:
        return system_class(run.system).workflow_key(run.workflow)
    except WorkflowError:  # a system that is not installed any more
        return run.workflow


class RunStore:
    """The run store as one call of an operator sees it; it does nothing where Airflow has no task state store.

    :param request: what this call asks for; None only looks at what is stored.
    :param is_new_call: False for a task that comes back from the triggerer, whose record is found by its run.
    """

    def __init__(
        self, context: Mapping[str, Any], retries: int, request: Request | None = None, *, is_new_call: bool = True
    ) -> None:
        self._store, self._ti, self._retries = context.get("task_state_store"), context["ti"], retries
        self._request = request
        self._dag_version = str(getattr(self._ti, "dag_version_id", None) or "") or None
        self._call = next_call(self._ti, "run") if request and is_new_call else 1
        self._slot = self._call
        self._earlier: Record | None = None  # as it is stored now
        self._recalled: Record | None = None  # as an earlier try has left it
        self._sent: Fingerprint | None = None
        self._is_stored = False  # this try has written the run

    @property
    def works(self) -> bool:
        """True where a later try can recall what this one stores."""
        return self._store is not None

    # What the life cycle asks for

    def recall(self) -> Earlier:
        """Give what an earlier try has stored for this call."""
        if self._store is None:
            retried = self._ti.try_number > 1 and not 0 < self._ti.max_tries - self._retries < self._ti.try_number
            return Earlier(Event.NO_STORE if retried else Event.NOTHING_STORED, has_store=False)
        record, why = self._found()
        self._earlier = self._recalled = record
        if record is None:
            return Earlier(Event.NOTHING_STORED)
        if not self._is_same_series(record):
            is_known = record.run or (record.intended_at and not why)
            event = Event.CLEARED if is_known else Event.NOTHING_STORED
            return Earlier(event, record.run, record.intended_at, record.sent)
        if why:
            return Earlier(Event.EDITED if record.run else Event.NOTHING_STORED, record.run, why=why)
        if record.run is None:
            event = Event.INTENT_STORED if record.intended_at else Event.NOTHING_STORED
            return Earlier(event, None, record.intended_at, record.sent, key=record.key)
        return Earlier(Event.RUN_STORED, record.run, record.intended_at, record.sent, record.cancelled)

    def compare(self, sent: Fingerprint) -> tuple[list[str], bool]:
        """Give the names of the parameters that differ from the earlier try's, and whether that is an edit."""
        self._sent, earlier = sent, self._recalled
        if earlier is None or earlier.sent is None or earlier.sent.digest == sent.digest:
            return [], False
        is_edit = bool(earlier.dag_version and self._dag_version and earlier.dag_version != self._dag_version)
        return earlier.sent.differing(sent), is_edit

    def intend(self, sent: Fingerprint, key: str = "", *, moment: datetime) -> datetime:
        """Store, before it is sent, that a start with this key will be sent at this moment; give the moment.

        Raises `TaskStopped` where a newer try has stored something: this one was taken for dead.
        """
        self._sent = sent
        if self._is_replaced():
            raise TaskStopped("a newer try of this task has begun; this one starts no run")
        self._set(replace(self._record(intended_at=moment), key=key))
        return moment

    def keep(self, run: Run, cancelled: str = "") -> bool:
        """Store the run as this try's; False if the next try will not know it. What goes wrong is logged."""
        runs_of(self._ti).add(run.run_id)
        try:
            if self._is_replaced():
                log.warning("A newer try of this task has begun, and does not know run %s", run.run_id)
                return False
            self._set(self._record(run=run, cancelled=cancelled))
        except Exception as error:  # noqa: BLE001  # the run is going, whatever it is that cannot be reached
            log.warning("Run %s is going, but it could not be stored for the next try: %s", run.run_id, error)
            return False
        self._is_stored = self.works
        return self.works

    def is_old(self, run: Run) -> None:
        """Note that a run is one of before: a later start of this try cannot have left it."""
        runs_of(self._ti).add(run.run_id)

    def forget(self) -> None:
        """Remove what was stored: nothing was started. What goes wrong is logged."""
        if self._store is None:
            return
        try:
            if self._is_replaced():
                return
            if self._earlier and self._earlier.known:
                self._set(self._record())
            else:
                self._store.delete(self._key(self._slot))
        except Exception as error:  # noqa: BLE001  # whatever it is, nothing was started
            log.warning(
                "The fact that no run was started could not be stored; the next try will look for one: %s", error
            )

    def holds(self, run: Run) -> bool:
        """True if the next try will know this run. It is stored now if that has failed before.

        Another run's record stays: a newer try has put it there, while this one was taken for dead.
        """
        if self._store is None:
            return False
        try:
            record = self._own_record(run)
        except Exception as error:  # noqa: BLE001  # as above
            log.warning("It is not known whether the next try will find run %s: %s", run.run_id, error)
            return False
        return record.run.run_id == run.run_id if record and record.run else self.keep(run)

    def owns(self, run: Run, *, briefly: bool) -> bool | str | None:
        """Tell whether the run is this try's; None where nothing can tell, `STORE_IS_BUSY` where that takes too long.

        A newer try that has taken the run over has stored it under its own number. A try that Airflow has replaced may
        find no record at all: a retry gives the task instance another id.
        """
        if self._store is None:
            return None
        try:
            record = limited(lambda: self._own_record(run), BRIEFLY) if briefly else self._own_record(run)
        except Exception as error:  # noqa: BLE001  # not knowing is an answer
            log.debug("It is not known which try owns run %s: %s", run.run_id, error)
            # In any other thread nothing was interrupted, and asking later would give the same.
            is_interrupting = briefly and threading.current_thread() is threading.main_thread()
            return STORE_IS_BUSY if is_interrupting and isinstance(error, TimeoutError) else None
        if record is None or record.run is None:
            return False if self._is_stored else None
        if record.run.run_id != run.run_id:
            return True  # no other try knows this run
        if record.try_number is None or record.max_tries is None:
            return True  # a record of version 0.1.0
        return (record.max_tries, record.try_number) <= self._number

    def mark_cancelled(self, run: Run, why: str, *, briefly: bool) -> bool:
        """Store that this task cancels the run, which `owns` has looked up. What goes wrong is logged, and gives False.

        :param why: empty where the cancel had no effect.
        """
        known = self._earlier.run if self._earlier else None
        if self._store is None or known is None or known.run_id != run.run_id:
            return True  # the record, if there is one, is of another run
        try:
            write = partial(self._set, self._record(run=run, cancelled=why))
            limited(write, BRIEFLY) if briefly else write()
        except Exception as error:  # noqa: BLE001  # the cancel matters more
            log.warning("Run %s: the cancellation by this task could not be stored: %s", run.run_id, error)
            return False
        return True

    def was_cancelled(self, run: Run) -> bool:
        """True if a try of this task has stored that it cancels the run."""
        if self._store is None:
            return False
        try:
            record = self._own_record(run)
        except Exception as error:  # noqa: BLE001  # then it counts as somebody else's cancel
            log.warning("It is not known who cancelled run %s: %s", run.run_id, error)
            return False
        return bool(record and record.run and record.run.run_id == run.run_id and record.cancelled)

    def known_runs(self) -> set[str]:
        """Give the ids of the runs that any call of this task has had: a lost start cannot have left one of these."""
        found = set(runs_of(self._ti))
        for _, record in self._records():
            found |= {*record.known, *([record.run.run_id] if record.run else [])}
        return found

    def going(self, *, also_cleared: bool = False) -> list[Run]:
        """Give the runs that this task may leave behind: stored by this series, not known to have ended.

        :param also_cleared: those that were stored before the task was cleared as well.
        """
        return [
            record.run
            for _, record in self._records()
            if record.run
            and not record.run.state.is_terminal
            and (also_cleared or self._is_same_series(record))
            and not record.cancelled
        ]

    # The records of all calls

    @property
    def _number(self) -> tuple[int, int]:
        return self._ti.max_tries, self._ti.try_number

    def _is_replaced(self) -> bool:
        """True if a newer try has stored something for this call: Airflow has taken this one for dead."""
        try:
            record = self._get(self._slot)
        except Exception as error:  # noqa: BLE001  # then what is to be stored is stored, if that works
            log.debug("Whether a newer try has begun cannot be found out: %s", error)
            return False
        if record is None or record.max_tries is None or record.try_number is None:
            return False
        return (record.max_tries, record.try_number) > self._number

    def _own_record(self, run: Run) -> Record | None:
        """Give the record of this call; a task that comes back from the triggerer finds it by its run."""
        record = self._get(self._slot)
        if record and record.run and record.run.run_id != run.run_id and not self._is_stored:
            found = [(slot, one) for slot, one in self._records() if one.run and one.run.run_id == run.run_id]
            if found:
                self._slot, record = found[0]
        if record and record.run and record.run.run_id == run.run_id:
            self._earlier = record
        return record

    def _found(self) -> tuple[Record | None, str]:
        """Give the record that an earlier try has left for this call, and how its request differs.

        It is the one of the same number, unless another one fits better: the order of calls may have changed.
        """
        request, record = self._request, self._get(self._call)
        if record is None or request is None:
            return record, ""
        if not self._is_ours(record) and (record.request is None or not record.request.differs(request)):
            return record, ""
        others = [(slot, one) for slot, one in self._records() if slot != self._call and not self._is_ours(one)]
        for slot, one in others:
            if one.request and not one.request.differs(request):
                self._slot = slot
                return one, ""
        if self._is_ours(record):  # an earlier call of this very try has taken the place
            self._slot = max([self._call, *(slot for slot, _ in self._records())]) + 1
            return None, ""
        differing = record.request.differs(request) if record.request else []
        changes = ", ".join(
            f"{name} {getattr(record.request, name)!r} is now {getattr(request, name)!r}" for name in differing
        )
        what = f"run {record.run.run_id}" if record.run else "a run"
        return record, f"An earlier try asked for {what} of another request, so this try starts its own: {changes}"

    def _is_ours(self, record: Record) -> bool:
        """True for what an earlier call of this very try and process has stored."""
        return (record.max_tries, record.try_number, record.process) == (*self._number, PROCESS)

    def _records(self) -> list[tuple[int, Record]]:
        found, missing, slot = [], 0, 0
        while missing < GAPS and self._store is not None:
            slot += 1
            record = self._get(slot)
            missing = 0 if record else missing + 1
            if record:
                found.append((slot, record))
        return found

    def _is_same_series(self, record: Record) -> bool:
        """Tell a retry from a clear: that sets ``max_tries`` to the tries so far and ``retries`` more.

        With fewer ``retries`` than before that may be the old number, and then it is taken for a clear: what a
        retry loses by that, a run that goes on, is cancelled.
        """
        if record.max_tries != self._ti.max_tries:
            return False
        is_unchanged = record.retries in (None, self._retries)
        return is_unchanged or self._ti.max_tries != self._ti.try_number - 1 + self._retries

    def _record(self, *, run: Run | None = None, intended_at: datetime | None = None, cancelled: str = "") -> Record:
        max_tries, try_number = self._number
        earlier, sent, version, moment = self._earlier, self._sent, self._dag_version, intended_at
        request = self._request or (earlier.request if earlier else None)
        known = earlier.known if earlier else ()
        if earlier and earlier.run and (run is None or earlier.run.run_id != run.run_id):
            known = (*known, earlier.run.run_id)[-MOST_KNOWN:]
        if earlier and run and (earlier.run is None or earlier.run.run_id == run.run_id):
            # It was started with these parameters, by this version of the DAG.
            moment, sent, version = moment or earlier.intended_at, earlier.sent, earlier.dag_version
        return Record(
            request, run, moment, sent, cancelled, max_tries, self._retries, try_number, version, PROCESS, known=known
        )

    def _key(self, slot: int) -> str:
        return KEY if slot == 1 else f"{KEY}.{slot}"

    def _get(self, slot: int) -> Record | None:
        return None if self._store is None else Record.from_json(self._store.get(self._key(slot)))

    def _set(self, record: Record) -> None:
        if self._store is not None:
            self._earlier = replace(record)
            self._store.set(self._key(self._slot), record.to_json())


def limited(work: Callable[[], T], seconds: float) -> T:
    """Do something that may block for so long at most; raises TimeoutError.

    A signal handler may have interrupted the very code that holds what this needs, so it runs in another thread.
    """
    outcome: list[T] = []
    errors: list[BaseException] = []

    def run() -> None:
        try:
            outcome.append(work())
        except BaseException as error:  # noqa: BLE001  # raised below, in the thread that asked
            errors.append(error)

    thread = threading.Thread(target=run, daemon=True, name=f"run-store-{os.getpid()}")
    thread.start()
    thread.join(seconds)
    if outcome:
        return outcome[0]
    if errors:
        raise errors[0]
    raise TimeoutError(f"no answer within {seconds} seconds")
