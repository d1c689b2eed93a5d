"""How a result is read: as a file whose bytes come as they are, or as pages of rows."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

from airflow_workflow_provider.protocol.effects import Flow, Response


@runtime_checkable
class ArrowRows(Protocol):
    """Rows that are Arrow columns already: ``batch`` is a `pyarrow.RecordBatch`."""

    batch: Any


@dataclass(frozen=True, eq=False)
class Page:
    """Some rows of a table. ``columns`` are (name, type) in order, the type in the words of `outputs.types`."""

    columns: Sequence[tuple[str, str]]
    rows: Sequence[Mapping[str, Any]]


@dataclass(frozen=True, eq=False)
class RowSource:
    """A table that the API gives page by page: ``flow`` yields a `Chunk` of a `Page` for each."""

    flow: Callable[[], Flow[None]]


@dataclass(frozen=True, eq=False)
class FileSource:
    """A file: ``flow`` gives a streamed `Response`. ``format`` is ``csv``, ``json``, ``jsonl``, ``yxdb`` or ``raw``.

    ``check`` looks at its first bytes (some kilobytes) and raises where these are no such file.
    """

    format: str
    flow: Callable[[], Flow[Response]]
    check: Callable[[bytes], None] | None = None


Source = RowSource | FileSource
