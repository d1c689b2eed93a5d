"""Who of one client waits for runs of which workflow: from so many on, they share its list call."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import Any

from airflow_workflow_provider.client.group import LEAST, Group
from airflow_workflow_provider.client.meter import Meter
from airflow_workflow_provider.protocol.effects import Flow, Rest, RunList, Shown

MOST = 1000  # groups that are remembered although nobody waits in them


class Groups:
    """The groups of one client, by workflow, and how many watch runs of it, together or alone."""

    def __init__(
        self,
        drive: Callable[[Flow[Shown]], Coroutine[Any, Any, Shown]],
        note: Callable[[str], None],
        meter: Meter,
    ) -> None:
        self._drive, self._note, self._meter = drive, note, meter
        self._watchers: dict[str, int] = {}
        self._groups: dict[str, Group] = {}

    @property
    def is_idle(self) -> bool:
        """True when nobody watches a run, and no list is being asked for."""
        return not self._watchers and all(group.is_idle for group in self._groups.values())

    def join(self, workflow: str) -> None:
        """Count one more who watches a run of this workflow."""
        self._watchers[workflow] = self._watchers.get(workflow, 0) + 1

    def leave(self, workflow: str) -> None:
        """Count one less."""
        self._watchers[workflow] -= 1
        if not self._watchers[workflow]:
            del self._watchers[workflow]

    def taking(self, rest: Rest) -> Group | None:
        """Give the group in which this one is to wait; None if it is to wait for itself."""
        group = self._groups.get(rest.run_list.workflow)
        if group is None and self._watchers[rest.run_list.workflow] >= LEAST:
            group = self._made(rest.run_list)
        return group if group is not None and group.takes(rest) else None

    def close(self) -> None:
        """Ask for no list any more."""
        for group in self._groups.values():
            group.close()

    def _made(self, run_list: RunList) -> Group:
        if len(self._groups) >= MOST:  # what they know of their lists is found out again
            self._groups = {workflow: group for workflow, group in self._groups.items() if not group.is_idle}
        watchers, workflow = self._watchers, run_list.workflow
        group = Group(run_list, self._drive, self._note, self._meter, lambda: watchers.get(workflow, 0))
        self._groups[workflow] = group
        return group
