"""Items are made one ahead of their use, in a thread that ends with the reader."""

from __future__ import annotations

import threading
import time

import pytest

from airflow_workflow_provider.exceptions import ProtocolError
from airflow_workflow_provider.outputs.prefetch import prefetch
from airflow_workflow_provider.protocol.effects import Chunk, Request
from tests.outputs.serving import client, serving


def until(condition):
    """Wait for something that another thread does."""
    end = time.monotonic() + 10
    while not condition():
        assert time.monotonic() < end, "it never happened"
        time.sleep(0.005)


def threads():
    return [thread for thread in threading.enumerate() if thread.name == "airflow-workflow-prefetch"]


@pytest.mark.parametrize("depth", [0, 1, 3])
@pytest.mark.parametrize("count", [0, 1, 100])
def test_items_come_in_order_and_all_of_them(count, depth):
    assert list(prefetch(iter(range(count)), depth)) == list(range(count))
    assert not threads()


def test_nothing_is_made_before_the_first_is_asked_for():
    made = []
    waiting = prefetch(made.append(k) or k for k in range(3))
    time.sleep(0.05)
    assert made == []
    assert list(waiting) == [0, 1, 2]


@pytest.mark.parametrize("depth", [0, 1, 4])
def test_no_more_is_made_than_may_wait(depth):
    made = []
    items = prefetch((made.append(k) or k for k in range(50)), depth)
    assert next(items) == 0
    until(lambda: len(made) == depth + 2)
    time.sleep(0.05)
    assert len(made) == depth + 2
    items.close()
    assert not threads()


def test_an_error_comes_in_its_place():
    def broken():
        yield 1
        raise KeyError("here")

    items = prefetch(broken())
    assert next(items) == 1
    with pytest.raises(KeyError, match="here"):
        next(items)
    assert not threads()


@pytest.mark.parametrize("used", [0, 1])
def test_a_reader_who_goes_closes_the_source(used):
    closed = threading.Event()

    def source():
        try:
            yield from range(100)
        finally:
            closed.set()

    items = prefetch(source())
    for _ in range(used):
        next(items)
    items.close()
    assert closed.is_set() == bool(used)
    assert not threads()


def test_an_error_while_the_source_closes_is_told():
    def source():
        try:
            yield 1
        finally:
            raise OSError("not closed")

    with pytest.raises(OSError, match="not closed"):
        list(prefetch(source()))


def test_a_client_fetches_the_next_part_while_the_last_one_is_used():
    with serving() as served:
        worker = client()

        def flow():
            for number in range(3):
                yield Request("GET", f"{served.url}/{number}")
                yield Chunk(number)

        parts = worker.stream(flow())
        assert next(parts) == 0
        until(lambda: len(served.asked) == 2)  # one is used, one is in work
        assert list(parts) == [1, 2]
        worker.close()


def test_what_goes_wrong_in_a_part_reaches_the_reader():
    with serving() as served:
        worker = client()

        def flow():
            yield Chunk(1)
            yield Request("GET", f"{served.url}/x")
            raise KeyError("after the request")

        parts = worker.stream(flow())
        assert next(parts) == 1
        with pytest.raises(ProtocolError, match="KeyError"):
            next(parts)
        worker.close()
