"""A crowd takes turns: at the beginning, and at the server's door."""

from __future__ import annotations

import asyncio

import pytest

from airflow_workflow_provider.client.request_limiter import MAX_IN_FLIGHT, RequestLimiter, limiter_of
from airflow_workflow_provider.client.start_throttle import AT_ONCE, pause, throttle


async def test_who_comes_alone_does_not_wait():
    task = asyncio.create_task(throttle())
    await asyncio.sleep(0)
    assert task.done()


async def test_a_crowd_begins_some_at_a_time_and_in_order():
    begun: list[int] = []

    async def one(number):
        await throttle()
        begun.append(number)

    tasks = [asyncio.create_task(one(number)) for number in range(5 * AT_ONCE)]
    await asyncio.sleep(0)
    assert len(begun) <= AT_ONCE
    await asyncio.gather(*tasks)
    assert begun == list(range(5 * AT_ONCE))


async def test_one_who_leaves_the_queue_does_not_stop_it():
    tasks = [asyncio.create_task(throttle()) for _ in range(5 * AT_ONCE)]
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


def lane(places):
    """The places of the only connection to a server."""
    return RequestLimiter(each=places).lane("c")


async def passing(place, seen, hold, **more):
    """Go through a place, and tell how many are inside."""
    if not place.entered():
        await place.enter(**more)
    try:
        seen.append(1)
        await hold.wait()
    finally:
        place.leave()


async def test_so_many_are_inside_at_a_time():
    place, seen, hold = lane(3), [], asyncio.Event()
    tasks = [asyncio.create_task(passing(place, seen, hold)) for _ in range(10)]
    await asyncio.sleep(0)
    assert len(seen) == 3
    hold.set()
    await asyncio.gather(*tasks)
    assert len(seen) == 10
    assert [place.entered() for _ in range(4)] == [True, True, True, False]


async def test_who_is_urgent_is_the_next():
    place, order, hold = lane(1), [], asyncio.Event()

    async def named(name, **more):
        if not place.entered():
            await place.enter(**more)
        order.append(name)
        await hold.wait()
        place.leave()

    tasks = [asyncio.create_task(named(name)) for name in "abc"]
    await asyncio.sleep(0)
    tasks.append(asyncio.create_task(named("urgent", urgent=True)))
    await asyncio.sleep(0)
    hold.set()
    await asyncio.gather(*tasks)
    assert order == ["a", "urgent", "b", "c"]


@pytest.mark.parametrize("given", [False, True])
async def test_a_place_is_not_lost_with_one_who_is_cancelled(given):
    place = lane(1)
    assert place.entered()
    waiting = asyncio.create_task(place.enter())
    await asyncio.sleep(0)
    if given:
        place.leave()  # it has the place, and is cancelled before it can use it
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    if not given:
        place.leave()
    assert place.entered()


async def test_all_clients_of_a_loop_share_the_limiter_of_a_server():
    assert limiter_of("https://one") is limiter_of("https://one")
    assert limiter_of("https://one") is not limiter_of("https://two")
    place = limiter_of("https://one").lane("c")
    assert place is limiter_of("https://one").lane("c")
    assert sum(place.entered() for _ in range(MAX_IN_FLIGHT + 5)) == MAX_IN_FLIGHT


async def test_a_connection_whose_requests_hang_leaves_places_to_the_others():
    """Even where the server has no place left, every connection may send some requests."""
    limiter = RequestLimiter(total=6, each=4, certain=2)
    assert [sum(limiter.lane(name).entered() for _ in range(9)) for name in "abcd"] == [4, 2, 2, 2]


async def test_who_waits_is_served_in_turn_connection_by_connection():
    """A connection with many waiters does not come before one with a single one."""
    limiter, order = RequestLimiter(total=2, each=2, certain=0), []
    full = limiter.lane("full")
    assert full.entered()
    assert full.entered()

    async def one(name):
        place = limiter.lane(name)
        await place.enter()
        order.append(name)
        await asyncio.sleep(0)
        place.leave()

    tasks = [asyncio.create_task(one(name)) for name in "aaaaab"]
    await asyncio.sleep(0)
    full.leave()
    full.leave()
    await asyncio.gather(*tasks)
    assert "b" in order[:3]
    assert limiter.in_flight == 0
