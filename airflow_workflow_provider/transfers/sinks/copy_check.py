"""What the fields of a CSV column must look like, so that the database reads them as Arrow would."""
# ruff: noqa: S608 (names are quoted, values are parameters)

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import pyarrow as pa

from airflow_workflow_provider.outputs.column_stats import ColumnStats, Kind
from airflow_workflow_provider.outputs.csv_grammar import ANYTHING, kept_type, pattern_of, pattern_of_type
from airflow_workflow_provider.transfers.sinks.sql_dialects import MARK
from airflow_workflow_provider.transfers.sinks.sql_names import TableName
from airflow_workflow_provider.transfers.sinks.sql_rows import Misfit
from airflow_workflow_provider.transfers.sinks.sql_session import SqlSession, same_type
from airflow_workflow_provider.transfers.sinks.sql_types import sql_type

_TYPES = (
    "SELECT a.attname, t.typcategory, format_type(a.atttypid, a.atttypmod) FROM pg_attribute a "
    f"JOIN pg_type t ON t.oid = a.atttypid WHERE a.attrelid = to_regclass({MARK}) AND a.attnum > 0"
)
_TEXT_CATEGORY = "S"
# PostgreSQL silently drops the zone of a time that goes into these; Arrow gives the time in UTC.
_WITHOUT_ZONE = ("date", "timestamp without time zone", "timestamp(")


@dataclass(frozen=True)
class Check:
    """One column: where it goes, and what its fields are.

    ``pattern`` accepts what is certain (None: no pattern can tell). ``is_found_out`` says that a field which it does
    not accept may be looked at, ``empty_is_null`` that a quoted empty field is no value either.
    """

    column: str
    pattern: str | None
    is_found_out: bool
    empty_is_null: bool


def checks_for_types(
    seen: Mapping[str, ColumnStats], types: Mapping[str, pa.DataType], own: Mapping[str, str]
) -> dict[str, Check]:
    """Give the checks for a table that was made for what was seen; ``own`` is its column for each source column."""
    checks = {}
    for name, column in own.items():
        kind = types.get(name)
        pattern = pattern_of(seen[name]) if kind is None else pattern_of_type(kind)
        if kind is not None and pattern is None:
            raise Misfit(f"column {name!r} is to be converted to {kind}")
        if kind is None and (seen[name].nanoseconds or seen[name].kind is Kind.BINARY):
            raise Misfit(f"column {name!r} has nanoseconds, which the database would round")
        is_text = pa.types.is_string(kind or kept_type(seen[name]))
        checks[name] = Check(column, pattern, kind is None, not is_text)
    return checks


def checks_for_table(
    session: SqlSession, table: TableName, types: Mapping[str, pa.DataType], own: Mapping[str, str]
) -> dict[str, Check]:
    """Give the checks for a table of somebody else: its own types say what a field means."""
    known = {str(column): (_word(category), str(kind)) for column, category, kind in session.rows(_TYPES, [table.sql])}
    checks = {}
    for name, column in own.items():
        category, kind = known[column]
        pattern = pattern_of(ColumnStats(Kind.DATETIME)) if kind.startswith(_WITHOUT_ZONE) else ANYTHING
        settled = types.get(name)
        if settled is not None:
            pattern = pattern_of_type(settled)
            is_same = pa.types.is_string(settled) or same_type(sql_type(settled, session.dialect), kind)
            if pattern is None or not is_same:
                raise Misfit(f"column {name!r} is to be converted to {settled}")
        checks[name] = Check(column, pattern, False, category != _TEXT_CATEGORY)
    return checks


def _word(category: object) -> str:
    return category.decode() if isinstance(category, bytes) else str(category)
