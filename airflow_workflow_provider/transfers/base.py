"""What both transfers share: which outputs of which runs, and how the result is handed on."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from airflow.providers.common.compat.sdk import BaseOperator

from airflow_workflow_provider.assets.emission import publish
from airflow_workflow_provider.exceptions import InvalidArgument
from airflow_workflow_provider.lineage.transfers import TransferLineage, named_sources

if TYPE_CHECKING:
    from airflow_workflow_provider.transfers.resolve import ResolvedOutput


class WorkflowOutputTransfer(TransferLineage, BaseOperator):
    """Moves outputs of runs somewhere else; `WorkflowOutputToSqlOperator` and its like say where to.

    :param run: the run object that a run operator or sensor returns, its JSON text, or a sequence of these (the XComs
        of a mapped task, unexpanded, too); or bare ids, with ``system``. A run that has not ended is polled first.
        (templated)
    :param output_name: name or index of the output, ``"*"`` for all; default the only one. (templated)
    :param on_missing_output: ``"fail"``, or ``"skip"`` to leave out runs that did not succeed or lack the output; the
        task is skipped if nothing is left. (templated)
    :param conn_id: Airflow connection of the workflow system; default the run's own. (templated)
    :param system: key of the system of bare ids, such as ``"carto"``; a run object contains its own.
    """

    template_fields: Sequence[str] = ("run", "conn_id", "output_name", "on_missing_output")

    def __init__(
        self,
        *,
        run: Any,
        output_name: str | int | None = None,
        on_missing_output: str = "fail",
        conn_id: str | None = None,
        system: str | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.run = run
        self.output_name = output_name
        self.on_missing_output = on_missing_output
        self.conn_id = conn_id
        self.system = system

    def resolve(self) -> list[ResolvedOutput]:
        """Find the outputs; nothing is read yet."""
        # Imported late: a DAG file must not pay for what only a running task needs.
        from airflow_workflow_provider.transfers.resolve import resolve_outputs

        found = resolve_outputs(
            self.run,
            conn_id=self.conn_id,
            system=self.system,
            output_name=self.output_name,
            on_missing_output=self.on_missing_output,
            log=self.log,
        )
        self.sources = named_sources(found, self.conn_id, self.log)
        return found

    def source_keys(self) -> list[Any]:
        """Say what is moved, as far as the arguments do: a retry finds what an earlier try has done by it."""
        from airflow_workflow_provider.transfers.resolve import run_keys

        if isinstance(self.run, Iterator):  # it can be read once only
            self.run = list(self.run)
        return [run_keys(self.run), self.output_name]

    def as_value(self, name: str) -> Any:
        """Give an argument that is a list or a mapping; a template may have made JSON text of it."""
        value = getattr(self, name)
        if not (isinstance(value, str) and value.strip()[:1] in ("[", "{")):
            return value
        try:
            return json.loads(value)
        except ValueError as error:
            raise InvalidArgument(f"{name}: looks like JSON, but is not: {error}") from error

    def handed_on(self, context: Any, result: Mapping[str, Any]) -> dict[str, Any]:
        """Push each value under its own key, so that ``task.output["rows"]`` works, and give all for the return."""
        publish(context, self.outlets or [], result)
        if self.do_xcom_push:
            for key, value in result.items():
                context["ti"].xcom_push(key=key, value=value)
        self.result = dict(result)
        return self.result
