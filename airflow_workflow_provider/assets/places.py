"""What a run that succeeded has left, and the URI of each output, as its system names it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from airflow_workflow_provider.protocol.capabilities import CanNameUnlistedOutputs
from airflow_workflow_provider.protocol.model import Output, Run
from airflow_workflow_provider.systems import system_class


@dataclass(frozen=True)
class Landed:
    """An output and its URI; ``output`` is None for a run whose system does not list its outputs."""

    output: Output | None
    uri: str


def landed(run: Run, extra: Mapping[str, Any]) -> tuple[Landed, ...]:
    """Name what a run that succeeded has left.

    :param extra: the extras of the run's connection, where its system needs them to name an output.
    """
    system = system_class(run.system)
    found = tuple(Landed(output, system.asset_uri(run, output, extra)) for output in run.outputs)
    if found or not system.offers(CanNameUnlistedOutputs):
        return found
    return (Landed(None, system.asset_uri(run, None, extra)),)


def uri_of(run: Run, output: Output, extra: Mapping[str, Any]) -> str:
    """Give the URI of one output."""
    return system_class(run.system).asset_uri(run, output, extra)


def tells_warehouse(system: str) -> bool:
    """True for a system that names its outputs with the help of its connection's extras, such as a warehouse."""
    return system_class(system).assets_need_extras
