"""Where the outputs of a run lie, as URIs that name the same thing for Airflow's assets and for lineage.

A table of a warehouse has the URI that its warehouse's own operators give it, a file its address without query.
Where a part of that is not known, and for everything else, the URI is one of our own schemes.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote, urlsplit, urlunsplit

from airflow_workflow_provider.assets.uris import own_uri, server_of
from airflow_workflow_provider.protocol.model import Output, Run
from airflow_workflow_provider.systems import SYSTEMS

# Warehouses whose URI names a server, and its usual port; Snowflake's server is an account.
PORTS: Mapping[str, int | None] = {"snowflake": None, "postgres": 5432, "redshift": 5439}
_PARTS = re.compile(r'"((?:[^"]|"")+)"|([^."]+)')
_URL_CHARACTERS = "/%:@!$&'()*+,;=~"


@dataclass(frozen=True)
class Landed:
    """An output and its URI; ``output`` is None for a run whose system does not list its outputs."""

    output: Output | None
    uri: str


def landed(run: Run, extra: Mapping[str, Any]) -> tuple[Landed, ...]:
    """Name what a run that succeeded has left.

    :param extra: the extras of the run's connection, as far as they tell of a warehouse.
    """
    found = tuple(Landed(output, uri_of(run, output, extra)) for output in run.outputs)
    if found or not SYSTEMS[run.system].unlisted_outputs:
        return found
    return (Landed(None, own_uri(run.system, _server(run), run.workflow or run.run_id)),)


def uri_of(run: Run, output: Output, extra: Mapping[str, Any]) -> str:
    """Give the URI of one output."""
    if output.kind == "file":
        return file_uri(output.location) or _own(run, output)
    if tells_warehouse(run.system) and output.location:
        known = table_uri(warehouse_of(run, extra), str(extra.get("warehouse_host") or ""), output.location)
        return known or own_uri(run.system, _server(run), *_connection(run), output.location.replace("`", ""))
    return _own(run, output)


def tells_warehouse(system: str) -> bool:
    """True for a system whose outputs are tables of a warehouse that its connection names."""
    return "warehouse" in SYSTEMS[system].form.extras


def warehouse_of(run: Run, extra: Mapping[str, Any]) -> str:
    """Give the warehouse that the connection names, else the one that the run tells, else the connection's default."""
    choices = SYSTEMS[run.system].form.extras["warehouse"].choices
    named = str(extra.get("warehouse") or "").strip().lower()
    told = str(run.details.get("provider") or "").lower()
    return named or next((choice for choice in choices if told.startswith(choice)), choices[0])


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


def file_uri(location: str) -> str | None:
    """Give a file's address without user, query and fragment, or None where it is no address."""
    parts = urlsplit(location)
    server = parts.netloc.rpartition("@")[2]
    if not parts.scheme or not server or not parts.path.strip("/"):
        return None
    return urlunsplit((parts.scheme, server, quote(parts.path.rstrip("/"), safe=_URL_CHARACTERS), "", ""))


def _with_port(host: str, port: int | None) -> str:
    if "/" in host or "@" in host or any(character.isspace() for character in host):
        return ""
    return f"{host}:{port}" if host and port and not re.search(r":\d+$", host) else host


def _own(run: Run, output: Output) -> str:
    return own_uri(run.system, _server(run), run.workflow or run.run_id, output.name)


def _server(run: Run) -> str:
    return server_of(run.url) or quote(run.conn_id, safe="")


def _connection(run: Run) -> tuple[str, ...]:
    """Name the system's own connection to the warehouse, where a run tells one: table names are unique below it."""
    name = run.details.get(f"{run.system}_connection")
    return (str(name),) if name else ()
