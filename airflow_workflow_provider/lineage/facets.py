"""Datasets and facets for OpenLineage. Only this module imports OpenLineage's client."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import attr
from airflow.providers.common.compat.openlineage.facet import (
    Dataset,
    ErrorMessageRunFacet,
    ExternalQueryRunFacet,
    OutputStatisticsOutputDatasetFacet,
    SchemaDatasetFacet,
    SchemaDatasetFacetFields,
)
from airflow.providers.openlineage.extractors import OperatorLineage
from openlineage.client.event_v2 import OutputDataset
from openlineage.client.facet_v2 import JobFacet, RunFacet, data_quality_assertions_dataset

from airflow_workflow_provider.lineage.naming import name_of, short, without_user
from airflow_workflow_provider.protocol.limits import fitting
from airflow_workflow_provider.protocol.model import Output, Run
from airflow_workflow_provider.protocol.times import iso

Assertion = data_quality_assertions_dataset.Assertion
DataQualityAssertionsDatasetFacet = data_quality_assertions_dataset.DataQualityAssertionsDatasetFacet
RUN, JOB = "workflowProvider_run", "workflowProvider_job"
MOST_COLUMNS = 2_000  # columns of a dataset, and parameters of a run
ANY = "any"  # what a system says of a column whose type it does not tell


@attr.define
class WorkflowRunFacet(RunFacet):
    """The run on the workflow system, with the names of its parameters, but not their values."""

    system: str
    workflow: str
    runId: str  # noqa: N815  # facets are spelled in camel case
    state: str
    message: str | None = None
    url: str | None = None
    startedAt: str | None = None  # noqa: N815  # as above
    endedAt: str | None = None  # noqa: N815  # as above
    parameterNames: list[str] = attr.field(factory=list)  # noqa: N815  # as above


@attr.define
class WorkflowJobFacet(JobFacet):
    """The workflow that the task runs."""

    system: str
    workflow: str


def dataset(uri: str, columns: Iterable[tuple[str, str]] = ()) -> Dataset:
    """Return the dataset of a URI, with its columns if they are known."""
    namespace, name = name_of(uri)
    fields = [SchemaDatasetFacetFields(name=column, type=None if kind == ANY else kind) for column, kind in columns]
    return Dataset(
        namespace=namespace, name=name, facets={"schema": SchemaDatasetFacet(fields=fields)} if fields else {}
    )


def written(
    namespace: str, name: str, *, rows: int | None, size: int | None, checks: Iterable[Mapping[str, Any]] = ()
) -> OutputDataset:
    """Return the dataset that a task has written, with rows, bytes, and the checks that hold."""
    told: dict[str, Any] = {}
    if rows is not None:
        told["outputStatistics"] = OutputStatisticsOutputDatasetFacet(rowCount=rows, size=size)
    assertions = [Assertion(assertion=_assertion(check), success=True, column=check.get("column")) for check in checks]
    facets: dict[str, Any] = {}
    if assertions:
        facets["dataQualityAssertions"] = DataQualityAssertionsDatasetFacet(assertions=assertions)
    return OutputDataset(namespace=namespace, name=name, facets=facets, outputFacets=told)


def _assertion(check: Mapping[str, Any]) -> str:
    """Return the name of a check; the condition of ``sql`` is part of it."""
    return f"sql: {check['query']}" if check.get("query") else str(check["check"])


def columns_of(run: Run, output: Output) -> list[tuple[str, str]]:
    """Return the columns of an output that the run lists, as pairs of name and type."""
    told = run.details.get("columns")
    rows = told.get(output.name) if isinstance(told, Mapping) else None
    if not isinstance(rows, (list, tuple)):
        return []
    pairs = [row for row in rows[:MOST_COLUMNS] if isinstance(row, (list, tuple)) and len(row) == 2]
    return [(short(str(name)), short(str(kind))) for name, kind in pairs]


def of_run(
    run: Run, outputs: Sequence[tuple[Output, str]], parameter_names: list[str], failed: bool
) -> OperatorLineage[Any, Any]:
    """Return the lineage of a run: its facets, its outputs, and its error if it failed."""
    columns = [columns_of(run, output) for output, _ in outputs]
    run = fitting(run)
    url = short(without_user(run.url)) if run.url else None
    about = WorkflowRunFacet(
        system=run.system,
        workflow=run.workflow,
        runId=run.run_id,
        state=run.state.value,
        message=run.message or None,
        url=url,
        startedAt=iso(run.started_at),
        endedAt=iso(run.ended_at),
        parameterNames=[short(name) for name in parameter_names[:MOST_COLUMNS]],
    )
    facets: dict[str, Any] = {
        RUN: about,
        "externalQuery": ExternalQueryRunFacet(externalQueryId=run.run_id, source=url or run.system),
    }
    if failed:
        message = run.message or f"run {run.run_id} of {run.workflow or run.system} is {run.state}"
        facets["errorMessage"] = ErrorMessageRunFacet(message=message, programmingLanguage=run.system)
    return OperatorLineage(
        outputs=[dataset(uri, known) for (_, uri), known in zip(outputs, columns, strict=True)],
        run_facets=facets,
        job_facets={JOB: WorkflowJobFacet(system=run.system, workflow=run.workflow)},
    )


def of_transfer(
    sources: Iterable[tuple[Run, Output, str]],
    targets: list[tuple[str, str]],
    rows: int | None,
    size: int | None,
    checks: Iterable[Mapping[str, Any]] = (),
) -> OperatorLineage[Any, Any]:
    """Return the lineage of a transfer. Rows and bytes are reported if there is one target."""
    counted = (rows, size) if len(targets) == 1 else (None, None)
    held = list(checks)
    return OperatorLineage(
        inputs=[dataset(uri, columns_of(run, output)) for run, output, uri in sources],
        outputs=[
            written(namespace, name, rows=counted[0], size=counted[1], checks=held) for namespace, name in targets
        ],
    )
