"""OpenLineage events read back, and checked by the classes of its own client."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from openlineage.client import facet_v2
from openlineage.client.event_v2 import InputDataset, Job, OutputDataset, Run, RunEvent, RunState

from airflow_workflow_provider.lineage import facets as ours

# Every facet that our tasks give, by its key, and the class that knows its fields.
FACETS: dict[str, Any] = {
    ours.RUN: ours.WorkflowRunFacet,
    ours.JOB: ours.WorkflowJobFacet,
    "errorMessage": facet_v2.error_message_run.ErrorMessageRunFacet,
    "externalQuery": facet_v2.external_query_run.ExternalQueryRunFacet,
    "outputStatistics": facet_v2.output_statistics_output_dataset.OutputStatisticsOutputDatasetFacet,
    "parent": facet_v2.parent_run.ParentRunFacet,
    "nominalTime": facet_v2.nominal_time_run.NominalTimeRunFacet,
    "jobType": facet_v2.job_type_job.JobTypeJobFacet,
    "ownership": facet_v2.ownership_job.OwnershipJobFacet,
    "dataQualityAssertions": facet_v2.data_quality_assertions_dataset.DataQualityAssertionsDatasetFacet,
    "schema": facet_v2.schema_dataset.SchemaDatasetFacet,
}


def events_in(file: Path) -> list[dict[str, Any]]:
    """Give the events that a file transport has appended to a file."""
    return [json.loads(line) for line in file.read_text().splitlines() if line.strip()]


def checked(event: dict[str, Any]) -> RunEvent:
    """Make the client's own event of a JSON event: it refuses unknown fields, lacking ones and malformed values."""
    run, job = event["run"], event["job"]
    return RunEvent(
        eventType=RunState(event["eventType"]),
        eventTime=event["eventTime"],
        producer=event["producer"],
        run=Run(runId=run["runId"], facets=_facets(run)),
        job=Job(namespace=job["namespace"], name=job["name"], facets=_facets(job)),
        inputs=[InputDataset(one["namespace"], one["name"], facets=_facets(one)) for one in event.get("inputs", ())],
        outputs=[
            OutputDataset(
                one["namespace"],
                one["name"],
                facets=_facets(one),
                outputFacets=_facets(one, "outputFacets"),
            )
            for one in event.get("outputs", ())
        ],
    )


def _facets(owner: dict[str, Any], key: str = "facets") -> dict[str, Any]:
    return {name: _facet(name, value) for name, value in (owner.get(key) or {}).items() if name in FACETS}


def _facet(name: str, value: dict[str, Any]) -> Any:
    assert value["_producer"].startswith("http")
    assert value["_schemaURL"].startswith("https://openlineage.io/spec/")
    return FACETS[name](**{field: one for field, one in value.items() if not field.startswith("_")})
