"""What the readers of the formats give: batches of values as the source spells them, and what was seen in them."""

from __future__ import annotations

from collections.abc import Callable, Container, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, BinaryIO, Protocol

from airflow_workflow_provider.outputs.column_stats import ColumnStats, Kind
from airflow_workflow_provider.protocol.effects import Flow

if TYPE_CHECKING:
    import pyarrow as pa


class Client(Protocol):
    """What drives the flows of a source; `client.worker.WorkerClient` is one."""

    def run(self, flow: Flow[Any]) -> Any:
        """Drive a flow to its end and give its value."""

    def stream(self, flow: Flow[Any]) -> Iterator[Any]:
        """Drive a flow and hand out its chunks as they come."""


# Parses rows that a `Raw` holds as they stand in the file, given the final types of columns.
Parse = Callable[["pa.Buffer", Mapping[str, "pa.DataType"]], "pa.RecordBatch"]


@dataclass(frozen=True, eq=False)
class Raw:
    """Some rows. ``names`` are all columns of the source so far, also those that were not wanted.

    ``complete`` is False where later rows may bring columns that are not among them. With ``parse`` the batch is one
    binary value: ``unparsed`` rows as they stand in the file, which change nothing of what was seen before.
    """

    batch: pa.RecordBatch
    seen: Mapping[str, ColumnStats]
    names: tuple[str, ...]
    complete: bool = True
    parse: Parse | None = None
    unparsed: int = 0

    @property
    def num_rows(self) -> int:
        """The number of rows."""
        return self.unparsed if self.parse is not None else int(self.batch.num_rows)


@dataclass(frozen=True)
class Wanted:
    """Which columns to read (None: all), which of them have a type already, and what was seen in them before.

    ``texts`` are those that are text whatever they hold, ``where`` names the output in errors. ``may_be_unparsed`` says
    that the reader may give rows which are still to be parsed.
    """

    columns: frozenset[str] | None = None
    typed: frozenset[str] = frozenset()
    texts: Container[str] = frozenset()
    before: Mapping[str, ColumnStats] = field(default_factory=dict)
    where: str = ""
    may_be_unparsed: bool = False

    def of(self, names: list[str]) -> list[str]:
        """Give the wanted ones among these columns; at least one, for rows are counted by their columns."""
        if self.columns is None:
            return names
        return [name for name in names if name in self.columns] or names[:1]

    def is_settled(self, name: str) -> bool:
        """True if nothing needs to be found out about a column any more."""
        return bool(self.known([name])) or self.before.get(name, ColumnStats()).kind is Kind.TEXT

    def known(self, names: Iterable[str]) -> frozenset[str]:
        """Give the ones among these columns whose type does not depend on their values."""
        return frozenset(name for name in names if name in self.typed or name in self.texts)


RawReader = Callable[[Wanted], Iterator[Raw]]
FileReader = Callable[[BinaryIO, Wanted], Iterator[Raw]]
