"""What only Alteryx has: two generations of its API, questions, files in several formats, and jobs' own fields."""

from __future__ import annotations

import pyarrow.parquet
import pytest

from airflow_workflow_provider.exceptions import (
    InvalidArgument,
    OutputUnavailable,
    PermissionDenied,
    RequestRejected,
    WorkflowNotFound,
)
from airflow_workflow_provider.protocol.model import Run
from airflow_workflow_provider.transfers.workflow_to_object_storage import WorkflowOutputToObjectStorageOperator
from tests.operators.staging import context_of
from tests.stories import facts
from tests.stories.case import Work
from tests.stories.facts import plain

APPS = "5f0e2c0000000000000000"
REPORT, EVERY_TYPE, ECHO = Work(APPS + "03", {"Year": 2014}), Work(APPS + "06"), APPS + "07"
REPORTING = "5f0e2c0000000000000c0001"


@pytest.fixture(params=["alteryx-oauth2", "alteryx-oauth1"])
def alteryx(request, staged):
    """Both generations."""
    return staged(request.param)


@pytest.fixture
def current(staged):
    """A server of today."""
    return staged("alteryx-oauth2")


def rows(story, run, output=None):
    """The rows of an output."""
    return story.hook.read_output(run, output).read_all().to_pylist()


def offered(run, *formats):
    """The run as a server shows it that offers its files in these formats only."""
    files = [{**file, "formats": list(formats)} for file in run["details"]["files"]]
    return {**run, "details": {**run["details"], "files": files}}


@pytest.mark.parametrize("work", [REPORT, EVERY_TYPE, Work(APPS + "04", {"State": "VT"})])
def test_csv_and_yxdb_hold_the_same_rows(alteryx, work):
    """Difficult values and leading zeros too, on both generations; only CSV does not tell empty text from none."""
    run = alteryx.told(work)
    first = rows(alteryx, offered(run, "Raw", "Yxdb", "Csv"), 0)
    second = rows(alteryx, offered(run, "Raw", "Yxdb"), 0)
    assert [{name: None if value == "" else value for name, value in row.items()} for row in second] == first
    assert len(first) > 3


def test_both_generations_give_the_same(staged):
    """The same app, the same rows: from V1 with OAuth 1 and from V3 with OAuth 2."""
    old, new = (staged(name) for name in ("alteryx-oauth1", "alteryx-oauth2"))
    assert rows(old, old.told(EVERY_TYPE)) == rows(new, new.told(EVERY_TYPE))


@pytest.mark.parametrize(("wanted", "name"), [("monthly.csv", 1), (1, 1), ("1", 1), (-1, 1), ("daily.yxdb", 0), (0, 0)])
def test_one_of_several_outputs_by_name_or_index(current, wanted, name):
    expected = (facts.days_of_year, facts.months_of_year)[name](2014)
    assert plain(rows(current, current.told(REPORT), wanted)) == plain(expected)


def test_several_outputs_have_to_be_told_apart(current):
    run = current.told(REPORT)
    for wanted in (None, "other.csv", 2):
        with pytest.raises(OutputUnavailable, match=r"'daily\.yxdb', 'monthly\.csv'"):
            current.hook.read_output(run, wanted)
    assert run["output_location"] is None


def test_all_outputs_become_a_file_each(current, tmp_path):
    """``output_name="*"``."""
    path = f"{tmp_path.as_uri()}/{{output}}.parquet"
    task = WorkflowOutputToObjectStorageOperator(task_id="t", run=current.told(REPORT), output_name="*", path=path)
    assert task.execute(context_of())["rows"] == 365 + 12
    found = {file.name: pyarrow.parquet.read_table(file).num_rows for file in tmp_path.iterdir()}
    assert found == {"daily.yxdb.parquet": 365, "monthly.csv.parquet": 12}


def test_what_a_start_is_asked_for_arrives(current):
    """Answers as text; priority, worker tag and credential as fields of their own."""
    answers = {"Text": "Zürich", "Number": 7, "Date": "2026-11-22", "Check Box (5)": True}
    extra = {"priority": "High", "worker_tag": "gpu", "credential_id": REPORTING}
    echoed = rows(current, current.told(Work(ECHO, answers), **extra))
    assert {row["name"]: row["value"] for row in echoed} == {
        "Text": "Zürich",
        "Number": "7",
        "Date": "2026-11-22",
        "Check Box (5)": "True",
        "priority": "High",
        "workerTag": "gpu",
        "credentialId": REPORTING,
    }


@pytest.mark.parametrize("priority", ["Low", "medium", "High", "Critical"])
def test_a_priority_has_one_spelling_for_both(alteryx, priority):
    """V1 with OAuth 1 counts from 0 for Low."""
    alteryx.told(Work(ECHO), priority=priority)
    assert alteryx.runs()[0]["details"]["priority"] == priority.capitalize()


def test_a_credential_is_refused_with_oauth_1(staged):
    """Rather than left out silently; nothing is started."""
    old = staged("alteryx-oauth1")
    with pytest.raises(InvalidArgument, match="credential_id: Alteryx takes it with OAuth 2 only"):
        old.told(credential_id=REPORTING)
    assert old.runs() == []


def test_a_credential_that_is_unknown_is_the_servers_to_refuse(current):
    with pytest.raises(RequestRejected, match="credentialId: The credential does not exist"):
        current.told(credential_id="5f0e2c0000000000000c0099")
    assert current.runs() == []


def test_the_check_of_questions_can_be_switched_off(alteryx):
    """Then the server decides; this one ignores names that it does not know."""
    unknown = {"State": "VT", "nonsense": "1"}
    assert alteryx.told(query_parameters=unknown, check_questions=False)["state"] == "succeeded"
    assert alteryx.asked("/questions") == []
    with pytest.raises(InvalidArgument, match="has no question 'nonsense'; it has: State"):
        alteryx.anew().told(query_parameters=unknown)
    assert len(alteryx.runs()) == 1


def test_an_app_that_may_not_be_run_is_denied(current):
    with pytest.raises(PermissionDenied, match="HTTP 403"):
        current.told(Work(APPS + "0c"))
    assert current.runs() == []


def test_warnings_are_no_failure(current):
    """A job that is over and well, with messages of lesser weight."""
    run = current.told(EVERY_TYPE)
    assert (run["state"], run["message"]) == ("succeeded", "")


def test_being_over_is_not_success(alteryx):
    """Status Completed with another disposition is a failure, and a job without messages says at least that."""
    alteryx.sandbox.settings("alteryx", success_disposition="PartiallyDone")
    run = Run.from_json(alteryx.told(wait_for_completion=False))
    ended = alteryx.hook.wait_for_run(run, poll_interval=0.03, timeout=10)
    assert ended.state == "failed"
    assert "PartiallyDone" in ended.message or "records were written" in ended.message


def test_a_server_that_cannot_cancel_says_so(current, logged):
    """Before 2025.1 the call is missing, and its answer looks like one for a job that is gone."""
    for status in (404, 405):
        current.sandbox.settings("alteryx", server_version="2024.2", cancel_unsupported_status=status)
        with pytest.raises(Exception, match="did not end in time"):
            current.anew().told(current.case.slow, timeout=0.1)
        assert "this Alteryx Server cannot cancel (2025.1 and newer can)" in logged()
    assert current.states() == ["running", "running"]


@pytest.mark.parametrize("bom", ["never", "always"])
def test_byte_order_marks_are_not_data(alteryx, bom):
    alteryx.sandbox.settings("alteryx", v1_bom=bom, csv_bom=bom == "always")
    assert plain(rows(alteryx, alteryx.told())) == plain(facts.airports("VT"))


NAMES = {"alteryx-oauth2": "Airports", "alteryx-oauth1": "Airports", "stevesie": "Stock prices"}


@pytest.mark.parametrize("mode", ["sync", "deferrable"])
@pytest.mark.parametrize("name", NAMES)
def test_a_workflow_is_found_by_its_name(staged, name, mode):
    """Its exact name; the run object then tells the id."""
    story = staged(name, mode)
    found = story.told(workflow=f"name:{NAMES[name]}")
    assert (found["state"], found["workflow"]) == ("succeeded", story.case.good.workflow)


@pytest.mark.parametrize("name", NAMES)
def test_a_name_that_none_or_several_have_starts_nothing(staged, name):
    """A part of a name is no name; of two that share one, both ids are told."""
    story = staged(name)
    for unfit in (NAMES[name][:5], NAMES[name].lower(), "No such name"):
        with pytest.raises(WorkflowNotFound, match=f"no workflow has the name .* on connection '{story.case.conn_id}'"):
            story.told(workflow=f"name:{unfit}")
    if name == "stevesie":
        twin = story.sandbox.app.systems["stevesie"].api.workflows
        story.sandbox.call(lambda: twin.update(other=_renamed(twin[story.case.good.workflow])))
        wanted, ids = NAMES[name], ["5e7e51e0-0001-4000-8000-000000000001", "other"]
    else:
        wanted, ids = "Twin", [APPS + "0f", APPS + "10"]
    with pytest.raises(RequestRejected, match=f"2 workflows have the name '{wanted}'") as caught:
        story.told(workflow=f"name:{wanted}")
    assert all(one in str(caught.value) for one in ids)
    assert story.runs() == []


def _renamed(workflow):
    from dataclasses import replace

    return replace(workflow, id="other")
