"""Reading a large output table at the cost of two scans: it is copied once, then the copy is read by ranges of rows.

Answers are capped at 200,000 rows and there is no cursor, so a large table is asked for in parts. A part of the table
itself costs a scan of the whole table each time. The copy has a row number by which the warehouse finds a range. It is
made by one statement, so that a table that is replaced meanwhile never gives a mix. It is dropped at the end, whatever
happens; where the process dies, BigQuery drops it after a day.

That CARTO's SQL API takes these statements, and that the warehouses read no more than the range, is unverified; the
statements follow the manuals of the warehouses.
"""

from __future__ import annotations

import re
import secrets
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from math import ceil
from typing import Any

from airflow_workflow_provider.exceptions import (
    AuthenticationFailed,
    OutputUnavailable,
    PermissionDenied,
    RequestRejected,
    UnknownStart,
    WorkflowError,
)
from airflow_workflow_provider.protocol.effects import AtEnd, Chunk, Flow, Note, Sleep
from airflow_workflow_provider.protocol.model import RunState
from airflow_workflow_provider.protocol.results import Page
from airflow_workflow_provider.protocol.retry import persist
from airflow_workflow_provider.systems.carto import sql
from airflow_workflow_provider.systems.carto.json_rows import JsonRows

ATTEMPTS = 3  # at a copy, where the answer to a start is lost
PAUSES = (0.5, 1.0, 2.0, 5.0, 10.0)  # seconds between two looks at a job; the last one stays
MOST_PARTITIONS = 3_900  # BigQuery: 4,000 that one job may write
MOST_LOOKS = 1_440  # looks at the job that copies: four hours
CLEANING = 12  # looks at a job that must end before its table can be dropped
Query = Callable[[str], Flow[Mapping[str, Any]]]
_REFUSED = re.compile(
    r"permission|access denied|not authorized|unauthorized|privilege|not allowed|ora-01031|42501|insufficient",
    re.IGNORECASE,
)
_THERE = re.compile(r"already exists|ora-00955", re.IGNORECASE)


@dataclass(frozen=True)
class Copying:
    """How one warehouse copies a table with a row number, and finds a range of these afterwards.

    ``then`` are further statements for the copy. ``total`` counts its rows without reading it.
    """

    create: str
    then: tuple[str, ...] = ()
    total: str = "COUNT(*)"
    drop: str = "DROP TABLE IF EXISTS {stage}"


_SELECT = "SELECT t.*, ROW_NUMBER() OVER ({order}) AS {row} FROM {table} AS t"
_INDEX = "CREATE INDEX {index} ON {stage} ({row})"
# Sources: https://cloud.google.com/bigquery/docs/partitioned-tables (integer ranges),
# https://docs.snowflake.com/en/user-guide/tables-clustering-micropartitions,
# https://docs.aws.amazon.com/redshift/latest/dg/r_CREATE_TABLE_AS.html,
# https://docs.databricks.com/aws/en/sql/language-manual/sql-ref-syntax-ddl-cluster-by. PostgreSQL and Oracle find a
# range by an index, whose making reads the copy once more.
COPYING: Mapping[str, Copying] = {
    "bigquery": Copying(
        "CREATE TABLE {stage} PARTITION BY RANGE_BUCKET({row}, GENERATE_ARRAY(1, {end}, {step})) OPTIONS "
        "(expiration_timestamp = TIMESTAMP_ADD(CURRENT_TIMESTAMP(), INTERVAL 1 DAY)) AS " + _SELECT.format_map(
            {"order": "", "row": "{row}", "table": "{table}"}
        )
    ),
    "snowflake": Copying(
        "CREATE TRANSIENT TABLE {stage} DATA_RETENTION_TIME_IN_DAYS = 0 AS "
        + _SELECT.format_map({"order": "ORDER BY 1", "row": "{row}", "table": "{table}"})
        + " ORDER BY {row}"
    ),
    "postgres": Copying(
        "CREATE TABLE {stage} AS " + _SELECT.format_map({"order": "", "row": "{row}", "table": "{table}"}),
        (_INDEX,),
        "MAX({row})",
    ),
    "redshift": Copying(
        "CREATE TABLE {stage} SORTKEY({row}) AS "
        + _SELECT.format_map({"order": "", "row": "{row}", "table": "{table}"})
    ),
    "databricks": Copying(
        "CREATE TABLE {stage} CLUSTER BY ({row}) AS "
        + _SELECT.format_map({"order": "ORDER BY 1", "row": "{row}", "table": "{table}"})
    ),
    "oracle": Copying(
        "CREATE TABLE {stage} AS SELECT t.*, ROWNUM AS {row} FROM {table} t",
        (_INDEX,),
        "MAX({row})",
        "DROP TABLE {stage} PURGE",
    ),
}  # fmt: skip


@dataclass(frozen=True)
class Jobs:
    """What runs a statement as a job of the SQL API.

    ``start`` gives the id of a new job, ``look`` its state and the server's words, ``cancel`` asks for its end.
    """

    start: Callable[[str], Flow[str]]
    look: Callable[[str], Flow[tuple[RunState, str]]]
    cancel: Callable[[str], Flow[None]]


@dataclass
class _Copy:
    """One copy of a table: its names, and the job that still runs for it."""

    stage: str
    row: str
    index: str
    drop: str
    job: str = ""
    may_exist: bool = field(default=False)


def pages(table: str, warehouse: str, query: Query, jobs: Jobs) -> Flow[None]:
    """Read a whole table; a large one from a copy. Yields a `Chunk` of a `Page` for each part."""
    total = yield from sql.total(table, warehouse, query)
    if total <= sql.SHARD_ROWS:
        yield from sql.pages(table, warehouse, query, total)
        return
    copy = yield from _copied(table, warehouse, jobs, total)
    yield from _ranges(table, copy, COPYING[warehouse], query)


def _copied(table: str, warehouse: str, jobs: Jobs, total: int) -> Flow[_Copy]:
    """Copy the table; a copy of which nothing is known is given up, and dropped at the end as the others are."""
    copying, source = COPYING[warehouse], sql.table_name(table, warehouse)
    step = max(sql.SHARD_ROWS, ceil(total / MOST_PARTITIONS))
    for attempt in range(1, ATTEMPTS + 1):
        mark = secrets.token_hex(4)
        stage = sql.beside(table, warehouse, f"_read_{mark}")
        drop = copying.drop.format(stage=stage)
        copy = _Copy(stage, f"airflow_row_{mark}", f"airflow_index_{mark}", drop)
        names = {"stage": stage, "row": copy.row, "index": copy.index, "table": source, "end": total + step}
        yield Note(f"The output has {total:,} rows. It is copied to {stage}, which is dropped after the reading.")
        yield AtEnd(lambda copy=copy: _dropped(copy, jobs))  # type: ignore[misc]  # binds the loop variable
        try:
            yield from _created(copying.create.format(**names, step=step), copy, jobs, total)
            for statement in copying.then:
                yield from _done(statement.format(**names), copy, jobs, total)
        except UnknownStart:
            if attempt == ATTEMPTS:
                raise
            continue
        return copy
    raise AssertionError("the last attempt returns or raises")


def _created(statement: str, copy: _Copy, jobs: Jobs, total: int) -> Flow[None]:
    """Run the statement, and once more where the table is just being replaced."""
    try:
        yield from _done(statement, copy, jobs, total)
    except OutputUnavailable as error:
        if _THERE.search(error.summary):
            copy.may_exist = False  # the table of this name is not the copy, and is not dropped
        if not sql.is_missing_table(error):
            raise
    else:
        return
    yield Sleep(sql.SWAP_PAUSE)
    yield from _done(statement, copy, jobs, total)


def _done(statement: str, copy: _Copy, jobs: Jobs, total: int) -> Flow[None]:
    """Run a statement as a job and wait for its end. Raises `OutputUnavailable`, or says that the token may not."""
    copy.may_exist = True
    try:
        copy.job = yield from persist(lambda: jobs.start(statement))
    except (PermissionDenied, RequestRejected) as error:
        copy.may_exist = False
        if isinstance(error, PermissionDenied) or _REFUSED.search(error.summary):
            raise error.become(PermissionDenied, _may_not(total)) from error
        raise
    for looks in range(MOST_LOOKS):
        state, said = yield from persist(lambda: jobs.look(copy.job))
        if state.is_terminal:
            break
        yield Sleep(PAUSES[min(looks, len(PAUSES) - 1)])
    else:
        hours = MOST_LOOKS * PAUSES[-1] / 3600
        raise OutputUnavailable(f"The copy of the output table to {copy.stage} has not ended after {hours:.0f} hours")
    copy.job = ""
    if state is RunState.SUCCEEDED:
        return
    if _REFUSED.search(said):
        raise PermissionDenied(f"{_may_not(total)}For {copy.stage} the warehouse says: {said}")
    raise OutputUnavailable(f"The copy of the output table to {copy.stage} is {state}: {said or 'no reason is given'}")


def _may_not(total: int) -> str:
    return (
        f"The output has {total:,} rows, and CARTO answers at most {sql.ROW_CAP:,}; it is read from a copy beside it, "
        "and the token may not create one. Use a token that may create and drop tables there (field 'read_token'), or "
        "large_tables='shards' in the connection's extra, which reads the whole table once for each "
        f"{sql.SHARD_ROWS:,} rows. "
    )


def _dropped(copy: _Copy, jobs: Jobs) -> Flow[None]:
    """Drop a copy; a job that still makes it is cancelled first, since it would make the table afterwards."""
    if not copy.may_exist:
        return
    try:
        if copy.job:
            yield from _ended(copy, jobs)
        yield from dropped(copy.stage, copy.drop, jobs)
    except WorkflowError as error:
        yield Note(f"The table {copy.stage} could not be dropped; drop it by hand: {error.summary}", "warning")


def dropped(stage: str, drop: str, jobs: Jobs) -> Flow[None]:
    """Drop a table by a job and wait for its end. Raises what the server says."""
    job = yield from persist(lambda: jobs.start(drop))
    for looks in range(CLEANING):
        state, said = yield from jobs.look(job)
        if state is RunState.SUCCEEDED:
            return
        if state.is_terminal:
            raise OutputUnavailable(f"{stage} is not dropped, the job is {state}: {said}")
        yield Sleep(PAUSES[min(looks, len(PAUSES) - 1)])
    seconds = sum(PAUSES) + (CLEANING - len(PAUSES)) * PAUSES[-1]
    raise OutputUnavailable(f"The job that drops {stage} has not ended after {seconds:.0f} seconds")


def _ended(copy: _Copy, jobs: Jobs) -> Flow[None]:
    try:
        yield from jobs.cancel(copy.job)
    except AuthenticationFailed:
        raise
    except WorkflowError:
        pass  # it may have ended by itself
    for looks in range(CLEANING):
        state, _ = yield from jobs.look(copy.job)
        if state.is_terminal:
            return
        yield Sleep(PAUSES[min(looks, len(PAUSES) - 1)])


def _ranges(table: str, copy: _Copy, copying: Copying, query: Query) -> Flow[None]:
    """Read the copy by disjoint ranges of its row number, each with the number of rows that it must have."""
    counted = copying.total.format(row=copy.row)
    answer = yield from persist(lambda: query(f"SELECT {counted} AS n FROM {copy.stage}"))  # noqa: S608  # own names
    total = sql.number_of(answer, table)
    for first in range(1, max(total, 1) + 1, sql.SHARD_ROWS):
        last = min(first + sql.SHARD_ROWS - 1, total)
        where = f"{copy.row} >= {first} AND {copy.row} <= {last}"
        document = yield from persist(
            lambda where=where: query(f"SELECT * FROM {copy.stage} WHERE {where}")  # type: ignore[misc]  # noqa: S608  # as above, and binds the loop variable
        )
        if len(document["rows"]) != max(last - first + 1, 0):
            raise OutputUnavailable(
                f"{table}: the rows {first} to {last} of its copy are {last - first + 1}, but "
                f"{len(document['rows'])} came"
            )
        yield Chunk(_without(document, copy.row))
        del document  # a page that was handed out must not stay while the next one is read


def _without(document: Mapping[str, Any], row: str) -> Page:
    """Give the page without the row number; a warehouse may write its name in upper case."""
    columns = [(name, kind) for name, kind in sql.columns(document) if name.lower() != row]
    rows: Sequence[Mapping[str, Any]] = document["rows"]
    if isinstance(rows, JsonRows):
        own = [name for name in rows.batch.schema.names if name.lower() != row]
        return Page(columns, JsonRows(rows.batch.select(own)))
    return Page(columns, [{name: value for name, value in one.items() if name.lower() != row} for one in rows])
