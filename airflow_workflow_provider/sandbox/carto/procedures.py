"""What a workflow's stored procedure does when it is called."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from decimal import Decimal

from .catalog import BY_PROCEDURE, CONNECTIONS, Connection, Variable, Workflow
from .dialect import Call
from .errors import SqlError, UnknownProcedure
from .names import output_table
from .settings import CartoSettings
from .warehouse import Warehouse

DUMMY = "SELECT 1 AS dummy"


@dataclass(frozen=True)
class Invocation:
    """A call of a known procedure with checked values; ``table`` is where its output goes, if anywhere."""

    workflow: Workflow
    values: dict[str, float | str]
    table: str | None


def workflow_of(call: Call, connection: Connection) -> Workflow:
    """The workflow behind a procedure; raises :class:`UnknownProcedure` with BigQuery's words (inferred)."""
    workflow = BY_PROCEDURE.get(call.procedure.upper())
    if workflow is None or workflow.connection != connection.name:
        project, _, name = call.procedure.partition(".")
        raise UnknownProcedure(
            f"Not found: Procedure {project}:{name} was not found in location {connection.location}", "notFound"
        )
    return workflow


def invocation(call: Call, connection: Connection, settings: CartoSettings) -> Invocation:
    """Bind the arguments to the workflow's variables, in their order; raises :class:`SqlError`."""
    workflow = workflow_of(call, connection)
    arguments = in_order(call, workflow)
    if len(arguments) != len(workflow.variables):
        raise SqlError(
            f"Number of arguments does not match for procedure `{call.procedure}`: "
            f"expected {len(workflow.variables)}, got {len(arguments)}"
        )
    bound = zip(workflow.variables, arguments, strict=True)
    values = {variable.name: checked(variable, given) for variable, given in bound}
    table = output_table(workflow.procedure, values) if workflow.output or settings.dummy_output else None
    return Invocation(workflow, values, table)


def in_order(call: Call, workflow: Workflow) -> tuple[object, ...]:
    """The arguments in the order of the procedure's variables; a name that it does not have is refused (inferred)."""
    if not call.named:
        return call.arguments
    known = [variable.name.lower() for variable in workflow.variables]
    if set(call.named) != set(known):
        odd = min(set(call.named) ^ set(known))
        raise SqlError(f"SQL compilation error: Unknown or missing argument {odd.upper()} of {call.procedure}")
    return tuple(call.named[name] for name in known)


def checked(variable: Variable, given: object) -> float | str:
    """The value of a variable; the message for a wrong type is a placeholder, the real one is not recorded."""
    if isinstance(given, Decimal):  # a literal in the statement, such as 0.1
        given = float(given)
    number = isinstance(given, int | float) and not isinstance(given, bool)
    if given is not None and (not number if variable.type == "Number" else not isinstance(given, str)):
        expected, got = variable.sql_type, type_name(given)
        raise SqlError(f"Invalid parameter type for @{variable.name}: expected {expected}, got {got}")
    return variable.value(given)  # type: ignore[arg-type]  # its type was looked at above


def type_name(value: object) -> str:
    """The SQL type that BigQuery's client gives to an untyped parameter."""
    names: dict[type, str] = {bool: "BOOL", int: "INT64", float: "FLOAT64", str: "STRING", list: "ARRAY"}
    return names.get(type(value), "STRUCT")


async def cached(run: Invocation, warehouse: Warehouse, settings: CartoSettings) -> bool:
    """Whether the body may be skipped because the out table of equal parameters is still there."""
    wanted = run.workflow.use_cache if settings.use_cache is None else settings.use_cache
    return wanted and run.table is not None and await warehouse.exists(run.table)


async def execute(run: Invocation, warehouse: Warehouse) -> None:
    """Run the body: the side effect of *Save as table*, then the out table; raises :class:`SqlError`.

    The out table is dropped first, so that the result of an earlier run is never read as that of this one.
    """
    workflow, connection = run.workflow, CONNECTIONS[run.workflow.connection]
    if run.table:
        await warehouse.drop(run.table)
    if workflow.sleeps:
        await asyncio.sleep(float(run.values[workflow.sleeps]))
    upper = connection.provider_id == "snowflake"
    if workflow.saves:
        await warehouse.create(connection.full_name(workflow.saves), workflow.sql, run.values, upper)
    if run.table:
        sql, values = (workflow.sql, run.values) if workflow.output else (DUMMY, {})
        await warehouse.create(run.table, sql, values, upper)
