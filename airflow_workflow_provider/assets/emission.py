"""How a task tells Airflow of the outputs of its run: through the asset aliases among its outlets."""

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
    """Give the outlets and, unless it is among them, the alias of this name. Raises `InvalidArgument`."""
    found = list(outlets)
    if name is None:
        return found
    if not isinstance(name, str):
        raise InvalidArgument(f"asset_alias: expected the alias's name, not {type(name).__name__}")
    if not name.strip() or name != name.strip():
        raise InvalidArgument(f"asset_alias: {name!r} is empty or has blanks around it; give a name")
    if len(name) > MAX_NAME or not (name.isascii() and name.isprintable()):
        raise InvalidArgument(f"asset_alias: {name[:80]!r} has to be up to {MAX_NAME} {KEEPS_CHARACTERS}")
    alias = AssetAlias(name)
    return found if alias in aliases(found) else [*found, alias]


def aliases(outlets: Iterable[Any]) -> list[Any]:
    """Give the asset aliases among a task's outlets."""
    return [outlet for outlet in outlets if isinstance(outlet, AssetAlias)]


def receivers(outlets: Iterable[Any], own: str | None, mapped: bool) -> list[Any]:
    """Give the aliases that Airflow will take events for: 2.11 fails a task over an alias that no DAG file shows.

    :param own: the alias that a constructor has added, which is not shown for a mapped task.
    """
    found = aliases(outlets)
    return [alias for alias in found if not (AIRFLOW_2 and mapped and alias.name == own)]


def emit(context: Mapping[str, Any], receivers: Iterable[Any], item: Landed, extra: Mapping[str, Any]) -> None:
    """Attach an output to asset aliases; Airflow's ValueError says what it has against the URI."""
    asset, told = Asset(uri=item.uri), storable(extra)
    for alias in receivers:
        context["outlet_events"][alias].add(asset, extra=told)


def shared_extra(context: Mapping[str, Any], run: Run, parameters: Any) -> dict[str, Any]:
    """Give what the events of all outputs of a run carry: the run, its parameters, the partition if there is one."""
    from airflow.providers.common.compat.sdk import redact

    partition = partition_of(context)
    return {
        "run": run.to_json(),
        "run_id": run.run_id,
        "parameters": redact(spelled(parameters)),
        **({"partition_key": partition} if partition else {}),
    }


def own_extra(item: Landed, row_count: int | None) -> dict[str, Any]:
    """Give what the event of one output carries besides: its name, and its rows where they are known."""
    name = None if item.output is None else item.output.name
    return {"output": name, **({} if row_count is None else {"row_count": row_count})}


def partition_of(context: Mapping[str, Any]) -> str | None:
    """Give the partition that this DAG run is for, where the Airflow has partitions (3.2+)."""
    key = context.get("partition_key") or getattr(context.get("dag_run"), "partition_key", None)
    return str(key) if key else None
