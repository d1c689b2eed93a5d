"""CARTO's flows, played by hand: what is asked for, and what comes of the answers."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal

import pytest

from airflow_workflow_provider.exceptions import (
    AuthenticationFailed,
    CancelRefused,
    InvalidArgument,
    InvalidConnection,
    NotSupported,
    PermissionDenied,
    ProtocolError,
    ServerUnavailable,
    UnknownStart,
    WorkflowError,
)
from airflow_workflow_provider.protocol.capabilities import CanListRuns, CanListWorkflows
from airflow_workflow_provider.protocol.model import LONGEST, Output, Run, RunState
from airflow_workflow_provider.protocol.times import from_epoch
from tests.protocol.playing import EPOCH, Player, answer

TABLE = "p.d.wfproc_1_out_2"
RUN = Run("carto", "carto_c", "p.d.wfproc_1", "job_1", outputs=(Output("wfproc_1_out_2", "table", TABLE),))
CREATED = answer(200, {"externalId": "job_1", "jobMetadata": {"workflowOutputTableName": TABLE}})
DONE = answer(200, {"status": "success"})
ROWS = answer(200, {"rows": [{"a": 1}], "schema": [{"name": "a", "type": "number"}]})
DUMMY = answer(200, {"rows": [{"dummy": 1}], "schema": [{"name": "dummy", "type": "number"}]})


def started(system, workflow="p.d.wfproc_1", parameters=None, **options):
    """Start by hand: the run and the one request."""
    player = Player([CREATED])
    run = player.play(system.start(workflow, {} if parameters is None else parameters, options))
    (request,) = player.requests
    return run, request


def test_a_start_creates_a_job_that_calls_the_procedure(carto):
    """``/job`` takes the SQL in ``query``, and the parameters by name."""
    _, request = started(carto(), "CALL `p.d.wfproc_1`(@n,@kind)", {"n": 5, "kind": "Supermarket"})
    assert (request.method, request.url) == ("POST", "https://gcp-us-east1.api.carto.com/v3/sql/carto_dw/job")
    assert request.headers["Authorization"] == "Bearer given-token"
    assert request.json == {
        "query": "CALL `p.d.wfproc_1`(@n,@kind)",
        "queryParameters": {"n": 5, "kind": "Supermarket"},
    }


SIGNATURE = answer(
    200,
    {
        "rows": [
            {"parameter_name": "kind", "ordinal_position": 2},
            {"parameter_name": "n", "ordinal_position": 1},
        ]
    },
)
MAPPING = {"kind": "Supermarket", "n": 5}


def test_parameters_of_a_bare_name_are_passed_in_the_order_of_the_procedure(carto):
    """The mapping's order is an accident: a procedure takes parameters by position. The CALL is in the log."""
    player = Player([SIGNATURE, CREATED])
    player.play(carto().start("p.d.wfproc_1", MAPPING, {}))
    query, start = player.requests
    assert query.json == {
        "q": "SELECT parameter_name, ordinal_position FROM `p.d`.INFORMATION_SCHEMA.PARAMETERS "
        "WHERE specific_name = 'wfproc_1' ORDER BY ordinal_position"
    }
    assert start.json == {"query": "CALL `p.d.wfproc_1`(@n,@kind)", "queryParameters": {"n": 5, "kind": "Supermarket"}}
    assert player.notes == ["CARTO gets the statement: CALL `p.d.wfproc_1`(@n,@kind)"]


def test_a_signature_is_asked_for_once_in_a_while(carto):
    """Five minutes; names that do not fit are compared with what the procedure has now."""
    player, system = Player([SIGNATURE, CREATED, CREATED]), carto()
    for _ in range(2):
        player.play(system.start("p.d.wfproc_1", MAPPING, {}))
    assert [request.url.rpartition("/")[2] for request in player.requests] == ["query", "job", "job"]
    player = Player([SIGNATURE])
    with pytest.raises(InvalidArgument, match="no parameter 'm'; it has: n, kind"):
        player.play(system.start("p.d.wfproc_1", {"n": 1, "m": 2}, {}))
    assert len(player.requests) == 1
    player = Player([SIGNATURE, CREATED], now=EPOCH + 301)
    player.play(system.start("p.d.wfproc_1", MAPPING, {}))
    assert len(player.requests) == 2


UNREADABLE = [
    answer(403, {"error": "not granted"}),
    answer(400, {"error": "Not found: Table p:d.INFORMATION_SCHEMA.PARAMETERS"}),
    answer(404),
    answer(200, {"rows": []}),
    answer(200, {"externalId": "x"}),
    answer(200, "<html>"),
]


@pytest.mark.parametrize("given", UNREADABLE)
def test_without_a_signature_a_bare_name_is_not_enough(carto, given):
    """Nothing is started; the message has the CALL to give, and the switch."""
    player = Player([given])
    with pytest.raises(InvalidArgument, match=r"CALL `p.d.wfproc_1`\(@kind, @n\).*check_parameters=False"):
        player.play(carto().start("p.d.wfproc_1", MAPPING, {}))
    assert [request.url.rpartition("/")[2] for request in player.requests] == ["query"]


@pytest.mark.parametrize("given", UNREADABLE)
def test_the_place_of_a_single_parameter_is_certain(carto, given):
    player = Player([given, CREATED])
    assert player.play(carto().start("p.d.wfproc_1", {"n": 5}, {})).run_id == "job_1"
    assert player.notes[0].startswith("The name of the procedure's parameter is not checked")


def test_the_comparison_with_the_signature_can_be_switched_off(carto):
    player = Player([CREATED])
    player.play(carto().start("p.d.wfproc_1", MAPPING, {"check_parameters": False}))
    (start,) = player.requests
    assert start.json["query"] == "CALL `p.d.wfproc_1`(@kind,@n)"
    assert "in the order given" in player.notes[0]


def test_where_a_call_takes_names_no_signature_is_needed(carto):
    player = Player([CREATED])
    player.play(carto(warehouse="snowflake").start("DB.S.WF", MAPPING, {}))
    (start,) = player.requests
    assert start.json == {"query": "CALL DB.S.WF(kind => :1,n => :2)", "queryParameters": ["Supermarket", 5]}


def test_bad_credentials_are_said_before_anything_else(carto):
    with pytest.raises(AuthenticationFailed):
        Player([answer(401)]).play(carto().start("p.d.wfproc_1", MAPPING, {}))


def test_a_run_knows_its_output_table_before_it_has_ended(carto):
    run, _ = started(carto())
    assert (run.system, run.conn_id, run.workflow, run.run_id) == ("carto", "carto_c", "p.d.wfproc_1", "job_1")
    assert (run.state, run.started_at) == (RunState.QUEUED, from_epoch(EPOCH))
    assert (run.output_location, [output.name for output in run.outputs]) == (TABLE, ["wfproc_1_out_2"])
    assert run.url == "https://gcp-us-east1.api.carto.com/v3/sql/carto_dw/job/job_1"


@pytest.mark.parametrize(
    ("extra", "options", "name"),
    [({}, {}, "carto_dw"), ({"carto_connection": "mine"}, {}, "mine"), ({}, {"carto_connection": "my dw"}, "my%20dw")],
)
def test_the_connection_inside_carto_comes_from_the_operator_the_connection_or_is_carto_dw(carto, extra, options, name):
    """And every later call about the run goes through the same one."""
    system = carto(**extra)
    run, request = started(system, **options)
    assert request.url.endswith(f"/v3/sql/{name}/job")
    player = Player([answer(200, {"status": "running"})])
    player.play(carto().get_run(run))
    assert player.requests[0].url.endswith(f"/v3/sql/{name}/job/job_1")


def test_values_are_spelled_for_json(carto):
    """A moment as ISO 8601 with Z, a decimal as a number."""
    given = {"at": datetime(2026, 1, 1, tzinfo=UTC), "n": Decimal("2.5")}
    _, request = started(carto(), "CALL p.d.x(@at, @n)", given)
    assert request.json["queryParameters"] == {"at": "2026-01-01T00:00:00Z", "n": 2.5}


def test_without_parameters_none_are_sent(carto):
    _, request = started(carto())
    assert request.json == {"query": "CALL `p.d.wfproc_1`()"}


def test_an_answer_without_an_id_leaves_the_start_unknown(carto):
    for given in (answer(200, {"jobMetadata": {}}), answer(200, []), answer(200, {"externalId": True}), answer(204)):
        with pytest.raises(UnknownStart, match=r"connection 'carto_c'.*\n  while: starting workflow p\.d\.wfproc_1"):
            Player([given]).play(carto().start("p.d.wfproc_1", {}, {}))


def test_a_value_that_cannot_be_spelled_is_refused_before_anything_is_sent(carto):
    player = Player()
    with pytest.raises(InvalidArgument, match=r"query_parameters\['b'\]"):
        player.play(carto().start("p.d.wfproc_1", {"b": b"bytes"}, {}))
    assert player.requests == []


def test_a_call_that_a_run_object_cannot_hold_is_refused_before_it_is_sent(carto):
    """A retry could not read the run that it is to take over."""
    for more in (0, 1):
        player = Player([CREATED])
        call = "CALL `p.d.wfproc_1`()"
        flow = carto().start(f"{call}{' ' * (LONGEST['workflow'] + more - len(call))}", {}, {})
        if more:
            with pytest.raises(InvalidArgument, match="100001 characters"):
                player.play(flow)
        else:
            assert Run.from_json(player.play(flow).to_json()).run_id == "job_1"
        assert len(player.requests) == 1 - more


def test_what_a_look_does_not_tell_stays_as_it_was(carto):
    run, _ = started(carto())
    seen = Player([answer(200, {"status": {"state": "RUNNING"}})]).play(carto().get_run(run))
    assert seen == replace(run, state=RunState.RUNNING)


def test_an_unknown_word_keeps_the_run_going_and_is_noted(carto):
    player = Player([answer(200, {"status": "hibernating"})])
    assert player.play(carto().look(RUN)).state is RunState.RUNNING
    assert player.notes == ["CARTO gave run job_1 the unknown state 'hibernating'; it counts as running"]


@pytest.mark.parametrize("error", [{"errorResult": {}}, {"error": {}}, {"errors": [{}]}, {"errors": []}])
def test_an_error_without_a_word_is_none(carto, error):
    run = Player([answer(200, {"status": {"state": "DONE", **error}})]).play(carto().get_run(RUN))
    assert (run.state, run.message) == (RunState.SUCCEEDED, "")


def test_a_job_in_an_envelope_is_a_job(carto):
    """As CARTO's MCP tools answer; the answer to a start was taken out of it already."""
    enveloped = {"status": 200, "data": {"status": "failure", "error": "out of slots"}}
    run = Player([answer(200, enveloped)]).play(carto().get_run(RUN))
    assert (run.state, run.message) == (RunState.FAILED, "out of slots")


@pytest.mark.parametrize("body", [[], "text", 5, None, True])
def test_an_answer_that_is_no_job_is_a_protocol_error(carto, body):
    with pytest.raises(ProtocolError, match="reading the status of run job_1"):
        Player([answer(200, "null" if body is None else body if isinstance(body, list) else f'"{body}"')]).play(
            carto().get_run(RUN)
        )


@pytest.mark.parametrize(
    "flow", [lambda system: system.start("w", {}, {}), lambda system: system.look(RUN)], ids=["start", "look"]
)
def test_a_secret_in_the_servers_words_is_removed(carto, flow):
    """The message goes into XComs and exceptions."""
    told = answer(200, {"externalId": "job_1", "status": "failure", "error": "given-token was refused"})
    assert Player([told]).play(flow(carto())).message == "*** was refused"


def test_a_lone_dummy_column_is_an_output_with_a_warning(carto):
    """A workflow without an Output component leaves such a table; the run has succeeded nevertheless."""
    player = Player([DONE, DUMMY])
    run = player.play(carto().look(RUN))
    assert (run.state, run.outputs) == (RunState.SUCCEEDED, RUN.outputs)
    assert "'dummy'" in run.message
    assert player.notes == [run.message]


def test_an_output_with_columns_has_no_warning(carto):
    assert Player([DONE, ROWS]).play(carto().look(RUN)).message == ""


@pytest.mark.parametrize("given", [answer(403), answer(401), answer(503), answer(200, "<html>"), answer(400)])
def test_an_output_that_cannot_be_looked_at_is_no_reason_to_doubt_the_run(carto, given):
    """The token of the workflow's dialog may run the procedure and nothing else."""
    run = Player([DONE, given]).play(carto().look(RUN))
    assert (run.state, run.message) == (RunState.SUCCEEDED, "")


def test_results_are_read_by_post_with_the_read_token(carto):
    """The answers to GET are cached for a year."""
    player = Player([answer(200, {"rows": [{"n": 1}]}), ROWS])
    player.play(carto(read_token="reading-token").read(RUN, RUN.outputs[0]).flow())
    assert player.asked == ["POST /v3/sql/carto_dw/query"] * 2
    assert [request.json["q"] for request in player.requests] == [
        f"SELECT COUNT(*) AS n FROM `{TABLE}`",
        f"SELECT * FROM `{TABLE}`",
    ]
    assert {request.headers["Authorization"] for request in player.requests} == {"Bearer reading-token"}
    assert [chunk.rows for chunk in player.chunks] == [[{"a": 1}]]


def test_a_read_that_is_not_allowed_tells_of_the_read_token(carto):
    with pytest.raises(PermissionDenied, match="'read_token'"):
        Player([answer(403)]).play(carto().read(RUN, RUN.outputs[0]).flow())


@pytest.mark.parametrize("status", [200, 202, 204])
def test_a_cancel_that_was_taken_asks_no_more(carto, status):
    player = Player([answer(status)])
    player.play(carto().cancel(RUN))
    assert player.asked == ["DELETE /v3/sql/carto_dw/job/job_1"]
    assert not player.notes


@pytest.mark.parametrize("status", [400, 404, 409])
@pytest.mark.parametrize("then", [answer(404), answer(200, {"status": "success"}), answer(200, {"status": "failed"})])
def test_a_cancel_that_comes_too_late_is_no_error(carto, status, then):
    """What a job that has ended answers is unverified, so its state is read: it has ended, or is gone."""
    player = Player([answer(status), then])
    player.play(carto().cancel(RUN))
    assert player.asked == ["DELETE /v3/sql/carto_dw/job/job_1", "GET /v3/sql/carto_dw/job/job_1"]
    assert "was not cancelled" in player.notes[0]


@pytest.mark.parametrize("status", [400, 404, 405, 409, 422])
def test_a_cancel_that_is_refused_while_the_job_goes_on_says_so(carto, status):
    with pytest.raises(CancelRefused, match="did not cancel run job_1, which goes on") as caught:
        Player([answer(status, {"error": "no"}), answer(200, {"status": "running"})]).play(carto().cancel(RUN))
    assert caught.value.status == status


def test_a_cancel_whose_effect_is_unknown_is_neither(carto):
    with pytest.raises(ServerUnavailable):
        Player([answer(409), answer(503)]).play(carto().cancel(RUN))


@pytest.mark.parametrize(
    ("status", "error"), [(401, AuthenticationFailed), (403, PermissionDenied), (503, ServerUnavailable)]
)
def test_a_cancel_that_was_not_taken_says_so(carto, status, error):
    with pytest.raises(error):
        Player([answer(status)]).play(carto().cancel(RUN))


@pytest.mark.parametrize("given", [answer(200, []), answer(403, {"error": "no"})])
def test_the_connection_test_needs_no_right_to_list_jobs(carto, given):
    assert Player([given]).play(carto().test()).startswith("CARTO ")


@pytest.mark.parametrize(
    "given",
    [answer(200, "<html>"), answer(404, "<html>"), answer(404, {}), answer(401), answer(302), answer(400), answer(500)],
)
def test_the_connection_test_does_not_take_any_web_server_for_carto(carto, given):
    with pytest.raises(WorkflowError):
        Player([given]).play(carto().test())


def test_what_carto_cannot_do_says_so(carto):
    """No list of workflows or runs is documented."""
    for capability in (CanListWorkflows, CanListRuns):
        assert not carto().supports(capability)
        with pytest.raises(NotSupported, match="CARTO has no API call"):
            carto().require(capability)
    for flow in (carto().find_started("x", {}, {}, from_epoch(0)), carto().resolved("name:x")):
        with pytest.raises(NotSupported, match="CARTO has no API call"):
            Player().play(flow)


def test_a_start_option_that_carto_does_not_have_is_named(carto):
    with pytest.raises(InvalidArgument, match="has no such start option; it has: carto_connection, check_parameters"):
        carto().check_options({"worker_tag": "x"})


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({"password": ""}, "password"),
        ({"password": " "}, "password"),
        ({"login": "client", "password": ""}, "password"),
        ({"warehouse": "mongo"}, "warehouse"),
        ({"login": "client", "token_url": "ftp://example.com"}, "token_url"),
        ({"login": "client", "token_url": "http://example.com/token"}, "token_url"),
        ({"carto_connection": {"a": 1}}, "carto_connection"),
        ({"timeout": "soon"}, "timeout"),
        ({"password": "to\nken"}, "password"),
        ({"password": "to\u2026ken"}, "password"),
        ({"password": "to\u200bken"}, "password"),
        ({"read_token": "to\u2026ken"}, "read_token"),
    ],
    ids=ascii,
)
def test_a_bad_connection_names_itself_and_the_field_before_any_request(carto, fields, field):
    """Among them tokens that no header can carry: a copied line break, an ellipsis, an invisible character."""
    with pytest.raises(InvalidConnection, match=rf"^connection 'carto_c', field '{field}'"):
        carto(**fields)


def test_blanks_around_a_token_are_neither_sent_nor_do_they_hide_it(carto):
    """What is masked in logs and removed from errors is the token itself."""
    system = carto(password=" given-token\n", read_token=" reading-token ")
    _, request = started(system)
    assert request.headers["Authorization"] == "Bearer given-token"
    assert set(system.secrets) == {"given-token", "reading-token"}
