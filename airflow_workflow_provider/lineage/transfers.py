"""The OpenLineage events of transfers: the outputs that were read, and the targets that were written."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from airflow.providers.openlineage.extractors import OperatorLineage

    from airflow_workflow_provider.transfers.resolve import ResolvedOutput

Names = list[tuple[str, str]]


class TransferLineage:
    """Reports the outputs that were read (``sources``), and the targets that the task has written.

    A subclass returns namespace and name of each target in `named_targets`.
    """

    sources: Sequence[tuple[ResolvedOutput, str]] = ()
    """The outputs that were read, and their URIs."""
    result: Mapping[str, Any] | None = None
    """The value that the task returned."""

    def named_targets(self, result: Mapping[str, Any]) -> Names:
        """Return namespace and name of each target."""
        raise NotImplementedError

    def get_openlineage_facets_on_complete(self, task_instance: Any) -> OperatorLineage[Any, Any] | None:
        """Return inputs and outputs."""
        from airflow_workflow_provider.lineage.facets import of_transfer

        result = self.result or {}
        targets = self.named_targets(result) if result else []
        checks = result.get("checks") or ()
        return of_transfer(_read(self.sources), targets, result.get("rows"), result.get("bytes"), checks)

    def get_openlineage_facets_on_failure(self, task_instance: Any) -> OperatorLineage[Any, Any] | None:
        """Return the inputs. A failed task reports no outputs."""
        from airflow_workflow_provider.lineage.facets import of_transfer

        return of_transfer(_read(self.sources), [], None, None)


def named_sources(
    resolved: Sequence[ResolvedOutput], conn_id: str | None, log: logging.Logger | Any
) -> list[tuple[ResolvedOutput, str]]:
    """Return the URI of every output that is read. The transfer continues if a connection cannot be read."""
    # Imported here, so that parsing a DAG file does not load the systems.
    from airflow_workflow_provider.assets.places import uri_of

    extras: dict[str, Mapping[str, Any]] = {}
    found = []
    for item in resolved:
        name = conn_id or item.run.conn_id
        if name not in extras:
            extras[name] = _extra(item.run.system, name, log)
        found.append((item, uri_of(item.run, item.output, extras[name])))
    return found


def _extra(system: str, conn_id: str, log: logging.Logger | Any) -> Mapping[str, Any]:
    from airflow.providers.common.compat.sdk import BaseHook

    from airflow_workflow_provider.assets.places import tells_warehouse

    if not tells_warehouse(system):
        return {}
    try:
        extra: Mapping[str, Any] = BaseHook.get_connection(conn_id).extra_dejson
    except Exception as error:  # noqa: BLE001  # lineage must not stop a transfer
        log.warning("The lineage does not name the warehouse, because connection %r cannot be read: %s", conn_id, error)
        return {}
    return extra


def _read(sources: Sequence[tuple[ResolvedOutput, str]]) -> list[tuple[Any, Any, str]]:
    return [(item.run, item.output, uri) for item, uri in sources]
