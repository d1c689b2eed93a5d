"""OpenLineage names of database tables, from an Airflow connection."""

from __future__ import annotations

import re
from typing import Any

from airflow_workflow_provider.lineage.naming import without_user

_PART = re.compile(r'"((?:[^"]|"")+)"|`([^`]+)`|([^."`]+)')


def named_tables(hook: Any, conn_id: str, tables: str | list[str]) -> list[tuple[str, str]]:
    """Return namespace and name of tables, equal to those of the database's own operators.

    A database whose hook tells nothing to OpenLineage is named after its connection's type and host.
    """
    from airflow.providers.openlineage.sqlparser import SQLParser

    connection = hook.get_connection(conn_id)
    info = hook.get_openlineage_database_info(connection)
    listed = [_split(table) for table in ([tables] if isinstance(tables, str) else tables)]
    if info is None:
        port = f":{connection.port}" if connection.port else ""
        namespace = f"{connection.conn_type}://{without_user(connection.host or conn_id)}{port}"
        return [(namespace, _joined(connection.schema, None, parts)) for parts in listed]
    bare = any(len(parts) == 1 for parts in listed)
    schema = hook.get_openlineage_default_schema() if bare else None
    # A hook that names no database has none around its schemas: there the connection's schema is the database.
    around = [info.database or (connection.schema if len(parts) == 1 else None) for parts in listed]
    namespace = SQLParser.create_namespace(info)
    return [(namespace, _joined(database, schema, parts)) for database, parts in zip(around, listed, strict=True)]


def _joined(database: str | None, schema: str | None, parts: list[str]) -> str:
    before = {1: [database, schema], 2: [database]}.get(len(parts), [])
    return ".".join(part for part in [*before, *parts] if part)


def _split(table: str) -> list[str]:
    return [double.replace('""', '"') or back or plain for double, back, plain in _PART.findall(table)]
