"""The next items of an iterator, made in a thread while the last one is used."""

from __future__ import annotations

import atexit
import threading
import time
from collections.abc import Callable, Generator, Iterator
from contextlib import suppress
from queue import Empty, SimpleQueue
from typing import Any, TypeVar, cast

T = TypeVar("T")
_LONGEST_WAIT = 5.0  # seconds that a reader waits for the thread to end
_running: dict[threading.Thread, Callable[[], None]] = {}  # what ends each thread


class _End:
    """The last thing in the queue; ``error`` is what the iterator raised."""

    def __init__(self, error: BaseException | None = None) -> None:
        self.error = error


def prefetch(items: Iterator[T], depth: int = 1) -> Generator[T]:
    """Give the items in order; while one is used, the next ones are made, at most ``depth`` and the one in work.

    With a depth of 0 there are two at a time: the one in use, and the one that is made or waits.
    The thread starts with the first item and ends with the last, with an error, or when the reader closes this
    generator. It alone touches ``items``, and closes it. An error comes out where its item would have come.
    """
    made: SimpleQueue[Any] = SimpleQueue()
    room, gone = threading.Semaphore(depth + 1), threading.Event()
    maker = threading.Thread(
        target=_make, args=(items, made, room, gone), name="airflow-workflow-prefetch", daemon=True
    )

    def stop() -> None:
        gone.set()
        room.release()

    _running[maker] = stop
    maker.start()
    try:
        while not isinstance(item := made.get(), _End):
            room.release()
            yield cast("T", item)
            del item  # what is used up must not stay while the next one is awaited
        if item.error is not None:
            raise item.error
    finally:
        stop()
        with suppress(Empty):
            while True:
                made.get_nowait()
        # What is being made can hang on a slow server; the thread ends by itself when that answers.
        maker.join(_LONGEST_WAIT)


def _make(items: Iterator[Any], made: SimpleQueue[Any], room: threading.Semaphore, gone: threading.Event) -> None:
    end = _End()
    try:
        while room.acquire() and not gone.is_set() and (item := next(items, end)) is not end:
            made.put(item)
            del item
    except BaseException as error:  # noqa: BLE001 (whatever it is, the reader is to have it)
        end = _End(error)
    try:
        if hasattr(items, "close"):
            items.close()
    except BaseException as error:  # noqa: BLE001 (as above)
        end = _End(end.error or error)
    _running.pop(threading.current_thread(), None)
    made.put(end)


@atexit.register
def _end_all() -> None:
    """End the threads of readers that were left: one that comes back from native code later would abort the process."""
    deadline = time.monotonic() + _LONGEST_WAIT
    waiting = list(_running.items())
    for _, stop in waiting:
        stop()
    for thread, _ in waiting:
        thread.join(max(deadline - time.monotonic(), 0))
