"""The next items of an iterator, made in a thread while the last one is used."""

from __future__ import annotations

import threading
from collections.abc import Generator, Iterator
from contextlib import suppress
from queue import Empty, SimpleQueue
from typing import Any, TypeVar, cast

T = TypeVar("T")
_PATIENCE = 5.0  # seconds that a reader who goes waits for what is being made


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
    maker.start()
    try:
        while not isinstance(item := made.get(), _End):
            room.release()
            yield cast("T", item)
            del item  # what is used up must not stay while the next one is awaited
        if item.error is not None:
            raise item.error
    finally:
        gone.set()
        room.release()
        with suppress(Empty):
            while True:
                made.get_nowait()
        # What is being made can hang on a slow server; the thread ends by itself when that answers.
        maker.join(_PATIENCE)


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
    made.put(end)
