"""The outputs of a transfer as parts of one table: with added columns, and left out where they are gone.

Added columns are facts of the run, and values of the DAG's author.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, date, datetime, time
from decimal import Decimal
from typing import Any

import pyarrow as pa

from airflow_workflow_provider.exceptions import InvalidArgument, OutputGone
from airflow_workflow_provider.outputs.column_stats import TEXT, ColumnStats, Kind
from airflow_workflow_provider.outputs.csv_options import CsvOptions
from airflow_workflow_provider.outputs.inference import infer_text
from airflow_workflow_provider.outputs.raw import Raw, Wanted
from airflow_workflow_provider.outputs.reading import part_of
from airflow_workflow_provider.outputs.table import Columns, Part
from airflow_workflow_provider.protocol.results import FileSource
from airflow_workflow_provider.transfers.resolve import ResolvedOutput
from airflow_workflow_provider.transfers.source.added_columns import PARAMETERS, PLACEHOLDER, checked_columns, is_fact

__all__ = ["checked_columns"]

# What errors say of an output that is gone; where a server answers 404 or 410, the status says it.
_TIME = pa.time64("us")


def is_csv(group: Sequence[ResolvedOutput]) -> bool:
    """True if every output of a group is a CSV file."""
    return all(isinstance(item.source, FileSource) and item.source.format == "csv" for item in group)


def with_added(columns: Columns, add_columns: Mapping[str, Any]) -> Columns:
    """Give the chosen columns with the added ones behind them; None chooses all."""
    if columns is None or not add_columns or isinstance(columns, str):
        return columns
    if isinstance(columns, Mapping):
        return {**columns, **{name: name for name in add_columns if name not in columns}}
    return [*columns, *(name for name in add_columns if name not in columns)]


def part_for(
    item: ResolvedOutput,
    add_columns: Mapping[str, Any],
    gone: list[ResolvedOutput],
    csv_options: CsvOptions | None = None,
) -> Part:
    """Give an output as a part of a table, the added columns behind its own.

    An output that does not exist any more has no rows where ``on_missing_output="skip"``; it is added to ``gone``.
    """
    part = part_of(item.source, item.client, item.where, csv_options)
    values = {name: _value(name, value, item) for name, value in add_columns.items()}

    def read(wanted: Wanted) -> Iterator[Raw]:
        raws = part.read(replace(wanted, may_be_unparsed=wanted.may_be_unparsed and not values))
        try:
            first = next(raws, None)
        except OutputGone:
            if not item.skips_missing:
                raise
            gone.append(item)
            return
        while first is not None:
            yield _with_values(first, values) if values else first
            first = None  # it must not stay while the next one is made
            first = next(raws, None)

    return replace(part, read=read)


def added_values(item: ResolvedOutput, add_columns: Mapping[str, Any]) -> dict[str, tuple[pa.DataType, Any]]:
    """Give the type and the value of each added column of an output."""
    found = {}
    for name, value in add_columns.items():
        made = _value(name, value, item)
        array, stats = _column(made, 1)
        kind = array.type if stats.kind in (Kind.NULL, Kind.TEXT, Kind.DATE, Kind.TIMESTAMP, Kind.BOOL) else stats.type
        found[name] = (kind, made)
    return found


def _with_values(raw: Raw, values: Mapping[str, Any]) -> Raw:
    twice = next((name for name in values if name in raw.names), None)
    if twice is not None:
        raise InvalidArgument(f"add_columns: the output has a column {twice!r} of its own; give another name")
    arrays, stats = list(raw.batch.columns), dict(raw.seen)
    for name, value in values.items():
        array, found = _column(value, raw.batch.num_rows)
        arrays.append(array)
        stats[name] = found
    batch = pa.RecordBatch.from_arrays(arrays, names=[*raw.batch.schema.names, *values])
    return Raw(batch, stats, (*raw.names, *values), raw.complete)


def _value(name: str, value: Any, item: ResolvedOutput) -> Any:
    if not isinstance(value, str):
        return value
    whole = PLACEHOLDER.fullmatch(value)
    if whole or is_fact(value):
        return _fact(name, whole[1] if whole else value, item)
    return PLACEHOLDER.sub(lambda match: _spelled(_fact(name, match[1], item)), value)


def _fact(name: str, fact: str, item: ResolvedOutput) -> Any:
    if fact == "output":
        return item.output.name
    if fact == "index":
        return item.index
    if not fact.startswith(PARAMETERS):
        found = getattr(item.run, fact)
        return str(found.value) if fact == "state" else found
    parameters = item.run.details.get("parameters")
    key = fact.removeprefix(PARAMETERS)
    if not isinstance(parameters, Mapping) or key not in parameters:
        raise InvalidArgument(
            f"add_columns[{name!r}]: the object of run {item.run.run_id} does not hold the parameter {key!r}; "
            "give its value with a template, such as '{{ params." + key + " }}'"
        )
    found = parameters[key]
    return found if isinstance(found, (str, int, float, type(None))) else str(found)


def _spelled(value: Any) -> str:
    if isinstance(value, datetime):
        return value.astimezone(UTC).isoformat().replace("+00:00", "Z")
    return "" if value is None else str(value)


def _column(value: Any, rows: int) -> tuple[pa.Array, ColumnStats]:  # noqa: PLR0911 (one return a kind)
    """Give a column of one value, and the statistics of its type."""
    if value is None:
        return pa.nulls(rows, pa.string()), ColumnStats()
    if isinstance(value, str):
        return pa.array([value] * rows, pa.string()), ColumnStats(Kind.TEXT)
    if isinstance(value, datetime):
        moment = value.astimezone(UTC) if value.tzinfo else value.replace(tzinfo=UTC)
        return pa.array([moment] * rows, pa.timestamp("us", "UTC")), ColumnStats(Kind.TIMESTAMP)
    if isinstance(value, date):
        return pa.array([value] * rows, pa.date32()), ColumnStats(Kind.DATE)
    if isinstance(value, time):
        return pa.array([value] * rows, _TIME), TEXT.of_fixed(_TIME)
    if isinstance(value, bool):
        return pa.array([value] * rows, pa.bool_()), ColumnStats(Kind.BOOL)
    text = format(value, "f") if isinstance(value, Decimal) else repr(value)
    return pa.array([text] * rows, pa.string()), infer_text(pa.array([text]), quoted_numbers=True)
