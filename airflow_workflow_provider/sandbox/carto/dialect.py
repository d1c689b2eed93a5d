"""Reading the SQL that a client sends: what it does, which tables it touches, how DuckDB would say it."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import sqlglot
from sqlglot import ErrorLevel, exp
from sqlglot.errors import SqlglotError

from .catalog import WORKFLOWS, Connection
from .errors import SqlError

CALL = re.compile(r"\s*CALL\s+(?P<name>[^\s(]+)\s*\((?P<arguments>.*)\)\s*;?\s*", re.IGNORECASE | re.DOTALL)
ROW_HASH = "row_hash"
PARAMETERS = "INFORMATION_SCHEMA.PARAMETERS"
PARAMETER_COLUMNS = (
    "specific_catalog",
    "specific_schema",
    "specific_name",
    "ordinal_position",
    "parameter_mode",
    "is_result",
    "parameter_name",
    "data_type",
)
UNDERSTOOD = (exp.Query, exp.Create, exp.Drop, exp.Insert, exp.Update, exp.Delete, exp.Merge, exp.TruncateTable)
Parameters = Mapping[str, Any] | Sequence[Any]


@dataclass(frozen=True)
class Call:
    """``CALL procedure(arguments)``, the procedure's name without quotes; ``named`` holds ``name => value`` ones."""

    procedure: str
    arguments: tuple[Any, ...]
    named: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Statement:
    """One statement in DuckDB's words; ``reads`` says whether it returns rows, ``tables`` what it touches.

    ``scans`` are the tables that it reads row by row, each with the column whose range it asks for. ``makes`` is the
    table that it creates, ``sorted_by`` the column by whose range the warehouse finds that table's rows.
    """

    sql: str
    reads: bool
    tables: tuple[str, ...]
    scans: tuple[tuple[str, str], ...] = ()
    makes: str = ""
    sorted_by: str = ""


def understood(
    query: str, connection: Connection, parameters: Parameters, *, shuffled: bool = False
) -> Call | Statement:
    """Read a query in the dialect of its connection and put the parameters in; raises :class:`SqlError`.

    ``shuffled`` gives rows a random order where the query asks for none.
    """
    if call := CALL.fullmatch(query):
        # Only a function's arguments may be named, so a function stands for the procedure here.
        arguments = parsed(f"SELECT procedure_({call['arguments']})", connection).expressions[0].expressions
        plain = [argument_value(one, parameters) for one in arguments if not isinstance(one, exp.Kwarg)]
        named = {
            one.this.name.lower(): argument_value(one.expression, parameters)
            for one in arguments
            if isinstance(one, exp.Kwarg)
        }
        if named and (plain or connection.provider_id == "bigquery"):
            raise SqlError("Syntax error: Named arguments are not supported in this CALL")
        return Call(re.sub(r'[`"]', "", call["name"]), tuple(plain), named)
    tree = parsed(query, connection)
    if not isinstance(tree, UNDERSTOOD):
        raise SqlError(f"Syntax error: Statement not supported by the sandbox: {query.split(maxsplit=1)[0]}")
    schemas = list_parameters(tree, connection)
    for place in list(tree.find_all(exp.Parameter, exp.Placeholder)):
        place.replace(exp.convert(parameter_value(place, parameters)))
    hash_rows(tree)
    if shuffled and isinstance(tree, exp.Select) and not tree.args.get("order") and not tree.args.get("distinct"):
        tree = tree.order_by("random()")
    tables = (*schemas, *(table_name(table) for table in tree.find_all(exp.Table) if table.args.get("db")))
    text = tree.sql("duckdb", unsupported_level=ErrorLevel.IGNORE)
    makes, sorted_by = made_table(tree)
    return Statement(text, isinstance(tree, exp.Query), tables, tuple(scanned(tree)), makes, sorted_by)


def scanned(tree: exp.Expr) -> Iterator[tuple[str, str]]:
    """The tables that a statement reads row by row; a bare COUNT(*) is answered from what is known of a table."""
    for select in tree.find_all(exp.Select):
        only = select.expressions[0].unalias() if len(select.expressions) == 1 else None
        where = select.args.get("where")
        if where is None and isinstance(only, exp.Count) and isinstance(only.this, exp.Star):
            continue
        bounds = [] if where is None else [*where.find_all(exp.GTE, exp.GT, exp.LT, exp.LTE, exp.Between)]
        columns = [one.this.name.lower() for one in bounds if isinstance(one.this, exp.Column)]
        for table in select.find_all(exp.Table):
            if table.args.get("db") and table.find_ancestor(exp.Select) is select:
                yield table_name(table), columns[0] if columns else ""


def made_table(tree: exp.Expr) -> tuple[str, str]:
    """The table that a statement creates, and the column that its rows are found by."""
    if not isinstance(tree, exp.Create) or not isinstance(tree.expression, exp.Select):
        return "", ""
    place = tree.this.find(exp.Table)
    properties = tree.args.get("properties")
    clauses = [one for one in (properties.expressions if properties else []) if one.find(exp.Column)]
    clauses += [tree.expression.args["order"]] if tree.expression.args.get("order") else []
    columns = [column.name.lower() for one in clauses for column in one.find_all(exp.Column)]
    return table_name(place) if place else "", columns[0] if columns else ""


def list_parameters(tree: exp.Expr, connection: Connection) -> list[str]:
    """Put the parameters of procedures where BigQuery's ``INFORMATION_SCHEMA.PARAMETERS`` stands; give its names.

    Columns as https://cloud.google.com/bigquery/docs/information-schema-parameters documents them. That CARTO's SQL
    API answers for it is unverified.
    """
    found = []
    for table in list(tree.find_all(exp.Table)):
        if table.name.upper() != PARAMETERS or connection.provider_id != "bigquery":
            continue
        found.append(table_name(table))
        place = f"{table.catalog}.{table.db}."
        rows: list[tuple[str | int | None, ...]] = [
            (
                table.catalog,
                table.db,
                one.procedure.removeprefix(place),
                number,
                "IN",
                "NO",
                variable.name,
                variable.sql_type,
            )
            for one in WORKFLOWS
            if one.procedure.startswith(place)
            for number, variable in enumerate(one.variables, 1)
        ]
        shown = rows or [tuple(None for _ in PARAMETER_COLUMNS)]
        values = ", ".join(f"({', '.join(exp.convert(cell).sql('duckdb') for cell in row)})" for row in shown)
        columns = ", ".join(PARAMETER_COLUMNS)
        where = "" if rows else " WHERE false"
        text = f"SELECT * FROM (VALUES {values}) AS t({columns}){where}"  # literals of the catalog
        listed = sqlglot.parse_one(text, dialect="duckdb")
        table.replace(exp.Subquery(this=listed, alias=exp.TableAlias(this=exp.to_identifier("parameters"))))
    return found


def parsed(query: str, connection: Connection) -> exp.Expr:
    """The syntax tree of a single statement."""
    try:
        trees = [tree for tree in sqlglot.parse(query, dialect=connection.provider_id) if tree is not None]
    except SqlglotError as error:
        raise SqlError(f"Syntax error: {str(error).splitlines()[0]}") from error
    if len(trees) != 1:
        raise SqlError("Syntax error: Expected one statement")
    if connection.provider_id == "snowflake":
        # Snowflake folds unquoted names to upper case, also those of the answer's columns.
        for name in trees[0].find_all(exp.Identifier):
            name.set("this", name.name if name.quoted else name.name.upper())
    return trees[0]


def parameter_value(place: exp.Expr, parameters: Parameters) -> Any:
    """What stands at ``@name`` or ``:1``."""
    name = place.name
    if name.isdecimal():
        if isinstance(parameters, Mapping) or not 0 < int(name) <= len(parameters):
            raise SqlError(f"SQL compilation error: Bind variable :{name} not set.")
        return parameters[int(name) - 1]
    if not isinstance(parameters, Mapping) or name not in parameters:
        # inferred: BigQuery's words for a named parameter that the request does not give.
        raise SqlError(f"Query parameter '{name}' not found")
    return parameters[name]


def argument_value(argument: exp.Expr, parameters: Parameters) -> Any:
    """An argument of a CALL: a parameter or a literal."""
    if isinstance(argument, exp.Parameter | exp.Placeholder):
        return parameter_value(argument, parameters)
    if isinstance(argument, exp.Neg):
        return -argument_value(argument.this, parameters)
    if isinstance(argument, exp.Literal | exp.Boolean | exp.Null):
        return argument.to_py()
    raise SqlError(f"Syntax error: Argument not supported by the sandbox: {argument.sql()}")


def hash_rows(tree: exp.Expr) -> None:
    """Turn Snowflake's ``HASH(*)`` into a hash of the row of the first table named in its FROM."""
    for call in list(tree.find_all(exp.Anonymous)):
        if call.name.upper() == "HASH" and any(one.is_star for one in call.expressions):
            select = call.find_ancestor(exp.Select)
            table = next(select.find_all(exp.Table), None) if select else None
            if table is None:
                raise SqlError("SQL compilation error: HASH(*) needs a FROM")
            row = exp.column(exp.to_identifier(table.alias_or_name, quoted=True))
            call.replace(exp.Anonymous(this=ROW_HASH, expressions=[row]))


def table_name(table: exp.Table) -> str:
    """A table's full name without quotes."""
    return ".".join(part.name for part in table.parts)
