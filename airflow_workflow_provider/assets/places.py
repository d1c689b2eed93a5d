"""The outputs of a succeeded run, and their URIs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from airflow_workflow_provider.protocol.capabilities import CanNameUnlistedOutputs
from airflow_workflow_provider.protocol.model import Output, Run
from airflow_workflow_provider.systems import system_class


@dataclass(frozen=True)
class Landed:
    """An output and its URI. ``output`` is None if the system does not list outputs."""

    output: Output | None
    uri: str


def landed(run: Run, extra: Mapping[str, Any]) -> tuple[Landed, ...]:
    """Return the outputs of a succeeded run with their URIs.

    :param extra: the extras of the run's connection, if its system needs them for the URI.
    """
    system = system_class(run.system)
    found = tuple(Landed(output, system.asset_uri(run, output, extra)) for output in run.outputs)
    if found or not system.offers(CanNameUnlistedOutputs):
        return found
    return (Landed(None, system.asset_uri(run, None, extra)),)


def uri_of(run: Run, output: Output, extra: Mapping[str, Any]) -> str:
    """Return the URI of one output."""
    return system_class(run.system).asset_uri(run, output, extra)


def tells_warehouse(system: str) -> bool:
    """True if a system needs its connection's extras for URIs, such as the name of a warehouse."""
    return system_class(system).assets_need_extras
