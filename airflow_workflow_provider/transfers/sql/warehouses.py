"""Statements that load a table of a data warehouse from another of its tables: no row moves.

One table of dialects says how BigQuery, Snowflake, Redshift, Databricks and Oracle create, append, empty and merge. The
statements of a load are all or nothing: one transaction of the connection, one script, or one statement, as the
warehouse can. The tests parse every statement in its dialect, and run those of Snowflake on an emulator; that the
warehouses themselves take them is unverified.
"""
# ruff: noqa: S608 (names are quoted; ``where`` is SQL of the DAG's author)

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from typing import Any

from airflow_workflow_provider.exceptions import InvalidArgument

_MERGE = (
    "MERGE INTO {t} AS t USING (SELECT {values} FROM {s} AS s) AS s ON {on} "
    "WHEN MATCHED THEN UPDATE SET {set} WHEN NOT MATCHED THEN INSERT ({columns}) VALUES ({given})"
)
_MERGE_KEYS = (
    "MERGE INTO {t} AS t USING (SELECT {values} FROM {s} AS s) AS s ON {on} "
    "WHEN NOT MATCHED THEN INSERT ({columns}) VALUES ({given})"
)
_INSERT = "INSERT INTO {t} ({columns}) SELECT {values} FROM {s} AS s"
_COLUMNS = (
    "SELECT column_name, data_type FROM {around}information_schema.columns WHERE table_schema = {schema} "
    "AND table_name = {table} ORDER BY ordinal_position"
)


@dataclass(frozen=True)
class Warehouse:
    """How one warehouse loads a table from another one.

    ``create`` makes the table, the others change one that exists; each is a tuple of statements that belong together.
    ``is_transactional`` means that the connection has transactions, so that a failure between statements takes the
    earlier ones back; elsewhere each mode is one statement or one script. ``columns`` asks for the columns of a table
    and their types, ``describe`` for the types with their digits where the catalog does not tell them.
    """

    create: str = "CREATE TABLE {t} AS SELECT {named} FROM {s} AS s"
    append: tuple[str, ...] = (_INSERT,)
    truncate: tuple[str, ...] = ("DELETE FROM {t}", _INSERT)
    replace_where: tuple[str, ...] = ("DELETE FROM {t} WHERE {where}", _INSERT)
    upsert: tuple[str, ...] = (_MERGE,)
    upsert_keys: tuple[str, ...] = (_MERGE_KEYS,)
    is_transactional: bool = True
    columns: str = _COLUMNS
    describe: str = ""
    escapes: Mapping[str, str] = field(default_factory=lambda: {"'": "''"})

    def literal(self, value: Any) -> str:
        """Spell a value or a name as a literal. Raises `InvalidArgument` where none is certain."""
        if value is None:
            return "NULL"
        if isinstance(value, bool):
            return str(value).upper()
        if isinstance(value, (int, float, Decimal)):
            return str(value)
        text = value.isoformat(sep=" ") if isinstance(value, datetime) else str(value)
        if not text.isprintable() or ("\\" in text and "\\" not in self.escapes):
            raise InvalidArgument(f"{text!r} has characters for which this warehouse has no certain spelling")
        return "'" + "".join(self.escapes.get(character, character) for character in text) + "'"


def _script(*statements: str) -> tuple[str, ...]:
    return ("; ".join(("BEGIN TRANSACTION", *statements, "COMMIT TRANSACTION")),)


_BACKSLASHED = {"'": "\\'", "\\": "\\\\"}

# Sources: the manuals of each warehouse on MERGE, INSERT, CREATE TABLE AS and transactions (unverified on the wire).
WAREHOUSES: Mapping[str, Warehouse] = {
    "Snowflake": Warehouse(
        escapes={"'": "''", "\\": "\\\\"},
        # An INSERT rounds a number to the column's scale, and a time to its digits: the whole types are compared.
        describe="DESCRIBE TABLE {t}",
    ),
    "BigQuery": Warehouse(
        escapes=_BACKSLASHED,
        # A session of its client has no transaction; a script has one.
        truncate=_script("DELETE FROM {t} WHERE TRUE", _INSERT),
        replace_where=_script("DELETE FROM {t} WHERE {where}", _INSERT),
        is_transactional=False,
        columns=(
            "SELECT column_name, data_type FROM {around}INFORMATION_SCHEMA.COLUMNS WHERE table_name = {table} "
            "ORDER BY ordinal_position"
        ),
    ),
    "Redshift": Warehouse(
        columns=_COLUMNS.replace(
            "data_type",
            "CASE WHEN data_type = 'numeric' THEN 'numeric(' || numeric_precision || ',' || numeric_scale || ')' "
            "ELSE data_type END",
        ),
        # Its MERGE takes no subquery, and its UPDATE no other name for the target.
        upsert=(
            "UPDATE {t} SET {set_plain} FROM {s} AS s WHERE {on_full}",
            _INSERT + " WHERE NOT EXISTS (SELECT 1 FROM {t} AS t WHERE {on})",
        ),
        upsert_keys=(_INSERT + " WHERE NOT EXISTS (SELECT 1 FROM {t} AS t WHERE {on})",),
    ),
    "Databricks": Warehouse(
        escapes=_BACKSLASHED,
        columns=_COLUMNS.replace("data_type", "full_data_type"),
        # There are no transactions of several statements; each of these is atomic.
        truncate=("INSERT OVERWRITE TABLE {t} ({columns}) SELECT {values} FROM {s} AS s",),
        replace_where=("INSERT INTO TABLE {t} REPLACE WHERE {where} SELECT {all} FROM {s} AS s",),
        is_transactional=False,
    ),
    "Oracle": Warehouse(
        escapes={"'": "''", "\\": "\\"},
        create="CREATE TABLE {t} AS SELECT {named} FROM {s} s",
        append=("INSERT INTO {t} ({columns}) SELECT {values} FROM {s} s",),
        truncate=("DELETE FROM {t}", "INSERT INTO {t} ({columns}) SELECT {values} FROM {s} s"),
        replace_where=("DELETE FROM {t} WHERE {where}", "INSERT INTO {t} ({columns}) SELECT {values} FROM {s} s"),
        upsert=(
            (
                "MERGE INTO {t} t USING (SELECT {values} FROM {s} s) s ON ({on}) "
                "WHEN MATCHED THEN UPDATE SET {set} WHEN NOT MATCHED THEN INSERT ({columns}) VALUES ({given})"
            ),
        ),
        upsert_keys=(
            (
                "MERGE INTO {t} t USING (SELECT {values} FROM {s} s) s ON ({on}) "
                "WHEN NOT MATCHED THEN INSERT ({columns}) VALUES ({given})"
            ),
        ),
        columns=(
            "SELECT column_name, data_type || '(' || data_precision || ',' || data_scale || ',' || char_length || ')' "
            "FROM all_tab_columns WHERE owner = {schema} AND table_name = {table} ORDER BY column_id"
        ),
    ),
}


@dataclass(frozen=True)
class Column:
    """One column of a load: its quoted names in the source and in the target, and the type to cast to, if any.

    ``value`` is an expression instead of a column of the source.
    """

    source: str
    target: str
    cast: str = ""
    value: str = ""

    @property
    def sql(self) -> str:
        """The expression of its value, over the source ``s``."""
        given = self.value or f"s.{self.source}"
        return f"CAST({given} AS {self.cast})" if self.cast else given


def create(warehouse: Warehouse, target: str, source: str, columns: Sequence[Column]) -> str:
    """Make the table from the source; both are quoted names."""
    named = ", ".join(f"{column.sql} AS {column.target}" for column in columns)
    return warehouse.create.format(t=target, s=source, named=named)


def statements(
    warehouse: Warehouse,
    if_exists: str,
    target: str,
    source: str,
    columns: Sequence[Column],
    *,
    keys: Sequence[str] = (),
    where: str = "",
    every: Sequence[str] = (),
) -> tuple[str, ...]:
    """Give the statements that load a table which exists; they belong together.

    :param keys: quoted names of the target's key columns.
    :param where: the condition of the rows to replace.
    :param every: quoted names of all columns of the target in their order, where an INSERT cannot name its columns.
    """
    others = [column for column in columns if column.target not in keys]
    names = {"append": "append", "replace": "truncate", "truncate": "truncate", "replace_where": "replace_where"}
    kind = names.get(if_exists) or ("upsert" if others else "upsert_keys")
    by_target = {column.target: column.sql for column in columns}
    # A source that is renamed on the way is called as the target calls its columns.
    is_merge = "USING (" in "".join(getattr(warehouse, kind))
    own = {column.target: f"s.{column.target}" if is_merge else column.sql for column in columns}
    unknown = [key for key in keys if key not in by_target]
    if unknown:
        raise InvalidArgument(f"key_columns: there is no column {unknown[0]}; there are {', '.join(by_target)}")
    filled = {
        "t": target,
        "s": source,
        "where": where,
        "columns": ", ".join(by_target),
        "values": ", ".join(f"{column.sql} AS {column.target}" if is_merge else column.sql for column in columns),
        "given": ", ".join(f"s.{column.target}" for column in columns),
        "on": " AND ".join(f"t.{key} = {own[key]}" for key in keys),
        "on_full": " AND ".join(f"{target}.{key} = {own[key]}" for key in keys),
        "set": ", ".join(f"{column.target} = s.{column.target}" for column in others),
        "set_plain": ", ".join(f"{column.target} = {column.sql}" for column in others),
        "all": ", ".join(f"{by_target.get(name, 'NULL')} AS {name}" for name in every),
    }
    return tuple(template.format(**filled) for template in getattr(warehouse, kind))
