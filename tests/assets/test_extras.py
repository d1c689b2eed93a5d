"""What asset events carry can be taken in by every Airflow that is supported."""

from __future__ import annotations

import json

import pytest

from airflow_workflow_provider.assets.extras import as_hashable, as_objects, as_texts, storable
from airflow_workflow_provider.protocol.model import Run, RunState

RUN = Run("carto", "c", "w", "1", RunState.SUCCEEDED, details={"a": [1, {"b": None}]})
EXTRA = {"run": RUN.to_json(), "parameters": [1, "x"], "output": "o", "row_count": 7, "partition_key": None}


@pytest.mark.parametrize("way", [as_objects, as_texts, as_hashable, storable])
def test_the_run_can_be_read_again(way):
    """After the extra has been through a JSON column."""
    stored = json.loads(json.dumps(way(EXTRA)))
    assert Run.from_json(stored["run"]) == RUN
    assert (stored["output"], stored["row_count"]) == ("o", 7)


@pytest.mark.parametrize("way", [as_texts, as_hashable])
def test_an_airflow_that_compares_extras_in_a_set_can_do_so(way):
    """As Airflow 2.11 and 3.0 do: alike is one, different is another."""
    other = {**EXTRA, "parameters": [2]}
    assert len({frozenset(way(extra).items()) for extra in (EXTRA, dict(EXTRA), other)}) == 2
    assert way(EXTRA)["row_count"] == 7


@pytest.mark.parametrize("way", [as_objects, as_hashable])
def test_objects_stay_objects_where_they_can(way):
    assert way(EXTRA) == EXTRA
