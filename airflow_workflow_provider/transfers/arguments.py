"""Arguments of the transfers that can be known to be wrong when the DAG is parsed.

It imports nothing that a DAG file would pay for. A template, or a value that another task gives, is checked when the
task runs.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from airflow_workflow_provider.exceptions import InvalidArgument
from airflow_workflow_provider.outputs.column_arguments import checked_types, chosen_columns, type_parts
from airflow_workflow_provider.protocol.literals import (
    check_conn_id,
    check_flags,
    check_run,
    check_text,
    is_json,
    is_literal,
)
from airflow_workflow_provider.systems import known_keys, system_class
from airflow_workflow_provider.transfers.source.added_columns import checked_columns

IF_EXISTS = ("fail", "append", "replace", "truncate", "upsert", "replace_where")
LOAD_METHODS = ("auto", "in_database", "bulk", "insert")
ON_NEW_COLUMN = ("fail", "add", "ignore")
ON_MISSING_COLUMN = ("null", "fail")
ON_MISSING_OUTPUT = ("fail", "skip")
COMPRESSIONS: Mapping[str, tuple[str, ...]] = {
    "parquet": ("snappy", "none", "gzip", "zstd", "lz4", "brotli"),
    "csv": ("none", "gzip"),
    "jsonl": ("none", "gzip"),
    "raw": ("none", "gzip"),
}
PLACEHOLDERS = ("run_id", "output", "index")
PLACEHOLDER = re.compile(r"\{(" + "|".join(PLACEHOLDERS) + r")\}")
_IN_BRACES = re.compile(r"(?<!\{)\{([A-Za-z_]+)\}(?!\})")
_ONE_SLASH = re.compile(r"([A-Za-z][A-Za-z0-9+.-]+):/(?!/)")


def check_choice(name: str, value: Any, choices: Sequence[str]) -> None:
    """Refuse a value that is none of the choices. Raises `InvalidArgument`, which names the argument."""
    if value not in choices:
        raise InvalidArgument(f"{name}: expected one of {', '.join(map(repr, choices))}, not {value!r}")


def checked_keys(if_exists: str, key_columns: Any) -> tuple[str, ...]:
    """Give the key columns. Raises `InvalidArgument` where upsert lacks them."""
    keys = checked_names("key_columns", key_columns)
    if if_exists == "upsert" and not keys:
        raise InvalidArgument("key_columns: if_exists='upsert' needs the columns that make a row unique")
    return keys


def checked_where(if_exists: str, where: Any) -> str:
    """Give the condition of the rows to replace. Raises `InvalidArgument` where it lacks, or is no single one."""
    if where not in (None, "") and not isinstance(where, str):
        raise InvalidArgument(f"where: expected a SQL condition as text, not {where!r}")
    condition = where.strip() if isinstance(where, str) else ""
    if if_exists == "replace_where" and not condition:
        raise InvalidArgument("where: if_exists='replace_where' needs the condition of the rows to replace")
    if ";" in re.sub(r"'(?:[^']|'')*'|\"(?:[^\"]|\"\")*\"", "", condition):
        raise InvalidArgument("where: holds a semicolon; expected one condition")
    return condition


def checked_compression(name: str, compression: Any) -> str:
    """Give the compression of a file format. Raises `InvalidArgument`, which names the argument."""
    check_choice("format", name, tuple(COMPRESSIONS))
    known = COMPRESSIONS[name]
    wanted = known[0] if compression in (None, "") else str(compression).lower()
    if wanted not in known:
        raise InvalidArgument(f"compression: {name} knows {', '.join(map(repr, known))}, not {compression!r}")
    return wanted


def checked_timeout(seconds: Any) -> float:
    """Give ``lock_timeout`` in seconds. Raises `InvalidArgument`, which names the argument."""
    value = seconds.total_seconds() if hasattr(seconds, "total_seconds") else seconds
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 <= value <= 10_000_000:
        raise InvalidArgument(f"lock_timeout: expected a number of seconds, or a timedelta, not {seconds!r}")
    return float(value)


def checked_partitions(partition_by: Any) -> tuple[str, ...]:
    """Give ``partition_by`` as column names. Raises `InvalidArgument`."""
    if partition_by == "":
        raise InvalidArgument("partition_by: is empty; leave it out for one file")
    return checked_names("partition_by", partition_by)


def checked_names(argument: str, names: Any) -> tuple[str, ...]:
    """Give column names as a tuple; a single one may be plain text, None is none. Raises `InvalidArgument`."""
    if names is None or names == "":
        return ()
    is_list = isinstance(names, Iterable) and not isinstance(names, (bytes, Mapping))
    listed = [names] if isinstance(names, str) else list(names) if is_list else [None]
    if not all(isinstance(name, str) and name for name in listed) or len(set(listed)) < len(listed):
        raise InvalidArgument(f"{argument}: expected a list of different column names, not {names!r}")
    return tuple(listed)


def check_known_columns(argument: str, names: Iterable[str], operator: Any) -> None:
    """Refuse names that ``columns`` and ``add_columns`` leave out, where both are known. Raises `InvalidArgument`."""
    if not all(is_literal(one) and not is_json(one) for one in (operator.columns, operator.add_columns)):
        return
    chosen = chosen_columns(operator.columns)
    if chosen is None:
        return
    known = [*chosen, *chosen.values(), *checked_columns(operator.add_columns)]
    unknown = next((name for name in names if name not in known), None)
    if unknown is not None:
        near = difflib.get_close_matches(unknown, known, 1, 0.6)
        hint = f"; did you mean {near[0]!r}?" if near else f"; these are {', '.join(map(repr, dict.fromkeys(known)))}"
        raise InvalidArgument(f"{argument}: {unknown!r} is none of the columns that 'columns' keeps{hint}")


def check_shapes(name: str, *, is_changed: bool) -> None:
    """Refuse arguments that change rows beside the format that keeps the bytes. Raises `InvalidArgument`."""
    if name == "raw" and is_changed:
        raise InvalidArgument(
            "format: 'raw' keeps the bytes; columns, column_types, add_columns and partition_by need another one"
        )


def check_placeholders(argument: str, text: Any) -> None:
    """Refuse a misspelled placeholder: outputs would go into one place. Raises `InvalidArgument`."""
    for found in _IN_BRACES.findall(text) if isinstance(text, str) else ():
        near = difflib.get_close_matches(found, PLACEHOLDERS, 1, 0.6)
        if near and found not in PLACEHOLDERS:
            known = ", ".join(f"{{{name}}}" for name in PLACEHOLDERS)
            raise InvalidArgument(
                f"{argument}: the placeholder '{{{found}}}' is unknown; did you mean '{{{near[0]}}}'? Known are {known}"
            )


def check_which(operator: Any) -> None:
    """Check what is literal of the arguments that say which output of which run."""
    check_conn_id("conn_id", operator.conn_id)
    check_text("system", operator.system, optional=True)
    if isinstance(operator.system, str) and is_literal(operator.system) and operator.system not in known_keys():
        system_class(operator.system)  # it says which keys there are
    name = operator.output_name
    if not isinstance(name, int) or isinstance(name, bool):
        check_text("output_name", name, optional=True)
    if is_literal(operator.on_missing_output):
        check_choice("on_missing_output", operator.on_missing_output, ON_MISSING_OUTPUT)
    check_run(operator.run, operator.system)


def check_sql_arguments(operator: Any) -> None:
    """Check what is literal of the arguments of `WorkflowOutputToSqlOperator`."""
    check_which(operator)
    check_conn_id("sql_conn_id", operator.sql_conn_id, optional=False)
    check_text("table", operator.table)
    check_flags(operator, "cleanup_output")
    if isinstance(operator.table, str) and is_literal(operator.table):
        from airflow_workflow_provider.transfers.sql.dialects import GENERIC
        from airflow_workflow_provider.transfers.sql.names import parse_table

        check_placeholders("table", operator.table)
        parse_table(PLACEHOLDER.sub("x", operator.table), GENERIC)
    if is_literal(operator.if_exists):
        check_choice("if_exists", operator.if_exists, IF_EXISTS)
        if is_literal(operator.key_columns) and not is_json(operator.key_columns):
            keys = checked_keys(operator.if_exists, operator.key_columns)
            if operator.if_exists == "upsert":
                check_known_columns("key_columns", keys, operator)
        if is_literal(operator.where):
            checked_where(operator.if_exists, operator.where)
    _check_columns(operator)
    if is_literal(operator.expect) and not is_json(operator.expect):
        from airflow_workflow_provider.transfers.sql.checks import Expect

        Expect.of(operator.expect)
    if is_literal(operator.lock_timeout):
        checked_timeout(operator.lock_timeout)
    for name, choices in (
        ("load_method", LOAD_METHODS),
        ("on_new_column", ON_NEW_COLUMN),
        ("on_missing_column", ON_MISSING_COLUMN),
    ):
        value = getattr(operator, name)
        if is_literal(value):
            check_choice(name, value, choices)


def _check_columns(operator: Any) -> None:
    if is_literal(operator.columns) and not is_json(operator.columns):
        chosen_columns(operator.columns)
    if is_literal(operator.column_types) and not is_json(operator.column_types):
        types = checked_types(operator.column_types)
        for column, kind in types.items():
            type_parts(kind, column)
        check_known_columns("column_types", types, operator)
    if is_literal(operator.add_columns) and not is_json(operator.add_columns):
        checked_columns(operator.add_columns)
    if is_literal(operator.csv_options) and not is_json(operator.csv_options):
        from airflow_workflow_provider.outputs.csv_options import CsvOptions

        CsvOptions.parse(operator.csv_options)


def check_file_arguments(operator: Any) -> None:
    """Check what is literal of the arguments of `WorkflowOutputToObjectStorageOperator`."""
    check_which(operator)
    check_conn_id("storage_conn_id", operator.storage_conn_id)
    check_text("path", operator.path)
    check_flags(operator, "overwrite")
    if isinstance(operator.path, str) and is_literal(operator.path):
        check_placeholders("path", operator.path)
        _check_path(operator.path, is_folder=operator.partition_by not in (None, "", [], ()))
    if is_literal(operator.format):
        check_choice("format", operator.format, tuple(COMPRESSIONS))
        shaping = (operator.columns, operator.column_types, operator.add_columns, operator.partition_by)
        is_changed = any(one not in (None, "", [], {}) and is_literal(one) for one in shaping)
        check_shapes(operator.format, is_changed=is_changed)
        if is_literal(operator.compression):
            checked_compression(operator.format, operator.compression)
    _check_columns(operator)
    if is_literal(operator.partition_by) and not is_json(operator.partition_by):
        check_known_columns("partition_by", checked_partitions(operator.partition_by), operator)


def _check_path(path: str, *, is_folder: bool) -> None:
    found = _ONE_SLASH.match(path)
    if found and found[1].lower() != "file":
        meant = f"{found[1]}://{path[found.end() :]}"
        raise InvalidArgument(f"path: {path!r} has one slash after its scheme; do you mean {meant!r}?")
    if path.rstrip().endswith("/") and not is_folder:
        example = f"{path.strip()}{{output}}.csv"
        raise InvalidArgument(f"path: {path!r} is a folder; give the name of a file, such as {example!r}")


def check_mapped(operator: Any, context: Mapping[str, Any]) -> None:
    """Refuse mapped tasks that each replace the rows of the one before, where the DAG gives them one table."""
    index = getattr(context["ti"], "map_index", -1)
    if index is None or index < 0 or operator.if_exists not in ("replace", "truncate"):
        return
    task = getattr(getattr(operator, "dag", None), "task_dict", {}).get(operator.task_id)
    partial = getattr(task, "partial_kwargs", None)
    if not isinstance(partial, Mapping) or "table" not in partial:
        return
    table = partial["table"]
    if isinstance(table, str) and is_literal(table) and not PLACEHOLDER.search(table):
        raise InvalidArgument(
            f"if_exists={operator.if_exists!r}: each mapped task would replace what the others load into {table!r}. "
            "Give all runs to one task, run=start.output without expand, or use if_exists='append', 'upsert', "
            "'replace_where', or a table with {run_id}"
        )
