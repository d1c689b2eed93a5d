"""The life cycle of a run, played by hand: the table is whole, and each promise holds for each order of events."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from airflow_workflow_provider.exceptions import (
    InvalidArgument,
    NotSupported,
    RunCancelled,
    RunTimedOut,
    ServerUnavailable,
    TaskStopped,
    UnknownStart,
    WorkflowError,
    WorkflowNotFound,
)
from airflow_workflow_provider.protocol import lifecycle as life
from airflow_workflow_provider.protocol.effects import Note, intercept, value_of
from airflow_workflow_provider.protocol.lifecycle import (
    TABLE,
    Action,
    Cancelled,
    CancelOutcome,
    Earlier,
    Event,
    Found,
    LifeCycle,
    Phase,
    RunPolicy,
)
from airflow_workflow_provider.protocol.model import Run, RunState

ENDS = (Phase.SUCCEEDED, Phase.FAILED, Phase.CANCELLED, Phase.TIMED_OUT, Phase.OVER)
GOING = RunState.RUNNING


def test_every_phase_can_be_reached_and_left_or_is_an_end():
    reached = {phase for _, phase in TABLE.values()} | {Phase.NEW}
    assert reached == set(Phase)
    left = {phase for phase, _ in TABLE}
    assert set(Phase) - left == set(ENDS)


def test_every_action_and_every_event_is_used():
    assert {action for action, _ in TABLE.values()} == set(Action)
    assert {event for _, event in TABLE} == set(Event)


def test_a_kill_is_known_in_every_phase_that_is_no_end():
    for phase in set(Phase) - set(ENDS) - {Phase.KILLED, Phase.LEFT}:
        assert (phase, Event.KILLED) in TABLE
        assert (phase, Event.KILLED_LEAVE) in TABLE


def test_an_error_is_known_in_every_phase_in_which_a_run_may_be_going():
    for phase in (Phase.RECALLED, Phase.GOING):
        assert TABLE[phase, Event.TRY_ENDED][0] is Action.HAND_OVER
        assert TABLE[phase, Event.TASK_ENDED][0] is Action.CANCEL
        assert TABLE[phase, Event.TASK_ENDED_LEAVE][0] is Action.LEAVE


@pytest.mark.parametrize("event", [Event.RUN_CANCELLED])
@pytest.mark.parametrize("phase", [Phase.RECALLED, Phase.GOING])
def test_a_run_that_somebody_else_cancels_is_never_a_reason_to_start(phase, event):
    assert TABLE[phase, event] == (Action.FAIL_CANCELLED, Phase.CANCELLED)


def test_an_event_that_the_table_does_not_know_is_an_error_of_this_package():
    with pytest.raises(life.LifeCycleError, match="RUN_GOING is not expected in the phase NEW"):
        LifeCycle(RunPolicy())._on(Event.RUN_GOING)


@pytest.mark.parametrize(
    ("outcome", "words", "level"),
    [
        (CancelOutcome.TAKEN, "so it was cancelled", "info"),
        (CancelOutcome.REFUSED, "the server refused to cancel it", "error"),
        (CancelOutcome.UNKNOWN, "is unknown", "error"),
        (CancelOutcome.NOT_SUPPORTED, "cannot", "warning"),
    ],
)
def test_the_log_claims_no_more_of_a_cancel_than_is_known(outcome, words, level):
    text, found = Cancelled(outcome, "the API cannot").sentence(Run("carto", "c", "w", "1"), "the task was killed")
    assert words in text
    assert found == level


@pytest.mark.parametrize("is_stored", [True, False])
def test_that_this_task_cancels_its_run_is_stored_after_the_cancel_where_it_could_not_be_before(is_stored):
    """Without that, the next try takes it for a cancel by somebody else."""
    lived = LifeCycle(RunPolicy())
    flow = lived.wait_again(Run("carto", "c", "w", "1"))
    while not isinstance(next(flow), life.AwaitRun):
        pass
    replies = {
        life.OwnsRun: True,
        life.StoreCancel: is_stored,
        life.CancelRun: Cancelled(CancelOutcome.TAKEN),
    }
    asked = []

    def answer(effect):
        asked.append(type(effect).__name__)
        return replies.get(type(effect))
        yield  # as a flow; it leaves nothing to another driver

    value_of(intercept(lived.kill(), answer))
    again = [] if is_stored else ["StoreCancel"]
    assert asked == ["OwnsRun", "StoreCancel", "CancelRun", *again, "Note"]


def test_a_kill_asks_again_whose_run_it_is_where_the_store_was_busy_in_the_signal_handler():
    """The signal can interrupt a request to Airflow: no other one is answered before the signal handler has ended."""
    lived = LifeCycle(RunPolicy())
    flow, asked = lived.wait_again(Run("carto", "c", "w", "1")), []

    def answer(effect):
        asked.append(type(effect).__name__)
        return life.STORE_IS_BUSY if isinstance(effect, life.OwnsRun) else None
        yield  # as a flow; it leaves nothing to another driver

    while not isinstance(next(flow), life.AwaitRun):
        pass
    value_of(intercept(lived.kill(), answer))
    assert asked == ["OwnsRun"]
    effect = flow.throw(TaskStopped("killed"))
    assert isinstance(effect, life.OwnsRun)
    assert "it is left alone" in flow.send(False).text
    with pytest.raises(TaskStopped):
        next(flow)


@pytest.mark.parametrize("may_repeat", [True, False])
def test_a_start_that_is_sent_again_and_refused_leaves_the_intent_where_the_first_may_have_been_taken(may_repeat):
    """With an idempotency key the first start may have been taken; the next try sends the same key again."""
    moment = datetime(2026, 1, 1, tzinfo=UTC)
    replies = {
        life.Recall: Earlier(Event.INTENT_STORED, None, moment, key="k"),
        life.FindRuns: Found(may_repeat=may_repeat),
        life.StoreIntent: moment,
    }
    flow = LifeCycle(RunPolicy()).begin()
    effect = next(flow)
    while not isinstance(effect, life.StartRun):
        effect = flow.send(replies.get(type(effect)))
    down = ServerUnavailable("HTTP 503")
    if may_repeat:
        with pytest.raises(ServerUnavailable):
            flow.throw(down)
    else:
        assert isinstance(flow.throw(down), life.ForgetIntent)


class World:
    """The vendor's server, Airflow's run store and the task's tries, as the effects of a life cycle see them."""

    def __init__(self, policy: RunPolicy, *, can_cancel: bool, can_list: bool):
        self.policy, self.can_cancel, self.can_list = policy, can_cancel, can_list
        self.runs: dict[str, RunState] = {}  # on the server
        self.others: set[str] = set()  # runs that are not this task's
        self.stored: dict = {}
        self.by_somebody: set[str] = set()  # cancelled by a person
        self.cancelled_by_us: set[str] = set()
        self.tries, self.try_number, self.max_tries = 3, 1, 2
        self.starts = 0
        self.trouble: list[str] = []  # what the next effects meet
        self.store_is_slow = False  # the next mark of a cancel is not stored in time
        self.starts_of_series = 0
        self.replaced_by_wish = 0  # starts that a failed, a gone or a cancelled run, a clear or an edit allows
        self.is_down = False
        self.log: list[str] = []

    def run(self, run_id: str) -> Run:
        return Run("carto", "c", "w", run_id, self.runs.get(run_id, GOING), started_at=datetime(2026, 1, 1, tzinfo=UTC))


class Try:
    """One try: a life cycle, and the answers that the world gives to its effects."""

    def __init__(self, world: World, number: tuple[int, int]):
        self.world, self.number = world, number
        self.life = LifeCycle(world.policy)
        self.flow = self.life.begin()
        self.effect = None
        self.outcome: object = None
        self.pending_cancel = False
        self.advance(None)

    @property
    def is_over(self) -> bool:
        return self.outcome is not None

    def advance(self, reply, error: BaseException | None = None):
        """Answer the effect that the flow waits for, and every one that needs no decision, up to the next wait."""
        while True:
            try:
                self.effect = self.flow.throw(error) if error else self.flow.send(reply)
            except StopIteration as end:
                self.outcome = end.value
                return
            except Exception as failure:  # noqa: BLE001  # the end of the try
                self.outcome = failure
                return
            reply = error = None
            if isinstance(self.effect, life.AwaitRun):
                return
            try:
                reply = self.answer(self.effect)
            except WorkflowError as failure:
                error = failure

    def answer(self, effect):  # noqa: C901, PLR0911, PLR0912  # one branch for each effect
        world = self.world
        match effect:
            case Note():
                world.log.append(effect.text)
                return None
            case life.Recall():
                return self.recalled()
            case life.CompareParameters():
                if "wrong parameters" in world.trouble:
                    world.trouble.remove("wrong parameters")
                    raise InvalidArgument("query_parameters: wrong")
                return ""
            case life.StoreIntent():
                world.stored = {"run": None, "owner": self.number, "max_tries": world.max_tries, "cancelled": ""}
                return datetime(2026, 1, 1, tzinfo=UTC)
            case life.ForgetIntent():
                world.stored = {}
                return None
            case life.StartRun():
                return self.started()
            case life.StoreRun():
                world.stored = {
                    "run": effect.run.run_id,
                    "owner": self.number,
                    "max_tries": world.max_tries,
                    "cancelled": effect.cancelled,
                }
                return True
            case life.PollRun() | life.PollOnce():
                self.reachable()
                if effect.run.run_id not in world.runs:
                    raise WorkflowNotFound("no such run")
                return world.run(effect.run.run_id)
            case life.FindRuns():
                return self.found()
            case life.PublishRun():
                return None
            case life.OwnsRun():
                if not world.stored or world.stored["run"] != effect.run.run_id:
                    return True
                return world.stored["owner"] <= self.number
            case life.StoreCancel():
                if world.store_is_slow:
                    world.store_is_slow = False
                    return False
                if world.stored and world.stored["run"] == effect.run.run_id:
                    world.stored["cancelled"] = effect.why
                return None
            case life.CancelledByUs():
                return (
                    bool(world.stored) and world.stored["run"] == effect.run.run_id and world.stored["cancelled"] != ""
                )
            case life.CancelRun():
                return self.cancelled(effect)
            case life.NextTry():
                return world.try_number <= world.max_tries and not isinstance(
                    effect.error, (InvalidArgument, NotSupported)
                )
        raise AssertionError(effect)

    def reachable(self):
        if self.world.is_down:
            raise ServerUnavailable("HTTP 503")

    def recalled(self):
        stored = self.world.stored
        if not stored:
            return Earlier(Event.NOTHING_STORED)
        run = self.world.run(stored["run"]) if stored["run"] else None
        if run:
            run = replace(run, state=GOING)  # as it was when it was stored
        if stored["max_tries"] != self.world.max_tries:
            return Earlier(Event.CLEARED if run else Event.NOTHING_STORED, run)
        if run is None:
            return Earlier(Event.INTENT_STORED, None, datetime(2026, 1, 1, tzinfo=UTC))
        return Earlier(Event.RUN_STORED, run, cancelled=stored["cancelled"])

    def started(self):
        self.reachable()
        world = self.world
        if "start refused" in world.trouble:
            world.trouble.remove("start refused")
            raise InvalidArgument("refused")
        world.starts += 1
        run_id = f"r{world.starts}"
        lost = "start lost" in world.trouble
        if lost:
            world.trouble.remove("start lost")
        if not (lost and "and never taken" in world.trouble):
            world.runs[run_id] = GOING
        elif "and never taken" in world.trouble:
            world.trouble.remove("and never taken")
        if lost:
            raise UnknownStart("the answer is lost")
        return world.run(run_id)

    def found(self):
        if not self.world.can_list:
            raise NotSupported("no list")
        self.reachable()
        known = {self.world.stored.get("run")}
        mine = [run_id for run_id in self.world.runs if run_id not in self.world.others | known | self.world.settled]
        return Found(tuple(self.world.run(run_id) for run_id in mine), by_parameters=True)

    def cancelled(self, effect):
        world, run_id = self.world, effect.run.run_id
        if not world.can_cancel:
            return Cancelled(CancelOutcome.NOT_SUPPORTED, "the API cannot")
        if world.is_down:
            return Cancelled(CancelOutcome.UNKNOWN, "HTTP 503")
        if world.runs.get(run_id) is GOING:
            world.runs[run_id] = RunState.CANCELLED
            world.cancelled_by_us.add(run_id)
        return Cancelled(CancelOutcome.TAKEN)

    def kill(self):
        """A signal handler interrupts the flow while it waits."""
        flow, reply = self.life.kill(), None
        while True:
            try:
                effect = flow.send(reply)
            except StopIteration:
                break
            reply = self.answer(effect)
        self.advance(None, TaskStopped("killed"))


class Tries(RuleBasedStateMachine):
    """Tries of one task follow each other while people, servers and Airflow do what they do."""

    @initialize(
        can_cancel=st.booleans(),
        can_list=st.booleans(),
        cancel_on_kill=st.booleans(),
        cancel_on_timeout=st.booleans(),
        on_unknown_start=st.sampled_from(["fail", "restart"]),
    )
    def begin(self, can_cancel, can_list, cancel_on_kill, cancel_on_timeout, on_unknown_start):
        policy = RunPolicy(
            cancel_on_kill=cancel_on_kill, cancel_on_timeout=cancel_on_timeout, on_unknown_start=on_unknown_start
        )
        self.world = World(policy, can_cancel=can_cancel, can_list=can_list)
        self.world.settled = set()  # runs of lost starts that a later start has replaced by the user's choice
        self.stale: list[Try] = []  # tries that Airflow has replaced, and that do not know it
        self.current: Try | None = None
        self.task_is_over = False

    @property
    def is_waiting(self):
        return self.current is not None and not self.current.is_over

    @precondition(lambda self: not self.task_is_over and not self.is_waiting and not self.world.is_down)
    @rule(
        trouble=st.lists(
            st.sampled_from(["start lost", "and never taken", "start refused", "wrong parameters"]), max_size=2
        )
    )
    def next_try(self, trouble):
        """A worker begins a try; the server and the DAG author have prepared something for it."""
        world = self.world
        world.trouble = list(trouble)
        before = {run_id for run_id, state in world.runs.items() if state is GOING} - world.others
        self.current = Try(world, (world.max_tries, world.try_number))
        world.trouble = []
        self.concluded(before)

    @precondition(lambda self: self.is_waiting)
    @rule(end=st.sampled_from([RunState.SUCCEEDED, RunState.FAILED]))
    def run_ends(self, end):
        """The run that the task waits for comes to its end."""
        run = self.current.life.run
        if self.world.runs.get(run.run_id) is GOING:
            self.world.runs[run.run_id] = end
        self.seen()

    @precondition(lambda self: self.is_waiting)
    @rule()
    def somebody_cancels(self):
        """A person cancels the run in the vendor's page."""
        run = self.current.life.run
        if self.world.runs.get(run.run_id) is GOING:
            self.world.runs[run.run_id] = RunState.CANCELLED
            self.world.by_somebody.add(run.run_id)
        starts = self.world.starts
        self.seen()
        if run.run_id in self.world.by_somebody and not (self.world.stored or {}).get("cancelled"):
            assert self.world.starts == starts
            assert isinstance(self.current.outcome, RunCancelled)

    @precondition(lambda self: self.is_waiting)
    @rule()
    def time_is_up(self):
        """The deadline passes."""
        run = self.current.life.run
        self.current.advance(None, RunTimedOut("late", run=run))
        self.concluded(set())

    @precondition(lambda self: self.is_waiting)
    @rule(store_is_slow=st.booleans())
    def killed(self, store_is_slow):
        """Airflow kills the task."""
        self.world.store_is_slow = store_is_slow
        self.current.kill()
        run = self.current.life.run
        if self.world.can_cancel and self.world.policy.cancel_on_kill and not self.world.is_down:
            assert self.world.runs.get(run.run_id) is not GOING
        self.concluded(set())

    @precondition(lambda self: self.is_waiting)
    @rule(error=st.sampled_from([ServerUnavailable("five refusals"), RuntimeError("the disk is full")]))
    def wait_fails(self, error):
        """The wait ends in an error that says nothing about the run."""
        self.current.advance(None, error)
        self.concluded(set())

    @precondition(lambda self: self.is_waiting)
    @rule()
    def worker_dies(self):
        """The process is gone, nothing else happens."""
        self.current.flow.close()
        self.current.outcome = "gone"
        self.retry_or_over()

    @precondition(lambda self: self.is_waiting and self.world.try_number <= self.world.max_tries)
    @rule()
    def try_is_replaced(self):
        """Airflow takes the try for dead and begins another; the old process still waits."""
        self.stale.append(self.current)
        self.current = None
        self.world.try_number += 1

    @precondition(lambda self: bool(self.stale) and self.is_waiting)
    @rule()
    def stale_try_is_killed(self):
        """The replaced process is seen again and killed: the run of its successor goes on."""
        old = self.stale.pop()
        mine = self.current.life.run
        before = self.world.runs.get(mine.run_id)
        old.kill()
        if old.life.run.run_id == mine.run_id:
            assert self.world.runs.get(mine.run_id) is before

    @precondition(lambda self: not self.is_waiting)
    @rule()
    def cleared(self):
        """Somebody clears the task."""
        world = self.world
        world.max_tries = world.try_number + 2
        world.try_number += 1
        self.task_is_over = False
        self.stale = []

    @precondition(lambda self: not self.is_waiting)
    @rule()
    def server_goes_down_for_a_try(self):
        """A try meets a server that is down."""
        if self.task_is_over:
            return
        self.world.is_down = True
        self.current = Try(self.world, (self.world.max_tries, self.world.try_number))
        self.world.is_down = False
        assert self.current.is_over
        self.concluded(set())

    def seen(self):
        run = self.current.life.run
        self.current.advance(self.world.run(run.run_id))
        self.concluded(set())

    def concluded(self, before):
        if self.current.is_over:
            self.retry_or_over()

    def retry_or_over(self):
        """What Airflow does after a try: another one, or nothing."""
        outcome = self.current.outcome
        final = isinstance(outcome, (Run, InvalidArgument, NotSupported, WorkflowNotFound, life.FinalUnknownStart))
        assert not isinstance(outcome, (life.LifeCycleError, AssertionError)), outcome
        if final or self.world.try_number > self.world.max_tries:
            self.task_is_over = True
        else:
            self.world.try_number += 1

    @invariant()
    def never_two_runs(self):
        """Two runs of the task go on at the same time only where nothing could hinder it, or the user allowed it."""
        if not hasattr(self, "world"):
            return
        world = self.world
        going = [run_id for run_id, state in world.runs.items() if state is GOING]
        allowed = (
            not world.can_cancel
            or not world.policy.cancel_on_kill
            or not world.policy.cancel_on_timeout
            or not world.can_list  # a lost start that is cleared or restarted is nowhere to be found
            or world.policy.on_unknown_start == "restart"
            or bool(self.stale)
        )
        said = any("unknown" in line or "goes on" in line or "gone" in line for line in world.log)
        assert len(going) <= 1 or allowed or said, (going, world.log)

    @invariant()
    def never_orphaned(self):
        """When the task is over, no run goes on that could have been cancelled, unless the log says so."""
        if not hasattr(self, "world") or not self.task_is_over or self.is_waiting:
            return
        world = self.world
        going = [run_id for run_id, state in world.runs.items() if state is GOING]
        free = world.can_cancel and world.policy.cancel_on_kill and world.policy.cancel_on_timeout
        if free and going and isinstance(self.current.outcome, Exception):
            said = any("unknown" in line or "goes on" in line for line in world.log)
            unknown = isinstance(self.current.outcome, UnknownStart)
            assert said or unknown or self.stale, (going, world.log, self.current.outcome)

    @invariant()
    def somebodys_cancel_is_not_ours(self):
        """What a person has cancelled is never counted as our own cancel."""
        if hasattr(self, "world"):
            assert not self.world.by_somebody & self.world.cancelled_by_us


Tries.TestCase.settings = settings(
    max_examples=60, stateful_step_count=20, deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
TestTries = Tries.TestCase
