"""What only Chorus has: results of 25 rows, datasets beside a flow, guards against a second run, and ambiguity."""

from __future__ import annotations

import pyarrow as pa
import pytest
import requests

from airflow_workflow_provider.exceptions import (
    InvalidArgument,
    OutputUnavailable,
    PermissionDenied,
    RequestRejected,
    RunFailed,
)
from airflow_workflow_provider.hooks.chorus import ChorusHook
from tests.operators.staging import MODES, context_of, hurried
from tests.sensors.watching import rescheduled
from tests.stories import facts
from tests.stories.case import Work
from tests.stories.facts import plain

EMPTY, SUMMARY, SQL_FILE = Work("1000009"), Work("1000011"), Work("1000014")
TWO_STEPS = Work("1000002")


@pytest.fixture
def engine(staged):
    """The engine's API."""
    return staged("chorus-engine")


@pytest.fixture(params=["job", "workfile"])
def guarded(request, staged):
    """The modes in which a second run would be taken for the first."""
    return staged(f"chorus-{request.param}")


@pytest.fixture(params=MODES)
def workfile(request, staged):
    """A workfile without the engine's API, in both modes."""
    return staged("chorus-workfile", request.param)


@pytest.fixture(params=MODES)
def job(request, staged):
    """A Job, in both modes."""
    return staged("chorus-job", request.param)


def rows(story, run, output):
    """The rows of an output."""
    return story.hook.read_output(run, output).read_all().to_pylist()


def somebody_runs(story):
    """Another person runs the same thing, at the web page."""
    browser = requests.Session()
    base = f"{story.sandbox.url}/chorus/api"
    form = {"username": "colleague", "password": "sandbox-chorus-colleague-password", "session_id": "NULL"}
    answer = browser.post(f"{base}/sessions", data=form, timeout=5)
    session = {"session_id": answer.json()["response"]["session_id"]}
    kind = "jobs" if story.case.name == "chorus-job" else "workfiles"
    return browser.post(f"{base}/{kind}/{story.case.good.workflow}/run", params=session, timeout=5)


def test_a_stored_result_has_25_rows_and_says_so(engine, logged):
    """The whole table is there as a dataset."""
    run = engine.told(query_parameters={"weather": "'rain'", "marker": "'all'"})
    stored, whole = rows(engine, run, "Row Filter"), rows(engine, run, "table:weather_days")
    wanted = plain(facts.weather_days("rain", marker="all"))
    assert (plain(stored), plain(whole)) == (wanted[:25], wanted)
    assert "Visualization of rows limited to 25" in logged()


def test_a_stored_result_has_types(engine):
    """All its cells are text on the wire; its columns tell which are numbers."""
    found = engine.hook.read_output(engine.told(), "Monthly Means").read_all()
    assert plain(found.to_pylist()) == facts.weather_months("snow")
    assert found.schema.types == [pa.string(), pa.int64(), pa.float64(), pa.float64()]


def test_one_of_several_outputs_has_to_be_named(engine):
    run = engine.told()
    for unfit in (None, "Monthly"):
        with pytest.raises(OutputUnavailable, match="'Row Filter', 'Monthly Means'"):
            engine.hook.read_output(run, unfit)
    assert len(rows(engine, run, 1)) == len(facts.weather_months("snow"))


def test_the_tables_inside_an_output_have_names_of_their_own(engine):
    found = rows(engine, engine.told(SUMMARY), "Categorical")
    assert plain(found) == [
        {"weather": kind, "days": len(facts.weather_days(kind))} for kind in ("drizzle", "fog", "rain", "snow", "sun")
    ]


@pytest.mark.parametrize(
    ("table", "words"),
    [
        ("no_days", "has no rows, and the server sends no columns"),
        ("broken_view", "Could not convert string 'drizzle' to INT32"),
        ("days", "has no dataset 'days'; alike: no_days"),
    ],
)
def test_a_dataset_that_cannot_be_had_is_no_table(engine, table, words):
    """The server answers 200 before it runs the query: errors and empty results come as text in the header's place."""
    with pytest.raises(OutputUnavailable, match=words):
        engine.hook.read_output(engine.told(EMPTY), f"table:{table}")


def test_an_error_in_the_middle_of_a_dataset_is_told(engine):
    """Not taken for a row."""
    run = engine.told()
    engine.sandbox.settings("chorus", download_error_after=10)
    with pytest.raises(OutputUnavailable, match="canceling statement"):
        rows(engine, run, "table:weather_days")


def test_a_dataset_is_named_with_its_schema_where_two_have_one_name(engine):
    """The first one found could be the wrong one. A column called error is no error."""
    run = engine.told()
    airports = rows(engine, run, "table:airports")
    engine.sandbox.settings("chorus", second_schema=True)
    with pytest.raises(OutputUnavailable, match=r"several datasets 'airports': demo\.airports, staging\.airports"):
        engine.hook.read_output(run, "table:airports")
    assert rows(engine, run, "table:demo.airports") == airports
    assert set(rows(engine, run, "table:staging.airports")[0]) == {"error", "iata"}


def test_variables_arrive_as_text_with_or_without_their_sign(engine):
    engine.told(query_parameters={"@weather": "'fog'", "min_temp": -10.5})
    assert engine.runs()[0]["parameters"] == {"@weather": "'fog'", "@min_temp": "-10.5", "@marker": "''"}


def test_a_second_run_is_refused_while_one_is_going(guarded):
    """Whoever started the first: its result could not be told from ours."""
    guarded.lasting(0.5)
    assert somebody_runs(guarded).status_code in (200, 202)
    guarded.until(guarded.runs, "there is no run")
    with pytest.raises(RequestRejected, match=guarded.case.restart.words):
        guarded.told()
    assert len(guarded.runs()) == 1


def test_two_results_since_the_start_are_ambiguous(workfile):
    """Which one is the run's nobody can tell: results name no run."""
    started = workfile.told(wait_for_completion=False)
    workfile.until(lambda: workfile.states() == ["succeeded"], "the run does not end")
    workfile.anew().told(wait_for_completion=False)
    workfile.until(lambda: workfile.states() == ["succeeded"] * 2, "the run does not end")
    given = {"task_id": "wait", "run": started, "poke_interval": 0.03, "deferrable": workfile.mode == "deferrable"}
    with pytest.raises(RunFailed, match="ambiguous: 2 results came since the start"):
        workfile.played(lambda: workfile.case.sensor(**given))


def test_a_run_of_a_workfile_that_left_nothing_is_ambiguous(staged):
    """Failed, stopped, or not saved: the API has one answer for all of these."""
    workfile = staged("chorus-workfile")
    workfile.sandbox.settings("chorus", failed_run_activity=False)
    with pytest.raises(RunFailed, match=r"ambiguous: .* (stored no result|never showed that it ran)"):
        workfile.told(workfile.case.bad, hasten=True)


@pytest.mark.parametrize("name", ["chorus-engine", "chorus-workfile"])
def test_a_sensor_that_is_rescheduled_sees_that_a_run_was_stopped(staged, name):
    """A result that may still come is waited for in one process: the next one would not know since when."""
    story = staged(name)
    run = story.told(story.case.slow, wait_for_completion=False)
    story.until(lambda: story.states() == ["running"], "the run does not begin")
    story.hook.cancel_run(run)
    story.until(lambda: story.states() != ["running"], "the run does not stop")

    def make():
        sensor = story.case.sensor(task_id="wait", run=run, mode="reschedule", poke_interval=2, timeout=10)
        hurried(sensor.hook)
        return sensor

    with pytest.raises(RunFailed):
        rescheduled(make, context_of())


def test_a_run_without_the_engines_word_says_what_is_not_known(workfile):
    """Without a licence for the engine's API a stored result is all there is."""
    workfile.sandbox.settings("chorus", api_enabled=False)
    found = workfile.told()
    assert found["state"] == "succeeded"
    assert "cannot be seen without the engine's API" in found["message"]


def test_the_result_of_a_job_is_its_own(job):
    """Though the Job has run again before anybody looked."""
    started = job.told(wait_for_completion=False)
    job.until(lambda: job.states() == ["succeeded"], "the job does not end")
    assert somebody_runs(job).status_code == 202
    job.until(lambda: job.states() == ["succeeded"] * 2, "the job does not end")
    job.ti = job.ti.retried()
    found = job.told()
    assert (found["run_id"], found["state"]) == (started["run_id"], "succeeded")
    assert found["details"]["job_result_id"] == job.runs()[0]["id"].rpartition(":")[2]


@pytest.mark.parametrize("scope", ["job", "all"])
@pytest.mark.parametrize("latest_running", [False, True])
def test_the_result_of_another_job_is_not_this_ones(job, scope, latest_running):
    """Whichever way the server reads the call for the latest result."""
    job.sandbox.settings("chorus", latest_scope=scope, latest_running=latest_running)
    started = job.told(job.case.slow, wait_for_completion=False)
    assert somebody_runs(job).status_code == 202
    job.until(lambda: "succeeded" in job.states(), "the other job does not end")
    assert job.hook.get_run(started).state == "running"


@pytest.mark.parametrize(("good", "state"), [(True, "succeeded"), (False, "failed")])
def test_activities_that_hold_little_tell_success_from_failure(job, good, state):
    """Another Job's result is the latest by then."""
    job.sandbox.settings("chorus", job_activities="id", latest_scope="all")
    started = job.told(TWO_STEPS if good else job.case.bad, wait_for_completion=False)
    job.until(lambda: job.states() == [state], "the job does not end")
    assert somebody_runs(job).status_code == 202
    job.until(lambda: job.states() == [state, "succeeded"], "the other job does not end")
    assert job.hook.get_run(started).state == state


def test_a_failure_may_have_words_of_its_own(engine):
    """The engine's text for a failed process is any; what failed the stored results say."""
    engine.sandbox.settings("chorus", failed_text="Workflow failed.\n")
    with pytest.raises(RunFailed, match=engine.case.blame):
        engine.told(engine.case.bad)


def test_a_job_that_did_not_hear_of_a_failure_has_failed_all_the_same(job):
    """The Job counts its task as a success; the engine's results know better."""
    job.sandbox.settings("chorus", job_hears_failure=False)
    with pytest.raises(RunFailed, match="Could not convert string 'drizzle' to INT32"):
        job.told(job.case.bad)
    assert job.states() == ["succeeded"]


def test_a_dataset_of_a_jobs_workspace(job):
    found = rows(job, job.told(TWO_STEPS), "table:many_rows")
    assert plain(found) == plain(facts.numbers(1000))


def test_a_file_that_is_no_flow_is_refused(staged):
    """The server would say that it runs, and do nothing."""
    workfile = staged("chorus-workfile")
    with pytest.raises(RequestRejected, match="1000014 is not a workflow"):
        workfile.told(SQL_FILE)
    assert workfile.runs() == []


def test_an_unknown_run_mode_starts_nothing(engine):
    with pytest.raises(InvalidArgument, match="run_mode: expected one of engine, job, workfile"):
        engine.told(run_mode="flow")
    assert engine.runs() == []


def test_who_may_only_look_is_denied(engine):
    with pytest.raises(PermissionDenied, match="HTTP 403"):
        engine.told(chorus_conn_id="chorus_viewer")
    assert engine.runs() == []


def test_a_licence_without_the_engine_is_told(engine):
    """By the connection test and by the start."""
    engine.sandbox.settings("chorus", api_enabled=False)
    assert "not licensed, use another run_mode" in ChorusHook().test_connection()[1]
    with pytest.raises(PermissionDenied, match="The license does not include"):
        engine.told()


def test_nobody_logs_out_while_a_run_is_going(job):
    """The engine reports the end of a run with the user's session: without it the Job would hang for ever."""
    assert job.told()["state"] == "succeeded"
    assert job.asked("/sessions", "DELETE") == []


def test_the_session_of_the_hook_is_signed(engine):
    """For calls that the hook has no method for: Chorus reads its session from the query."""
    with engine.hook.get_conn() as session:
        answer = session.get(f"{engine.sandbox.url}/chorus/api/license?fields=all", timeout=5)
    assert answer.status_code == 200
    assert "session_id=" in answer.request.url


def test_the_engine_reads_the_session_from_the_header_alone(engine):
    """A query stands in the access log of every proxy on the way."""
    engine.told()
    asked = [entry for entry in engine.sandbox.requests("chorus") if "/alpinedatalabs/" in entry["path"]]
    assert asked
    assert not [entry for entry in asked if "session_id" in entry["query"]]
