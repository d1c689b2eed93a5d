"""What differs between SQL databases, as data."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, time
from decimal import Decimal
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
    kind. ``longest_name`` is in bytes or in characters, as ``name_unit`` says. ``opening`` are statements for a
    session, ``pinned`` those at the start of a transaction: settings that change the meaning of values are the same
    everywhere. ``takes_text`` means that text which a column's type holds exactly may be sent as it is; ``takes_nan``
    and ``takes_inf`` that a float column keeps these. ``nanoseconds`` is the type that keeps them, if there is one.
    ``counts_many`` means that drivers count the rows of ``executemany`` rightly.

    ``ddl_in_transaction`` is False where CREATE and DROP commit. ``temporary`` is empty where the staging table is
    a table like any other. ``create_as`` makes it from a query. ``update`` updates the target ``{t}`` from the
    staging table ``{s}``. ``swap`` puts a filled table in the place of another at once. ``indexes`` means that the
    staging table gets an index, without which a join takes the square of the rows' number. ``differs`` is true of
    two texts that a collation takes for the same. ``copies`` means ``COPY … FROM STDIN`` as PostgreSQL has it.
    ``one_cursor`` means that only the connection shares its transaction. ``has_limit`` means that a query may end
    in ``LIMIT 1``.
    """

    name: str
    types: Mapping[str, str]
    quote: str = '"'
    fold: Callable[[str], str] = str
    sees_case: bool = False
    longest_name: int | None = None
    name_unit: str = "bytes"
    most_decimal_digits: tuple[int, int] = (38, 38)
    values: Mapping[str, Callable[[Any], Any]] = field(default_factory=dict)
    opening: tuple[str, ...] = ()
    pinned: tuple[str, ...] = ()
    takes_text: bool = False
    takes_nan: bool = True
    takes_inf: bool = True
    nanoseconds: str | None = None
    counts_many: bool = False
    begin: str | None = None
    ddl_in_transaction: bool = True
    table_options: str = ""
    temporary: str = "CREATE TEMPORARY TABLE"
    drop_temporary: str = "DROP TABLE"
    create_as: str = "{create} {t}{indexed} AS {query}"
    update: str = "UPDATE{conflict} {t} AS t SET {set} FROM {s} AS s WHERE {on}"
    swap: str | None = None
    indexes: bool = False
    differs: str = ""
    alias: str = "AS "
    takes_arrow: bool = False
    copies: bool = False
    one_cursor: bool = False
    has_limit: bool = True


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
    takes_nan=False,  # it stores NULL
    counts_many=True,
    indexes=True,
    differs="{t} COLLATE BINARY <> {s}",
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
    # For the transaction only: a pool may give the connection to others.
    pinned=(
        "SET TRANSACTION ISOLATION LEVEL READ COMMITTED",  # what another load has committed is seen after the lock
        "SET LOCAL TimeZone TO 'UTC'",
        "SET LOCAL DateStyle TO 'ISO, YMD'",
        "SET LOCAL IntervalStyle TO 'postgres'",
        "SET LOCAL standard_conforming_strings TO on",
        "SET LOCAL array_nulls TO on",
        "SET LOCAL lc_monetary TO 'C'",
        "SET LOCAL transform_null_equals TO off",
        "SET LOCAL bytea_output TO 'hex'",
        "SET LOCAL extra_float_digits TO 1",
        "SET LOCAL xmloption TO content",
    ),
    takes_text=True,
    differs='{t}::text COLLATE "C" <> {s}::text COLLATE "C"',
    copies=True,
)
MYSQL = SqlDialect(
    name="MySQL",
    # TIMESTAMP ends in 2038; DATETIME keeps the moment in UTC.
    types={**ANSI, "float": "DOUBLE", "datetime": "DATETIME(6)", "timestamp": "DATETIME(6)", "time": "TIME(6)"}
    | {"text": "LONGTEXT", "binary": "LONGBLOB", "bool": "TINYINT(1)", "uint64": "BIGINT UNSIGNED"},
    quote="`",
    longest_name=64,
    name_unit="characters",
    most_decimal_digits=(65, 30),
    values={"timestamp": _naive_utc},
    takes_nan=False,  # neither exists there
    takes_inf=False,
    counts_many=True,
    indexes=True,
    differs="BINARY {t} <> BINARY {s}",
    opening=(
        "SET NAMES utf8mb4",
        "SET time_zone = '+00:00'",
        "SET unique_checks = 1",
        "SET foreign_key_checks = 1",
        "SET max_error_count = 64",  # with 0, no warning is kept
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
    opening=("SET TimeZone = 'UTC'",),
    nanoseconds="TIMESTAMP_NS",
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
    has_limit=False,
)
# unverified as well, but their manuals say so of names and types. Their statements are in `warehouses`.
SNOWFLAKE = replace(
    GENERIC,
    name="Snowflake",
    begin="BEGIN",
    types={**ANSI, "float": "DOUBLE", "text": "VARCHAR", "decimal": "NUMBER({p}, {s})", "uint64": "NUMBER(20, 0)"}
    | {"datetime": "TIMESTAMP_NTZ(6)", "timestamp": "TIMESTAMP_TZ(6)", "time": "TIME(6)", "binary": "BINARY"},
    fold=str.upper,
    sees_case=True,
    longest_name=255,
    name_unit="characters",
    has_limit=True,
)
BIGQUERY = replace(
    GENERIC,
    name="BigQuery",
    types={**ANSI, "bool": "BOOL", "int": "INT64", "float": "FLOAT64", "text": "STRING", "key": "STRING"}
    | {"decimal": "BIGNUMERIC({p}, {s})", "uint64": "BIGNUMERIC(20, 0)", "datetime": "DATETIME"}
    | {"timestamp": "TIMESTAMP", "binary": "BYTES"},
    quote="`",
    sees_case=True,
    longest_name=300,
    name_unit="characters",
    has_limit=True,
)
REDSHIFT = replace(
    GENERIC,
    name="Redshift",
    types={**ANSI, "timestamp": "TIMESTAMPTZ", "binary": "VARBYTE"},
    fold=str.lower,
    longest_name=127,
    has_limit=True,
)
DATABRICKS = replace(
    GENERIC,
    name="Databricks",
    types={**ANSI, "float": "DOUBLE", "text": "STRING", "key": "STRING", "time": "STRING", "binary": "BINARY"}
    | {"datetime": "TIMESTAMP_NTZ", "timestamp": "TIMESTAMP"},
    quote="`",
    fold=str.lower,
    longest_name=255,
    name_unit="characters",
    has_limit=True,
)
ORACLE = replace(
    GENERIC,
    name="Oracle",
    types={**ANSI, "bool": "NUMBER(1)", "int": "NUMBER(19)", "float": "BINARY_DOUBLE", "text": "CLOB"}
    | {"key": "VARCHAR2(255)", "decimal": "NUMBER({p}, {s})", "uint64": "NUMBER(20)", "datetime": "TIMESTAMP(6)"}
    | {"timestamp": "TIMESTAMP(6) WITH TIME ZONE", "time": "VARCHAR2(32)"},
    fold=str.upper,
    sees_case=True,
    longest_name=128,
)

SQLSERVER = replace(
    GENERIC,
    name="SQL Server",
    types={**ANSI, "bool": "BIT", "float": "FLOAT(53)", "text": "NVARCHAR(MAX)", "key": "NVARCHAR(255)"}
    | {"datetime": "DATETIME2(6)", "timestamp": "DATETIMEOFFSET(6)", "time": "TIME(6)", "binary": "VARBINARY(MAX)"},
    takes_nan=False,  # neither exists there
    takes_inf=False,
    longest_name=128,
    name_unit="characters",
    create_as="SELECT * INTO {t} FROM ({query}) q",
    update="UPDATE t SET {set} FROM {t} AS t JOIN {s} AS s ON {on}",
)

# By the hook's connection type, or by its dialect's name.
DIALECTS: Mapping[str, SqlDialect] = {
    "sqlite": SQLITE,
    "postgres": POSTGRES,
    "postgresql": POSTGRES,
    "mysql": MYSQL,
    "mariadb": MYSQL,
    "duckdb": DUCKDB,
    "snowflake": SNOWFLAKE,
    "gcpbigquery": BIGQUERY,
    "bigquery": BIGQUERY,
    "redshift": REDSHIFT,
    "databricks": DATABRICKS,
    "oracle": ORACLE,
    "mssql": SQLSERVER,
}


def dialect_of(hook: Any) -> SqlDialect:
    """Give the dialect of a `DbApiHook`."""
    driver = str(getattr(hook, "driver", "")).removeprefix("adbc_driver_")  # what a connection of ADBC is for
    names = [getattr(hook, "conn_type", ""), getattr(hook, "dialect_name", ""), driver]
    return next((found for name in names if (found := DIALECTS.get(str(name).lower()))), GENERIC)
