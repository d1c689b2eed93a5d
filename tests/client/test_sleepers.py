"""Many who sleep in one event loop."""

from __future__ import annotations

import asyncio

from airflow_workflow_provider.client.start_throttle import Sleepers


async def test_who_sleeps_wakes_in_the_order_of_the_moments():
    """A shorter sleep that begins later ends earlier, and two equal ones end in the order in which they began."""
    sleepers, woken = Sleepers(), []

    async def sleep(name, seconds):
        await sleepers.pause(seconds)
        woken.append(name)

    await asyncio.gather(sleep("last", 0.1), sleep("first", 0.0), sleep("second", 0.05), sleep("third", 0.05))
    assert woken[0] == "first"
    assert woken[-1] == "last"


async def test_a_sleeper_that_was_cancelled_holds_no_other_up():
    """Others go on sleeping for their time, and new ones can sleep after the last one has gone."""
    sleepers = Sleepers()
    cancelled, other = sleepers.pause(0.01), sleepers.pause(0.03)
    cancelled.cancel()
    await asyncio.wait_for(other, 30)
    await asyncio.wait_for(sleepers.pause(0.0), 30)
    assert cancelled.cancelled()


async def test_many_sleepers_are_one_timer_of_the_loop():
    """The loop holds one timer, however many sleep: its own timers weigh more and are sorted by Python code."""
    loop, sleepers = asyncio.get_running_loop(), Sleepers()
    before = sum(not timer.cancelled() for timer in loop._scheduled)
    waiting = [sleepers.pause(60 - number / 100) for number in range(1000)]
    assert sum(not timer.cancelled() for timer in loop._scheduled) <= before + 1
    for one in waiting:
        one.cancel()
