"""Makes a mistake and tells what a user sees: the error, its first line, and the runs that were started."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from airflow.providers.common.compat.sdk import DAG

from airflow_workflow_provider.testing import run_task


@dataclass(frozen=True)
class Seen:
    """What a user sees of a mistake.

    :param when: ``parse`` (the DAG file), ``run`` (a task), or empty without an error
    :param kind: the class of the error
    :param lines: the lines of its message
    :param task: the task that failed
    :param warnings: what the tasks logged as warnings
    """

    when: str
    kind: str
    lines: tuple[str, ...]
    task: str = ""
    warnings: tuple[str, ...] = ()

    @property
    def first(self) -> str:
        """The first line of the message."""
        return self.lines[0] if self.lines else ""


class Warnings(logging.Handler):
    """Collects the warnings of the package."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.texts: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        """Keep a warning."""
        self.texts.append(record.getMessage())


def seen(make: Callable[[], Any]) -> Seen:
    """Build the tasks of a mistake, and run one after the other until one fails."""
    heard = Warnings()
    logging.getLogger().addHandler(heard)
    try:
        return _seen(make, heard.texts)
    finally:
        logging.getLogger().removeHandler(heard)


def _seen(make: Callable[[], Any], warnings: list[str]) -> Seen:
    try:
        with DAG("mistake", schedule=None, start_date=datetime(2026, 1, 1, tzinfo=UTC)) as dag:
            make()
    except Exception as error:  # noqa: BLE001  # whatever a user would see
        return Seen("parse", type(error).__name__, tuple(str(error).splitlines()))
    xcoms: dict[str, Any] = {}
    for task in dag.topological_sort():
        if hasattr(task, "partial_kwargs"):
            return Seen("", "", (), warnings=tuple(warnings))
        try:
            xcoms[task.task_id] = run_task(task, xcoms=xcoms, poll_interval=None).value
        except Exception as error:  # noqa: BLE001  # whatever a user would see
            lines = tuple(str(error).splitlines())
            return Seen("run", type(error).__name__, lines, task.task_id, tuple(warnings))
    return Seen("", "", (), warnings=tuple(warnings))
