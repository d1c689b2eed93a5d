"""Airflow below 3.3 keeps nothing between the tries of a task, and CARTO's API lists no runs."""

from __future__ import annotations

import pytest
from airflow.providers.common.compat.sdk import AirflowFailException

from airflow_workflow_provider.exceptions import RunFailed, UnknownStart
from airflow_workflow_provider.operators.carto import CartoRunWorkflowOperator
from tests.operators.staging import MODES, TaskInstance, TaskStateStore, context_of, executed


@pytest.fixture(params=MODES)
def task(request, carto):
    """Try a task, without a state store unless one is given."""

    def tried(ti, store=None, **arguments):
        given = {"task_id": "t", "workflow": carto["clock"], "query_parameters": {"label": "x"}, "poll_interval": 0.02}
        given |= {"deferrable": request.param == "deferrable", **arguments}
        return executed(lambda: CartoRunWorkflowOperator(**given), context_of(ti, store))

    return tried


def test_each_try_starts_its_own_run(carto, task):
    """The documentation says so."""
    ti = TaskInstance(max_tries=1)
    with pytest.raises(RunFailed):
        task(ti, workflow=carto["failing"], query_parameters=None)
    assert task(ti.retried())["state"] == "succeeded"
    assert carto.states() == ["failure", "success"]


def test_a_lost_answer_is_final(carto, task):
    """Nothing would keep the next try from starting a second run, so there is to be no next try."""
    carto.fault("lost", "/job$")
    with pytest.raises(UnknownStart, match="look for it") as caught:
        task(TaskInstance(max_tries=3))
    assert isinstance(caught.value, AirflowFailException)
    assert len(carto.runs()) == 1


def test_with_a_store_a_lost_answer_is_left_to_the_next_try(carto, task):
    """Which knows of the intent, and may find the run."""
    carto.fault("lost", "/job$")
    with pytest.raises(UnknownStart) as caught:
        task(TaskInstance(max_tries=3), TaskStateStore())
    assert not isinstance(caught.value, AirflowFailException)
    assert str(caught.value).startswith("No answer from ")


def test_a_lost_answer_is_final_where_the_next_try_would_not_ask(carto, task):
    """``reattach=False`` starts another run at each try, whatever Airflow remembers."""
    carto.fault("lost", "/job$")
    with pytest.raises(UnknownStart) as caught:
        task(TaskInstance(max_tries=3), TaskStateStore(), reattach=False)
    assert isinstance(caught.value, AirflowFailException)
    assert len(carto.runs()) == 1


def test_by_choice_a_lost_answer_is_followed_by_another_start(carto, task):
    carto.fault("lost", "/job$")
    assert task(TaskInstance(), on_unknown_start="restart")["state"] == "succeeded"
    assert len(carto.runs()) == 2
