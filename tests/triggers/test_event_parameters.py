"""What an event tells becomes the query parameters of the run that it starts."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any

import pytest
from airflow.providers.common.compat.sdk import DAG, Asset

from airflow_workflow_provider.operators.stevesie import StevesieRunWorkflowOperator
from tests.operators.staging import context_of
from tests.triggers.event_stage import ECHO, Elsewhere

KEY = "triggering_asset_events" if Asset.__name__ == "Asset" else "triggering_dataset_events"
BEGAN = datetime(2026, 1, 1, tzinfo=UTC)
EVENT = SimpleNamespace(extra={"path": "s3://landing/001.csv", "rows": 7}, timestamp=BEGAN)
WANTED = {"path": "s3://landing/001.csv", "rows": 7, "partition": "2026-01-01", "since": 1767225600}


def of_the_event(context: Any, jinja_env: Any) -> dict[str, Any]:
    """Take everything from the context."""
    (event,) = next(iter(context[KEY].values()))
    return {**event.extra, "partition": context["partition_key"], "since": context["data_interval_start"]}


TEMPLATES = {
    "path": f"{{{{ ({KEY}.values() | list)[0][0].extra.path }}}}",
    "rows": f"{{{{ ({KEY}.values() | list)[0][0].extra.rows }}}}",
    "partition": "{{ partition_key }}",
    "since": "{{ data_interval_start }}",
}
TYPES = {"rows": "int64", "since": "timestamp"}


@pytest.mark.parametrize(("given", "types"), [(TEMPLATES, TYPES), (of_the_event, None)], ids=["template", "callable"])
def test_extra_partition_and_interval_are_query_parameters(sandbox, given, types):
    operator = StevesieRunWorkflowOperator(
        task_id="t",
        workflow=ECHO,
        query_parameters=given,
        parameter_types=types,
        wait_for_completion=False,
        dag=DAG("d", schedule=None, start_date=BEGAN),
    )
    told = {KEY: {"file:///landing": [EVENT]}, "partition_key": "2026-01-01", "data_interval_start": BEGAN}
    context = context_of(**told)
    operator.render_template_fields(context)
    operator.execute(context)
    (run,) = Elsewhere(sandbox).sandbox.runs("stevesie")
    sent = run["parameters"]
    assert (json.loads(sent) if isinstance(sent, str) else sent) == WANTED
