"""The hook against a running server: what a DAG author calls, and what comes back."""

from __future__ import annotations

from dataclasses import replace

import pytest

from airflow_workflow_provider.exceptions import (
    InvalidArgument,
    NotSupported,
    OutputUnavailable,
    PermissionDenied,
    RunTimedOut,
    ServerUnavailable,
    UnknownStart,
    WorkflowNotFound,
)
from airflow_workflow_provider.hooks.carto import CartoHook
from airflow_workflow_provider.hooks.workflow import WorkflowHook
from airflow_workflow_provider.protocol.model import Run, RunState
from tests.operators.staging import hurried

BY_STATE = {"min_airports": 100}


@pytest.fixture
def hook(carto):
    return CartoHook()


@pytest.mark.parametrize("style", ["object", "string"])
@pytest.mark.parametrize("conn_id", ["carto_default", "carto_oauth", "carto_run_token"])
def test_a_run_from_its_start_to_its_output(carto, conn_id, style):
    """With each way to sign in, and with both dialects of a status."""
    carto.settings(status_style=style)
    hook = CartoHook(conn_id)
    run = hook.start_run(carto["airports_by_state"], BY_STATE)
    assert not run.state.is_terminal
    ended = hook.wait_for_run(run, poll_interval=0.02)
    assert (ended.state, ended.run_id, ended.conn_id, ended.message) == (RunState.SUCCEEDED, run.run_id, conn_id, "")
    (output,) = hook.outputs(ended)
    assert ended.output_location == output.location == carto.runs()[0]["details"]["output_table"]
    assert carto.states() == ["success"]


def test_a_positional_warehouse(carto):
    hook = CartoHook("carto_snowflake")
    run = hook.start_run(carto["sf_airports_in_state"], ["TX"])
    assert hook.wait_for_run(run, poll_interval=0.02).state is RunState.SUCCEEDED
    assert carto.runs()[0]["parameters"] == ["TX"]


def test_a_failed_run_says_why(carto, hook):
    run = hook.wait_for_run(hook.start_run(carto["failing"]), poll_interval=0.02)
    assert run.state is RunState.FAILED
    assert run.message == carto.runs()[0]["details"]["error"]
    with pytest.raises(OutputUnavailable, match=f"run {run.run_id} is failed"):
        hook.outputs(run)


def test_a_cancelled_run_is_cancelled(carto, hook):
    run = hook.start_run(carto["slow"], {"seconds": 60})
    hook.cancel_run(run)
    assert hook.get_run(run).state is RunState.CANCELLED
    hook.cancel_run(run)  # a second time is no error
    assert carto.states() == ["cancelled"]


def test_a_run_is_known_in_each_form(carto, hook):
    run = hook.start_run(carto["slow"], {"seconds": 60})
    for form in (run, run.to_json(), run.run_id):
        assert hook.get_run(form).run_id == run.run_id
    assert WorkflowHook.for_run(run.to_json()).get_run(run).run_id == run.run_id


def test_the_hook_of_a_system_known_at_run_time(carto):
    assert WorkflowHook.for_system("carto").conn_id == "carto_default"
    assert WorkflowHook.for_system("carto", "other").conn_id == "other"
    run = Run("carto", "carto_oauth", "w", "1")
    assert WorkflowHook.for_run(run).conn_id == "carto_oauth"
    assert WorkflowHook.for_run(run, "carto_default").conn_id == "carto_default"
    with pytest.raises(InvalidArgument, match=r"system: 'cartoon' is unknown; known: carto"):
        WorkflowHook.for_system("cartoon")


def test_a_run_of_another_system_is_not_looked_for_here(carto, hook):
    with pytest.raises(InvalidArgument, match="stevesie"):
        hook.get_run(Run("stevesie", "stevesie_default", "w", "1"))
    assert carto.asked() == []


def test_a_wait_that_takes_too_long_is_out_of_time(carto, hook):
    run = hook.start_run(carto["slow"], {"seconds": 60})
    hurried(hook)
    with pytest.raises(RunTimedOut, match="did not end in time") as caught:
        hook.wait_for_run(run, poll_interval=5, timeout=30)
    assert (caught.value.run.run_id, carto.states()) == (run.run_id, ["running"])


def test_a_wait_outlasts_whatever_the_network_does(carto, hook):
    """A run is not ended by the faults of those who watch it."""
    run = hook.start_run(carto["airports_by_state"], BY_STATE)
    faults = [("html", {}), ("reset", {}), ("truncate", {}), ("status", {"status": 429, "headers": {"Retry-After": 9}})]
    for kind, more in [*faults, ("status", {"status": 401}), ("status", {"status": 404}), ("lost", {})]:
        carto.fault(kind, "/job/", **more)
    clock = hurried(hook)
    assert hook.wait_for_run(run, poll_interval=1).state is RunState.SUCCEEDED
    assert clock.slept > 9


def test_a_token_that_ends_in_the_middle_is_renewed(carto):
    """The server refuses it once; the run is not touched by that."""
    hook = CartoHook("carto_oauth")
    run = hook.start_run(carto["slow"], {"seconds": 0.2})
    carto.sandbox.call(carto.sandbox.app.systems["carto"].api.tokens.reset)
    assert hook.wait_for_run(run, poll_interval=0.05).state is RunState.SUCCEEDED
    assert carto.asked().count("POST token") == 2


def test_credentials_that_are_refused_from_one_moment_on_end_the_try_but_not_the_run(carto, hook):
    run = hook.start_run(carto["slow"], {"seconds": 60})
    carto.settings(revoked_tokens=["sandbox-carto-token"])
    hurried(hook)
    with pytest.raises(ServerUnavailable, match=r'HTTP 401 from .*: "Authentication failed'):
        hook.wait_for_run(run, poll_interval=1)
    assert carto.states() == ["running"]


def test_an_unknown_run_is_not_found(carto, hook):
    with pytest.raises(
        WorkflowNotFound, match=r"connection 'carto_default'.*\n  while: reading the status of run nobody"
    ):
        hook.get_run("nobody")


def test_a_start_whose_answer_is_lost_is_unknown_and_started_once(carto, hook):
    carto.fault("lost", "/job$")
    with pytest.raises(
        UnknownStart, match=r"may have been started.*connection 'carto_default'.*\n  while: starting workflow"
    ):
        hook.start_run(carto["airports_by_state"], BY_STATE)
    assert len(carto.runs()) == 1


def test_a_start_that_is_asked_to_wait_is_sent_again(carto, hook):
    carto.fault("status", "/job$", status=429, headers={"Retry-After": "20"})
    clock = hurried(hook)
    hook.start_run(carto["airports_by_state"], BY_STATE)
    assert clock.slept > 15  # real time passes as well
    assert len(carto.runs()) == 1


def test_results_wait_for_the_end(carto, hook):
    run = hook.start_run(carto["slow"], {"seconds": 60})
    with pytest.raises(OutputUnavailable, match="is running"):
        hook.outputs(run)


def test_a_token_without_the_right_is_denied(carto):
    """The token of a workflow's dialog runs that workflow's procedure only."""
    with pytest.raises(PermissionDenied, match="You don't have permissions to read this resource"):
        CartoHook("carto_run_token").start_run("some.other.procedure")
    assert carto.runs() == []


def test_what_the_api_cannot_do_says_so(carto, hook):
    for call in (hook.list_workflows, lambda: hook.find_runs("w")):
        with pytest.raises(NotSupported, match="CARTO has no API call"):
            call()


@pytest.mark.parametrize("conn_id", ["carto_default", "carto_oauth"])
def test_the_session_of_the_hook_is_signed(carto, conn_id):
    """For calls that the hook has no method for."""
    with CartoHook(conn_id).get_conn() as session:
        answer = session.get(f"{carto.sandbox.url}/carto/v3/sql/jobs", timeout=5)
    assert (answer.status_code, answer.json()) == (200, [])


def test_the_connection_test(carto):
    assert CartoHook().test_connection() == (True, "CARTO accepts the credentials")
    assert CartoHook("carto_oauth").test_connection()[0]
    assert CartoHook("carto_run_token").test_connection()[0]
    changed = [{"password": "wrong"}, {"host": f"{carto.sandbox.url}/elsewhere"}, {"host": "http://127.0.0.1:9"}]
    for change in [*changed, {"host": ""}, {"password": ""}]:
        works, said = CartoHook(carto.connection(**change)).test_connection()
        assert not works
        assert "connection 'carto_changed'" in said
    assert CartoHook("nobody_defined").test_connection() == (
        False,
        "connection 'nobody_defined' is not defined; create it in Airflow, or correct its name",
    )


def test_a_connection_may_be_a_uri(carto):
    """Its extras are text, and the port stands apart from the host."""
    host, _, port = carto.sandbox.url.removeprefix("http://").partition(":")
    extras = "carto_connection=carto_dw&verify=false&timeout=5&proxies=%7B%7D&allow_http=false"
    carto.define("carto_uri", f"carto://:sandbox-carto-token@{host}:{port}/http?{extras}")
    hook = CartoHook("carto_uri")
    values = hook.system.transport
    assert (values.verify, values.timeout, dict(values.proxies)) == (False, 5.0, {})
    assert hook.system.api.base_url == carto.sandbox.url


def test_a_run_through_another_connection_inside_carto(carto, hook):
    """What the run remembers counts, not what the Airflow connection says by default."""
    run = CartoHook("carto_snowflake").start_run(carto["sf_airports_in_state"], ["TX"])
    assert hook.get_run(run).run_id == run.run_id
    with pytest.raises(WorkflowNotFound):
        hook.get_run(replace(run, details={}))
