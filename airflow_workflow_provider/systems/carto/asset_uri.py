"""The URI of a table as its warehouse's own operators name it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any
from urllib.parse import quote

from airflow_workflow_provider.protocol.model import Output, Run
from airflow_workflow_provider.protocol.system import own_server
from airflow_workflow_provider.protocol.uris import own_uri, server_of
from airflow_workflow_provider.systems.carto.sql import DIALECTS, warehouse_of

# Warehouses whose URI names a server, and its usual port; Snowflake's server is an account.
PORTS: Mapping[str, int | None] = {"snowflake": None, "postgres": 5432, "redshift": 5439}
_PARTS = re.compile(r'"((?:[^"]|"")+)"|([^."]+)')


def table_or_own_uri(run: Run, output: Output, extra: Mapping[str, Any]) -> str:
    """Give the URI of an output table; one of CARTO's own scheme where a part of the table's URI is not known.

    The connection's extra ``warehouse`` names the warehouse, else the run's details do, else it is the default.
    """
    named = str(extra.get("warehouse") or "").strip().lower()
    warehouse = named if named in DIALECTS else warehouse_of(run)
    known = table_uri(warehouse, str(extra.get("warehouse_host") or ""), output.location)
    if known:
        return known
    connection = run.details.get("carto_connection")  # table names are unique below it
    names = [str(connection)] if connection else []
    return own_uri("carto", server_of(run.url) or own_server(run), *names, output.location.replace("`", ""))


def table_uri(warehouse: str, host: str, table: str) -> str | None:
    """Give a table's URI from its full name, or None where a part is missing.

    :param host: Snowflake's account, or host and port of the others; BigQuery needs none.
    """
    if warehouse == "bigquery":
        parts = table.replace("`", "").rsplit(".", 2)
        host, names = parts[0], parts[1:]
    else:
        names = [quoted.replace('""', '"') or plain for quoted, plain in _PARTS.findall(table)]
        host = _with_port(host.strip(), PORTS.get(warehouse)) if warehouse in PORTS else ""
    wanted = 2 if warehouse == "bigquery" else 3
    if not host or len(names) != wanted or not all(names):
        return None
    return "/".join([f"{warehouse}://{quote(host, safe=':[]')}", *(quote(name, safe="") for name in names)])


def _with_port(host: str, port: int | None) -> str:
    if "/" in host or "@" in host or any(character.isspace() for character in host):
        return ""
    return f"{host}:{port}" if host and port and not re.search(r":\d+$", host) else host
