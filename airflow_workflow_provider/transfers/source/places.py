"""Which row of a load is which row of which output: what errors name."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from airflow_workflow_provider.outputs.raw import Raw, Wanted
from airflow_workflow_provider.outputs.table import Part


class Places:
    """Which row of a load is which row of which output."""

    def __init__(self) -> None:
        self._parts: list[tuple[str, int]] = []

    def add(self, where: str, rows: int) -> None:
        """Count rows of an output; ``where`` names it in errors."""
        if self._parts and self._parts[-1][0] == where:
            rows += self._parts.pop()[1]
        self._parts.append((where, rows))

    @property
    def only(self) -> str:
        """The name of the output, where there is but one."""
        return self._parts[0][0] if len(self._parts) == 1 else ""

    def find(self, row: int) -> tuple[str, int]:
        """Give what names the output of a row, and the row's number there, from 1."""
        left = row
        for where, rows in self._parts:
            if left <= rows:
                return where, left
            left -= rows
        return (self._parts[-1][0] if len(self._parts) == 1 else ""), row


def counted_part(part: Part, places: Places) -> Part:
    """Count the rows of an output while they are read, for the errors of what comes later."""

    def read(wanted: Wanted) -> Iterator[Raw]:
        for raw in part.read(wanted):
            places.add(part.where, raw.num_rows)
            yield raw

    return replace(part, read=read)
