"""Checks of a load within its transaction: where one is violated, the target stays as it was."""
# ruff: noqa: S608 (names are quoted; ``sql`` is SQL of the DAG's author)

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from airflow_workflow_provider.exceptions import InvalidArgument, OutputUnavailable
from airflow_workflow_provider.transfers.sql.names import own_names

if TYPE_CHECKING:  # a DAG file that is parsed checks `Expect` and must not pay for the database's side
    from airflow_workflow_provider.transfers.sql.catalog import Target
    from airflow_workflow_provider.transfers.sql.session import SqlSession

NAMES = ("min_rows", "max_rows", "max_shrink", "columns", "not_null", "unique", "sql")


class ExpectationFailed(OutputUnavailable):
    """A check of ``expect`` is violated; ``check`` is its name, ``figure`` what was found."""

    def __init__(self, message: str = "", *, check: str = "", figure: Any = None, status: int | None = None) -> None:
        super().__init__(message, status=status)
        self.check, self.figure = check, figure


@dataclass(frozen=True)
class Expect:
    """The argument ``expect``, checked.

    ``min_rows`` and ``max_rows`` bound the rows of the load. ``max_shrink`` is the share of its rows that the table may
    lose. ``columns`` are those that the output must have. ``not_null`` and ``unique`` hold for the table after the
    load; an item of ``unique`` is a column or several. ``sql`` is a condition that every row of the table fulfils, or
    a query whose first value must be true; ``{table}`` in it is the table.
    """

    min_rows: int | None = None
    max_rows: int | None = None
    max_shrink: float | None = None
    columns: tuple[str, ...] = ()
    not_null: tuple[str, ...] = ()
    unique: tuple[tuple[str, ...], ...] = ()
    sql: tuple[str, ...] = ()

    @classmethod
    def of(cls, expect: Any) -> Expect:
        """Check what the operator was given. Raises `InvalidArgument`, which names the argument."""
        if expect is None:
            return cls()
        if not isinstance(expect, Mapping):
            raise InvalidArgument(f"expect: expected a mapping of checks, not {expect!r}")
        unknown = next((name for name in expect if name not in NAMES), None)
        if unknown is not None:
            raise InvalidArgument(f"expect: there is no check {unknown!r}; there are {', '.join(NAMES)}")
        unique = expect.get("unique") or ()
        unique = [unique] if isinstance(unique, str) else unique
        if not isinstance(unique, Sequence) or not all(
            item and isinstance(item, (str, list, tuple)) and all(isinstance(name, str) and name for name in item)
            for item in unique
        ):
            raise InvalidArgument(f"expect['unique']: expected columns, or lists of columns, not {unique!r}")
        least, most = _number(expect, "min_rows", whole=True), _number(expect, "max_rows", whole=True)
        if least is not None and most is not None and least > most:
            raise InvalidArgument(f"expect: min_rows is {least} and max_rows is {most}; no load fulfils both")
        return cls(
            least,
            most,
            _number(expect, "max_shrink", whole=False),
            _texts(expect, "columns"),
            _texts(expect, "not_null"),
            tuple((item,) if isinstance(item, str) else tuple(map(str, item)) for item in unique),
            tuple(_condition(text) for text in _texts(expect, "sql")),
        )

    @property
    def needs_before(self) -> bool:
        """True if the rows before the load must be counted."""
        return self.max_shrink is not None

    def check_columns(self, names: Sequence[str]) -> list[dict[str, Any]]:
        """Check the columns of an output, before anything is written."""
        missing = [name for name in self.columns if name not in names]
        if missing:
            raise _violated("columns", f"the output lacks {', '.join(map(repr, missing))}", missing)
        return [{"check": "columns", "value": list(self.columns)}] if self.columns else []

    def check(self, session: SqlSession, target: Target, rows: int, before: int) -> list[dict[str, Any]]:
        """Check a table after its load; give what was found. Raises `ExpectationFailed`."""
        return self.check_rows(rows) + self.check_table(session, target, before)

    @property
    def needs_table(self) -> bool:
        """True if the table is looked at after the load."""
        return self.needs_before or bool(self.not_null or self.unique or self.sql)

    def check_rows(self, rows: int) -> list[dict[str, Any]]:
        """Check the number of rows of a load."""
        done: list[dict[str, Any]] = []
        if self.min_rows is not None:
            if rows < self.min_rows:
                raise _violated("min_rows", f"{rows} rows came, expected at least {self.min_rows}", rows)
            done.append({"check": "min_rows", "value": rows})
        if self.max_rows is not None:
            if rows > self.max_rows:
                raise _violated("max_rows", f"{rows} rows came, expected at most {self.max_rows}", rows)
            done.append({"check": "max_rows", "value": rows})
        return done

    def check_table(self, session: SqlSession, target: Target, before: int) -> list[dict[str, Any]]:
        """Check a table after its load; it had ``before`` rows."""
        done: list[dict[str, Any]] = []
        if self.max_shrink is not None:
            after = count(session, target.rows_sql)
            shrink = (before - after) / before if before else 0.0
            if shrink > self.max_shrink:
                raise _violated(
                    "max_shrink",
                    f"the table would shrink from {before} to {after} rows, by {shrink:.0%}, expected at most "
                    f"{self.max_shrink:.0%}",
                    shrink,
                )
            done.append({"check": "max_shrink", "value": round(max(shrink, 0.0), 6)})
        for check, wanted in (("not_null", self.not_null), ("unique", self.unique), ("sql", self.sql)):
            done += [_CHECKS[check](session, target, one) for one in wanted]
        return done


def count(session: SqlSession, rows_sql: str) -> int:
    """Count the rows of a table."""
    return int(session.rows(f"SELECT COUNT(*) FROM {rows_sql}")[0][0])


def _violated(check: str, text: str, figure: Any) -> ExpectationFailed:
    return ExpectationFailed(
        f"expect[{check!r}] is violated: {text}. The table is unchanged", check=check, figure=figure
    )


def _own(session: SqlSession, target: Target, name: str, check: str) -> str:
    columns = session.look_at_columns(target.name).columns
    known = list(columns) if columns else [name]
    found = own_names(name, known)
    if len(found) != 1:
        raise InvalidArgument(f"expect[{check!r}]: the table has no column {name!r}; it has {', '.join(known)}")
    return session.quoted(found[0])


def _not_null(session: SqlSession, target: Target, name: str) -> dict[str, Any]:
    column = _own(session, target, name, "not_null")
    empty = int(session.rows(f"SELECT COUNT(*) FROM {target.rows_sql} WHERE {column} IS NULL")[0][0])
    if empty:
        raise _violated("not_null", f"{empty} rows have no value in {name!r}", empty)
    return {"check": "not_null", "column": name, "value": 0}


def _unique(session: SqlSession, target: Target, names: Sequence[str]) -> dict[str, Any]:
    """Compare rows whose columns all have values, as a UNIQUE constraint does; `not_null` finds the others."""
    own = [_own(session, target, name, "unique") for name in names]
    columns = ", ".join(own)
    filled = " AND ".join(f"{name} IS NOT NULL" for name in own)
    query = f"SELECT {columns}, COUNT(*) FROM {target.rows_sql} WHERE {filled} GROUP BY {columns} HAVING COUNT(*) > 1"
    # The keys themselves may be millions; where it is not known how to ask for one, they are all asked for.
    twice = session.rows(f"{query} LIMIT 1" if session.dialect.has_limit else query)
    if twice:
        *values, number = twice[0]
        keys = int(session.rows(f"SELECT COUNT(*) FROM ({query}) d")[0][0]) if session.dialect.has_limit else len(twice)
        key = ", ".join(f"{name}={value!r}" for name, value in zip(names, values, strict=True))
        raise _violated("unique", f"{keys} keys come more than once, for example {key} ({number} rows)", keys)
    return {"check": "unique", "column": ", ".join(names), "value": 0}


def _sql(session: SqlSession, target: Target, text: str) -> dict[str, Any]:
    # A line comment at the end must not hide what follows.
    given = text.strip().rstrip(";").replace("{table}", target.name.sql) + ("\n" if "--" in text else "")
    if re.match(r"(?i)(?:select|with)\b", given):
        rows = session.rows(given)
        value = rows[0][0] if rows and rows[0] else None
        if not value:
            raise _violated("sql", f"{text!r} gives {value!r}, which is not true", value)
        return {"check": "sql", "query": text, "value": value if isinstance(value, (int, float, str)) else str(value)}
    against = int(
        session.rows(f"SELECT COUNT(*) FROM {target.rows_sql} WHERE NOT ({given}) OR ({given}) IS NULL")[0][0]
    )
    if against:
        raise _violated("sql", f"{against} rows do not fulfil {text!r}", against)
    return {"check": "sql", "query": text, "value": 0}


_CHECKS: Mapping[str, Callable[[SqlSession, Target, Any], dict[str, Any]]] = {
    "not_null": _not_null,
    "unique": _unique,
    "sql": _sql,
}


def _number(expect: Mapping[str, Any], name: str, *, whole: bool) -> Any:
    value = expect.get(name)
    if value is None:
        return None
    is_number = isinstance(value, int if whole else (int, float)) and not isinstance(value, bool)
    if not is_number or value < 0 or (not whole and value > 1):
        wanted = "a whole number of rows" if whole else "a share from 0 to 1"
        raise InvalidArgument(f"expect[{name!r}]: expected {wanted}, not {value!r}")
    return value


def _texts(expect: Mapping[str, Any], name: str) -> tuple[str, ...]:
    value = expect.get(name)
    value = () if value is None else value
    listed = [value] if isinstance(value, str) else list(value) if isinstance(value, Sequence) else [None]
    if not all(isinstance(item, str) and item for item in listed):
        raise InvalidArgument(f"expect[{name!r}]: expected a text or a list of texts, not {value!r}")
    return tuple(listed)


def _condition(text: str) -> str:
    """Give a condition or a query; several statements, of which one could change a table, are refused."""
    if ";" in re.sub(r"'(?:[^']|'')*'|\"(?:[^\"]|\"\")*\"", "", text.strip().rstrip(";")):
        raise InvalidArgument("expect['sql']: holds a semicolon; expected one condition or one query")
    return text
