"""Turning a DuckDB result into the rows of an answer, as JSON text and without losing a digit."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import duckdb

NUMBERS = {"TINYINT", "SMALLINT", "INTEGER", "BIGINT", "HUGEINT", "UTINYINT", "USMALLINT", "UINTEGER", "UBIGINT"}
FLOATS = {"DOUBLE", "FLOAT"}
# inferred: the names are those that Workflows shows for data types; the exact list of the API is not known.
GENERIC = {
    "BOOLEAN": "boolean",
    "DATE": "date",
    "TIMESTAMP": "datetime",
    "TIMESTAMP WITH TIME ZONE": "timestamp",
    "TIME": "time",
    "GEOMETRY": "geography",
    "JSON": "json",
}
# BigQuery's Node client writes microseconds and Z (inferred for CARTO's answers).
TIMES = {
    "DATE": "strftime({}, '%Y-%m-%d')",
    "TIMESTAMP": "strftime({}, '%Y-%m-%dT%H:%M:%S.%f')",
    "TIMESTAMP WITH TIME ZONE": "strftime({} AT TIME ZONE 'UTC', '%Y-%m-%dT%H:%M:%S.%fZ')",
}


@dataclass(frozen=True)
class Result:
    """The rows as the text of a JSON array, their schema, and how many there are."""

    rows: str
    schema: list[dict[str, str]]
    count: int

    def answer(self, meta: dict[str, Any]) -> bytes:
        """The body of a query's answer."""
        schema, about = (json.dumps(part, separators=(",", ":")) for part in (self.schema, meta))
        return f'{{"rows":{self.rows},"schema":{schema},"meta":{about}}}'.encode()


EMPTY = Result("[]", [], 0)


def fetched(cursor: duckdb.DuckDBPyConnection, sql: str, limit: int, time_style: str) -> Result:
    """Run a query and keep up to ``limit`` rows."""
    columns = [(name, type_name) for name, type_name, *_ in cursor.execute(f"DESCRIBE {sql}").fetchall()]
    places = [f"c{index}" for index in range(len(columns))]
    members = [
        literal(json.dumps(name) + ":") + " || " + json_text(place, type_name, time_style)
        for place, (name, type_name) in zip(places, columns, strict=True)
    ]
    row = " || ',' || ".join(members)
    found = cursor.execute(f"SELECT '{{' || {row} || '}}' FROM ({sql}) AS r({', '.join(places)}) LIMIT {limit}")
    lines = [line for (line,) in found.fetchall()]
    schema = [{"name": name, "type": generic_type(type_name)} for name, type_name in columns]
    return Result(f"[{','.join(lines)}]", schema, len(lines))


def json_text(place: str, type_name: str, time_style: str) -> str:
    """The SQL expression that writes a column as JSON text; never NULL."""
    if type_name in NUMBERS or type_name.startswith("DECIMAL") or type_name == "BOOLEAN":
        written = f"CAST({place} AS VARCHAR)"
    elif type_name in FLOATS:
        written = float_text(place)
    elif type_name in TIMES:
        written = f"""'"' || {TIMES[type_name].format(place)} || '"'"""
        written = f"""'{{"value":' || {written} || '}}'""" if time_style == "value_object" else written
    elif type_name == "GEOMETRY":
        written = f"CAST(to_json(CAST({place} AS VARCHAR)) AS VARCHAR)"
    else:
        written = f"CAST(to_json({place}) AS VARCHAR)"
    return f"coalesce({written}, 'null')"


def float_text(place: str) -> str:
    """A float as JavaScript writes it: whole numbers have no fraction, what is not finite is text (inferred)."""
    return (
        f"""CASE WHEN NOT isfinite({place}) THEN '"' || CAST({place} AS VARCHAR) || '"' """
        f"WHEN {place} = trunc({place}) AND abs({place}) < 1e15 THEN CAST(CAST({place} AS BIGINT) AS VARCHAR) "
        f"ELSE CAST(to_json({place}) AS VARCHAR) END"
    )


def generic_type(type_name: str) -> str:
    """The warehouse-independent name of a column's type."""
    if type_name in NUMBERS or type_name in FLOATS or type_name.startswith("DECIMAL"):
        return "number"
    if type_name.endswith("[]"):
        return "array"
    if type_name.startswith(("STRUCT", "MAP")):
        return "object"
    return GENERIC.get(type_name, "string")


def literal(text: str) -> str:
    """A SQL string literal."""
    return "'" + text.replace("'", "''") + "'"
