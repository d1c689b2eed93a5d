"""What differs between SQL databases, as data."""
# ruff: noqa: S608 (names are quoted, values are parameters)

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, time
from decimal import Decimal
from math import isfinite
from typing import Any

# The kinds of Arrow types that databases tell apart; ``{p}`` and ``{s}`` are a decimal's precision and scale.
ANSI: Mapping[str, str] = {
    "bool": "BOOLEAN",
    "int": "BIGINT",
    "uint64": "DECIMAL(20, 0)",
    "float": "DOUBLE PRECISION",
    "decimal": "DECIMAL({p}, {s})",
    "date": "DATE",
    "datetime": "TIMESTAMP",
    "timestamp": "TIMESTAMP WITH TIME ZONE",
    "time": "TIME",
    "binary": "BLOB",
    "text": "VARCHAR(65535)",
    "key": "VARCHAR(255)",
}
MARK = "\0"  # stands for a parameter until the database's own placeholder is put in; no name can contain it


@dataclass(frozen=True, eq=False)
class SqlDialect:
    """How one database spells things, and what it can do.

    ``fold`` is what the database does to a name without quotes. ``sees_case`` means that two names in quotes which
    differ in case alone are two tables. ``values`` turns Python values into what the driver stores without loss, by
    kind. ``columns`` asks for a table's columns, their types, and whether these keep text as it is, in order (no row:
    no such table); its parameters are ``columns_of`` the schema, the table, and the whole name in quotes.
    ``ddl_in_transaction`` is False where CREATE and DROP commit. ``temporary`` is empty where the staging table is a
    table like any other. ``update`` updates the target ``{t}`` from the staging table ``{s}``. ``swap`` puts a filled
    table in the place of another at once. ``copies`` means ``COPY … FROM STDIN`` as PostgreSQL has it. ``one_cursor``
    means that only the connection shares its transaction.
    """

    name: str
    types: Mapping[str, str]
    quote: str = '"'
    fold: Callable[[str], str] = str
    sees_case: bool = False
    longest_name: int | None = None  # bytes
    most_decimal_digits: tuple[int, int] = (38, 38)
    values: Mapping[str, Callable[[Any], Any]] = field(default_factory=dict)
    columns: str | None = None
    columns_of: Callable[[str | None, str, str], tuple[Any, ...]] = lambda schema, table, quoted: (schema, table)
    opening: tuple[str, ...] = ()
    begin: str | None = None
    ddl_in_transaction: bool = True
    table_options: str = ""
    temporary: str = "CREATE TEMPORARY TABLE"
    drop_temporary: str = "DROP TABLE"
    update: str = "UPDATE {t} AS t SET {set} FROM {s} AS s WHERE {on}"
    swap: str | None = None
    takes_arrow: bool = False
    copies: bool = False
    one_cursor: bool = False


def _finite(value: float) -> float | None:
    return value if isfinite(value) else None


def _naive_utc(value: datetime) -> datetime:
    return value.astimezone(UTC).replace(tzinfo=None)


def _iso(value: datetime) -> str:
    return value.isoformat(sep=" ")


def _plain(value: Decimal) -> str:
    return format(value, "f")


def _iso_day(value: date | time) -> str:
    return value.isoformat()


SQLITE = SqlDialect(
    name="SQLite",
    # A DECIMAL column would make floats of numbers; as text they keep their digits. Times are ISO 8601 text.
    types={**ANSI, "text": "TEXT", "key": "TEXT", "decimal": "TEXT", "uint64": "TEXT", "int": "BIGINT"},
    values={"decimal": _plain, "uint64": str, "date": _iso_day, "datetime": _iso, "timestamp": _iso, "time": _iso_day},
    # What a declared type makes of a value there is told by the letters that it contains.
    columns="SELECT name, type, type NOT LIKE '%int%' AND (type LIKE '%char%' OR type LIKE '%clob%' OR "
    f"type LIKE '%text%') FROM pragma_table_info({MARK}, COALESCE({MARK}, 'main'))",
    columns_of=lambda schema, table, quoted: (table, schema),
    opening=("PRAGMA busy_timeout = 60000",),
    begin="BEGIN IMMEDIATE",
    temporary="CREATE TEMP TABLE",
)
POSTGRES = SqlDialect(
    name="PostgreSQL",
    types={**ANSI, "text": "TEXT", "key": "TEXT", "binary": "BYTEA", "decimal": "NUMERIC({p},{s})"}
    # As the server itself spells them, so that a table of the same shape is known again.
    | {"uint64": "NUMERIC(20,0)", "datetime": "TIMESTAMP WITHOUT TIME ZONE", "time": "TIME WITHOUT TIME ZONE"},
    fold=str.lower,
    sees_case=True,
    longest_name=63,
    columns="SELECT attname, format_type(atttypid, atttypmod), typcategory IN ('S', 'E') FROM pg_attribute "
    "JOIN pg_type ON pg_type.oid = atttypid "
    f"WHERE attrelid = to_regclass({MARK}) AND attnum > 0 AND NOT attisdropped ORDER BY attnum",
    columns_of=lambda schema, table, quoted: (quoted,),
    opening=("SET LOCAL TimeZone TO 'UTC'",),  # for the transaction: a pool may give the connection to others
    copies=True,
)
MYSQL = SqlDialect(
    name="MySQL",
    # TIMESTAMP ends in 2038; DATETIME keeps the moment in UTC. NaN and infinity do not exist there.
    types={**ANSI, "float": "DOUBLE", "datetime": "DATETIME(6)", "timestamp": "DATETIME(6)", "time": "TIME(6)"}
    | {"text": "LONGTEXT", "binary": "LONGBLOB", "bool": "TINYINT(1)", "uint64": "BIGINT UNSIGNED"},
    quote="`",
    longest_name=64,
    most_decimal_digits=(65, 30),
    values={"float": _finite, "timestamp": _naive_utc},
    columns="SELECT column_name, column_type, data_type LIKE '%char' OR data_type LIKE '%text' OR data_type = 'enum' "
    "FROM information_schema.columns "
    f"WHERE table_schema = COALESCE({MARK}, DATABASE()) AND table_name = {MARK} ORDER BY ordinal_position",
    opening=(
        "SET NAMES utf8mb4",
        "SET time_zone = '+00:00'",
        "SET SESSION sql_mode = CONCAT(@@sql_mode, ',STRICT_ALL_TABLES')",  # what does not fit is an error
    ),
    ddl_in_transaction=False,
    # Whatever the server's default is, every character has a place, and no two texts are taken for one.
    table_options=" CHARACTER SET utf8mb4 COLLATE utf8mb4_bin",
    drop_temporary="DROP TEMPORARY TABLE",
    update="UPDATE {t} AS t JOIN {s} AS s ON {on} SET {set}",
    swap="RENAME TABLE {old} TO {away}, {new} TO {old}",
)
DUCKDB = SqlDialect(
    name="DuckDB",
    types={**ANSI, "float": "DOUBLE", "text": "VARCHAR", "key": "VARCHAR", "uint64": "UBIGINT"},
    columns="SELECT column_name, data_type, data_type = 'VARCHAR' OR starts_with(data_type, 'ENUM') "
    "FROM information_schema.columns WHERE table_catalog = current_database() "
    f"AND lower(table_schema) = lower(coalesce({MARK}, current_schema())) AND lower(table_name) = lower({MARK}) "
    "ORDER BY ordinal_position",
    begin="BEGIN TRANSACTION",
    temporary="CREATE TEMP TABLE",
    takes_arrow=True,
    one_cursor=True,  # another cursor is another connection, with a transaction of its own
)
# unverified: whatever else has a DbApiHook. Nothing is taken for granted but standard SQL.
GENERIC = SqlDialect(
    name="this database",
    types=ANSI,
    ddl_in_transaction=False,
    temporary="",
    update="UPDATE {t} SET {correlated} WHERE EXISTS (SELECT 1 FROM {s} WHERE {on_full})",
)
# unverified as well, but their manuals say so of names.
SNOWFLAKE = replace(GENERIC, name="Snowflake", fold=str.upper, sees_case=True)
ORACLE = replace(GENERIC, name="Oracle", fold=str.upper, sees_case=True)

# By the hook's connection type, or by its dialect's name.
DIALECTS: Mapping[str, SqlDialect] = {
    "sqlite": SQLITE,
    "postgres": POSTGRES,
    "postgresql": POSTGRES,
    "mysql": MYSQL,
    "mariadb": MYSQL,
    "duckdb": DUCKDB,
    "snowflake": SNOWFLAKE,
    "oracle": ORACLE,
}


def dialect_of(hook: Any) -> SqlDialect:
    """Give the dialect of a `DbApiHook`."""
    by_type = DIALECTS.get(str(getattr(hook, "conn_type", "")).lower())
    return by_type or DIALECTS.get(str(getattr(hook, "dialect_name", "")).lower(), GENERIC)
