"""The SQL that CARTO's warehouses get: calling a procedure, and reading a table in pages that lose no row.

Answers are capped at 200,000 rows and there is no cursor
(https://docs.carto.com/carto-for-developers/reference/carto-api/sql-api), and LIMIT/OFFSET without an order gives
rows twice or not at all. Bigger tables are read in disjoint shards by a hash of the whole row.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from math import ceil
from typing import Any

from airflow_workflow_provider.exceptions import InvalidArgument, OutputUnavailable, RequestRejected
from airflow_workflow_provider.protocol.effects import Chunk, Flow, Sleep
from airflow_workflow_provider.protocol.parameters import Parameters
from airflow_workflow_provider.protocol.results import Page
from airflow_workflow_provider.protocol.retry import persist

ROW_CAP = 200_000
SHARD_ROWS = 50_000  # what a shard should hold: far below the cap, since hashes do not split evenly
SWAP_PAUSE = 2.0  # seconds; while a workflow replaces its output table a read can fail once


@dataclass(frozen=True)
class Dialect:
    """How one warehouse spells names, placeholders (``{}`` is the name or number) and the shard of a row."""

    quote: str
    placeholder: str
    named: bool
    shard: str = ""


# BigQuery's placeholders are documented; the others come from CARTO's client or its warehouses' manuals, and the
# CALL of their workflows is unverified: a user can give the whole CALL as CARTO's dialog shows it.
DIALECTS: Mapping[str, Dialect] = {
    "bigquery": Dialect("`", "@{}", True, "ABS(MOD(FARM_FINGERPRINT(TO_JSON_STRING(t)), {n})) = {k}"),
    "snowflake": Dialect("", ":{}", False, "ABS(MOD(HASH(t.*), {n})) = {k}"),
    "postgres": Dialect("", "${}", False, "ABS(MOD(HASHTEXT(CAST(t AS TEXT)), {n})) = {k}"),
    "redshift": Dialect("", "${}", False),
    "databricks": Dialect("", ":{}", True, "ABS(XXHASH64(STRUCT(t.*)) % {n}) = {k}"),
    "oracle": Dialect("", ":{}", False),
}
_CALL = re.compile(r"\s*call\s", re.IGNORECASE)
_NAME = re.compile(r"[\w\-.$:`\"]+")
_QUOTED_TEXT = re.compile(r"'[^']*'|`[^`]*`|\"[^\"]*\"")
_AT_NAME = re.compile(r"@(\w+)")

# CARTO's generic types (data types of Workflows components) in the words of `protocol.results.Page`.
TYPES: Mapping[str, str] = {
    "string": "string",
    "number": "number",
    "boolean": "bool",
    "date": "date",
    "datetime": "datetime",
    "timestamp": "timestamp",
    "time": "string",
    "geography": "string",
    "geometry": "string",
}


def call(workflow: str, parameters: Parameters, warehouse: str) -> str:
    """Give the CALL of a procedure. A whole CALL is sent as it is, its named parameters checked.

    From a name it is built with the parameters in the order given, which must be the procedure's own order: a
    procedure takes them by position.
    """
    text = workflow.strip() if isinstance(workflow, str) else ""
    if not text:
        raise InvalidArgument("workflow: is empty; give the procedure's full name or the whole CALL")
    if _CALL.match(text):
        _check_names(text, parameters)
        return text
    if not _NAME.fullmatch(text):
        raise InvalidArgument(f"workflow: {text!r} is neither a procedure's name nor a CALL")
    dialect = DIALECTS[warehouse or "bigquery"]
    names = list(parameters) if isinstance(parameters, Mapping) else list(range(1, len(parameters) + 1))
    if names and isinstance(parameters, Mapping) and not dialect.named:
        raise InvalidArgument(f"query_parameters: {warehouse} takes them by position; give a list, or the whole CALL")
    if names and not isinstance(parameters, Mapping) and dialect.named:
        raise InvalidArgument("query_parameters: this warehouse takes them by name; give a mapping, or the whole CALL")
    odd = [name for name in names if isinstance(name, str) and not re.fullmatch(r"\w+", name)]
    if odd:
        raise InvalidArgument(f"query_parameters: {odd[0]!r} cannot be the name of a SQL parameter")
    return f"CALL {quoted(text, dialect)}({','.join(dialect.placeholder.format(name) for name in names)})"


def _check_names(text: str, parameters: Parameters) -> None:
    """Compare ``@name`` parameters with what was given: a misfit would fail, or be ignored, far away."""
    named = set(_AT_NAME.findall(_QUOTED_TEXT.sub("", text)))
    if not named or not isinstance(parameters, Mapping):
        return
    lacking, extra = sorted(named - set(parameters)), sorted(set(parameters) - named)
    if lacking:
        raise InvalidArgument(f"query_parameters: the CALL needs {', '.join(lacking)}, which is missing")
    if extra:
        raise InvalidArgument(f"query_parameters: the CALL has no parameter {', '.join(extra)}")


def quoted(name: str, dialect: Dialect) -> str:
    """Quote a full name; one that has quotes is left alone."""
    return name if not dialect.quote or dialect.quote in name else f"{dialect.quote}{name}{dialect.quote}"


def sample(table: str, warehouse: str) -> str:
    """Select one row."""
    return f"SELECT * FROM {quoted(table, DIALECTS[warehouse])} LIMIT 1"  # noqa: S608  # the name comes from CARTO and is quoted


def counted(table: str, warehouse: str, query: Callable[[str], Flow[Mapping[str, Any]]]) -> Flow[int]:
    """Count the rows of a table."""
    answer = yield from query(f"SELECT COUNT(*) AS n FROM {quoted(table, DIALECTS[warehouse])}")  # noqa: S608  # as above
    return _count(answer, table)


def pages(table: str, warehouse: str, query: Callable[[str], Flow[Mapping[str, Any]]]) -> Flow[None]:
    """Read a whole table: yields a `Chunk` of a `Page` per shard, and never a row less than ``COUNT(*)`` says."""
    dialect = DIALECTS[warehouse]
    source = f"FROM {quoted(table, dialect)}"
    answer = yield from persist(lambda: _after_swap(query, f"SELECT COUNT(*) AS n {source}"))
    total, seen = _count(answer, table), 0
    shards = 1 if total <= SHARD_ROWS else ceil(total / SHARD_ROWS)
    if shards > 1 and not dialect.shard:
        if total > ROW_CAP:
            raise OutputUnavailable(
                f"{table} has {total} rows; CARTO gives {ROW_CAP}, and how to split a {warehouse} table is unknown"
            )
        shards = 1
    for k in range(shards):
        where = f" AS t WHERE {dialect.shard.format(n=shards, k=k)}" if shards > 1 else ""
        document = yield from persist(lambda where=where: _after_swap(query, f"SELECT * {source}{where}"))  # type: ignore[misc]  # binds the loop variable
        seen += len(document["rows"])
        yield Chunk(Page(columns(document), document["rows"]))
        del document  # a page that was handed out must not stay while the next one is read
    if seen != total:
        raise OutputUnavailable(f"{table} has {total} rows, but {seen} came; it may have been replaced meanwhile")


def _after_swap(query: Callable[[str], Flow[Mapping[str, Any]]], text: str) -> Flow[Mapping[str, Any]]:
    try:
        return (yield from query(text))
    except RequestRejected as error:
        if "not found" not in str(error).lower():
            raise
    yield Sleep(SWAP_PAUSE)
    try:
        return (yield from query(text))
    except RequestRejected as error:
        raise OutputUnavailable(str(error), status=error.status) from error


def _count(answer: Mapping[str, Any], table: str) -> int:
    rows = answer["rows"]
    try:
        return int(next(iter(rows[0].values())))
    except (IndexError, AttributeError, StopIteration, TypeError, ValueError) as error:
        raise OutputUnavailable(f"{table}: the answer to COUNT(*) holds no number") from error


def columns(document: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Give names and types in order: from the schema, else from the first row with types to be found out."""
    schema = document.get("schema")
    if isinstance(schema, list) and all(isinstance(item, Mapping) and "name" in item for item in schema) and schema:
        return [(str(item["name"]), TYPES.get(str(item.get("type", "")).lower(), "any")) for item in schema]
    first = document["rows"][0] if document["rows"] else {}
    return [(str(name), "any") for name in first] if isinstance(first, Mapping) else []
