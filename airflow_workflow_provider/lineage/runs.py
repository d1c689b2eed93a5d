"""The OpenLineage events of run operators."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from airflow_workflow_provider.exceptions import InvalidArgument
from airflow_workflow_provider.protocol import parameters as given

if TYPE_CHECKING:
    from airflow.providers.openlineage.extractors import OperatorLineage

    from airflow_workflow_provider.assets.places import Landed
    from airflow_workflow_provider.protocol.model import Run


class RunLineage:
    """Reports the run that has ended. It uses only what the task knows, and sends no request.

    There is no ``get_openlineage_facets_on_start``, because nothing is known before the start.
    """

    query_parameters: Any
    _run: Run | None
    _sent: Any
    _landed: tuple[Landed, ...]

    def get_openlineage_facets_on_complete(self, task_instance: Any) -> OperatorLineage[Any, Any] | None:
        """Return run, job, the names of the parameters, and the outputs."""
        return self._described(failed=False)

    def get_openlineage_facets_on_failure(self, task_instance: Any) -> OperatorLineage[Any, Any] | None:
        """Return run, job, the names of the parameters, and the system's error message."""
        return self._described(failed=True)

    def _described(self, *, failed: bool) -> OperatorLineage[Any, Any] | None:
        if self._run is None:
            return None  # the task ended before there was a run
        from airflow_workflow_provider.lineage.facets import of_run

        outputs = [(item.output, item.uri) for item in self._landed if item.output is not None]
        return of_run(self._run, outputs, names_of(self.query_parameters if self._sent is None else self._sent), failed)


def names_of(parameters: Any) -> list[str]:
    """Return the names of the parameters. Their values can be secret, so lineage never has them."""
    try:
        found = {} if callable(parameters) else given.checked(parameters)
    except InvalidArgument:
        return []
    return sorted(found) if isinstance(found, Mapping) else []
