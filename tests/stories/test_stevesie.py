"""What only Stevesie has: derived states, results on another host, collections of inputs."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from urllib.parse import urlsplit

import pytest

from airflow_workflow_provider.exceptions import InvalidArgument, OutputUnavailable, RunFailed, WorkflowNotFound
from airflow_workflow_provider.hooks.stevesie import StevesieHook
from airflow_workflow_provider.operators.stevesie import StevesieUpdateCollectionOperator
from airflow_workflow_provider.transfers.workflow_to_object_storage import WorkflowOutputToObjectStorageOperator
from tests.operators.staging import MODES, context_of, executed, meanwhile
from tests.stories import facts
from tests.stories.case import Work
from tests.stories.facts import plain

IDS = "5e7e51e0-0001-4000-8000-0000000000"
WEATHER, USERS, MANY, ECHO = Work(IDS + "02", {"year": ["2014"]}), IDS + "03", IDS + "04", IDS + "05"
EMPTY = Work(IDS + "07")
USER_IDS = "5e7e51e0-0003-4000-8000-000000000003"
FIRST = ["43823188", "50834309", "54546072", "192946169"]


@pytest.fixture
def stevesie(staged):
    """In the mode that holds a worker."""
    return staged("stevesie")


@pytest.fixture(params=MODES)
def both(request, staged):
    """In both modes."""
    return staged("stevesie", request.param)


def rows(story, run, output=None):
    """The rows of an output."""
    return story.hook.read_output(run, output).read_all().to_pylist()


def test_several_results_by_name_or_index(both):
    run = both.told(WEATHER)
    assert [output["name"] for output in run["outputs"]] == ["results.csv", "results.days.csv"]
    months, days = rows(both, run, "results.csv"), rows(both, run, 1)
    assert [row["results.days_count"] for row in months] == [one["days"] for one in facts.months_of_year(2014)]
    wanted = [one["date"] for one in facts.days_of_year(2014)]
    assert [one["results.days.date"] for one in plain(days)] == wanted
    with pytest.raises(OutputUnavailable, match=r"'results\.csv', 'results\.days\.csv'"):
        both.hook.read_output(run)


def test_all_results_are_kept_as_they_are(stevesie, tmp_path):
    run = stevesie.told(WEATHER)
    given = {"output_name": "*", "path": f"{tmp_path.as_uri()}/{{output}}", "format": "raw"}
    WorkflowOutputToObjectStorageOperator(task_id="t", run=run, **given).execute(context_of())
    lines = {file.name: len(file.read_text().splitlines()) for file in tmp_path.iterdir()}
    assert lines == {"results.csv": 13, "results.days.csv": 366}


def test_results_as_json(stevesie):
    """Its keys come without the collection's path."""
    found = rows(stevesie, stevesie.told(output_aggregation_format="json"))
    assert plain(found) == plain(facts.stock_prices(["AAPL", "IBM"], 2009))


def test_results_that_come_late_are_waited_for(both):
    """Within ``results_grace`` an execution that is over without results is not."""
    both.sandbox.settings("stevesie", results_late_seconds=0.25)
    run = both.told(results_grace=20)
    assert (run["state"], len(run["outputs"])) == ("succeeded", 1)


def test_results_that_never_come_are_a_failure(both):
    with pytest.raises(RunFailed, match=r"completed without results \(fail_on_empty_results\)"):
        both.told(EMPTY, results_grace=0.1)


def test_results_that_never_come_may_be_fine(both):
    run = both.told(EMPTY, results_grace=0.1, fail_on_empty_results=False)
    assert (run["state"], run["outputs"]) == ("succeeded", [])
    assert "without results" in run["message"]


def test_another_task_judges_the_run_as_it_was_started(both):
    """A sensor has the watch options of the start, though no fact of the server holds them."""
    run = both.told(EMPTY, results_grace=0.1, fail_on_empty_results=False, wait_for_completion=False)
    assert not run["details"].keys() & {"results_grace", "fail_on_empty_results"}
    given = {"task_id": "wait", "run": run, "poke_interval": 0.03, "deferrable": both.mode == "deferrable"}
    seen = executed(lambda: both.case.sensor(**given))
    assert (seen["state"], seen["outputs"]) == ("succeeded", [])
    with pytest.raises(RunFailed, match="completed without results"):
        executed(lambda: both.case.sensor(**given, fail_on_empty_results=True))


def test_a_retry_judges_the_run_of_an_earlier_try_by_its_own_options(both):
    """Somebody has corrected the DAG after the first try: the run is fine, and no other one is started."""
    both.ti.max_tries = 1
    with pytest.raises(RunFailed, match="completed without results"):
        both.told(EMPTY, results_grace=0.1, retries=1)
    both.ti = both.ti.retried()
    run = both.told(EMPTY, results_grace=0.1, retries=1, fail_on_empty_results=False)
    assert (run["state"], len(both.runs())) == ("succeeded", 1)


@pytest.mark.parametrize(
    ("style", "words"),
    [
        ("errors", "The proxy is not running"),
        ("failed_at", "20"),
        ("status", "Stevesie gives the status 'failed'"),
        ("empty", "completed without results"),
    ],
)
def test_a_failure_shows_in_many_ways(both, style, words):
    """The page documents none of them."""
    both.sandbox.settings("stevesie", failure_style=style)
    with pytest.raises(RunFailed, match=words):
        both.told(both.case.bad, results_grace=0.1)


@pytest.mark.parametrize("status", [403, 404, 410])
def test_an_address_that_has_expired_is_asked_for_again(stevesie, status):
    """The address lives for minutes, a run object for ever."""
    run = stevesie.told()
    stevesie.fault("status", "^/results/", status=status)
    stevesie.sandbox.clear_requests("stevesie")
    assert len(rows(stevesie, run)) == 24
    assert [entry["status"] for entry in stevesie.asked("^/results/")] == [status, 200]
    assert len(stevesie.polls() or stevesie.asked("/executions/")) == 2


def test_a_result_is_read_long_after_its_first_address(stevesie):
    """Its address in the run object has no signature, and is never used as it is."""
    stevesie.sandbox.settings("stevesie", url_seconds=0.2)
    run = stevesie.told()
    time.sleep(0.3)
    assert len(rows(stevesie, run)) == 24
    assert urlsplit(run["output_location"]).query == ""


def test_a_download_that_breaks_off_goes_on_at_a_fresh_address(stevesie, tmp_path):
    """The host sends half and hangs up; by then the address has expired, so the next one is asked for first."""
    run = stevesie.told(WEATHER)
    wanted = rows(stevesie, run, "results.csv")
    stevesie.sandbox.settings("stevesie", url_seconds=0.2)
    stevesie.fault("truncate", "^/results/")
    given = {"output_name": "results.csv", "path": str(tmp_path / "months.csv"), "format": "csv"}
    before = len(stevesie.asked(f"/executions/{run['run_id']}"))
    landed = WorkflowOutputToObjectStorageOperator(task_id="t", run=run, **given).execute(context_of())
    assert landed["rows"] == len(wanted)
    assert len((tmp_path / "months.csv").read_text().splitlines()) == len(wanted) + 1
    assert len(stevesie.asked(f"/executions/{run['run_id']}")) == before + 2


def test_addresses_that_are_refused_for_ever_are_told(stevesie):
    run = stevesie.told()
    stevesie.fault("status", "^/results/", status=403, times=None)
    with pytest.raises(OutputUnavailable, match=r"3 fresh addresses of output .* were refused"):
        rows(stevesie, run)


def test_the_token_stays_with_the_api(stevesie):
    """Results lie on another host, which refuses whoever shows it the token."""
    run = stevesie.told()
    assert urlsplit(run["output_location"]).netloc != urlsplit(run["url"]).netloc
    assert len(rows(stevesie, run)) == 24
    assert [entry["status"] for entry in stevesie.asked("^/results/")] == [200]


def test_what_a_start_is_asked_for_arrives(stevesie):
    """A moment as seconds since 1970, and the start's own fields."""
    moment = datetime(2026, 1, 1, tzinfo=UTC)
    given = {"maximum_requests_count": 5, "do_proxy_hot_swap": True, "proxy": {"location": "fra"}}
    run = stevesie.told(Work(ECHO, {"min_timestamp": moment, "list": [1, "a"]}), **given)
    assert stevesie.runs()[0]["parameters"] == {"min_timestamp": 1767225600, "list": [1, "a"]}
    echoed = {row["results.name"]: row["results.value"] for row in rows(stevesie, run)}
    assert (echoed["maximum_requests_count"], echoed["do_proxy_hot_swap"]) == ("5", "true")
    assert (echoed["proxy.type"], echoed["proxy.location"]) == ("shared", "fra")


def test_the_address_of_a_custom_proxy_is_a_secret_of_the_connection(stevesie, logged):
    secret = "user:proxy-password@10.0.0.1:3128"
    conn_id = stevesie.connection(proxy_url=secret, proxy={"type": "custom"})
    found = stevesie.told(stevesie_conn_id=conn_id)
    assert stevesie.runs()[0]["details"]["proxy"]["type"] == "custom"
    assert secret not in f"{found} {stevesie.ti.pushed} {stevesie.store.history} {logged()}"
    with pytest.raises(InvalidArgument, match="proxy: "):
        stevesie.anew().told(proxy={"type": "custom", "url": secret})


def test_the_cost_of_a_run_is_bounded(stevesie):
    """A request brings a hundred rows."""
    run = stevesie.told(Work(MANY, {"rows": 1000}), maximum_requests_count=2)
    assert len(rows(stevesie, run)) == 200


def test_a_lost_start_is_told_from_another_of_the_same_workflow(both):
    """By its parameters: two tasks that start the same workflow at the same time do not take each other's run."""
    other = both.hook.start_run(both.case.good.workflow, {"symbol": ["GOOG"]})
    both.fault("lost", both.case.start, method="POST")
    found = both.told()
    assert found["run_id"] not in ("", other.run_id)
    assert len(both.runs()) == 2


def updated(method, *items):
    """Change the collection of user ids."""
    task = StevesieUpdateCollectionOperator(task_id="t", collection_id=USER_IDS, items=items, method=method)
    return task.execute(context_of())


@pytest.mark.parametrize(
    ("method", "items", "counts", "after"),
    [
        ("add", ["1", "2", "50834309"], (4, 6, 2, 0), [*FIRST, "1", "2"]),
        ("remove", ["50834309", "7"], (4, 3, 0, 1), ["43823188", "54546072", "192946169"]),
        ("replace", ["54546072", "9", "9"], (4, 2, 1, 3), ["54546072", "9"]),
        ("replace", [], (4, 0, 0, 4), []),
    ],
)
def test_a_collection_is_changed_once(stevesie, method, items, counts, after):
    """A second time nothing changes, so a retry is safe; the next run has exactly these inputs."""
    names = ("before", "after", "added", "removed")
    assert updated(method, *items) == {"collection_id": USER_IDS, **dict(zip(names, counts, strict=True))}
    same = {"before": counts[1], "after": counts[1], "added": 0, "removed": 0}
    assert updated(method, *items) == {"collection_id": USER_IDS, **same}
    assert StevesieHook().get_collection(USER_IDS)["items"] == after
    if after:
        run = stevesie.told(Work(USERS))
        assert [str(row["results.user_id"]) for row in rows(stevesie, run)] == after


def test_a_change_whose_answer_is_lost_is_made_once(stevesie):
    stevesie.sandbox.settings("stevesie", duplicate_items=True)
    stevesie.fault("lost", "/collections/", method="POST")
    updated("add", "1")
    assert StevesieHook().get_collection(USER_IDS)["items"] == [*FIRST, "1"]


def test_an_unknown_collection_is_told(stevesie):
    task = StevesieUpdateCollectionOperator(task_id="t", collection_id=USER_IDS[:-1] + "9", items=["1"])
    with pytest.raises(WorkflowNotFound, match=r"connection 'stevesie_default'.*\n  while: reading collection .*9\n"):
        task.execute(context_of())


def test_workflows_are_listed_and_destroyed(stevesie):
    """Destroying a definition stops none of its executions."""
    hook = StevesieHook()
    assert "Stock prices" in [workflow.name for workflow in hook.list_workflows()]
    found = hook.get_workflow(stevesie.case.good.workflow)
    assert (found.name, found.details["mappings"][0]["target_variable_name"]) == ("Stock prices", "symbol")
    stevesie.lasting(0.2)
    with meanwhile(lambda: (stevesie.polled(1), hook.destroy_workflow(found.id))):
        assert stevesie.told()["state"] == "succeeded"
    with pytest.raises(WorkflowNotFound):
        hook.get_workflow(found.id)
