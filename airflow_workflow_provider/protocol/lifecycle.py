"""The life of a run within one try of a task: phases, events, and a flow that goes from one to the next.

`TABLE` is the whole policy. It says, for each phase and each event, what is done and which phase follows. `LifeCycle`
is the flow that reads it. The flow yields effects for what only its driver can do: ask Airflow's run store, call the
remote system, wait, defer, write XComs and log lines. Operators drive it; tests play it by hand.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import Enum
from typing import Any

from airflow_workflow_provider.exceptions import (
    FinalUnknownStart,
    NotSupported,
    ProtocolError,
    RunCancelled,
    RunFailed,
    RunTimedOut,
    ServerUnavailable,
    TaskStopped,
    UnknownStart,
    WorkflowError,
    WorkflowNotFound,
)
from airflow_workflow_provider.protocol.durations import seconds_of
from airflow_workflow_provider.protocol.effects import Flow, Note
from airflow_workflow_provider.protocol.limits import MAX_MESSAGE, fitting
from airflow_workflow_provider.protocol.model import Run, RunState, place_of
from airflow_workflow_provider.protocol.parameters import Fingerprint
from airflow_workflow_provider.protocol.text import cut_text, indented

# What a trigger's event says beside the words of `RunState`.
TIMEOUT, UNAVAILABLE, NOT_FOUND = "timeout", "unavailable", "not_found"
NO_REASON = "the system gives no reason"
STORE_IS_BUSY = "busy"  # whose run it is cannot be asked for at the moment
WAITING_FOR = "  while: waiting for run"  # in the text of an error that ends a trigger


class Phase(str, Enum):
    """What a try of a task knows about its run."""

    NEW = "new"
    REPLACING = "replacing"
    RECALLED = "recalled"
    SEARCHING = "searching"
    STARTING = "starting"
    UNKNOWN = "unknown"
    GOING = "going"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELLED = "cancelled"
    TIMED_OUT = "timed out"
    KILLED = "killed"
    LEFT = "killed, the run goes on"
    RETURNED = "returned without a wait"
    OVER = "over"


class Event(str, Enum):
    """What can happen to a try and its run."""

    NOTHING_STORED = "the run store holds nothing for this call"
    NO_STORE = "this Airflow has no run store, and this is a retry"
    RUN_STORED = "the run store holds a run of an earlier try"
    INTENT_STORED = "the run store holds the intent to start a run, and no run"
    CLEARED = "the run store holds what was there before the task was cleared"
    EDITED = "the run store holds a run of another request: the workflow, the connection or the DAG was changed"
    MATCHES = "the stored run is a run of this request"
    OLD_RUN_HANDLED = "the run of the old request is cancelled, or has ended, or is left alone"
    RUN_GOING = "a poll shows that the run is going"
    RUN_SUCCEEDED = "the run has succeeded"
    RUN_FAILED = "the run has failed"
    RUN_CANCELLED = "somebody else has cancelled the run"
    RUN_CANCELLED_BY_US = "the run is cancelled, and an earlier try of this task did that"
    RUN_GONE = "five polls in a row say that there is no such run"
    START_TAKEN = "the start is answered with a run"
    START_UNKNOWN = "the answer to the start is lost"
    FOUND_ONE = "exactly one run fits"
    FOUND_EARLIER = "exactly one run fits, and an earlier try meant to start it"
    FOUND_NONE = "no run fits"
    UNCLEAR_FAIL = "several runs fit, or the API cannot tell; `on_unknown_start` is `fail`"
    UNCLEAR_RESTART = "several runs fit, or the API cannot tell; `on_unknown_start` is `restart`"
    NOT_LISTED = "the API cannot tell which run is this task's"
    NOT_AWAITED = "`wait_for_completion` is False"
    TIME_UP = "the time limit ends; `cancel_on_timeout` is True"
    TIME_UP_LEAVE = "the time limit ends; `cancel_on_timeout` is False"
    KILLED = "the task is killed; `cancel_on_kill` is True"
    KILLED_LEAVE = "the task is killed; `cancel_on_kill` is False"
    TRY_ENDED = "an error ends the try, and the next try will know the run"
    TASK_ENDED = "an error ends the task; `cancel_on_kill` is True"
    TASK_ENDED_LEAVE = "an error ends the task; `cancel_on_kill` is False"


class Action(str, Enum):
    """What the flow does for an event."""

    ADOPT = "store this try as the owner of the run, compare the parameters"
    START = "store the intent, start a run, store the run"
    POLL = "poll the run; refusals are tolerated as in a wait"
    FIND = "look for the run among those that the API lists"
    REPLACE = "cancel the old run if it is going, unless `cancel_on_kill` is False"
    WAIT = "store the run, publish it, wait for its end or defer"
    RETURN = "return the run object"
    FAIL = "raise `RunFailed`"
    FAIL_CANCELLED = "raise `RunCancelled`; no other run is started"
    FAIL_GONE = "raise `WorkflowNotFound`"
    FAIL_UNKNOWN = "raise `UnknownStart`"
    TIME_OUT = "cancel the run, raise `RunTimedOut`"
    TIME_OUT_LEAVE = "raise `RunTimedOut`; the run goes on"
    CANCEL = "cancel the run, unless a newer try owns it"
    LEAVE = "log that the run goes on"
    HAND_OVER = "log that the next try takes the run over"
    STOP = "raise `TaskStopped`"
    NOTHING = "nothing"


P, E, A = Phase, Event, Action
WITHOUT_RUN = (P.NEW, P.SEARCHING, P.STARTING, P.UNKNOWN)
WITH_RUN = (P.REPLACING, P.RECALLED, P.GOING, P.RETURNED)
BRINGS_RUN = (E.RUN_STORED, E.START_TAKEN, E.FOUND_ONE, E.FOUND_EARLIER)
OLD_REQUEST = (E.CLEARED, E.EDITED)
TO_THE_TRY = (E.KILLED, E.KILLED_LEAVE, E.TRY_ENDED, E.TASK_ENDED, E.TASK_ENDED_LEAVE)
LEARNT = tuple(event for event in E if event not in TO_THE_TRY)  # what a flow can still learn after a kill
TABLE: Mapping[tuple[Phase, Event], tuple[Action, Phase]] = {
    # A try begins: what did an earlier try leave?
    (P.NEW, E.NOTHING_STORED): (A.START, P.STARTING),
    (P.NEW, E.NO_STORE): (A.FIND, P.SEARCHING),
    (P.NEW, E.RUN_STORED): (A.ADOPT, P.RECALLED),
    (P.NEW, E.INTENT_STORED): (A.FIND, P.UNKNOWN),
    (P.NEW, E.CLEARED): (A.REPLACE, P.REPLACING),
    (P.NEW, E.EDITED): (A.REPLACE, P.REPLACING),
    (P.REPLACING, E.OLD_RUN_HANDLED): (A.START, P.STARTING),
    # The run of an earlier try, at its first poll.
    (P.RECALLED, E.MATCHES): (A.POLL, P.RECALLED),
    (P.RECALLED, E.EDITED): (A.REPLACE, P.REPLACING),
    (P.RECALLED, E.RUN_GOING): (A.WAIT, P.GOING),
    (P.RECALLED, E.RUN_SUCCEEDED): (A.WAIT, P.GOING),
    (P.RECALLED, E.RUN_FAILED): (A.START, P.STARTING),
    (P.RECALLED, E.RUN_CANCELLED): (A.FAIL_CANCELLED, P.CANCELLED),
    (P.RECALLED, E.RUN_CANCELLED_BY_US): (A.START, P.STARTING),
    (P.RECALLED, E.RUN_GONE): (A.START, P.STARTING),
    # Without a run store: a run that a list shows.
    (P.SEARCHING, E.FOUND_ONE): (A.WAIT, P.GOING),
    (P.SEARCHING, E.FOUND_NONE): (A.START, P.STARTING),
    (P.SEARCHING, E.NOT_LISTED): (A.START, P.STARTING),
    (P.SEARCHING, E.UNCLEAR_FAIL): (A.FAIL_UNKNOWN, P.OVER),
    (P.SEARCHING, E.UNCLEAR_RESTART): (A.START, P.STARTING),
    # The start.
    (P.STARTING, E.START_TAKEN): (A.WAIT, P.GOING),
    (P.STARTING, E.START_UNKNOWN): (A.FIND, P.UNKNOWN),
    (P.UNKNOWN, E.FOUND_ONE): (A.WAIT, P.GOING),
    (P.UNKNOWN, E.FOUND_EARLIER): (A.ADOPT, P.RECALLED),
    (P.UNKNOWN, E.FOUND_NONE): (A.START, P.STARTING),
    (P.UNKNOWN, E.UNCLEAR_FAIL): (A.FAIL_UNKNOWN, P.OVER),
    (P.UNKNOWN, E.UNCLEAR_RESTART): (A.START, P.STARTING),
    # The wait, and the end.
    (P.GOING, E.NOT_AWAITED): (A.RETURN, P.RETURNED),
    (P.GOING, E.RUN_SUCCEEDED): (A.RETURN, P.SUCCEEDED),
    (P.GOING, E.RUN_FAILED): (A.FAIL, P.FAILED),
    (P.GOING, E.RUN_CANCELLED): (A.FAIL_CANCELLED, P.CANCELLED),
    (P.GOING, E.RUN_CANCELLED_BY_US): (A.START, P.STARTING),
    (P.GOING, E.RUN_GONE): (A.FAIL_GONE, P.OVER),
    (P.GOING, E.TIME_UP): (A.TIME_OUT, P.TIMED_OUT),
    (P.GOING, E.TIME_UP_LEAVE): (A.TIME_OUT_LEAVE, P.TIMED_OUT),
    # A kill. The signal handler may come at any moment; what the flow learns afterwards is our own doing.
    **{(phase, E.KILLED): (A.CANCEL, P.KILLED) for phase in WITH_RUN},
    **{(phase, E.KILLED_LEAVE): (A.LEAVE, P.LEFT) for phase in WITH_RUN},
    **{(phase, E.KILLED): (A.NOTHING, P.KILLED) for phase in WITHOUT_RUN},
    **{(phase, E.KILLED_LEAVE): (A.NOTHING, P.LEFT) for phase in WITHOUT_RUN},
    **{(P.KILLED, event): (A.CANCEL if event in BRINGS_RUN else A.STOP, P.KILLED) for event in LEARNT},
    **{(P.LEFT, event): (A.LEAVE if event in BRINGS_RUN else A.STOP, P.LEFT) for event in LEARNT},
    # An error ends the try while the run goes on.
    **{(phase, E.TRY_ENDED): (A.HAND_OVER, P.OVER) for phase in (P.RECALLED, P.GOING)},
    **{(phase, E.TASK_ENDED): (A.CANCEL, P.OVER) for phase in (P.REPLACING, P.RECALLED, P.GOING)},
    **{(phase, E.TASK_ENDED_LEAVE): (A.LEAVE, P.OVER) for phase in (P.REPLACING, P.RECALLED, P.GOING)},
    (P.REPLACING, E.TRY_ENDED): (A.NOTHING, P.OVER),
}
ENDINGS: Mapping[RunState, Event] = {
    RunState.SUCCEEDED: E.RUN_SUCCEEDED,
    RunState.FAILED: E.RUN_FAILED,
    RunState.CANCELLED: E.RUN_CANCELLED,
}
del P, E, A


class LifeCycleError(RuntimeError):
    """An event came that the table does not know in this phase: a fault of this package."""


class CancelOutcome(str, Enum):
    """What became of a request to cancel a run."""

    TAKEN = "taken"
    REFUSED = "refused"
    UNKNOWN = "unknown"
    NOT_SUPPORTED = "not supported"
    NOT_SENT = "not sent"
    """A signal handler must not read a connection; the flow that it interrupted cancels instead."""


@dataclass(frozen=True)
class Cancelled:
    """The outcome of a cancel and what the server or the API said about it."""

    outcome: CancelOutcome
    message: str = ""

    def sentence(self, run: Run, why: str) -> tuple[str, str]:
        """Give a log line and its level."""
        match self.outcome:
            case CancelOutcome.TAKEN:
                return f"Run {run.run_id}: {why}, so it was cancelled", "info"
            case CancelOutcome.REFUSED:
                return (
                    f"Run {run.run_id}: {why}, but the server refused to cancel it; it goes on: {self.message}",
                    "error",
                )
            case CancelOutcome.NOT_SUPPORTED:
                return f"Run {run.run_id}: {why}; {self.message}", "warning"
        unknown = f"Run {run.run_id}: {why}, but whether the cancel request was taken is unknown; the run may go on"
        return f"{unknown}: {self.message}", "error"


@dataclass(frozen=True)
class RunPolicy:
    """What the user asked for. ``wait`` is ``wait_for_completion``."""

    reattach: bool = True
    on_unknown_start: str = "fail"
    cancel_on_kill: bool = True
    cancel_on_timeout: bool = True
    wait: bool = True

    def stored(self, event: Event) -> Event:
        """Give the event for what the run store holds; ``reattach=False`` lets a retry start another run."""
        ours = (Event.RUN_STORED, Event.INTENT_STORED, Event.EDITED, Event.NO_STORE)
        return Event.NOTHING_STORED if event in ours and not self.reattach else event

    def unclear(self) -> Event:
        """Give the event for a start that cannot be resolved."""
        return Event.UNCLEAR_RESTART if self.on_unknown_start == "restart" else Event.UNCLEAR_FAIL

    def time_up(self) -> Event:
        """Give the event for a run that is out of time."""
        return Event.TIME_UP if self.cancel_on_timeout else Event.TIME_UP_LEAVE

    def killed(self) -> Event:
        """Give the event for a kill."""
        return Event.KILLED if self.cancel_on_kill else Event.KILLED_LEAVE

    def task_ended(self) -> Event:
        """Give the event for an error after which no try follows."""
        return Event.TASK_ENDED if self.cancel_on_kill else Event.TASK_ENDED_LEAVE


@dataclass(frozen=True)
class Earlier:
    """What the run store holds for this call.

    ``event`` is one of the events of `Phase.NEW`; a clear may leave an intent instead of a run. ``cancelled`` says why
    this task cancelled the run, if it did. ``sent`` identifies the parameters of the stored start, ``key`` is its
    idempotency key. ``why`` explains an edit.
    ``has_store`` is False where a later try cannot recall anything.
    """

    event: Event
    run: Run | None = None
    intended_at: datetime | None = None
    sent: Fingerprint | None = None
    cancelled: str = ""
    why: str = ""
    has_store: bool = True
    key: str = ""


# Effects: what the driver of a `LifeCycle` does. Each may raise; the error is thrown into the flow.


@dataclass(frozen=True)
class Recall:
    """Ask the run store; gives an `Earlier`."""


@dataclass(frozen=True)
class CompareParameters:
    """Make the parameters of this try and compare them with those of the earlier try.

    Gives a sentence if they differ and the DAG's version does too, which makes this an edit; else "".
    """


@dataclass(frozen=True)
class StoreIntent:
    """Store that a run will be started now; gives the moment.

    ``is_again`` says that the answer to this start was lost before: it keeps its idempotency key.
    """

    is_again: bool = False


@dataclass(frozen=True)
class ForgetIntent:
    """Remove the intent from the run store: nothing was started."""


@dataclass(frozen=True)
class StartRun:
    """Start a run; gives it. Raises `UnknownStart` where it may or may not exist."""


@dataclass(frozen=True)
class StoreRun:
    """Store a run as this try's. ``cancelled`` keeps why an earlier try cancelled it."""

    run: Run
    cancelled: str = ""


@dataclass(frozen=True)
class PollRun:
    """Poll a run until one poll is answered, enduring refusals as a wait does; gives the run."""

    run: Run


@dataclass(frozen=True)
class PollOnce:
    """Poll a run once; gives it. Raises `WorkflowNotFound` where it is unknown."""

    run: Run


@dataclass(frozen=True)
class FindRuns:
    """List the runs that a start of this task may have left; gives `Found`.

    ``since`` is when the start was intended, None stands for the beginning of the DAG run. ``sent`` identifies its
    parameters, None stands for this try's. ``are_old`` says that a start of this try cannot have left them. Raises
    `NotSupported` where nothing can tell.
    """

    since: datetime | None = None
    sent: Fingerprint | None = None
    is_lost_start: bool = True
    are_old: bool = False


@dataclass(frozen=True)
class Found:
    """The runs that fit, and whether their parameters were compared.

    ``may_repeat`` says that the lost start can be sent again, because the same idempotency key gives the same run.
    """

    runs: tuple[Run, ...] = ()
    by_parameters: bool = False
    may_repeat: bool = False


@dataclass(frozen=True)
class PublishRun:
    """Write the XComs and links of a run, which is going or has ended."""

    run: Run
    is_end: bool = False


@dataclass(frozen=True)
class AwaitRun:
    """Wait for the end of a run and give it, or defer, which ends the flow."""

    run: Run


@dataclass(frozen=True)
class OwnsRun:
    """Ask the run store whether the run is still this try's: True, False, or None where nothing can tell.

    Gives `STORE_IS_BUSY` where the store does not answer within the seconds of a signal handler.
    """

    run: Run
    briefly: bool = False


@dataclass(frozen=True)
class StoreCancel:
    """Store that this task cancels the run, and why; "" stores that it did not.

    Gives False where that failed, which is logged.
    """

    run: Run
    why: str
    briefly: bool = False


@dataclass(frozen=True)
class CancelledByUs:
    """Ask the run store whether a try of this task cancelled the run."""

    run: Run


@dataclass(frozen=True)
class CancelRun:
    """Ask the system to cancel a run; gives `Cancelled`. ``briefly`` allows the seconds of a signal handler."""

    run: Run
    briefly: bool = False


@dataclass(frozen=True)
class NextTry:
    """Ask whether another try follows an error and will know the run."""

    run: Run
    error: BaseException


class LifeCycle:
    """One call of a run operator within one try, from the run store to the end of the run.

    ``run`` is the run that belongs to the task now. `begin` and `resume` are flows that give the ended run or raise.
    `kill` is a flow for a signal handler, which may interrupt the other two at any effect.
    """

    def __init__(self, policy: RunPolicy, *, phase: Phase = Phase.NEW, run: Run | None = None) -> None:
        self.policy, self.phase, self.run = policy, phase, run
        self._earlier = Earlier(Event.NOTHING_STORED)
        self._intended_at: datetime | None = None
        self._error: WorkflowError | None = None  # what an event is about
        self._lost_starts = 0
        self._starts_again = self._may_have_started = False
        self._is_stored = False
        self._cancel_is_pending = False

    @property
    def is_killed(self) -> bool:
        """True after a kill."""
        return self.phase in (Phase.KILLED, Phase.LEFT)

    def begin(self) -> Flow[Run]:
        """Take over the run of an earlier try, or start one, and see it to its end."""
        return (yield from self._guarded(self._begun()))

    def resume(self, outcome: Run | WorkflowError, run: Run | None) -> Flow[Run]:
        """Come back from a deferral with what the wait gave: the ended run, or an error about the run."""
        self.phase, self.run, self._is_stored = Phase.GOING, run or self.run, True
        return (yield from self._guarded(self._resumed(outcome)))

    def wait_again(self, run: Run) -> Flow[Run]:
        """Come back from a deferral without news of the run, and wait for it again."""
        self.phase, self.run, self._is_stored = Phase.GOING, run, True
        return (yield from self._guarded(self._awaited(run)))

    def abandon(self, error: BaseException, *, was_killed: bool = False) -> Flow[None]:
        """An error ends the try while the run goes on: the next try takes it over, or it is cancelled.

        :param was_killed: the task was killed before this began; a kill that comes meanwhile is `kill`.
        """
        run = self.run
        if run is None or (self.phase, Event.TRY_ENDED) not in TABLE:
            return
        has_next = not was_killed and self.policy.reattach and (yield NextTry(run, error))
        if self.is_killed:  # meanwhile; the signal handler has cancelled the run, or could not
            if self._cancel_is_pending:
                yield from self._cancel(run, "the task was killed")
            return
        event = Event.TRY_ENDED if has_next else self.policy.task_ended()
        yield from self._do(self._on(event), f"no try of this task will wait for it after {type(error).__name__}")

    def kill(self) -> Flow[None]:
        """The task is killed: stop, and cancel the run with one short call unless that is forbidden."""
        event = self.policy.killed()
        if (self.phase, event) not in TABLE or self.is_killed:
            return
        is_old = self.phase is Phase.REPLACING
        action, run = self._on(event), self.run
        if action is Action.NOTHING:  # a run that comes from now on is cancelled when it comes
            self._cancel_is_pending = event is Event.KILLED
        if run is None or run.state.is_terminal:
            return
        if action is Action.CANCEL:
            yield from self._cancel(run, "the task was killed", briefly=True, is_old=is_old)
        elif action is Action.LEAVE:
            yield Note(f"The task was killed; run {run.run_id} goes on, as cancel_on_kill=False asks")

    def _begun(self) -> Flow[Run]:
        earlier = self._earlier = yield Recall()
        self.run, self._intended_at = earlier.run, earlier.intended_at
        if earlier.why:
            yield Note(earlier.why, "warning")
        event = self.policy.stored(earlier.event)
        if event is Event.CLEARED and earlier.run is None:
            event = yield from self._find_of_before()
        return (yield from self._live(event))

    def _find_of_before(self) -> Flow[Event]:
        """Look for the run of a start of before a clear that was never answered: no try waits for it any more."""
        if self.is_killed:
            return Event.NOTHING_STORED
        what = "Before the task was cleared, a try was stopped while it started a run"
        try:
            found: Found = yield FindRuns(self._intended_at, self._earlier.sent, are_old=True)
        except NotSupported as error:
            yield Note(f"{what}; it is unknown whether that run goes on: {error}", "warning")
            return Event.NOTHING_STORED
        going = [run for run in found.runs if not run.state.is_terminal]
        if len(found.runs) == 1 and going:
            self.run = going[0]
            yield Note(f"{what}; run {self.run.run_id} is the only one that fits")
            return Event.CLEARED
        if going:
            yield Note(f"{what}; {len(going)} runs that are going may be that run", "warning")
        return Event.NOTHING_STORED

    def _awaited(self, run: Run) -> Flow[Run]:
        return (yield from self._live((yield from self._wait(run))))

    def _resumed(self, outcome: Run | WorkflowError) -> Flow[Run]:
        return (yield from self._live((yield from self._ended(outcome))))

    def _live(self, event: Event) -> Flow[Run]:
        """Go from event to action to event, until the run is returned or an error is raised."""
        following: Event | None = event
        while following is not None:
            following = yield from self._do(self._on(following))
        assert self.run is not None  # every path to RETURN has one
        return self.run

    def _on(self, event: Event) -> Action:
        if (self.phase, event) not in TABLE:
            raise LifeCycleError(f"{event.name} is not expected in the phase {self.phase.name}")
        action, self.phase = TABLE[self.phase, event]
        return action

    def _guarded(self, flow: Flow[Run]) -> Flow[Run]:
        try:
            return (yield from flow)
        except Exception as error:
            if isinstance(error, TaskStopped):
                yield from self._cancel_pending()
            elif not isinstance(error, LifeCycleError):
                yield from self.abandon(error)
            raise

    def _do(self, action: Action, why: str = "") -> Flow[Event | None]:  # noqa: C901, PLR0911, PLR0912  # one branch for each action
        match action:
            case Action.START:
                return (yield from self._start())
            case Action.FIND:
                return (yield from self._find())
            case Action.STOP:
                raise self._stopped()
            case Action.FAIL_UNKNOWN:
                raise self._unknown()
            case Action.NOTHING:
                return None
        run = self.run
        assert run is not None  # the other actions follow from events that bring a run
        match action:
            case Action.ADOPT:
                return (yield from self._adopt(run))
            case Action.POLL:
                return (yield from self._poll(run))
            case Action.REPLACE:
                return (yield from self._replace(run))
            case Action.WAIT:
                return (yield from self._wait(run))
            case Action.RETURN:
                if self.phase is Phase.SUCCEEDED:
                    yield PublishRun(run, is_end=True)
            case Action.FAIL | Action.FAIL_CANCELLED:
                yield PublishRun(run, is_end=True)
                succeeded(run)
            case Action.FAIL_GONE:
                raise self._error or WorkflowNotFound(f"run {run.run_id} is gone")
            case Action.TIME_OUT | Action.TIME_OUT_LEAVE:
                if action is Action.TIME_OUT:
                    yield from self._cancel(run, "its time limit had ended")
                yield PublishRun(run, is_end=True)
                raise self._error or RunTimedOut(f"the run did not end in time\n{place_of(run)}", run=run)
            case Action.CANCEL if self.is_killed:  # the run has come after the kill
                yield from self._cancel(run, "the task was killed")
                raise self._stopped()
            case Action.CANCEL:
                yield from self._cancel_if_going(run, why)
            case Action.LEAVE:
                why = "the task was killed" if self.is_killed else why
                yield Note(f"Run {run.run_id} goes on, as cancel_on_kill=False asks; {why}", "warning")
                if self.is_killed:
                    raise self._stopped()
            case Action.HAND_OVER:
                yield Note(f"Run {run.run_id} goes on; the next try takes it over")
        return None

    def _adopt(self, run: Run) -> Flow[Event]:
        yield StoreRun(run, self._earlier.cancelled)
        self._is_stored = not self._earlier.cancelled
        edit = yield CompareParameters()
        if edit:
            yield Note(edit, "warning")
        return Event.EDITED if edit else Event.MATCHES

    def _poll(self, run: Run) -> Flow[Event]:
        try:
            seen: Run = yield PollRun(run)
        except WorkflowNotFound as error:
            yield Note(f"The run of an earlier try is gone, starting another: {error}", "warning")
            return Event.RUN_GONE
        self.run = seen
        event = ENDINGS.get(seen.state, Event.RUN_GOING)
        if event is Event.RUN_CANCELLED and self._earlier.cancelled:
            event = Event.RUN_CANCELLED_BY_US
        if event in (Event.RUN_FAILED, Event.RUN_CANCELLED_BY_US):
            yield Note(f"Run {seen.run_id} of an earlier try was {seen.state}, starting another")
        elif event is not Event.RUN_CANCELLED:
            yield Note(f"Taking over run {seen.run_id} of an earlier try, which is {seen.state}")
        return event

    def _replace(self, run: Run) -> Flow[Event]:
        """Cancel the run of an old request: somebody wants a new run, and the old one must not go on beside it."""
        why = "the task was cleared" if self._earlier.event is Event.CLEARED else "the task now asks for another run"
        try:
            is_going = not (yield PollOnce(run)).state.is_terminal
        except WorkflowNotFound:
            is_going = True  # one answer does not prove that it is gone
        if self.is_killed and not self._cancel_is_pending:
            is_going = False  # the signal handler has looked after it
        self._cancel_is_pending = False
        if is_going and self.policy.cancel_on_kill:
            cancelled: Cancelled = yield CancelRun(run)
            yield Note(*cancelled.sentence(run, why))
        elif is_going:
            yield Note(f"Run {run.run_id}: {why}; the run goes on, as cancel_on_kill=False asks", "warning")
        self.run = None
        return Event.OLD_RUN_HANDLED

    def _start(self) -> Flow[Event]:
        if self.is_killed:
            raise TaskStopped("the task was killed before it started a run")
        self.run, self._is_stored = None, False
        self._intended_at = yield StoreIntent(self._starts_again)
        if self.is_killed:
            yield from self._forget()
            raise TaskStopped("the task was killed before it started a run")
        self._earlier = replace(self._earlier, sent=None, cancelled="")
        try:
            run: Run = yield StartRun()
        except UnknownStart as error:
            self._error = error
            self._lost_starts += 1
            return Event.START_UNKNOWN
        except Exception:
            yield from self._forget()  # every other error means that nothing was started
            raise
        self.run, self._is_stored, self._starts_again, self._may_have_started = run, True, False, False
        yield StoreRun(run)
        yield Note(f"Run {run.run_id} of {run.workflow} was started{f': {run.url}' if run.url else ''}")
        return Event.START_TAKEN

    def _forget(self) -> Flow[None]:
        """Remove the intent, unless an earlier start with the same idempotency key may have been taken."""
        if not self._may_have_started:
            yield ForgetIntent()

    def _find(self) -> Flow[Event]:
        """Find the run of a lost start, or without a run store the run of an earlier try."""
        is_lost = self._starts_again = self.phase is Phase.UNKNOWN
        why = str(self._error) if self._error else "an earlier try was stopped while it started a run"
        try:
            found: Found = yield FindRuns(self._intended_at if is_lost else None, self._earlier.sent, is_lost)
        except NotSupported as error:
            if is_lost:
                return (yield from self._undecided(UnknownStart(f"{why}; whether there is a run is unknown")))
            yield Note(f"This Airflow keeps no task state, and no run can be found: starting another ({error})")
            return Event.NOT_LISTED
        runs = found.runs
        if not is_lost:
            going = tuple(run for run in runs if not run.state.is_terminal)
            done = len(runs) == 1 and runs[0].state is RunState.SUCCEEDED and found.by_parameters
            runs = going or (runs if done else ())
        if len(runs) == 1:
            self.run, self._is_stored = runs[0], False
            yield Note(f"Taking over run {runs[0].run_id}, the only one that fits{f' ({why})' if is_lost else ''}")
            return Event.FOUND_EARLIER if is_lost and not self._lost_starts else Event.FOUND_ONE
        if runs:
            many = f"an earlier try may have started one of {len(runs)} runs that fit"
            return (yield from self._undecided(UnknownStart(f"{why}; {many}" if is_lost else many)))
        if is_lost and self._lost_starts > 1:
            return (yield from self._undecided(UnknownStart(why), may_restart=False))
        self._may_have_started = found.may_repeat
        if is_lost and found.may_repeat:
            yield Note(f"The start is sent again with the same idempotency key, which cannot start two runs ({why})")
        elif is_lost:
            yield Note(f"The server has no run that fits, so none was started ({why})")
        return Event.FOUND_NONE

    def _undecided(self, unknown: UnknownStart, *, may_restart: bool = True) -> Flow[Event]:
        self._error = self._error if isinstance(self._error, UnknownStart) else unknown
        event = self.policy.unclear() if may_restart and self._lost_starts <= 1 else Event.UNCLEAR_FAIL
        if event is Event.UNCLEAR_RESTART:
            yield Note(
                f"Starting a run although one may be going (on_unknown_start='restart'): {self._error}", "warning"
            )
        return event

    def _unknown(self) -> UnknownStart:
        """Give the error of a start that stays unknown; it is final where the next try could only start another."""
        unknown = self._error if isinstance(self._error, UnknownStart) else UnknownStart("a start is unresolved")
        if self._earlier.has_store and self.policy.reattach:
            return unknown
        final = FinalUnknownStart(str(unknown), status=unknown.status)
        final.__cause__ = unknown.__cause__
        return final

    def _wait(self, run: Run) -> Flow[Event]:
        if not self._is_stored:
            yield StoreRun(run)
            self._is_stored = True
        yield PublishRun(run)
        if not self.policy.wait:
            return Event.NOT_AWAITED
        if run.state.is_terminal:
            return (yield from self._ended(run))
        try:
            outcome: Run | WorkflowError = yield AwaitRun(run)
        except (RunTimedOut, WorkflowNotFound) as error:
            outcome = error
        return (yield from self._ended(outcome))

    def _ended(self, outcome: Run | WorkflowError) -> Flow[Event]:
        """Give the event of what a wait gave; an error that says nothing about the run is raised."""
        if isinstance(outcome, RunTimedOut):
            self._error, self.run = outcome, outcome.run or self.run
            return self.policy.time_up()
        if isinstance(outcome, WorkflowNotFound):
            self._error = outcome
            return Event.RUN_GONE
        if isinstance(outcome, WorkflowError):
            raise outcome
        self.run = outcome
        event = ENDINGS.get(outcome.state)
        if event is None:
            raise ProtocolError(f"internal error: run {outcome.run_id} was reported as ended, but is {outcome.state}")
        if event is Event.RUN_CANCELLED and not self.is_killed and (yield CancelledByUs(outcome)):
            yield Note(
                f"Run {outcome.run_id} was cancelled by an earlier try of this task; starting another", "warning"
            )
            return Event.RUN_CANCELLED_BY_US
        return event

    def _stopped(self) -> TaskStopped:
        """Give the error that ends a killed try; `_guarded` cancels what the signal handler could not."""
        what = f"while it waited for run {self.run.run_id}" if self.run else "before it had a run"
        return TaskStopped(f"the task was killed {what}")

    def _cancel_pending(self) -> Flow[None]:
        """Cancel the run of a killed try that its signal handler could not cancel."""
        run, earlier = self.run, self._earlier
        if self._cancel_is_pending and run is not None:
            is_old = earlier.run is not None and same_run(run, earlier.run) and earlier.event in OLD_REQUEST
            if is_old:
                yield from self._cancel_if_going(run, "the task was killed", is_old=True)
            else:
                yield from self._cancel(run, "the task was killed")

    def _cancel_if_going(self, run: Run, why: str, *, is_old: bool = False) -> Flow[None]:
        """Cancel a run that was perhaps not polled for long; a run that has ended is left as it is."""
        try:
            seen: Run = yield PollOnce(run)
        except WorkflowError:
            seen = run  # the server may still take the cancel
        if seen.state.is_terminal:
            yield Note(f"Run {run.run_id} is {seen.state}; there is nothing to cancel")
        else:
            yield from self._cancel(run, why, is_old=is_old)

    def _cancel(self, run: Run, why: str, *, briefly: bool = False, is_old: bool = False) -> Flow[None]:
        """Cancel a run that is this try's to cancel, and log what became of the request.

        That an old run is cancelled is not stored: that would make it a run of the new request.
        """
        self._cancel_is_pending = False
        is_urgent = briefly or self.is_killed  # a killed process has a few seconds
        owned = yield OwnsRun(run, is_urgent)
        if owned == STORE_IS_BUSY and briefly:
            # The signal has perhaps interrupted a request to Airflow, which can end only after the signal handler.
            self._cancel_is_pending = True
            return
        if owned is False:
            yield Note(f"Run {run.run_id}: {why}; a newer try of this task has taken the run over, it is left alone")
            return
        # A store that did not answer twice would take the seconds that the cancel needs; it is written afterwards.
        is_stored = is_old or (owned != STORE_IS_BUSY and (yield StoreCancel(run, why, is_urgent)) is not False)
        cancelled: Cancelled = yield CancelRun(run, briefly)
        if cancelled.outcome is CancelOutcome.NOT_SENT:
            self._cancel_is_pending = True
            return
        if cancelled.outcome in (CancelOutcome.REFUSED, CancelOutcome.NOT_SUPPORTED) and not is_old:
            yield StoreCancel(run, "", is_urgent)  # who cancels it from now on is somebody else
        elif not is_stored:
            # Without it the next try takes this for a cancel by somebody else, which ends the task.
            yield StoreCancel(run, why, is_urgent)
        yield Note(*cancelled.sentence(run, why))


def succeeded(run: Run) -> Run:
    """Give a run that succeeded; raise `RunFailed` or `RunCancelled` for another end."""
    if run.state is RunState.SUCCEEDED:
        return run
    if not run.state.is_terminal:
        raise ProtocolError(f"internal error: run {run.run_id} was reported as ended, but is {run.state}")
    why = f"{indented(run.message) or NO_REASON}\n{place_of(run)}"
    if run.state is RunState.CANCELLED:
        raise RunCancelled(f"the run was cancelled: {why}", run=run)
    raise RunFailed(f"the run failed: {why}", run=run)


def event_of(run: Run, error: WorkflowError | None = None, *, log: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """Make a trigger's event from what its wait gave. ``log`` says how far the log of the run is written."""
    if isinstance(error, RunTimedOut):
        status = TIMEOUT
    elif error is not None:
        status = NOT_FOUND if isinstance(error, WorkflowNotFound) else UNAVAILABLE
    else:
        status = run.state.value
    run = fitting(run)  # an event goes through everybody's triggerer and the metadata database
    message = cut_text(str(error), MAX_MESSAGE) if error else run.message
    event = {"status": status, "run": run.to_json(), "message": message}
    return event if log is None else {**event, "log": dict(log)}


def outcome_of(event: Any) -> tuple[Run, Run | WorkflowError]:
    """Read a trigger's event: give its run, and the ended run again or the error that ended the wait.

    The event crosses the metadata database between two processes, so anything else in it raises `ProtocolError`.
    """
    if not isinstance(event, Mapping) or "status" not in event or "run" not in event:
        raise ProtocolError(f"the trigger's event has no status or no run: {event!r:.200}")
    run, status, message = Run.from_json(event["run"]), event["status"], str(event.get("message") or "")
    if status == TIMEOUT:
        return run, RunTimedOut(message, run=run)
    if status == NOT_FOUND:
        return run, WorkflowNotFound(message)
    if status == UNAVAILABLE:
        return run, ServerUnavailable(message)
    if status != run.state.value:
        raise ProtocolError(f"the trigger's event has the status {status!r} and a run that is {run.state}")
    return run, run


def run_of_event(event: Any) -> Run:
    """Read a trigger's event: give the run that ended, or raise the error that ended the wait."""
    _, outcome = outcome_of(event)
    if isinstance(outcome, Run):
        return outcome
    raise outcome


def same_run(one: Run, other: Run) -> bool:
    """Tell whether two run objects are about one run; the same id on another connection is another run."""
    return (one.system, one.conn_id, one.run_id) == (other.system, other.conn_id, other.run_id)


def failure_note(run: Run) -> str:
    """Give the line that a trigger adds to an error that ends it, so that its task can tell which run it is about."""
    return f"{WAITING_FOR} {run.run_id} of {run.system} through the connection {run.conn_id!r}"


def failed_for_another(failure: Any, own: Run) -> bool:
    """Tell whether what Airflow gives a task whose trigger failed says that the trigger waited for another run.

    :param failure: the keywords of the resumed task; ``traceback`` is the text of the error, if there is one.
    """
    traceback = failure.get("traceback") if isinstance(failure, Mapping) else None
    text = "".join(map(str, traceback)) if isinstance(traceback, Sequence) else ""
    return WAITING_FOR in text and failure_note(own) not in text


def deadline_of(
    begun: datetime | None, timeout: Any, task_started: datetime | None, execution_timeout: timedelta | None
) -> float | None:
    """Give the moment (seconds since 1970) when a wait is over, or None.

    ``timeout`` belongs to the remote run and counts from its start; ``execution_timeout`` belongs to the task.
    The task's own end comes a little early, so that there is time to cancel the run before Airflow ends the task.
    """
    limit = seconds_of("timeout", timeout)
    ends = [begun.timestamp() + limit] if limit is not None and begun is not None else []
    if execution_timeout is not None and task_started is not None:
        total = execution_timeout.total_seconds()
        ends.append(task_started.timestamp() + total - min(10.0, total / 10))
    return min(ends, default=None)
