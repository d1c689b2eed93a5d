"""Starts whose answer is lost: exactly one run, found again where the API lists runs."""

from __future__ import annotations

from datetime import UTC, datetime
from types import SimpleNamespace

import pytest
from airflow.providers.common.compat.sdk import AirflowFailException

from airflow_workflow_provider.exceptions import RunFailed, UnknownStart, WorkflowNotFound
from tests.operators.staging import MODES, context_of, hurried
from tests.stories.case import Work


def lose_the_answer(story):
    """Let the next start be taken and its answer not arrive."""
    story.fault("lost", story.case.start, method="POST")


def test_a_lost_answer_leaves_exactly_one_run(story):
    """It is adopted where the API can list runs; else the error says what to look for."""
    lose_the_answer(story)
    if story.case.adopts:
        found = story.told()
        assert (found["state"], found["run_id"]) == ("succeeded", story.runs()[0]["id"])
        assert story.ti.xcoms["run_id"] == found["run_id"]
    else:
        with pytest.raises(UnknownStart) as caught:
            story.told()
        parts = (story.case.conn_id, story.case.good.workflow, "look for it before starting another")
        assert all(part in str(caught.value) for part in parts)
        assert caught.value.__cause__ is not caught.value
    story.until(story.runs, "there is no run")
    assert len(story.asked(story.case.start, "POST")) == len(story.runs()) == 1


@pytest.mark.parametrize("behind", [300, 3000])
def test_a_lost_start_is_found_where_the_servers_clock_is_behind(staged, behind):
    """Its answers have a date, and its list shows times of that clock."""
    for name in ("stevesie", "alteryx-oauth2"):
        story = staged(name)
        lose_the_answer(story)
        task = story.operator()()
        hurried(task.hook).ahead = behind
        assert task.execute(story.context)["run_id"] == story.runs()[0]["id"]
        assert len(story.asked(story.case.start, "POST")) == len(story.runs()) == 1


@pytest.mark.parametrize("ahead", [40, 300, 7200, 86_400])
def test_a_lost_start_is_found_where_the_servers_clock_is_ahead(staged, ahead):
    """By that clock the run has begun after the start was sent, however long after."""
    for name in ("stevesie", "alteryx-oauth2"):
        story = staged(name)
        lose_the_answer(story)
        task = story.operator()()
        hurried(task.hook).ahead = -ahead
        assert task.execute(story.context)["run_id"] == story.runs()[0]["id"]
        assert len(story.asked(story.case.start, "POST")) == len(story.runs()) == 1


@pytest.mark.parametrize("mode", MODES)
def test_a_time_limit_counts_from_the_start_though_the_servers_clock_is_behind(staged, mode):
    """The run has all of its time: by the times that the server gives, the limit would have passed."""
    story = staged("stevesie", mode)
    task = story.operator(timeout=60)()
    hurried(task.hook).ahead = 300
    found = story.played(lambda: task)
    assert found["state"] == "succeeded"


def test_a_time_limit_counts_from_the_start_though_the_servers_clock_is_ahead(staged):
    """It does not end the run early. Worker and triggerer are hosts of one Airflow, whose clocks agree."""
    story = staged("stevesie")
    task = story.operator(timeout=60)()
    hurried(task.hook).ahead = -300
    assert story.played(lambda: task)["state"] == "succeeded"


def test_late_results_are_waited_for_though_the_servers_clock_is_behind(staged):
    """Their time of grace counts from the end that the server gives, by the clock of the server."""
    story = staged("stevesie")
    story.sandbox.settings("stevesie", results_late_seconds=0.25)
    task = story.operator(results_grace=20)()
    hurried(task.hook).ahead = 300
    found = task.execute(story.context)
    assert (found["state"], len(found["outputs"])) == ("succeeded", 1)


def test_a_clock_that_is_hours_behind_leaves_a_lost_start_unknown(staged):
    """The times in the list of runs may be as wrong."""
    story = staged("stevesie")
    lose_the_answer(story)
    task = story.operator()()
    hurried(task.hook).ahead = 86_400
    with pytest.raises(UnknownStart):
        task.execute(story.context)
    assert len(story.runs()) == 1


def test_where_airflow_remembers_nothing_a_lost_answer_is_final(story):
    """Below 3.3 a retry would start another run blindly: the error ends the task for good, unless the run is found."""
    lose_the_answer(story)
    make, context = story.operator(), context_of(story.ti)
    if story.case.adopts:
        assert story.played(make, context=context)["run_id"] == story.runs()[0]["id"]
        return
    with pytest.raises(UnknownStart, match="look for it before starting another") as caught:
        story.played(make, context=context)
    assert isinstance(caught.value, AirflowFailException)


def test_a_start_that_was_not_taken_is_sent_again(story):
    """429 says so; the server sees two requests and has one run."""
    story.fault("status", story.case.start, method="POST", status=429, headers={"Retry-After": "1"})
    assert story.told(hasten=True)["state"] == "succeeded"
    assert (len(story.asked(story.case.start, "POST")), len(story.runs())) == (2, 1)


def test_a_server_error_in_answer_to_a_start_is_not_repeated(story):
    """Nobody knows what it did: where the API lists runs there is none, so another start is safe."""
    story.fault("status", story.case.start, method="POST", status=502)
    if story.case.adopts:
        assert story.told()["state"] == "succeeded"
        assert (len(story.asked(story.case.start, "POST")), len(story.runs())) == (2, 1)
        return
    with pytest.raises(UnknownStart, match="HTTP 502"):
        story.told()
    assert (len(story.asked(story.case.start, "POST")), story.runs()) == (1, [])


def test_another_run_is_started_by_choice_only(story):
    """``on_unknown_start="restart"``, where nothing else can settle it; some APIs refuse a second run by themselves."""
    lose_the_answer(story)
    story.lasting(0.15)
    restart = {"on_unknown_start": "restart"}
    if story.case.restart:
        with pytest.raises(story.case.restart.error, match=story.case.restart.words):
            story.told(**restart)
        assert len(story.runs()) == story.case.restart.started
        return
    assert story.told(**restart)["state"] == "succeeded"
    assert len(story.runs()) == (1 if story.case.adopts else 2)


def test_a_retry_after_a_lost_answer_does_not_start_another(story):
    """The worker died before the answer came: the next try adopts the run, or says that it cannot know."""
    if story.case.adopts:
        pytest.skip("the same try has found the run already")
    lose_the_answer(story)
    with pytest.raises(UnknownStart):
        story.told()
    story.until(story.runs, "there is no run")
    story.ti = story.ti.retried()
    with pytest.raises(UnknownStart, match="an earlier try was stopped while it started a run"):
        story.told()
    assert len(story.runs()) == 1


def test_a_run_that_the_server_forgot_is_replaced_by_the_next_try(story):
    """Where forgetting can be told: a run that is gone cannot be waited for."""
    if story.case.system in ("chorus", "invision"):
        pytest.skip("the API answers the same for a run that is gone and for one that never was, or 500")
    story.told(wait_for_completion=False)
    story.sandbox.reset()
    story.sandbox.settings(story.case.system, **story.case.quick)
    story.ti = story.ti.retried()
    assert story.told(hasten=True)["state"] == "succeeded"
    assert len(story.runs()) == 1


def test_a_run_that_never_was_is_not_found(story):
    """By its id alone; a sensor on a mistyped id does not wait for ever."""
    if story.case.name in ("chorus-engine", "chorus-job", "chorus-workfile", "invision-dataflow"):
        pytest.skip("the API has no answer that tells a run that never was")
    details = {"workflow_api": "flow"} if story.case.name == "invision-flow" else {}
    nobody = {"system": story.case.system, "conn_id": story.case.conn_id, "workflow": story.case.good.workflow}
    with pytest.raises(WorkflowNotFound):
        story.hook.get_run({**nobody, "run_id": "00000000-0000-4000-8000-000000000000", "details": details})


def test_a_lost_answer_is_not_mixed_up_with_the_run_of_the_try_before(story):
    """Which began within the minute that the server's clock may be behind."""
    if not story.case.adopts:
        pytest.skip("the API cannot list runs")
    with pytest.raises(RunFailed) as first:
        story.told(story.case.bad)
    story.ti = story.ti.retried()
    lose_the_answer(story)
    with pytest.raises(RunFailed) as second:
        story.told(story.case.bad)
    assert second.value.run.run_id != first.value.run.run_id
    assert len(story.runs()) == 2


def test_a_lost_answer_is_not_settled_with_another_dag_runs_run(staged):
    """Where the list does not show parameters, whose run it is cannot be told."""
    alteryx = staged("alteryx-oauth2")
    alteryx.ti.dag_runs = 2
    lose_the_answer(alteryx)
    with pytest.raises(UnknownStart):
        alteryx.told()
    assert len(alteryx.runs()) == 1


def retried_below_3_3(story, work=None, *, ahead=0.0, **more):
    """A retry on an Airflow that remembers nothing, in a DAG run that began just now."""
    story.ti = story.ti.retried()
    task = story.operator(work, **more)()
    hurried(task.hook).ahead = ahead
    context = context_of(story.ti, dag_run=SimpleNamespace(start_date=datetime.now(UTC)))
    return task.execute(context)


@pytest.mark.parametrize(("dag_runs", "runs"), [(1, 1), (2, 2)])
def test_below_3_3_a_retry_takes_over_the_run_that_is_going_unless_it_may_be_another_dag_runs(staged, dag_runs, runs):
    alteryx = staged("alteryx-oauth2")
    alteryx.lasting(0.5)
    alteryx.told(wait_for_completion=False)
    alteryx.ti.dag_runs = dag_runs
    assert retried_below_3_3(alteryx)["state"] == "succeeded"
    assert len(alteryx.runs()) == runs


@pytest.mark.parametrize(("name", "runs"), [("alteryx-oauth2", 2), ("stevesie", 1)])
def test_below_3_3_a_success_is_taken_where_the_list_shows_parameters_only(staged, name, runs):
    """It may be that of a DAG run that has ended since."""
    story = staged(name)
    story.told()
    assert retried_below_3_3(story)["state"] == "succeeded"
    assert len(story.runs()) == runs


@pytest.mark.parametrize(("retries", "max_tries", "runs"), [(1, 1, 1), (3, 1, 1), (0, 1, 2)])
def test_below_3_3_retries_that_were_raised_are_no_clear(staged, retries, max_tries, runs):
    story = staged("stevesie")
    story.told()
    story.ti.max_tries = max_tries
    assert retried_below_3_3(story, retries=retries)["state"] == "succeeded"
    assert len(story.runs()) == runs


EMPTY, FINE = Work("5e7e51e0-0001-4000-8000-000000000007"), {"fail_on_empty_results": False, "results_grace": 0.05}


def test_below_3_3_a_run_that_is_found_again_is_judged_as_the_task_says(staged):
    """Without results it is a success here, though the list takes it for a failure."""
    story = staged("stevesie")
    story.told(EMPTY, **FINE)
    assert retried_below_3_3(story, EMPTY, ahead=60.0, **FINE)["state"] == "succeeded"
    assert len(story.runs()) == 1


def test_a_run_whose_answer_was_lost_is_watched_as_the_task_says(staged):
    story = staged("stevesie")
    lose_the_answer(story)
    assert story.told(EMPTY, timeout=5, **FINE)["state"] == "succeeded"
    assert len(story.runs()) == 1
