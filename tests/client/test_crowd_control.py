"""A crowd takes turns: at the beginning, and at the server's door."""

from __future__ import annotations

import asyncio

import pytest

from airflow_workflow_provider.client.gate import MAX_IN_FLIGHT, Gate, gate_to
from airflow_workflow_provider.client.pause import pause
from airflow_workflow_provider.client.turns import AT_ONCE, turn


async def test_who_comes_alone_does_not_wait():
    task = asyncio.create_task(turn())
    await asyncio.sleep(0)
    assert task.done()


async def test_a_crowd_begins_some_at_a_time_and_in_order():
    begun: list[int] = []

    async def one(number):
        await turn()
        begun.append(number)

    tasks = [asyncio.create_task(one(number)) for number in range(5 * AT_ONCE)]
    await asyncio.sleep(0)
    assert len(begun) <= AT_ONCE
    await asyncio.gather(*tasks)
    assert begun == list(range(5 * AT_ONCE))


async def test_one_who_leaves_the_queue_does_not_stop_it():
    tasks = [asyncio.create_task(turn()) for _ in range(5 * AT_ONCE)]
    await asyncio.sleep(0)
    for task in tasks[AT_ONCE : 2 * AT_ONCE]:
        task.cancel()
    outcomes = await asyncio.gather(*tasks, return_exceptions=True)
    assert sum(outcome is None for outcome in outcomes) == 4 * AT_ONCE


async def test_a_pause_ends_after_its_time_and_not_before():
    loop = asyncio.get_running_loop()
    began = loop.time()
    await pause(0.03)
    assert loop.time() >= began + 0.03


async def test_a_pause_that_is_cancelled_is_harmless_when_its_time_has_come():
    failures = []
    asyncio.get_running_loop().set_exception_handler(lambda loop, context: failures.append(context))
    sleeper = asyncio.ensure_future(pause(0.01))
    await asyncio.sleep(0)
    sleeper.cancel()
    await asyncio.sleep(0.05)
    assert (sleeper.cancelled(), failures) == (True, [])


async def passing(gate, seen, hold, **more):
    """Go through a gate, and tell how many are inside."""
    if not gate.entered():
        await gate.enter(**more)
    try:
        seen.append(1)
        await hold.wait()
    finally:
        gate.leave()


async def test_so_many_are_inside_at_a_time():
    gate, seen, hold = Gate(3), [], asyncio.Event()
    tasks = [asyncio.create_task(passing(gate, seen, hold)) for _ in range(10)]
    await asyncio.sleep(0)
    assert len(seen) == 3
    hold.set()
    await asyncio.gather(*tasks)
    assert len(seen) == 10
    assert [gate.entered() for _ in range(4)] == [True, True, True, False]


async def test_who_is_urgent_is_the_next():
    gate, order, hold = Gate(1), [], asyncio.Event()

    async def named(name, **more):
        if not gate.entered():
            await gate.enter(**more)
        order.append(name)
        await hold.wait()
        gate.leave()

    tasks = [asyncio.create_task(named(name)) for name in "abc"]
    await asyncio.sleep(0)
    tasks.append(asyncio.create_task(named("urgent", urgent=True)))
    await asyncio.sleep(0)
    hold.set()
    await asyncio.gather(*tasks)
    assert order == ["a", "urgent", "b", "c"]


@pytest.mark.parametrize("given", [False, True])
async def test_a_place_is_not_lost_with_one_who_is_cancelled(given):
    gate = Gate(1)
    assert gate.entered()
    waiting = asyncio.create_task(gate.enter())
    await asyncio.sleep(0)
    if given:
        gate.leave()  # it has the place, and is cancelled before it can use it
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    if not given:
        gate.leave()
    assert gate.entered()


async def test_all_clients_of_a_loop_share_the_gate_to_a_server():
    assert gate_to("https://one") is gate_to("https://one")
    assert gate_to("https://one") is not gate_to("https://two")
    assert sum(gate_to("https://one").entered() for _ in range(MAX_IN_FLIGHT + 5)) == MAX_IN_FLIGHT
