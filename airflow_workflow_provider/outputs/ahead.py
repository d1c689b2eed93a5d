"""The next items of an iterator, made in a thread while the last one is used."""

from __future__ import annotations

import threading
from collections.abc import Generator, Iterator
from contextlib import suppress
from queue import Empty, Full, Queue
from typing import Any, TypeVar, cast

T = TypeVar("T")
_LOOK = 0.1  # seconds between two looks whether the reader has gone
_PATIENCE = 5.0  # seconds that a reader who goes waits for what is being made


class _End:
    """The last thing in the queue; ``error`` is what the iterator raised."""

    def __init__(self, error: BaseException | None = None) -> None:
        self.error = error


def ahead(items: Iterator[T], depth: int = 1) -> Generator[T]:
    """Give the items in order; while one is used, the next ones are made, at most ``depth`` and the one in work.

    The thread starts with the first item and ends with the last, with an error, or when the reader closes this
    generator. It alone touches ``items``, and closes it. An error comes out where its item would have come.
    """
    made: Queue[Any] = Queue(max(depth, 1))
    gone = threading.Event()
    maker = threading.Thread(target=_make, args=(items, made, gone), name="airflow-workflow-ahead", daemon=True)
    maker.start()
    try:
        while not isinstance(item := made.get(), _End):
            yield cast("T", item)
            del item  # what is used up must not stay while the next one is awaited
        if item.error is not None:
            raise item.error
    finally:
        gone.set()
        with suppress(Empty):
            while True:
                made.get_nowait()
        # What is being made can hang on a slow server; the thread ends by itself when that answers.
        maker.join(_PATIENCE)


def _make(items: Iterator[Any], made: Queue[Any], gone: threading.Event) -> None:
    end = _End()
    try:
        for item in items:
            if not _put(item, made, gone):
                break
            del item
    except BaseException as error:  # noqa: BLE001 (whatever it is, the reader is to have it)
        end = _End(error)
    try:
        if hasattr(items, "close"):
            items.close()
    except BaseException as error:  # noqa: BLE001 (as above)
        end = _End(end.error or error)
    _put(end, made, gone)


def _put(item: Any, made: Queue[Any], gone: threading.Event) -> bool:
    while not gone.is_set():
        with suppress(Full):
            made.put(item, timeout=_LOOK)
            return True
    return False
