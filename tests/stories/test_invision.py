"""What only InVision has: a start that waits, answers in any case, outputs beside the run, and the sibling Flow."""

from __future__ import annotations

import pytest

from airflow_workflow_provider.exceptions import (
    AuthenticationFailed,
    InvalidArgument,
    InvalidConnection,
    OutputUnavailable,
    ProtocolError,
    RequestRejected,
    RunFailed,
    WorkflowNotFound,
)
from tests.operators.staging import MODES
from tests.stories import facts
from tests.stories.case import Work
from tests.stories.facts import plain
from tests.stories.stage import CHANGED

WARNING = Work("6e1f0002-8d2a-4b7c-b6f4-0d5eed000002", {"symbol": "IBM"})
OWN = '?q={RunId == "{run_id}"}'


@pytest.fixture(params=MODES)
def dataflow(request, staged):
    """A data flow, in both modes."""
    return staged("invision-dataflow", request.param)


@pytest.fixture(params=MODES)
def flow(request, staged):
    """A flow of the sibling product, in both modes."""
    return staged("invision-flow", request.param)


@pytest.fixture
def one(staged):
    """A data flow, in the mode that holds a worker."""
    return staged("invision-dataflow")


def rows(story, run, output):
    """The rows of an output."""
    return story.hook.read_output(run, output).read_all().to_pylist()


def test_a_start_may_wait_for_the_end_itself(dataflow):
    """``await_completion=True``: one request, no look, the same run object."""
    found = dataflow.told(await_completion=True)
    assert (found["state"], found["run_id"]) == ("succeeded", dataflow.runs()[0]["id"])
    assert [entry["query"] for entry in dataflow.asked("/start$", "POST")] == ["await=true"]
    assert dataflow.polls() == []


def test_a_start_that_waited_for_a_failure_is_a_failure(dataflow):
    """Its answer is 200 with the word Failed."""
    with pytest.raises(RunFailed) as caught:
        dataflow.told(dataflow.case.bad, await_completion=True)
    assert dataflow.case.blame in str(caught.value)
    assert {entry["status"] for entry in dataflow.asked("", "POST")} == {200}


def test_a_start_that_waits_and_breaks_off_is_unknown(dataflow):
    """The run goes on, and its id is lost."""
    dataflow.fault("lost", "/start$", method="POST")
    with pytest.raises(Exception, match="look for it before starting another"):
        dataflow.told(await_completion=True)
    assert len(dataflow.runs()) == 1


def test_a_run_that_is_over_with_its_start_is_not_looked_at(dataflow):
    dataflow.sandbox.settings("invision", terminal_in_start=True)
    assert dataflow.told()["state"] == "succeeded"
    assert dataflow.polls() == []


@pytest.mark.parametrize("case_of_words", ["title", "lower", "upper"])
@pytest.mark.parametrize("pascal_case", [False, True])
def test_keys_and_words_come_in_any_case(dataflow, pascal_case, case_of_words):
    """The documentation writes them in several ways."""
    dataflow.sandbox.settings("invision", pascal_case=pascal_case, status_case=case_of_words)
    assert dataflow.told()["state"] == "succeeded"
    with pytest.raises(RunFailed):
        dataflow.anew().told(dataflow.case.bad)


def test_a_site_that_wants_no_body_gets_none(one):
    """``start_body="none"``: nothing is sent with a start that has no arguments."""
    conn_id = one.connection(start_body="none")
    assert one.told(query_parameters=None, invision_conn_id=conn_id)["state"] == "succeeded"


def test_a_site_that_wants_json_says_so(one):
    """415, which names the field that decides; with ``{}``, the default, it starts."""
    one.sandbox.settings("invision", require_json=True)
    conn_id = one.connection(start_body="none")
    with pytest.raises(RequestRejected, match=r"HTTP 415.*The field 'start_body' of the connection"):
        one.told(query_parameters=None, invision_conn_id=conn_id)
    assert one.runs() == []
    assert one.anew().told(query_parameters=None)["state"] == "succeeded"


def test_arguments_arrive_with_more_of_the_body(one):
    """``query_parameters`` are the global arguments, beside those of single activities."""
    more = {"activitiesExecutionData": [{"arguments": [{"name": "fromMonth", "value": "2010-01-01"}]}]}
    one.told(query_parameters={"sector": "government"}, execution_arguments=more)
    assert one.runs()[0]["parameters"] == {"sector": "government", "fromMonth": "2010-01-01"}


def test_global_arguments_of_ones_own_are_a_mapping_or_none(one):
    one.told(query_parameters={"sector": "government"}, execution_arguments={"globalArguments": None})
    assert one.runs()[0]["parameters"]["sector"] == "government"
    with pytest.raises(InvalidArgument, match="execution_arguments: globalArguments: expected a mapping, not list"):
        one.anew().told(query_parameters={"sector": "government"}, execution_arguments={"globalArguments": [1]})


@pytest.mark.parametrize("place", ["Employment by Sector", "table:Fact_Employment"])
def test_a_run_is_read_apart_from_others(one, place):
    """The table keeps the rows of all runs; the filter with the run's id picks its own."""
    first = one.told()
    second = one.anew().told(query_parameters={"sector": "government", "fromMonth": "2010-01-01"})
    for run, sector, since in ((first, "manufacturing", "2009-01-01"), (second, "government", "2010-01-01")):
        wanted = [{"RunId": run["run_id"], **row} for row in facts.employment(sector, since)]
        assert plain(rows(one, run, place + OWN)) == plain(wanted)
    assert len(rows(one, first, place)) == len(rows(one, first, place + OWN)) + len(rows(one, second, place + OWN))


def test_an_output_has_to_be_named(one):
    """A run lists none; the error says what a name looks like."""
    with pytest.raises(OutputUnavailable, match="table:"):
        one.hook.read_output(one.told())


def test_outputs_are_read_with_a_key_of_their_own(one):
    conn_id = one.connection(data_api_key="")
    run = one.told(invision_conn_id=conn_id)
    with pytest.raises(OutputUnavailable, match=f"connection {CHANGED!r}, field 'data_api_key': is empty"):
        type(one.hook).for_run(run).read_output(run, "Employment by Sector")


def test_a_failure_without_a_key_for_the_log_says_so_much(dataflow):
    """The run has failed, and the system gives no reason."""
    conn_id = dataflow.connection(monitoring_api_key="")
    with pytest.raises(RunFailed, match="the system gives no reason"):
        dataflow.told(dataflow.case.bad, invision_conn_id=conn_id)


def test_a_log_that_cannot_be_read_does_not_hide_the_failure(dataflow, logged):
    dataflow.fault("status", "/monitoring$", status=400, times=None)
    with pytest.raises(RunFailed, match="the system gives no reason"):
        dataflow.told(dataflow.case.bad)
    assert dataflow.mode == "deferrable" or "The monitoring log of run" in logged()


def test_a_failure_is_not_blamed_with_other_runs(dataflow):
    """The log holds the errors of all runs; those that name this one are its own."""
    for _ in range(2):
        with pytest.raises(RunFailed) as caught:
            dataflow.anew().told(dataflow.case.bad)
    said, runs = caught.value.run.message, dataflow.runs()
    assert runs[1]["id"] in said
    assert runs[0]["id"] not in said


def test_a_site_that_tells_what_is_wrong_is_understood(one):
    """Where errors have statuses of their own: a wrong key and an unknown data flow are told apart."""
    one.sandbox.settings("invision", error_style="precise")
    with pytest.raises(AuthenticationFailed, match="Check the field"):
        one.told(invision_conn_id=one.connection(password="0bad0bad-0bad-4bad-8bad-00000bad0bad"))
    with pytest.raises(WorkflowNotFound, match="HTTP 404"):
        one.anew().told(workflow=one.case.missing)
    assert one.runs() == []


def test_a_site_that_sends_strangers_to_its_log_in_page_is_understood(one):
    one.sandbox.settings("invision", login_redirect="refused")
    with pytest.raises(ProtocolError, match="It redirects to /invision/account/login"):
        one.told(invision_conn_id=one.connection(password="0bad0bad-0bad-4bad-8bad-00000bad0bad"))
    assert one.runs() == []


def test_a_run_is_known_by_its_data_flow_and_its_id(one):
    """Its id alone is not enough to look it up."""
    run = one.told()
    assert one.hook.get_run(run["run_id"], workflow=one.case.good.workflow).state == "succeeded"
    with pytest.raises(InvalidArgument, match="workflow: InVision knows a run by its data flow and its run id"):
        one.hook.get_run(run["run_id"])


def test_a_flow_that_completed_with_a_warning_went_well(flow):
    """And the run object holds what it said."""
    found = flow.told(WARNING)
    assert (found["state"], "some items were skipped" in found["message"]) == ("succeeded", True)
    wanted = [{"Symbol": "IBM", "PriceDate": row["date"], "Price": row["price"]} for row in ibm()]
    got = rows(flow, found, "table:Store_StockPrices" + OWN)
    assert plain(got) == plain({"RunId": found["run_id"], **row} for row in wanted)


@pytest.mark.parametrize("environment", ["development", "Test", "PRODUCTION"])
def test_a_flow_runs_in_the_connections_environment(flow, environment):
    flow.told(invision_conn_id=flow.connection(environment=environment))
    assert flow.runs()[0]["details"]["environment"] == environment.capitalize()


@pytest.mark.parametrize("field", ["flow_api_key", "tenant_id", "workspace_id"])
def test_a_field_that_only_flow_needs_is_named_when_it_lacks(flow, field):
    """Data flows go without it."""
    conn_id = flow.connection(**{field: ""})
    with pytest.raises(InvalidConnection, match=f"connection {CHANGED!r}, field {field!r}: is empty"):
        flow.told(invision_conn_id=conn_id)
    data_flow = Work("2f0c0001-3b1e-4c55-9a10-0d5eed000001")
    assert flow.anew().told(data_flow, invision_conn_id=conn_id, workflow_api="dataflow")["state"] == "succeeded"


def test_a_stolen_glance_at_another_api_is_refused(one):
    """An unknown ``workflow_api`` names the two that there are."""
    with pytest.raises(InvalidArgument, match="workflow_api: expected 'dataflow' or 'flow', not 'flows'"):
        one.told(workflow_api="flows")
    assert one.runs() == []


def ibm():
    """All the prices of IBM."""
    return [row for year in range(2000, 2011) for row in facts.stock_prices(["IBM"], year)]
