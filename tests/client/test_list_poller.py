"""Many who wait for runs that one list call shows: one call an interval answers for all, and nobody is forgotten."""

from __future__ import annotations

import asyncio
import logging
from dataclasses import dataclass, field, replace

import pytest

from airflow_workflow_provider.client.list_poller import FAILURES, LEAST, STRIKES, ListPoller, Meter
from airflow_workflow_provider.client.triggerer import TriggererClient
from airflow_workflow_provider.exceptions import (
    AuthenticationFailed,
    NotSupported,
    PermissionDenied,
    ProtocolError,
    RequestRejected,
    RunTimedOut,
    ServerUnavailable,
    WorkflowNotFound,
)
from airflow_workflow_provider.protocol.connection import Transport
from airflow_workflow_provider.protocol.effects import Now, Rest, RunList, Shown
from airflow_workflow_provider.protocol.model import Run, RunState
from airflow_workflow_provider.protocol.poll import wait
from airflow_workflow_provider.protocol.retry import Retry
from tests.client.driving import Notes

INTERVAL = 0.05  # seconds
MANY = 20


@dataclass
class Server:
    """Runs that end when the test says so, and a list of them that can be out of order."""

    ended: set[str] = field(default_factory=set)
    hidden: set[str] = field(default_factory=set)
    failure: Exception | None = None
    failures: int = 10**6
    rows: int = 0
    is_whole: bool = True
    gate: asyncio.Event | None = None
    looks: list[str] = field(default_factory=list)
    lists: list[set[str]] = field(default_factory=list)

    def look(self, run):
        """Look at one run."""
        yield Now()
        self.looks.append(run.run_id)
        return replace(run, state=RunState.SUCCEEDED if run.run_id in self.ended else RunState.RUNNING)

    def ask(self, workflow, wanted):
        """Ask for the list."""
        yield Now()
        self.lists.append(set(wanted))
        if self.failure and len(self.lists) <= self.failures:
            raise self.failure
        shown = set(wanted) - self.hidden
        return Shown(shown - self.ended, shown & self.ended, self.rows or len(shown), is_whole=self.is_whole)

    def flow(self, name, workflow="wf", **more):
        """The wait for one run."""
        more = {"poll_interval": INTERVAL, "watch": Retry(base=0.01, cap=0.01), **more}
        run = Run("stevesie", "c", workflow, name, RunState.RUNNING)
        return wait(self.look, run, run_list=RunList(workflow, self.ask), **more)


@dataclass
class Crowd:
    """Those who wait for the runs of a server in one client."""

    client: TriggererClient
    server: Server
    noted: list[str]
    tasks: dict[str, asyncio.Task[Run]] = field(default_factory=dict)

    def come(self, count=MANY, **more):
        """Let so many begin to wait."""
        for number in range(count):
            name = f"run{number}"
            self.tasks[name] = asyncio.create_task(self.client.run(self.server.flow(name, **more)))

    async def until(self, condition):
        """Wait until something is so."""
        async with asyncio.timeout(10):
            while not condition():  # noqa: ASYNC110  # it has no event
                await asyncio.sleep(0.005)

    async def listed(self, more=3):
        """Wait for so many more list calls."""
        goal = len(self.server.lists) + more
        await self.until(lambda: len(self.server.lists) >= goal)

    async def all_end(self):
        """Let every run end, and give how the waits ended."""
        self.server.ended |= set(self.tasks)
        async with asyncio.timeout(10):
            return [run.state.value for run in await asyncio.gather(*self.tasks.values())]


@pytest.fixture
async def crowd():
    """A crowd that has not come yet."""
    noted: list[str] = []
    logger = logging.Logger("crowd")  # noqa: LOG001  # nobody else is to find it
    logger.addHandler(Notes(noted))
    async with TriggererClient(Transport(), logger=logger) as client:
        made = Crowd(client, Server(), noted)
        yield made
        for task in made.tasks.values():
            task.cancel()
        await asyncio.gather(*made.tasks.values(), return_exceptions=True)


async def test_one_list_call_an_interval_answers_for_all(crowd):
    crowd.come()
    await crowd.listed(2)
    crowd.server.looks.clear()
    await crowd.listed(4)
    assert crowd.server.looks == []
    assert crowd.client.meter.requests_saved >= 4 * (MANY - LEAST)
    assert await crowd.all_end() == ["succeeded"] * MANY


async def test_who_comes_into_a_crowd_is_not_looked_at_alone_at_first(crowd):
    crowd.come()
    await crowd.listed()
    assert len(crowd.server.looks) < 2 * LEAST


async def test_only_the_run_that_has_ended_is_looked_at(crowd):
    crowd.come()
    await crowd.listed(2)
    crowd.server.looks.clear()
    crowd.server.ended.add("run7")
    assert (await crowd.tasks["run7"]).state is RunState.SUCCEEDED
    assert crowd.server.looks == ["run7"]


async def test_few_ask_for_themselves(crowd):
    crowd.come(LEAST - 1)
    await crowd.until(lambda: len(crowd.server.looks) > 10)
    assert crowd.server.lists == []


async def test_when_the_crowd_has_gone_the_rest_ask_for_themselves(crowd):
    crowd.come()
    await crowd.listed()
    left = ["run0", "run1"]
    crowd.server.ended |= set(crowd.tasks) - set(left)
    await crowd.until(lambda: sum(task.done() for task in crowd.tasks.values()) == MANY - len(left))
    await crowd.until(lambda: len(crowd.server.looks) > MANY + 10)
    lists = len(crowd.server.lists)
    await crowd.until(lambda: len(crowd.server.looks) > MANY + 20)
    assert len(crowd.server.lists) == lists
    assert set(await crowd.all_end()) == {"succeeded"}


async def test_runs_of_other_workflows_are_none_of_its_business(crowd):
    for number in range(MANY):
        crowd.tasks[f"run{number}"] = asyncio.create_task(
            crowd.client.run(crowd.server.flow(f"run{number}", workflow=f"wf{number}"))
        )
    await crowd.until(lambda: len(crowd.server.looks) > 3 * MANY)
    assert crowd.server.lists == []


async def test_a_run_that_the_list_does_not_show_is_asked_for_alone(crowd):
    crowd.server.hidden = {"run3"}
    crowd.come()
    await crowd.until(lambda: crowd.server.looks.count("run3") > 5)
    assert crowd.server.looks.count("run4") <= 2
    assert "run3" not in crowd.server.lists[-1]
    assert set(await crowd.all_end()) == {"succeeded"}


async def test_a_list_that_shows_none_of_the_runs_is_given_up(crowd):
    crowd.server.hidden = {f"run{number}" for number in range(MANY)}
    crowd.come()
    await crowd.until(lambda: len(crowd.server.looks) > 6 * MANY)
    assert len(crowd.server.lists) <= 4
    assert sum("one by one" in line for line in crowd.noted) == 1
    assert set(await crowd.all_end()) == {"succeeded"}


async def test_a_list_that_was_not_read_to_its_end_is_asked_again_for_newer_runs(crowd):
    crowd.server.hidden = {f"run{number}" for number in range(MANY)}  # older than what was read
    crowd.server.is_whole = False
    crowd.come()
    await crowd.until(lambda: len(crowd.server.looks) > 6 * MANY)
    old, lists = set(crowd.tasks), len(crowd.server.lists)
    crowd.tasks |= {
        f"new{number}": asyncio.create_task(crowd.client.run(crowd.server.flow(f"new{number}")))
        for number in range(MANY)
    }
    await crowd.listed(3)
    assert all(not wanted & old for wanted in crowd.server.lists[lists:])
    assert crowd.noted == []
    assert set(await crowd.all_end()) == {"succeeded"}


@pytest.mark.parametrize(
    "refusal",
    [
        WorkflowNotFound("HTTP 404", status=404),
        PermissionDenied("HTTP 403", status=403),
        RequestRejected("HTTP 405", status=405),
        ServerUnavailable("HTTP 501", status=501),
        NotSupported("the answer is no list"),
    ],
    ids=repr,
)
async def test_a_server_that_refuses_the_list_is_asked_once_and_it_is_logged_once(crowd, refusal):
    crowd.server.failure = refusal
    crowd.come()
    await crowd.until(lambda: len(crowd.server.looks) > 5 * MANY)
    assert len(crowd.server.lists) == 1
    (line,) = crowd.noted
    assert "one by one" in line
    assert str(refusal) in line
    assert set(await crowd.all_end()) == {"succeeded"}


@pytest.mark.parametrize("error", [ServerUnavailable("HTTP 503"), ProtocolError("an HTML page")], ids=repr)
async def test_a_list_call_that_fails_once_is_forgiven(crowd, error):
    crowd.server.failure, crowd.server.failures = error, 1
    crowd.come()
    await crowd.listed(4)
    assert crowd.noted == []
    assert len(crowd.server.looks) < MANY
    assert set(await crowd.all_end()) == {"succeeded"}


async def test_while_the_list_alone_fails_the_runs_are_looked_at_all_the_same(crowd):
    """A server whose list is broken, and nothing else: in the end it is left alone."""
    crowd.server.failure = ServerUnavailable("HTTP 503")
    crowd.come()
    await crowd.until(lambda: any("one by one" in line for line in crowd.noted))
    assert STRIKES <= len(crowd.server.lists) <= 3 * STRIKES
    lists = len(crowd.server.lists)
    await crowd.until(lambda: len(crowd.server.looks) > 10 * MANY)
    assert len(crowd.server.lists) == lists
    assert set(await crowd.all_end()) == {"succeeded"}


async def test_refused_credentials_are_left_to_the_patience_of_each_wait(crowd):
    crowd.server.failure, crowd.server.failures = AuthenticationFailed("HTTP 401", status=401), 2
    crowd.come()
    await crowd.listed(4)
    assert crowd.noted == []
    assert set(await crowd.all_end()) == {"succeeded"}


async def test_a_list_much_longer_than_the_crowd_is_not_asked_for_again(crowd):
    crowd.server.rows = 100_000
    crowd.come()
    await crowd.until(lambda: len(crowd.server.looks) > 5 * MANY)
    assert len(crowd.server.lists) == 1
    assert set(await crowd.all_end()) == {"succeeded"}


async def test_a_deadline_ends_the_wait_of_one_in_a_crowd(crowd):
    """It is looked at a last time, whatever the list says."""
    crowd.come()
    task = asyncio.create_task(crowd.client.run(crowd.server.flow("late", deadline=crowd.client._now() + 0.2)))
    with pytest.raises(RunTimedOut):
        await task
    assert crowd.server.looks[-1] == "late" or "late" in crowd.server.looks
    assert set(await crowd.all_end()) == {"succeeded"}


async def test_one_that_is_cancelled_disturbs_nobody(crowd):
    crowd.come()
    await crowd.listed(2)
    cancelled = crowd.tasks.pop("run5")
    cancelled.cancel()
    await crowd.listed(2)
    assert cancelled.cancelled()
    assert "run5" not in crowd.server.lists[-1]
    assert set(await crowd.all_end()) == {"succeeded"}


async def test_two_who_wait_for_the_same_run_both_see_its_end(crowd):
    crowd.come()
    twin = asyncio.create_task(crowd.client.run(crowd.server.flow("run5")))
    await crowd.listed(2)
    assert set(await crowd.all_end()) == {"succeeded"}
    assert (await twin).state is RunState.SUCCEEDED


async def test_while_the_server_is_to_be_left_alone_the_crowd_stays_together(crowd):
    """Nothing was sent, since the server had asked all for a pause: that says nothing of its list."""
    crowd.server.failure, crowd.server.failures = ServerUnavailable("not asked", retry_after=0.01), FAILURES
    crowd.come()
    await crowd.listed(FAILURES + 2)
    assert crowd.server.looks == ["run0", "run1"]  # before there was a crowd
    assert crowd.noted == []
    assert set(await crowd.all_end()) == {"succeeded"}


class Lists:
    """A group of its own, whose list calls take a while and show every run as going."""

    def __init__(self, seconds):
        self.seconds, self.asked = seconds, []
        self.group = ListPoller(RunList("wf", self.ask), self.drive, print, Meter(), lambda: LEAST)

    def ask(self, workflow, wanted):
        """Give what is driven."""
        return set(wanted)

    async def drive(self, wanted):
        """Ask for the list."""
        self.asked.append(wanted)
        await asyncio.sleep(self.seconds)
        return Shown(wanted, set(), len(wanted))

    def park(self, name, seconds, longest=None):
        """Begin to wait."""
        return asyncio.create_task(self.group.park(Rest(seconds, name, RunList("wf", self.ask), 0.02, longest)))

    async def see(self, name):
        """Wait until a list call has asked for this run."""
        async with asyncio.timeout(5):
            while not any(name in wanted for wanted in self.asked):  # noqa: ASYNC110  # it has no event
                await asyncio.sleep(0.005)


async def test_a_list_call_that_is_cancelled_before_it_begins_is_not_the_last():
    """The only one leaves, at its deadline, in the moment in which the list is due."""
    lists = Lists(0.0)
    for _ in range(20):
        await lists.park("A", 0.01, longest=0.01)
    await asyncio.sleep(0.03)
    assert lists.group.is_idle
    waiting = lists.park("B", 0.01)
    await lists.see("B")
    waiting.cancel()


async def test_who_comes_in_the_moment_in_which_the_last_one_leaves_is_not_forgotten():
    lists = Lists(0.05)
    first = lists.park("A", 0.0)
    await lists.see("A")
    first.cancel()
    waiting = lists.park("B", 0.01)
    await lists.see("B")
    waiting.cancel()


async def test_when_all_have_gone_nothing_is_left(crowd):
    crowd.come()
    await crowd.listed(2)
    await crowd.all_end()
    lists = len(crowd.server.lists)
    await asyncio.sleep(3 * INTERVAL)
    assert len(crowd.server.lists) == lists
    assert crowd.client._pollers.is_idle
