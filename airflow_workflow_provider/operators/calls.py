"""What one try of a task has done in this process: how often it called an operator, and which runs it has."""

from __future__ import annotations

import weakref
from typing import Any

_counts: dict[tuple[Any, ...], int] = {}
_runs: dict[tuple[Any, ...], set[str]] = {}


def next_call(ti: Any, kind: str) -> int:
    """Count one more call of this kind within the try of a task instance; the first one gives 1.

    All operators that run in one task share the task instance of its context: a subclass that executes twice, two
    operators inside one ``@task``. What is stored for the retries of a task is keyed by this number.

    :param ti: the task instance of the context.
    :param kind: what is counted, such as ``"run"`` or ``"load"``.
    """
    key = (*_key(ti), kind)
    if key not in _counts and not _is_watched(ti, _counts, key):
        return 1
    _counts[key] = _counts.get(key, 0) + 1
    return _counts[key]


def runs_of(ti: Any) -> set[str]:
    """Give the ids of the runs that this try of a task instance has started or taken over; add to it.

    :param ti: the task instance of the context.
    """
    key = _key(ti)
    if key not in _runs and not _is_watched(ti, _runs, key):
        return set()
    return _runs.setdefault(key, set())


def _key(ti: Any) -> tuple[Any, ...]:
    return id(ti), getattr(ti, "try_number", None), getattr(ti, "max_tries", None)


def _is_watched(ti: Any, kept: dict[Any, Any], key: Any) -> bool:
    """Forget an entry with its task instance: another object may get the same id later."""
    try:
        weakref.finalize(ti, kept.pop, key, None)
    except TypeError:  # an object that nothing can watch is no task instance of Airflow's
        return False
    return True
