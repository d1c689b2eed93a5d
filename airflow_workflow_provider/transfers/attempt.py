"""Which load of which try this is: a retry of a load that was committed must not load again, a clear must."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from airflow_workflow_provider.operators.calls import next_call


@dataclass(frozen=True)
class Attempt:
    """A load in a try of a task instance.

    ``key`` is the same for all retries of one series, and another one after a clear: that raises ``ti.max_tries``,
    a retry does not. A task may load several times: target, source, and how often the same try has loaded these
    already are part of the key. ``is_retry`` is False for the very first try, which has nothing behind it.
    ``try_number`` tells the tries of a series from each other. ``task`` is for people.
    """

    key: str
    is_retry: bool
    try_number: int = 1
    task: str = ""

    @classmethod
    def of(cls, context: Mapping[str, Any], target: Any = None, source: Sequence[Any] = ()) -> Attempt:
        """Read it from a task's context; ``target`` and ``source`` are anything that JSON can spell."""
        ti = context["ti"]
        names = ("dag_id", "run_id", "task_id", "map_index", "max_tries")
        number = getattr(ti, "try_number", 1) or 1
        what = (json.dumps(target, default=str), json.dumps(source, default=str))
        task_instance = [getattr(ti, name, None) for name in names]
        call = next_call(ti, "load " + " ".join(what))
        identity = json.dumps([*task_instance, *what, call], default=str)
        task = f"{getattr(ti, 'dag_id', '')}.{getattr(ti, 'task_id', '')}"
        return cls(hashlib.sha256(identity.encode()).hexdigest()[:40], number > 1, number, task)
