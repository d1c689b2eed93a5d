"""A task that runs several workflows: each call has a stored run of its own, and a retry finds each again."""

from __future__ import annotations

import pytest

from airflow_workflow_provider.exceptions import RunCancelled, ServerUnavailable
from airflow_workflow_provider.hooks.carto import CartoHook
from airflow_workflow_provider.operators.calls import next_call
from airflow_workflow_provider.operators.carto import CartoRunWorkflowOperator
from airflow_workflow_provider.protocol.lifecycle import event_of
from airflow_workflow_provider.protocol.model import Run
from tests.operators.carto_stage import SLOW
from tests.operators.staging import TaskInstance, TaskStateStore, context_of, deferred


class Several:
    """A task that executes one operator after the other, as a ``@task`` or a subclass may do."""

    def __init__(self, carto):
        self.carto, self.ti, self.store = carto, TaskInstance(max_tries=2), TaskStateStore()

    def context(self):
        return context_of(self.ti, self.store)

    def runs(self, *calls, wait=True):
        """Execute one operator for each (workflow, parameters), give the ids of their runs."""
        context = self.context()
        given = {"poll_interval": 0.02, "wait_for_completion": wait, "retries": 2}
        make = lambda call: CartoRunWorkflowOperator(  # noqa: E731
            task_id="t", workflow=self.carto[call[0]], query_parameters=call[1], **given
        )
        return [make(call).execute(context)["run_id"] for call in calls]

    def retried(self):
        self.ti = self.ti.retried()


@pytest.fixture
def several(carto):
    return Several(carto)


BRIEF, SHORT = {"seconds": 0.1}, {"seconds": 0.2}


def test_each_call_starts_its_own_run(carto, several):
    found = several.runs(("slow", BRIEF), ("slow", SHORT), ("every_type", None))
    assert len(set(found)) == len(carto.runs()) == 3


def test_a_retry_finds_the_run_of_each_call(carto, several):
    first = several.runs(("slow", BRIEF), ("slow", SHORT), ("every_type", None), wait=False)
    several.retried()
    assert several.runs(("slow", BRIEF), ("slow", SHORT), ("every_type", None)) == first
    assert len(carto.runs()) == 3


def test_a_retry_that_calls_in_another_order_finds_them_too(carto, several):
    first = several.runs(("slow", SHORT), ("every_type", None), wait=False)
    several.retried()
    assert several.runs(("every_type", None), ("slow", SHORT)) == first[::-1]
    assert len(carto.runs()) == 2


def test_a_retry_that_leaves_a_call_out_starts_and_cancels_nothing(carto, several):
    """It has done the first part already, and knows that by itself."""
    first = several.runs(("slow", SLOW), ("every_type", None), wait=False)
    several.retried()
    assert several.runs(("every_type", None)) == first[1:]
    assert carto.states() == ["running", "success"]


def test_a_retry_of_one_call_with_another_workflow_cancels_the_old_run_and_starts_its_own(carto, several):
    """The DAG was corrected between two tries: the old run is no run of it any more."""
    first = several.runs(("slow", SLOW), wait=False)
    several.retried()
    assert several.runs(("every_type", None)) != first
    assert carto.states() == ["cancelled", "success"]


def test_parameters_that_each_try_makes_anew_do_not_make_another_request(carto, several):
    """Such as the moment or the number of the try."""
    first = several.runs(("slow", {"seconds": 0.2}), wait=False)
    several.retried()
    assert several.runs(("slow", {"seconds": 0.3})) == first
    assert len(carto.runs()) == 1


@pytest.mark.parametrize("same_version", [True, False])
def test_parameters_that_differ_in_another_version_of_the_dag_are_another_request(carto, several, same_version):
    several.ti.dag_version_id = "v1"
    first = several.runs(("slow", SLOW), wait=False)
    several.retried()
    several.ti.dag_version_id = "v1" if same_version else "v2"
    found = several.runs(("slow", {"seconds": 0.1}), wait=False)
    assert (found == first) == same_version
    assert carto.states()[0] == ("running" if same_version else "cancelled")


def test_the_same_parameters_in_another_version_of_the_dag_are_the_same_request(carto, several):
    several.ti.dag_version_id = "v1"
    first = several.runs(("slow", BRIEF), wait=False)
    several.retried()
    several.ti.dag_version_id = "v2"
    assert several.runs(("slow", BRIEF)) == first


def test_another_connection_is_another_request(carto, several):
    several.runs(("slow", SLOW), wait=False)
    several.retried()
    CartoRunWorkflowOperator(
        task_id="t", workflow=carto["every_type"], carto_conn_id="carto_oauth", poll_interval=0.02, retries=2
    ).execute(several.context())
    assert carto.states() == ["cancelled", "success"]


def test_a_whole_call_with_another_value_is_the_same_workflow(carto, several):
    """The values that a CALL holds are parameters, too."""
    context, name = several.context(), carto["slow"]
    make = lambda seconds: CartoRunWorkflowOperator(  # noqa: E731
        task_id="t", workflow=f"CALL `{name}`({seconds})", poll_interval=0.02, wait_for_completion=False, retries=2
    )
    first = make(60).execute(context)
    several.retried()
    assert make(61).execute(several.context())["run_id"] == first["run_id"]


def test_a_failed_call_does_not_move_the_others(carto, several):
    """A run that was cancelled by somebody stays the run of its call."""
    first = several.runs(("slow", SLOW), ("every_type", None), wait=False)
    CartoHook().cancel_run(first[0])
    several.retried()
    with pytest.raises(RunCancelled):
        several.runs(("slow", SLOW))
    assert len(carto.runs()) == 2


def test_a_second_call_that_comes_back_from_the_triggerer_finds_its_own_run(carto, several):
    """The next try will know it, so it goes on."""
    several.runs(("every_type", None), wait=False)
    make = lambda: CartoRunWorkflowOperator(  # noqa: E731
        task_id="run_workflow", workflow=carto["slow"], query_parameters=SLOW, deferrable=True, retries=2
    )
    there = deferred(make, several.context())
    run = Run.from_json(several.ti.xcoms["run"])
    with pytest.raises(ServerUnavailable):
        there.resumed(event_of(run, ServerUnavailable("five refusals")))
    assert carto.states()[-1] == "running"


def test_calls_are_counted_within_one_try_and_for_each_kind():
    ti = TaskInstance()
    assert [next_call(ti, "run"), next_call(ti, "run"), next_call(ti, "load")] == [1, 2, 1]
    assert next_call(ti.retried(), "run") == 1
