"""Asset events for the outputs of a run, through the asset aliases in a task's outlets."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from airflow.providers.common.compat.sdk import Asset, AssetAlias

from airflow_workflow_provider.assets.extras import storable
from airflow_workflow_provider.exceptions import InvalidArgument
from airflow_workflow_provider.protocol.parameters import spelled

if TYPE_CHECKING:
    from airflow_workflow_provider.assets.places import Landed
    from airflow_workflow_provider.protocol.model import Run

MAX_NAME = 1500  # characters; Airflow's own limit
AIRFLOW_2 = AssetAlias.__name__ == "DatasetAlias"
KEEPS_CHARACTERS = "printable ASCII characters"  # what every metadata database keeps


def with_alias(outlets: Iterable[Any], name: str | None) -> list[Any]:
    """Return the outlets with the alias of this name. Raises `InvalidArgument`."""
    found = list(outlets)
    if name is None:
        return found
    if not isinstance(name, str):
        raise InvalidArgument(f"asset_alias: expected the alias's name, not {type(name).__name__}")
    if not name.strip() or name != name.strip():
        raise InvalidArgument(f"asset_alias: {name!r} is empty, or has spaces around it; give a name")
    if len(name) > MAX_NAME or not (name.isascii() and name.isprintable()):
        raise InvalidArgument(f"asset_alias: {name[:80]!r} must have at most {MAX_NAME} {KEEPS_CHARACTERS}")
    alias = AssetAlias(name)
    return found if alias in aliases(found) else [*found, alias]


def aliases(outlets: Iterable[Any]) -> list[Any]:
    """Return the asset aliases in a task's outlets."""
    return [outlet for outlet in outlets if isinstance(outlet, AssetAlias)]


def receivers(outlets: Iterable[Any], own: str | None, mapped: bool) -> list[Any]:
    """Return the aliases that accept events. Airflow 2.11 fails a task for an alias that the DAG file does not show.

    :param own: the alias that the constructor has added; Airflow does not see it in a mapped task.
    """
    found = aliases(outlets)
    return [alias for alias in found if not (AIRFLOW_2 and mapped and alias.name == own)]


def emit(context: Mapping[str, Any], receivers: Iterable[Any], item: Landed, extra: Mapping[str, Any]) -> None:
    """Attach an output to asset aliases. Raises Airflow's ValueError for a URI that it does not accept."""
    asset, stored = Asset(uri=item.uri), storable(extra)
    for alias in receivers:
        context["outlet_events"][alias].add(asset, extra=stored)


def publish(context: Mapping[str, Any], outlets: Iterable[Any], result: Mapping[str, Any]) -> None:
    """Put what a transfer has written into the events of the assets in its outlets: the rows, and the checks."""
    events = context.get("outlet_events")
    if events is None:
        return
    told = {"row_count": result.get("rows"), "checks": result.get("checks")}
    extra = storable({name: value for name, value in told.items() if value is not None})
    for outlet in outlets:
        if isinstance(outlet, Asset):
            events[outlet].extra.update(extra)


def shared_extra(context: Mapping[str, Any], run: Run, parameters: Any) -> dict[str, Any]:
    """Return the extra that the events of all outputs share: the run, its parameters, and the partition, if any."""
    from airflow.providers.common.compat.sdk import redact

    partition = partition_of(context)
    return {
        "run": run.to_json(),
        "run_id": run.run_id,
        "parameters": redact(spelled(parameters)),
        **({"partition_key": partition} if partition else {}),
    }


def own_extra(item: Landed, row_count: int | None) -> dict[str, Any]:
    """Return the extra of one output's event: its name, and the number of its rows, if known."""
    name = None if item.output is None else item.output.name
    return {"output": name, **({} if row_count is None else {"row_count": row_count})}


def partition_of(context: Mapping[str, Any]) -> str | None:
    """Return the partition of this DAG run (Airflow 3.2 and newer)."""
    key = context.get("partition_key") or getattr(context.get("dag_run"), "partition_key", None)
    return str(key) if key else None
