"""The runs behind a DAG run that assets have triggered."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

from airflow_workflow_provider.exceptions import InvalidArgument, WorkflowError
from airflow_workflow_provider.hooks.connections import load_system
from airflow_workflow_provider.protocol.model import Run
from airflow_workflow_provider.protocol.system import WorkflowSystem
from airflow_workflow_provider.systems import SYSTEMS

log = logging.getLogger(__name__)

CONTEXTS = ("triggering_asset_events", "triggering_dataset_events")  # Airflow 3 and 2
PAYLOAD, RUN = "payload", "run"  # where Airflow puts a watcher's event, and our operators the run object


def triggering_runs(context: Mapping[str, Any], asset: Any = None) -> list[dict[str, Any]]:
    """Give the run objects of all runs that stand behind this DAG run, each once, in the order of their events.

    Made for ``expand``: a DAG run may stand for several events. It is empty for a DAG run that was started by hand.
    Anybody who may create an asset event can write a run object into it, so the addresses in these run objects are
    made from ids by the run's connection; where that cannot be read they are left out.

    :param context: the task's context.
    :param asset: only the events of this asset, asset alias or dataset: itself, its name or its URI.
    """
    found: dict[tuple[str, str, str], dict[str, Any]] = {}
    systems: dict[tuple[str, str], WorkflowSystem | None] = {}
    for event in sorted(_events(context, asset), key=_moment):
        extra = getattr(event, "extra", None)
        for value in (extra.get(PAYLOAD), extra.get(RUN)) if isinstance(extra, Mapping) else ():
            run = _run(value)
            if run:
                rebuilt = _rebuilt(run, systems)
                found.setdefault((run.system, run.conn_id, run.run_id), rebuilt.to_json())
    return list(found.values())


def _rebuilt(run: Run, systems: dict[tuple[str, str], WorkflowSystem | None]) -> Run:
    """Give a run with its addresses made from its ids, or without addresses where its connection cannot be read."""
    place = (run.system, run.conn_id)
    if place not in systems:
        try:
            systems[place] = load_system(*place)
        except Exception as error:  # noqa: BLE001  # one event must not stop the DAG run of many
            log.warning("The addresses of run %s are left out: %s", run.run_id, error)
            systems[place] = None
    system = systems[place]
    try:
        if system is not None:
            return system.rebuilt(run)
    except WorkflowError as error:
        log.warning("The addresses of run %s are left out: %s", run.run_id, error)
    if run.system in SYSTEMS and SYSTEMS[run.system].foreign_locations:
        return replace(run, url=None)
    outputs = tuple(replace(output, location="") for output in run.outputs)
    return replace(run, url=None, outputs=outputs)


def _events(context: Mapping[str, Any], asset: Any) -> Iterator[Any]:
    by_asset: Mapping[Any, Any] = next((context[name] for name in CONTEXTS if context.get(name)), {})
    for key, events in by_asset.items():
        if asset is None or _names(key) & _names(asset):
            yield from events


def _names(asset: Any) -> set[str]:
    """Give what an asset is known by: a text stands for a name or a URI."""
    if isinstance(asset, str):
        return {asset}
    return {text for text in (getattr(asset, "name", None), getattr(asset, "uri", None)) if text}


def _moment(event: Any) -> float:
    moment = getattr(event, "timestamp", None)
    return moment.timestamp() if moment is not None else 0.0


def _run(value: Any) -> Run | None:
    """Read a run object, or its JSON text, as an extra on Airflow 2 has it; other triggers put other things there."""
    if isinstance(value, str):
        try:
            value = json.loads(value)
        except ValueError:
            return None
    if not isinstance(value, Mapping) or not value.get("run_id"):
        return None
    try:
        return Run.from_json(value)
    except InvalidArgument:
        return None
