"""Sources that play a script, and the client that drives them by hand."""

from __future__ import annotations

import io
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from airflow_workflow_provider.outputs import reading
from airflow_workflow_provider.protocol.effects import Chunk, Flow, Response
from airflow_workflow_provider.protocol.results import FileSource, Page, RowSource, Source

if TYPE_CHECKING:
    import pyarrow as pa


class Player:
    """Drives flows that ask for nothing but to hand out chunks."""

    def run(self, flow: Flow[Any]) -> Any:
        """Drive a flow to its end."""
        try:
            while True:
                next(flow)
        except StopIteration as end:
            return end.value

    def stream(self, flow: Flow[Any]) -> Iterator[Any]:
        """Hand out the chunks."""
        try:
            for chunk in flow:
                yield chunk.data
        finally:
            flow.close()


class Watched(io.BytesIO):
    """A body that gives a few bytes at a time, and may break off."""

    def __init__(self, data: bytes, breaks_at: int | None = None) -> None:
        super().__init__(data)
        self.breaks_at = breaks_at

    def read(self, size: int | None = -1) -> bytes:
        """Read a little."""
        if self.breaks_at is not None and self.tell() >= self.breaks_at:
            raise BrokenBody
        return super().read(min(size, 10_000) if size and size > 0 else 10_000)


class BrokenBody(Exception):
    """Stands for whatever a client raises when a download breaks off."""


def pages(*given: Page, log: list[str] | None = None) -> RowSource:
    """A table in these pages; ``log`` tells when its flow ended."""

    def flow() -> Flow[None]:
        try:
            for page in given:
                yield Chunk(page)
        finally:
            if log is not None:
                log.append("closed")

    return RowSource(flow)


def page(columns: Mapping[str, str], *rows: Sequence[Any]) -> Page:
    """A page with rows given as values in order."""
    return Page(list(columns.items()), [dict(zip(columns, row, strict=True)) for row in rows])


def file(kind: str, data: bytes | str, breaks_at: int | None = None, **more: Any) -> FileSource:
    """A file with this content."""
    body = Watched(data.encode() if isinstance(data, str) else data, breaks_at)

    def flow() -> Flow[Response]:
        return Response(200, raw=body)
        yield

    return FileSource(kind, flow, **more)


def table_of(source: Source, **options: Any) -> pa.Table:
    """Read a source as a table."""
    return reading.batches(source, Player(), **options).read_all()


def column_of(source: Source, name: str, **options: Any) -> tuple[str, list[Any]]:
    """Read one column: its type's name and its values."""
    column = table_of(source, **options).column(name)
    return str(column.type), column.to_pylist()
