"""The SQL that CARTO's warehouses get: calling a procedure, and reading a table in pages that lose no row.

Answers are capped at 200,000 rows and there is no cursor
(https://docs.carto.com/carto-for-developers/reference/carto-api/sql-api), and LIMIT/OFFSET without an order gives
rows twice or never. Bigger tables are read in disjoint shards by a hash of the whole row.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from math import ceil
from typing import Any

from airflow_workflow_provider.exceptions import (
    InvalidArgument,
    OutputGone,
    OutputUnavailable,
    RequestRejected,
    WorkflowError,
)
from airflow_workflow_provider.protocol.effects import Chunk, Flow, Sleep
from airflow_workflow_provider.protocol.model import Run
from airflow_workflow_provider.protocol.parameters import Parameters
from airflow_workflow_provider.protocol.results import Page
from airflow_workflow_provider.protocol.retry import persist
from airflow_workflow_provider.protocol.text import cut_text

ROW_CAP = 200_000
SHARD_ROWS = 50_000  # what a shard should hold: far below the cap, since hashes do not split evenly
SWAP_PAUSE = 2.0  # seconds; while a workflow replaces its output table a read can fail once


@dataclass(frozen=True)
class Dialect:
    """How one warehouse spells names, placeholders and calls.

    ``placeholder`` has ``{}`` for the parameter's name or number; ``named`` says which of the two. ``arrow`` says
    that a CALL takes ``name => value``. ``shard`` is the condition for one shard of a table's rows.
    """

    quote: str
    placeholder: str
    named: bool
    arrow: bool
    shard: str = ""


# BigQuery's placeholders are documented; the others come from CARTO's client or its warehouses' manuals, and the
# CALL of their workflows is unverified: a user can give the whole CALL as CARTO's dialog shows it. Named arguments of
# a CALL stand in the manuals of Snowflake, PostgreSQL, Databricks and Oracle; that CARTO passes them on is unverified.
DIALECTS: Mapping[str, Dialect] = {
    "bigquery": Dialect("`", "@{}", True, False, "ABS(MOD(FARM_FINGERPRINT(TO_JSON_STRING(t)), {n})) = {k}"),
    "snowflake": Dialect('"', ":{}", False, True, "ABS(MOD(HASH(t.*), {n})) = {k}"),
    "postgres": Dialect('"', "${}", False, True, "ABS(MOD(HASHTEXT(CAST(t AS TEXT)), {n})) = {k}"),
    "redshift": Dialect('"', "${}", False, False),
    "databricks": Dialect("`", ":{}", True, True, "ABS(XXHASH64(STRUCT(t.*)) % {n}) = {k}"),
    "oracle": Dialect('"', ":{}", False, True),
}
DEFAULT = "bigquery"
_CALL = re.compile(r"\s*call\s", re.IGNORECASE)
_CALLED = re.compile(r"\s*call\s+([^(]*)", re.IGNORECASE)
_QUOTED_TEXT = re.compile(r"'[^']*'|`[^`]*`|\"[^\"]*\"")
_AT_NAME = re.compile(r"@(\w+)")
_BARE = re.compile(r"[A-Za-z_][A-Za-z0-9_$]*")
# What a part of a full name may hold when it is not quoted by whoever wrote the name.
_PART = re.compile(r"[\w\-:$@]+")
_LONGEST_NAME = 2_000
LONGEST_TABLE = 63  # bytes; PostgreSQL cuts what is longer
# A warehouse's words for a table that is not there.
_MISSING = re.compile(
    r"not found|does not exist|no such table|table_or_view_not_found|ora-00942|undefined_table|42p01", re.IGNORECASE
)
# BigQuery says "… does not have permission …, or perhaps it does not exist".
_NO_RIGHT = re.compile(r"access denied|permission", re.IGNORECASE)

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


def warehouse_of(run: Run) -> str:
    """Give the warehouse that the details of a run name, or the default."""
    provider = str(run.details.get("provider") or "").lower()
    return next((warehouse for warehouse in DIALECTS if provider.startswith(warehouse)), DEFAULT)


def is_call(workflow: str) -> bool:
    """True for a whole CALL statement."""
    return bool(_CALL.match(workflow))


def full_name(name: str, warehouse: str, argument: str) -> str:
    """Give a dotted name, checked part by part and quoted as the warehouse does. Raises `InvalidArgument`.

    The name may come from anybody, in a run object for instance: nothing but a name comes out. A part without quotes
    keeps the warehouse's own rule about upper and lower case where it can.

    :param argument: the name of what is wrong, for the error.
    """
    quote = DIALECTS[warehouse].quote
    parts = _parts(name.strip(), quote) if len(name) <= _LONGEST_NAME else []
    if not parts or len(parts) > 4:
        raise InvalidArgument(
            f"{argument}: {name[:200]!r} is not a full name for {warehouse}; give project.dataset.name or the like"
        )
    if warehouse == "bigquery":  # one pair of quotes is around the whole name
        return f"`{'.'.join(text for text, _ in parts)}`"
    return ".".join(
        text if not is_quoted and _BARE.fullmatch(text) else f"{quote}{text.replace(quote, quote * 2)}{quote}"
        for text, is_quoted in parts
    )


def _parts(name: str, quote: str) -> list[tuple[str, bool]]:
    """Split a dotted name; each part with whether it was quoted. Empty where this is no name."""
    if len(name) > 2 and name[0] == name[-1] == quote and quote not in name[1:-1] and quote == "`":
        name = name[1:-1]  # BigQuery and CARTO's dialog put one pair around the whole name
    found: list[tuple[str, bool]] = []
    place = 0
    while True:
        if name[place : place + 1] == quote:
            end = place + 1
            while (end := name.find(quote, end)) >= 0 and name[end : end + 2] == quote * 2:
                end += 2
            if end < 0:
                return []
            text, is_quoted, place = name[place + 1 : end].replace(quote * 2, quote), True, end + 1
            if not text or not text.isprintable() or "\\" in text or (quote == "`" and quote in text):
                return []
        else:
            end = name.find(".", place)
            end = len(name) if end < 0 else end
            text, is_quoted, place = name[place:end], False, end
            if not _PART.fullmatch(text) or text.strip() != text:
                return []
        found.append((text, is_quoted))
        if place == len(name):
            return found
        if name[place] != ".":
            return []
        place += 1


def call(
    workflow: str, parameters: Parameters, warehouse: str, signature: Sequence[str] | None = None
) -> tuple[str, Parameters]:
    """Give the CALL of a procedure and the parameters as the warehouse takes them.

    A whole CALL is sent as it is, its ``@name`` parameters checked. From a name the CALL is built: parameters are
    bound by name where the warehouse's CALL takes names, else in the order of the procedure's ``signature``, whose
    names they must have; without a signature in the order given.
    """
    text = workflow.strip() if isinstance(workflow, str) else ""
    if not text:
        raise InvalidArgument("workflow: is empty; give the procedure's full name or the whole CALL")
    if is_call(text):
        _check_names(text, parameters)
        return text, parameters
    warehouse = warehouse or DEFAULT
    dialect, name = DIALECTS[warehouse], full_name(text, warehouse, "workflow")
    if not isinstance(parameters, Mapping):
        if parameters and dialect.named:
            raise InvalidArgument(
                f"query_parameters: {warehouse} takes them by name; give a mapping, or the whole CALL"
            )
        placeholders = [dialect.placeholder.format(number) for number in range(1, len(parameters) + 1)]
        return f"CALL {name}({','.join(placeholders)})", parameters
    odd = [key for key in parameters if not re.fullmatch(r"[A-Za-z_]\w*", key, re.ASCII)]
    if odd:
        raise InvalidArgument(f"query_parameters: {odd[0]!r} cannot be the name of a SQL parameter")
    if parameters and not dialect.named and not dialect.arrow:
        raise InvalidArgument(f"query_parameters: {warehouse} takes them by position; give a list, or the whole CALL")
    ordered = _in_order(parameters, signature, text) if signature is not None and not dialect.arrow else parameters
    places = ordered if dialect.named else range(1, len(ordered) + 1)
    bound = [dialect.placeholder.format(place) for place in places]
    if dialect.arrow:
        bound = [f"{key} => {placeholder}" for key, placeholder in zip(ordered, bound, strict=True)]
    return f"CALL {name}({','.join(bound)})", ordered if dialect.named else list(ordered.values())


def needs_signature(workflow: str, parameters: Parameters, warehouse: str) -> bool:
    """True where a CALL that is built from a name would bind parameters by their position alone."""
    is_built = bool(parameters) and isinstance(parameters, Mapping) and not is_call(workflow)
    dialect = DIALECTS[warehouse or DEFAULT]
    return is_built and dialect.named and not dialect.arrow


def signature_query(workflow: str) -> str:
    """Ask BigQuery for the parameters of a procedure, in their order; raises `InvalidArgument`.

    Source: https://cloud.google.com/bigquery/docs/information-schema-parameters. That CARTO lets a token read it is
    unverified; for the CARTO Data Warehouse it does not.
    """
    parts = [text for text, _ in _parts(workflow.strip(), "`")]
    # A project may have dots of its own, as in domain.com:project.
    place, name = ".".join(parts[:-1]), parts[-1] if parts else ""
    if not place or not re.fullmatch(r"[\w\-]+", name) or not re.fullmatch(r"[\w\-.:]+", place):
        raise InvalidArgument(f"workflow: {workflow!r} is not the full name project.dataset.procedure")
    return (
        f"SELECT parameter_name, ordinal_position FROM `{place}`.INFORMATION_SCHEMA.PARAMETERS "  # noqa: S608  # both are checked above
        f"WHERE specific_name = '{name}' ORDER BY ordinal_position"
    )


def signature_of(rows: Any) -> tuple[str, ...] | None:
    """Read the names of a procedure's parameters; None where the answer has none that can be used."""
    found = []
    for row in rows:
        low = {str(key).lower(): value for key, value in row.items()} if isinstance(row, Mapping) else {}
        name, place = low.get("parameter_name"), low.get("ordinal_position")
        if not isinstance(name, str) or isinstance(place, bool) or not isinstance(place, int):
            return None
        found.append((place, name))
    return tuple(name for _, name in sorted(found)) or None


def _in_order(parameters: Mapping[str, Any], signature: Sequence[str], workflow: str) -> dict[str, Any]:
    """Bring parameters into the procedure's order; BigQuery compares their names without case."""
    given = {key.lower(): key for key in parameters}
    known = {name.lower() for name in signature}
    unknown = [key for low, key in given.items() if low not in known]
    missing = [name for name in signature if name.lower() not in given]
    listed = cut_text(", ".join(signature), 500)
    if unknown:
        raise InvalidArgument(
            f"query_parameters: the procedure {workflow} has no parameter {unknown[0]!r}; it has: {listed}"
        )
    if missing:
        raise InvalidArgument(
            f"query_parameters: the parameter {missing[0]!r} of the procedure {workflow} is missing; it has: {listed}. "
            "None stands for the default of the workflow's variable."
        )
    return {given[name.lower()]: parameters[given[name.lower()]] for name in signature}


def called(workflow: str) -> str:
    """Give the name of the procedure of a whole CALL, or of a name, without quotes."""
    found = _CALLED.match(workflow)
    return re.sub(r"[`\"\s]", "", found[1] if found else workflow)


def _check_names(text: str, parameters: Parameters) -> None:
    """Compare ``@name`` parameters with what was given: the warehouse would refuse or ignore a misfit later."""
    named = set(_AT_NAME.findall(_QUOTED_TEXT.sub("", text)))
    if named and not isinstance(parameters, Mapping):
        shown = ", ".join(f"@{name}" for name in sorted(named))
        raise InvalidArgument(
            f"query_parameters: the CALL takes parameters by name ({shown}); give a mapping. "
            "For one run per item use .partial(…).expand(query_parameters=[…])."
        )
    if not named or not isinstance(parameters, Mapping):
        return
    lacking, extra = sorted(named - set(parameters)), sorted(set(parameters) - named)
    if lacking:
        raise InvalidArgument(f"query_parameters: the CALL needs {', '.join(lacking)}, which is missing")
    if extra:
        raise InvalidArgument(f"query_parameters: the CALL has no parameter {', '.join(extra)}")


def table_name(table: str, warehouse: str) -> str:
    """Give the name of an output table for a statement; raises `InvalidArgument` for what is no table's name."""
    if not table:
        raise InvalidArgument("run: the location of the output table is empty, or was no full name of a table")
    return full_name(table, warehouse, "run: the location of the output table")


def is_table_name(table: str, warehouse: str) -> bool:
    """True for what can be the full name of a table."""
    try:
        return bool(table_name(table, warehouse))
    except InvalidArgument:
        return False


def is_output_table(table: str) -> bool:
    """True for the name of a workflow's own output table, which ends in a hash of the parameters (exported SQL)."""
    return bool(re.search(r"_out_[0-9a-f]{16}[`\"]?$", table.strip(), re.IGNORECASE))


def beside(table: str, warehouse: str, ending: str) -> str:
    """Give the name of a table beside another one, for a statement; raises `InvalidArgument`."""
    table_name(table, warehouse)  # nothing but a name comes in
    quote = DIALECTS[warehouse].quote
    *place, (name, is_quoted) = _parts(table.strip(), quote)
    written = [f"{quote}{text.replace(quote, quote * 2)}{quote}" if marked else text for text, marked in place]
    made = name.encode()[: LONGEST_TABLE - len(ending)].decode(errors="ignore") + ending
    last = f"{quote}{made.replace(quote, quote * 2)}{quote}" if is_quoted else made
    return table_name(".".join([*written, last]), warehouse)


def sample(table: str, warehouse: str) -> str:
    """Select one row."""
    return f"SELECT * FROM {table_name(table, warehouse)} LIMIT 1"  # noqa: S608  # the name is checked part by part


def counted(table: str, warehouse: str, query: Callable[[str], Flow[Mapping[str, Any]]]) -> Flow[int]:
    """Count the rows of a table."""
    answer = yield from query(f"SELECT COUNT(*) AS n FROM {table_name(table, warehouse)}")  # noqa: S608  # as above
    return number_of(answer, table)


def total(table: str, warehouse: str, query: Callable[[str], Flow[Mapping[str, Any]]]) -> Flow[int]:
    """Count the rows of a table that is about to be read; one that is just being replaced is asked for twice."""
    text = f"SELECT COUNT(*) AS n FROM {table_name(table, warehouse)}"  # noqa: S608  # the name is checked part by part
    answer = yield from persist(lambda: _after_swap(query, text))
    return number_of(answer, table)


def pages(
    table: str, warehouse: str, query: Callable[[str], Flow[Mapping[str, Any]]], rows: int | None = None
) -> Flow[None]:
    """Read a whole table; yields a `Chunk` of a `Page` per shard, and never a row less than ``COUNT(*)`` says.

    :param rows: the number of rows where it is known already.
    """
    dialect = DIALECTS[warehouse]
    source = f"FROM {table_name(table, warehouse)}"
    expected, seen = rows, 0
    if expected is None:
        expected = yield from total(table, warehouse, query)
    shards = 1 if expected <= SHARD_ROWS else ceil(expected / SHARD_ROWS)
    if shards > 1 and not dialect.shard:
        if expected > ROW_CAP:
            raise OutputUnavailable(
                f"{table} has {expected} rows; CARTO gives {ROW_CAP}, and how to split a {warehouse} table is unknown"
            )
        shards = 1
    for k in range(shards):
        where = f" AS t WHERE {dialect.shard.format(n=shards, k=k)}" if shards > 1 else ""
        document = yield from persist(lambda where=where: _after_swap(query, f"SELECT * {source}{where}"))  # type: ignore[misc]  # binds the loop variable
        seen += len(document["rows"])
        yield Chunk(Page(columns(document), document["rows"]))
        del document  # a page that was handed out must not stay while the next one is read
    if seen != expected:
        raise OutputUnavailable(f"{table} has {expected} rows, but {seen} came; it may have been replaced meanwhile")


def _after_swap(query: Callable[[str], Flow[Mapping[str, Any]]], text: str) -> Flow[Mapping[str, Any]]:
    """Query a table, and once more where it is not there: a workflow replaces its table by dropping it first."""
    try:
        return (yield from query(text))
    except (RequestRejected, OutputUnavailable) as error:
        if not is_missing(error):
            raise
    yield Sleep(SWAP_PAUSE)
    try:
        return (yield from query(text))
    except RequestRejected as error:
        if not is_missing(error):
            raise
        raise error.become(OutputGone, "The output table does not exist any more. ") from error


def is_missing(error: WorkflowError) -> bool:
    """True for an answer that says that a table is not there."""
    if isinstance(error, InvalidArgument):
        return False
    return isinstance(error, OutputUnavailable) or is_missing_table(error)


def is_missing_table(error: WorkflowError) -> bool:
    """True if the warehouse's words say that a table is not there."""
    return bool(_MISSING.search(error.summary)) and not _NO_RIGHT.search(error.summary)


def number_of(answer: Mapping[str, Any], table: str) -> int:
    """Read the one number of an answer."""
    rows = answer["rows"]
    try:
        return int(next(iter(rows[0].values())))
    except (IndexError, AttributeError, StopIteration, TypeError, ValueError, OverflowError):
        # What int() says holds a part of the answer, and that may be a secret.
        raise OutputUnavailable(f"{table}: the answer to COUNT(*) holds no number") from None


def columns(document: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Give names and types in order: from the schema, else from the first row with types to be found out."""
    schema = document.get("schema")
    if isinstance(schema, list) and all(isinstance(item, Mapping) and "name" in item for item in schema) and schema:
        return [(str(item["name"]), TYPES.get(str(item.get("type", "")).lower(), "any")) for item in schema]
    first = document["rows"][0] if document["rows"] else {}
    return [(str(name), "any") for name in first] if isinstance(first, Mapping) else []
