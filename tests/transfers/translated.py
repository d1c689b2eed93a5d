"""Warehouses of the tests: sqlglot translates each statement from the warehouse's dialect into that of DuckDB.

It shows that statements are of their dialect, belong together and have the right effect; it is no warehouse.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from typing import Any

import duckdb
import sqlglot
from airflow.providers.common.sql.hooks.sql import DbApiHook
from sqlglot import exp

# What BigQuery calls the types of DuckDB.
_BIGQUERY = {"BIGINT": "INT64", "DOUBLE": "FLOAT64", "VARCHAR": "STRING", "BOOLEAN": "BOOL", "BLOB": "BYTES"}
_BIGQUERY |= {"TIMESTAMP WITH TIME ZONE": "TIMESTAMP", "TIMESTAMP": "DATETIME"}


class Translated:
    """A database behind a warehouse's dialect. ``statements`` are those that were run, as they came.

    ``fails_at`` raises at the first statement that it matches.
    """

    def __init__(self, dialect: str, copy: Callable[[Any, exp.Copy], None] | None = None) -> None:
        self.dialect, self.copy = dialect, copy
        self.database = duckdb.connect(":memory:")
        self.database.execute("SET TimeZone = 'UTC'; CREATE SCHEMA ds")
        self.database.execute("CREATE VIEW airflow_columns AS FROM information_schema.columns")
        self.statements: list[str] = []
        self.fails_at = ""
        self.unload: Callable[[Any, str], None] | None = None

    def hook(self, **more: Any) -> Any:
        """Give an Airflow hook."""
        owner = self
        conn_type = {"bigquery": "gcpbigquery"}.get(self.dialect, self.dialect)

        class Hook(DbApiHook):
            conn_name_attr, default_conn_name = "warehouse_conn_id", "warehouse"
            supports_autocommit = True

            def get_conn(self):
                return Connection(owner)

            def set_autocommit(self, conn, autocommit):
                """Do nothing: transactions begin by themselves."""

        Hook.conn_type = conn_type
        for name, value in more.items():
            setattr(Hook, name, staticmethod(value) if callable(value) else value)
        return Hook()

    def rows(self, query: str) -> list[tuple[Any, ...]]:
        """Run a query in DuckDB's own dialect."""
        table = self.database.cursor().sql(query).to_arrow_table()
        return [tuple(row.values()) for row in table.to_pylist()]

    def run(self, *statements: str) -> None:
        """Run statements in DuckDB's own dialect."""
        for statement in statements:
            self.database.execute(statement)

    @property
    def tables(self) -> set[str]:
        """The tables that others see."""
        query = "SELECT table_name FROM information_schema.tables WHERE table_type <> 'VIEW'"
        return {row[0] for row in self.rows(query)}


class Connection:
    """One session; a transaction begins with its first statement, but for BigQuery."""

    def __init__(self, owner: Translated) -> None:
        self.owner, self._cursor = owner, owner.database.cursor()
        self._cursor.execute("SET TimeZone = 'UTC'")
        self._open = False

    @property
    def session(self) -> Any:
        """The session in DuckDB."""
        return self._cursor

    def cursor(self) -> Cursor:
        """Give a cursor."""
        return Cursor(self)

    def execute(self, tree: exp.Expr, parameters: list[Any]) -> Any:
        """Run one statement."""
        if isinstance(tree, exp.Transaction):
            return self.begin()
        if isinstance(tree, exp.Commit):
            return self.commit()
        if self.owner.dialect != "bigquery":
            self.begin()
        if isinstance(tree, exp.Copy):
            assert self.owner.copy is not None
            self.copying = self._cursor
            return self.owner.copy(self, tree)
        for properties in tree.find_all(exp.Properties):
            properties.set(
                "expressions", [one for one in properties.expressions if isinstance(one, exp.TemporaryProperty)]
            )
        return self._cursor.execute(tree.sql(dialect="duckdb"), parameters)

    def begin(self) -> None:
        """Begin a transaction where none is open."""
        if not self._open:
            self._cursor.execute("BEGIN TRANSACTION")
            self._open = True

    def commit(self) -> None:
        """Commit."""
        if self._open:
            self._cursor.execute("COMMIT")
        self._open = False

    def rollback(self) -> None:
        """Roll back."""
        if self._open:
            self._cursor.execute("ROLLBACK")
        self._open = False

    def close(self) -> None:
        """Close the session."""
        self.rollback()
        self._cursor.close()


class Cursor:
    """A cursor that translates."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._rows: list[Any] = []
        self.description, self.rowcount = (), -1

    def execute(self, statement: str, parameters: Any = ()) -> None:
        """Run one statement or a script."""
        owner = self._connection.owner
        owner.statements.append(statement)
        if owner.fails_at and re.search(owner.fails_at, statement):
            raise RuntimeError("the connection died")
        if statement.startswith("UNLOAD"):  # which sqlglot does not know
            assert owner.unload is not None
            owner.unload(self._connection.session, statement)
            return
        if parameters:
            statement = statement.replace("%s", "?").replace("%%", "%")
        is_catalog = "INFORMATION_SCHEMA.COLUMNS" in statement
        statement = re.sub(r"`(\w+)`\.INFORMATION_SCHEMA\.COLUMNS", "airflow_columns", statement)
        trees = sqlglot.parse(statement, dialect=owner.dialect, error_level=sqlglot.ErrorLevel.RAISE)
        found = None
        try:
            for tree in trees:
                assert not isinstance(tree, exp.Command), statement
                if tree is not None:
                    found = self._connection.execute(tree, list(parameters))
        except Exception:
            if len(trees) > 1:  # a script that fails has done nothing
                self._connection.rollback()
            raise
        self._rows = found.fetchall() if found is not None else []
        self.description = found.description if found is not None else ()
        if is_catalog:
            self._rows = [(name, _BIGQUERY.get(kind, kind)) for name, kind in self._rows]

    def executemany(self, statement: str, rows: Any) -> None:
        """Run one statement for each row."""
        for row in rows:
            self.execute(statement, row)

    def fetchall(self) -> list[tuple[Any, ...]]:
        """Give the rows."""
        return [tuple(row) for row in self._rows]


def exported(monkeypatch: Any, conn_type: str, **extra: Any) -> str:
    """Define the connection; give its id."""
    monkeypatch.setenv("AIRFLOW_CONN_WAREHOUSE", json.dumps({"conn_type": conn_type, "host": "x", "extra": extra}))
    return "warehouse"
