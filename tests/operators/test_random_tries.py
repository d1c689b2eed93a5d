"""Random tries of a task: whatever happens at whichever moment, the promises about its runs hold.

Never do two runs of a task go on by mistake, none is left that could be cancelled, and no other task's run is polled,
taken over or cancelled. `World` raises `Broken` where one of these is broken.
"""

from __future__ import annotations

import json
import os

import pytest
from hypothesis import HealthCheck, given, note, settings
from hypothesis import strategies as st

from airflow_workflow_provider.exceptions import RunCancelled, ServerUnavailable, TaskStopped, UnknownStart
from airflow_workflow_provider.protocol.model import RunState
from airflow_workflow_provider.systems import registry
from tests.operators.memory_world import KEY, POINTS, WHILE_DEFERRED, Broken, World

ENDS = (RunState.SUCCEEDED, RunState.SUCCEEDED, RunState.FAILED, RunState.CANCELLED)
EXAMPLES = int(os.environ.get("RANDOM_TRIES", "250"))


@pytest.fixture(scope="module", autouse=True)
def memory_system(tmp_path_factory):
    """Install the system as a distribution of its own, with two connections."""
    folder = tmp_path_factory.mktemp("memory")
    info = folder / "memory_system-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: memory-system\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(f"[{registry.GROUP}]\n{KEY} = tests.operators.memory_world:MemorySystem\n")
    patch = pytest.MonkeyPatch()
    patch.syspath_prepend(str(folder))
    registry.registered.cache_clear()
    for name in ("A", "B"):
        patch.setenv(f"AIRFLOW_CONN_MEMORY_{name}", json.dumps({"conn_type": KEY, "host": "https://memory"}))
    yield
    patch.undo()
    registry.registered.cache_clear()
    registry._loaded.pop((KEY, "tests.operators.memory_world:MemorySystem"), None)


def world_of(*fates, **more):
    """A world in which everything works, but for what is given."""
    policy = {"reattach": True, "on_unknown_start": "fail", "cancel_on_kill": True, "cancel_on_timeout": True}
    given = {"is_deferrable": False, "can_cancel": True, "can_list": True, "lists_parameters": True, "is_alone": True}
    return World(policy=policy, fates=list(fates), **{**given, **more})


def states(world):
    """The states of all runs, oldest first."""
    return [job.state.value for job in world.jobs.values()]


GOES_ON = (99, RunState.SUCCEEDED)
worlds = st.builds(
    World,
    policy=st.fixed_dictionaries(
        {
            "reattach": st.sampled_from([True, True, True, False]),
            "on_unknown_start": st.sampled_from(["fail", "fail", "restart"]),
            "cancel_on_kill": st.sampled_from([True, True, True, False]),
            "cancel_on_timeout": st.sampled_from([True, True, False]),
        }
    ),
    is_deferrable=st.booleans(),
    can_cancel=st.sampled_from([True, True, True, False]),
    can_list=st.booleans(),
    lists_parameters=st.booleans(),
    is_alone=st.booleans(),
    fates=st.lists(st.tuples(st.integers(1, 4), st.sampled_from(ENDS)), max_size=4),
)
events = st.sampled_from([(point, what) for point, every in POINTS.items() for what in every])
# Every other try ends so that its run goes on.
LEFT = (
    {("poll", 1): "die"},
    {("xcom", 2): "breaks"},
    {("start", 1): "lost"},
    {("recall", 3): "die"},
    {("store", 2): "breaks", ("xcom", 2): "breaks"},
    {("store", number): "breaks" for number in range(2, 6)} | {("xcom", 2): "breaks"},
)
plans = st.sampled_from(LEFT).map(dict) | st.lists(st.tuples(events, st.integers(1, 4)), max_size=3).map(
    lambda found: {(point, number): what for (point, what), number in found}
)
CHANGES = ("", "", "", "workflow", "connection", "parameters", "version", "parameters and version")
tries = st.tuples(
    plans,
    st.sampled_from(WHILE_DEFERRED),
    st.sampled_from([*CHANGES, "fails before execute"]),
    st.sampled_from(["", "another task"]),
    st.sampled_from([False, False, True]),
)


@settings(
    max_examples=EXAMPLES,
    deadline=None,
    suppress_health_check=list(HealthCheck),
    derandomize="RANDOM_TRIES" not in os.environ,
)
@given(world=worlds, every=st.lists(tries, min_size=1, max_size=5))
def test_the_promises_hold_for_every_order_of_events(world, every):
    """A try follows the other as Airflow makes them; between two of them the DAG file may change."""
    try:
        for index, (plan, while_deferred, change, other, is_cleared) in enumerate(every):
            if world.is_over and not is_cleared:
                break
            if index and is_cleared:  # also a task that waits for its next try
                world.clear()
            if index and change:
                world.edit(change)
            if other and (world.lists_parameters or not world.is_alone):
                world.other_task_starts(same_parameters=False)
            world.begin(plan, while_deferred=while_deferred, is_broken=change == "fails before execute")
    except Broken as error:  # an error that hypothesis can make shorter
        raise AssertionError(str(error)) from error
    finally:
        note("\n".join(world.told))
        note(str(vars(world.asked)))
        note("\n".join(map(str, world.jobs.values())))


def test_a_cancel_that_is_refused_is_no_cancel_of_the_tasks_own():
    """Who cancels the run later is somebody else, and the next try starts no other run."""
    world = world_of(GOES_ON)
    world.begin({("xcom", 1): "kill", ("cancel", 1): "refused"})
    assert states(world) == ["running"]
    world.begin({("poll", 1): "somebody cancels"})
    assert isinstance(world.outcomes[-1], RunCancelled)
    assert len(world.jobs) == 1


def test_a_cancel_that_the_api_cannot_do_is_no_cancel_of_the_tasks_own():
    world = world_of(GOES_ON, can_cancel=False)
    world.begin({("xcom", 1): "kill"})
    world.begin({("poll", 1): "somebody cancels"})
    assert isinstance(world.outcomes[-1], RunCancelled)


def test_a_kill_while_a_failed_try_looks_for_its_successor_cancels_the_run():
    world = world_of(GOES_ON)
    world.begin({("xcom", 2): "breaks", ("recall", 4): "kill for good"})
    assert states(world) == ["cancelled"]
    assert "breaks" in world.told[0]


@pytest.mark.parametrize("lists_parameters", [True, False])
def test_a_lost_start_is_not_a_run_that_the_task_had_before(lists_parameters):
    """A quick try has failed within the minute by which clocks may differ, and its list shows it."""
    world = world_of((1, RunState.FAILED), GOES_ON, lists_parameters=lists_parameters)
    world.begin({})
    world.begin({("start", 1): "lost", ("poll", 1): "run succeeds"})
    assert world.outcomes[-1]["run_id"] == "r2"
    assert states(world) == ["failed", "succeeded"]


def test_a_refused_start_does_not_forget_the_runs_that_the_task_had_before():
    world = world_of((1, RunState.FAILED), lists_parameters=False)
    world.begin({})
    world.begin({("store", 2): "down"})
    assert isinstance(world.outcomes[-1], ServerUnavailable)
    world.begin({("start", 1): "lost and not taken"})
    assert world.outcomes[-1]["run_id"] == "r2"


def test_the_lost_start_of_an_earlier_version_of_the_dag_is_an_old_request():
    """With other parameters in another version, its run is cancelled, and the try starts its own."""
    world = world_of(GOES_ON)
    world.begin({("recall", 3): "die"})
    world.edit("parameters and version")
    world.begin({})
    assert world.outcomes[-1]["run_id"] == "r2"
    assert states(world) == ["cancelled", "succeeded"]


def test_the_lost_start_of_an_earlier_try_that_has_failed_is_followed_by_another():
    world = world_of((1, RunState.FAILED))
    world.begin({("recall", 3): "die"})
    world.begin({})
    assert states(world) == ["failed", "succeeded"]


def test_one_of_two_runs_that_fit_a_lost_start_is_not_adopted():
    """The other one is another task's, with the same parameters."""
    world = world_of(GOES_ON)
    world.other_task_starts(same_parameters=True)
    world.begin({("start", 1): "lost"})
    assert isinstance(world.outcomes[-1], UnknownStart)
    assert states(world) == ["running", "running"]


def test_a_list_without_parameters_tells_nothing_while_other_dag_runs_go_on():
    world = world_of(lists_parameters=False, is_alone=False)
    world.other_task_starts(same_parameters=True)
    world.begin({("start", 1): "lost and not taken"})
    assert isinstance(world.outcomes[-1], UnknownStart)


def test_a_run_that_could_not_be_stored_at_first_is_stored_for_the_next_try():
    world = world_of(GOES_ON, can_list=False)
    world.begin({("store", 2): "breaks", ("xcom", 2): "breaks"})
    world.begin({("poll", 2): "run succeeds"})
    assert world.outcomes[-1]["run_id"] == "r1"


def test_a_run_that_can_never_be_stored_is_cancelled_when_its_try_ends():
    world = world_of(GOES_ON, can_list=False)
    world.begin({("store", number): "breaks" for number in range(2, 9)} | {("xcom", 2): "breaks"})
    assert states(world) == ["cancelled"]


def test_a_run_that_can_neither_be_stored_nor_found_nor_cancelled_is_left_beside_another():
    """The user forbids the cancel, and wants another run where it is unknown whether there is one."""
    world = world_of(GOES_ON, can_list=False)
    world.policy |= {"cancel_on_kill": False, "on_unknown_start": "restart"}
    world.begin({("store", number): "breaks" for number in range(2, 9)} | {("xcom", 2): "breaks"})
    world.begin({})
    assert states(world) == ["running", "succeeded"]


def test_a_run_that_cannot_be_stored_and_must_not_be_cancelled_is_found_where_the_api_lists_runs():
    world = world_of(GOES_ON)
    world.policy |= {"cancel_on_kill": False, "on_unknown_start": "restart"}
    world.begin({("store", number): "breaks" for number in range(2, 9)} | {("xcom", 2): "breaks"})
    world.begin({("poll", 2): "run succeeds"})
    assert states(world) == ["succeeded"]


def test_a_clear_does_not_cancel_where_that_is_forbidden():
    world = world_of(GOES_ON)
    world.policy |= {"cancel_on_kill": False, "cancel_on_timeout": False}
    world.begin({("poll", 1): "die"})
    world.clear()
    world.begin({})
    assert states(world) == ["running", "succeeded"]


def test_a_clear_cancels_a_run_that_one_poll_does_not_find():
    world = world_of(GOES_ON)
    world.begin({("poll", 1): "die"})
    world.clear()
    world.begin({("poll", 1): "unknown"})
    assert states(world) == ["cancelled", "succeeded"]


def test_a_clear_cancels_the_run_of_a_start_that_was_not_stored():
    """The worker died between the answer and the store; the run store holds only the intent."""
    world = world_of(GOES_ON)
    world.begin({("store", 2): "die"})
    world.clear()
    world.begin({("start", 1): "lost and not taken"})
    assert states(world) == ["cancelled", "succeeded"]


@pytest.mark.parametrize("change", ["workflow", "clear", "parameters and version"])
@pytest.mark.parametrize("point", [1, 2, 3])
def test_a_kill_while_the_run_of_an_old_request_is_recalled_cancels_it(change, point):
    """No try follows that would look after it."""
    world = world_of(GOES_ON)
    world.begin({("poll", 1): "die"})
    if change == "clear":
        world.clear()
    else:
        world.edit(change)
    world.begin({("recall", point): "kill for good"})
    assert "running" not in states(world)


@pytest.mark.parametrize("is_cleared", [True, False])
def test_a_kill_while_a_try_that_cannot_begin_looks_for_runs_cancels_them(is_cleared):
    world = world_of(GOES_ON)
    world.begin({("poll", 1): "die"})
    if is_cleared:
        world.clear()
    world.begin({("recall", 1): "kill for good"}, is_broken=True)
    assert states(world) == ["cancelled"]


def test_a_lost_start_after_a_clear_is_not_a_run_of_before_that_was_never_stored():
    world = world_of(GOES_ON, (1, RunState.SUCCEEDED))
    world.policy["on_unknown_start"] = "restart"
    world.begin({("store", number): "breaks" for number in range(2, 6)} | {("xcom", 2): "breaks"})
    world.clear()
    world.begin({("start", 1): "lost"})
    assert states(world) == ["cancelled", "succeeded"]


def test_a_task_that_is_killed_before_it_defers_does_not_defer():
    world = world_of(GOES_ON, is_deferrable=True)
    world.begin({("xcom", 1): "kill", ("poll", 1): "unknown"})
    assert isinstance(world.outcomes[-1], TaskStopped)
    assert states(world) == ["cancelled"]


def test_a_clear_leaves_a_run_alone_that_may_be_another_tasks():
    world = world_of(GOES_ON)
    world.begin({("store", 2): "die"})
    world.other_task_starts(same_parameters=True)
    world.clear()
    world.begin({})
    assert states(world) == ["running", "running", "succeeded"]


def test_a_retry_that_must_not_take_a_run_over_starts_its_own():
    world = world_of(GOES_ON)
    world.policy["reattach"] = False
    world.begin({("poll", 1): "die"})
    world.begin({})
    assert world.outcomes[-1]["run_id"] == "r2"


def test_a_try_that_is_replaced_while_it_polls_the_old_run_starts_nothing():
    world = world_of((1, RunState.FAILED), GOES_ON)
    world.begin({})
    world.begin({("poll", 1): "supersede"})
    assert len(world.jobs) == 2


def test_a_try_that_is_replaced_while_it_starts_does_not_hide_the_run_of_its_successor():
    """It stores its own run nowhere, and cancels it when it is killed."""
    world = world_of(GOES_ON, GOES_ON, lists_parameters=False, can_list=False)
    world.policy["on_unknown_start"] = "restart"
    world.begin({("start", 1): "supersede"})
    assert states(world) == ["succeeded", "cancelled"]
    assert world.store.holds("r1")


def test_a_run_whose_listed_id_holds_a_secret_is_not_adopted():
    """No poll would find it. Whether it is the lost start's is unknown."""
    world = world_of(GOES_ON)
    world.prefix, world.secrets = "token-0123456789-", ("token-0123456789",)
    world.begin({("start", 1): "lost"})
    assert isinstance(world.outcomes[-1], UnknownStart)
    assert len(world.jobs) == 1


@pytest.mark.parametrize("what", ["kill", "kill for good"])
def test_a_kill_while_a_failed_pre_execute_is_looked_into_cancels_the_run(what):
    world = world_of(GOES_ON)
    world.begin({("poll", 1): "die"})
    world.begin({("recall", 1): what}, is_broken=True)
    assert states(world) == ["cancelled"]
