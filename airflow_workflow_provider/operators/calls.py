"""How often one try of a task has called an operator: a task may do several things, each with a memory of its own."""

from __future__ import annotations

import weakref
from typing import Any

_counts: dict[tuple[int, Any, Any, str], int] = {}


def next_call(ti: Any, kind: str) -> int:
    """Count one more call of this kind within the try of a task instance; the first one gives 1.

    All operators that run in one task share the task instance of its context: a subclass that executes twice, two
    operators inside one ``@task``. What is stored for the retries of a task is keyed by this number.

    :param ti: the task instance of the context.
    :param kind: what is counted, such as ``"run"`` or ``"load"``.
    """
    key = (id(ti), getattr(ti, "try_number", None), getattr(ti, "max_tries", None), kind)
    if key not in _counts:
        try:
            weakref.finalize(ti, _counts.pop, key, None)  # another object may get the same id later
        except TypeError:
            return 1  # an object that nothing can watch is no task instance of Airflow's
    _counts[key] = _counts.get(key, 0) + 1
    return _counts[key]
