"""Arguments of the transfers that can be known to be wrong when the DAG is parsed.

It imports nothing that a DAG file would pay for. A template, or a value that another task gives, is checked when the
task runs.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Mapping, Sequence
from typing import Any

from airflow_workflow_provider.exceptions import InvalidArgument

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
_TEMPLATE = re.compile(r"\{\{|\{%|\{#")


def is_literal(value: Any) -> bool:
    """True if a value is known when the DAG is parsed."""
    if isinstance(value, str):
        return not _TEMPLATE.search(value)
    if isinstance(value, Mapping):
        return all(map(is_literal, (*value.keys(), *value.values())))
    if isinstance(value, (list, tuple)):
        return all(map(is_literal, value))
    return value is None or isinstance(value, (bool, int, float))


def check_choice(name: str, value: Any, choices: Sequence[str]) -> None:
    """Refuse a value that is none of the choices. Raises `InvalidArgument`, which names the argument."""
    if value not in choices:
        raise InvalidArgument(f"{name}: expected one of {', '.join(map(repr, choices))}, not {value!r}")


def checked_keys(if_exists: str, key_columns: Any) -> tuple[str, ...]:
    """Give the key columns. Raises `InvalidArgument` where upsert lacks them."""
    keys = [key_columns] if isinstance(key_columns, str) else list(key_columns or ())
    if if_exists == "upsert" and not (keys and all(isinstance(key, str) and key for key in keys)):
        raise InvalidArgument("key_columns: if_exists='upsert' needs the columns that make a row unique")
    return tuple(keys)


def checked_where(if_exists: str, where: Any) -> str:
    """Give the condition of the rows to replace. Raises `InvalidArgument` where it lacks, or is no single one."""
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
    if partition_by is None:
        return ()
    listed = [partition_by] if isinstance(partition_by, str) else list(partition_by)
    if not all(isinstance(name, str) and name for name in listed) or len(set(listed)) < len(listed):
        raise InvalidArgument(f"partition_by: expected a list of different column names, not {partition_by!r}")
    return tuple(listed)


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


def check_sql_arguments(operator: Any) -> None:
    """Check what is literal of the arguments of `WorkflowOutputToSqlOperator`."""
    _check_columns(operator)
    if isinstance(operator.expect, Mapping) and is_literal(operator.expect):
        from airflow_workflow_provider.transfers.sql.checks import Expect

        Expect.of(operator.expect)
    if is_literal(operator.lock_timeout):
        checked_timeout(operator.lock_timeout)
    if is_literal(operator.if_exists):
        check_choice("if_exists", operator.if_exists, IF_EXISTS)
        if is_literal(operator.key_columns):
            checked_keys(operator.if_exists, operator.key_columns)
        if is_literal(operator.where):
            checked_where(operator.if_exists, operator.where)
    for name, choices in (
        ("load_method", LOAD_METHODS),
        ("on_new_column", ON_NEW_COLUMN),
        ("on_missing_column", ON_MISSING_COLUMN),
        ("on_missing_output", ON_MISSING_OUTPUT),
    ):
        value = getattr(operator, name, choices[0])
        if is_literal(value):
            check_choice(name, value, choices)
    if isinstance(operator.table, str) and is_literal(operator.table):
        from airflow_workflow_provider.transfers.sql.dialects import GENERIC
        from airflow_workflow_provider.transfers.sql.names import parse_table

        check_placeholders("table", operator.table)
        parse_table(PLACEHOLDER.sub("x", operator.table), GENERIC)


def _check_columns(operator: Any) -> None:
    if isinstance(operator.add_columns, (Mapping, list, tuple)) and is_literal(operator.add_columns):
        from airflow_workflow_provider.transfers.source.added_columns import checked_columns

        checked_columns(operator.add_columns)
    if is_literal(operator.csv_options):
        from airflow_workflow_provider.outputs.csv_options import CsvOptions

        CsvOptions.parse(operator.csv_options)


def check_file_arguments(operator: Any) -> None:
    """Check what is literal of the arguments of `WorkflowOutputToObjectStorageOperator`."""
    _check_columns(operator)
    if is_literal(operator.path):
        check_placeholders("path", operator.path)
    if is_literal(operator.partition_by) and not _is_json(operator.partition_by):
        checked_partitions(operator.partition_by)
    if is_literal(operator.format):
        check_choice("format", operator.format, tuple(COMPRESSIONS))
        shaping = (operator.columns, operator.column_types, operator.add_columns, operator.partition_by)
        is_changed = any(one not in (None, "", [], {}) and is_literal(one) for one in shaping)
        check_shapes(operator.format, is_changed=is_changed)
        if is_literal(operator.compression):
            checked_compression(operator.format, operator.compression)
    if is_literal(operator.on_missing_output):
        check_choice("on_missing_output", operator.on_missing_output, ON_MISSING_OUTPUT)


def _is_json(value: Any) -> bool:
    return isinstance(value, str) and value.lstrip()[:1] in ("[", "{")


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
