"""Systems by declaration: what is sent, what comes of the answers, and what a mistake in a declaration says."""

from __future__ import annotations

import pytest

from airflow_workflow_provider import sdk
from airflow_workflow_provider.protocol.model import Output, Run, RunState
from tests.protocol.playing import EPOCH, Player, answer

FORM = sdk.Form(labels={"host": "URL", "password": "Key"}, placeholders={}, hidden=("login",), extras=sdk.COMMON_FIELDS)
STATES = {"waiting": RunState.QUEUED, "going": RunState.RUNNING, "ok": RunState.SUCCEEDED, "bad": RunState.FAILED}


class AcmeSystem(sdk.RestSystem):
    """A made-up API with all calls."""

    key = "acme"
    label = "Acme"
    default_conn_id = "acme_default"
    form = FORM
    states = STATES
    start_options = frozenset({"queue", "idempotency_key"})
    base_path = "/api"
    authentication = sdk.Header("X-Key")
    start_call = sdk.Start(
        path="/workflows/{workflow}/runs",
        body={"input": sdk.PARAMETERS, "queue": sdk.Option("queue"), "key": sdk.IDEMPOTENCY_KEY},
        run_id="run.id",
    )
    status_call = sdk.Status(
        path="/runs/{run_id}", state="run.state", message="run.why", started_at="run.from", ended_at="run.to"
    )
    cancel_call = sdk.Cancel(path="/runs/{run_id}/stop", taken=lambda document: document["stopped"] is True)
    list_runs_call = sdk.ListRuns(
        path="/workflows/{workflow}/runs",
        rows="items",
        run_id="run.id",
        parameters="run.input",
        since="after",
        paginator=sdk.OffsetPages(2),
    )
    list_workflows_call = sdk.ListWorkflows(
        path="/workflows", rows="items", paginator=sdk.CursorPages(lambda document: document.get("next"))
    )
    outputs_call = sdk.Outputs(path="/runs/{run_id}/files", file="/runs/{run_id}/files/{output}", format="csv")
    log_call = sdk.Log(path="/runs/{run_id}/log", text="text", time="at", level="level")
    test_call = sdk.Call(path="/workflows")


def acme(cls=AcmeSystem, **fields):
    """It on a made-up connection."""
    return cls(sdk.ConnectionValues("c", **{"host": "https://acme.example/v1", "password": "a-key-0123", **fields}))


RUN = Run("acme", "c", "w", "7", RunState.RUNNING)
FILES = answer(200, [{"name": "a.csv"}])


def test_a_start_sends_what_is_declared():
    player = Player([answer(201, {"run": {"id": 7, "state": "waiting"}})])
    run = player.play(acme().start("w 1", {"n": 3}, {"queue": "fast", "idempotency_key": "k"}))
    (request,) = player.requests
    assert (request.method, request.url) == ("POST", "https://acme.example/v1/api/workflows/w%201/runs")
    assert request.headers == {"X-Key": "a-key-0123"}
    assert request.json == {"input": {"n": 3}, "queue": "fast", "key": "k"}
    assert (run.run_id, run.state, run.url) == ("7", RunState.QUEUED, "https://acme.example/v1/api/runs/7")
    player = Player([answer(201, {"run": {"id": "7"}})])
    player.play(acme().start("w", {}, {}))
    assert "queue" not in player.requests[0].json
    assert len(player.requests[0].json["key"]) == 36


def test_a_status_is_read_where_it_is_declared():
    told = {"run": {"state": "BAD", "why": "no space", "from": "2026-01-01T00:00:00Z", "to": "2026-01-01T00:01:00Z"}}
    run = Player([answer(200, told)]).play(acme().look(RUN))
    assert (run.state, run.message) == (RunState.FAILED, "no space")
    assert (run.ended_at - run.started_at).total_seconds() == 60
    player = Player([answer(200, {"run": {"state": "odd"}})])
    assert player.play(acme().look(RUN)).state is RunState.RUNNING
    assert "unknown state 'odd'" in player.notes[0]
    for nothing in ({}, [], {"run": None}, {"state": "ok"}):
        with pytest.raises(sdk.ProtocolError):
            Player([answer(200, nothing)]).play(acme().look(RUN))


def test_an_id_that_is_missing_from_the_answer_leaves_the_start_unknown():
    for nothing in ({}, {"run": {}}, {"run": {"id": None}}, [], "text"):
        with pytest.raises(sdk.UnknownStart):
            Player([answer(200, nothing)]).play(acme().start("w", {}, {}))


def test_a_cancel_is_taken_or_refused():
    Player([answer(200, {"stopped": True})]).play(acme().cancel(RUN))
    for refused in ({"stopped": False}, {}, []):
        with pytest.raises(sdk.CancelRefused, match="did not cancel run 7, which goes on"):
            Player([answer(200, refused), answer(200, {"run": {"state": "going"}})]).play(acme().cancel(RUN))
        player = Player([answer(200, refused), answer(200, {"run": {"state": "ok"}}), answer(200, [])])
        player.play(acme().cancel(RUN))
        assert "had ended" in player.notes[-1]
    with pytest.raises(sdk.CancelRefused):
        Player([answer(409), answer(200, {"run": {"state": "going"}})]).play(acme().cancel(RUN))
    Player([answer(409), answer(200, {"run": {"state": "ok"}}), answer(200, [])]).play(acme().cancel(RUN))


def test_lists_are_read_page_by_page():
    rows = [{"run": {"id": n, "state": "ok", "input": {"n": n}}} for n in range(5)]
    pages = [answer(200, {"items": rows[at : at + 2]}) for at in (0, 2, 4)]
    player = Player([*pages])
    assert len(player.play(acme().find_runs("w"))) == 5
    assert [request.params["offset"] for request in player.requests] == ["0", "2", "4"]
    found = Player(pages).play(acme().find_started("w", {"n": 3}, {}, sdk.from_epoch(EPOCH)))
    assert [run.run_id for run in found] == ["3"]
    pages = [answer(200, {"items": [{"id": "1", "name": "a"}], "next": "x"}), answer(200, {"items": []})]
    player = Player(pages)
    assert [one.name for one in player.play(acme().list_workflows())] == ["a"]
    assert player.requests[1].params == {"cursor": "x"}
    with pytest.raises(sdk.ProtocolError):
        Player([answer(200, {"items": "x"})]).play(acme().list_workflows())


def test_outputs_are_files_below_the_run():
    rows = [{"id": "f/1", "name": "a.csv"}, {"name": "b.csv"}, {}]
    player = Player([answer(200, {"run": {"state": "ok"}}), answer(200, rows)])
    run = player.play(acme().look(RUN))
    base = "https://acme.example/v1/api/runs/7/files/"
    assert [(one.name, one.location) for one in run.outputs] == [("a.csv", f"{base}f%2F1"), ("b.csv", f"{base}b.csv")]
    forged = Output("a.csv", "file", "https://evil.example/f1", ("csv",))
    player = Player([answer(200, "a,b")])
    player.play(acme().read(RUN, forged).flow())
    assert player.requests[0].url == f"{base}f1"
    for status in (404, 410):
        with pytest.raises(sdk.OutputUnavailable):
            Player([answer(status)]).play(acme().read(RUN, forged).flow())


def test_a_log_gives_new_lines_only():
    rows = [{"text": "one", "at": "2026-01-01T00:00:00Z", "level": "WARN"}, {"text": "two", "level": 40}]
    page = Player([answer(200, rows[:1])]).play(acme().read_log(RUN))
    assert [(line.text, line.level) for line in page] == [("one", "warning")]
    more = Player([answer(200, rows)]).play(acme().read_log(RUN, page.cursor))
    assert [(line.text, line.level) for line in more] == [("two", "error")]


class KeyedSystem(AcmeSystem):
    """An API whose runs have the id that the start chooses."""

    start_call = sdk.Start(
        path="/runs",
        body={"id": sdk.IDEMPOTENCY_KEY, "w": sdk.WORKFLOW, "p": sdk.PARAMETERS},
        run_id=sdk.IDEMPOTENCY_KEY,
    )


class AgainSystem(AcmeSystem):
    """An API that gives the same run for the same key."""

    start_call = sdk.Start(
        path="/runs",
        body={"id": sdk.IDEMPOTENCY_KEY, "w": sdk.WORKFLOW, "p": sdk.PARAMETERS},
        run_id="run.id",
        is_idempotent=True,
    )


def test_a_lost_start_is_found_by_the_id_that_it_chose():
    player = Player([answer(503), answer(200, {"run": {"state": "going"}})])
    run = player.play(acme(KeyedSystem).start("w", {}, {"idempotency_key": "k"}))
    assert (run.run_id, player.asked) == ("k", ["POST /v1/api/runs", "GET /v1/api/runs/k"])
    for then in (answer(404), answer(503)):
        with pytest.raises(sdk.UnknownStart):
            Player([answer(503), then]).play(acme(KeyedSystem).start("w", {}, {}))
    player = Player([answer(409), answer(200, {"run": {"state": "ok"}}), answer(200, {"run": {"state": "ok"}}), FILES])
    run = player.play(acme(KeyedSystem).start("w", {}, {"idempotency_key": "k"}))
    assert (run.state, [output.name for output in run.outputs]) == (RunState.SUCCEEDED, ["a.csv"])
    with pytest.raises(sdk.RequestRejected):
        Player([answer(409)]).play(acme(KeyedSystem).start("w", {}, {}))
    with pytest.raises(sdk.RequestRejected):
        Player([answer(409), answer(404)]).play(acme(KeyedSystem).start("w", {}, {"idempotency_key": "k"}))
    with pytest.raises(sdk.UnknownStart, match="Acme has a run k already"):
        Player([answer(409), answer(503)]).play(acme(KeyedSystem).start("w", {}, {"idempotency_key": "k"}))


def test_a_run_that_ended_before_its_first_poll_has_its_outputs():
    """A start that gives an earlier run for its key may find it ended."""
    ended = answer(200, {"run": {"id": "7", "state": "ok"}})
    run = Player([ended, ended, FILES]).play(acme(AgainSystem).start("w", {}, {"idempotency_key": "k"}))
    assert (run.state, [output.name for output in run.outputs]) == (RunState.SUCCEEDED, ["a.csv"])
    run = Player([ended, ended, answer(503)]).play(acme(AgainSystem).start("w", {}, {}))
    assert run.state is RunState.RUNNING  # the wait polls it once more


def test_a_lost_start_of_an_earlier_try_is_resolved_by_its_key():
    """One answer about the key decides, whatever other runs have the same parameters."""
    given, since = {"idempotency_key": "k"}, sdk.from_epoch(EPOCH)
    assert (KeyedSystem.keyed_start, AgainSystem.keyed_start, AcmeSystem.keyed_start) == ("found", "repeated", "")
    player = Player([answer(200, {"run": {"state": "going"}})])
    assert [run.run_id for run in player.play(acme(KeyedSystem).find_started("w", {}, given, since))] == ["k"]
    assert player.asked == ["GET /v1/api/runs/k"]
    assert Player([answer(404)]).play(acme(KeyedSystem).find_started("w", {}, given, since)) == []
    with pytest.raises(sdk.ServerUnavailable):
        Player([answer(503)]).play(acme(KeyedSystem).find_started("w", {}, given, since))

    class ListedKeys(AgainSystem):
        list_runs_call = sdk.ListRuns(path="/runs/of/{workflow}", rows="items", run_id="run.id", key="run.key")

    rows = [{"run": {"id": n, "state": "going", "key": key}} for n, key in enumerate(("j", "k", None))]
    found = Player([answer(200, {"items": rows})]).play(acme(ListedKeys).find_started("w", {}, given, since))
    assert (ListedKeys.keyed_start, [run.run_id for run in found]) == ("found", ["1"])


def test_a_lost_start_is_sent_again_with_the_same_key_where_that_is_safe():
    player = Player([answer(503), answer(200, {"run": {"id": "7"}})])
    assert player.play(acme(AgainSystem).start("w", {}, {})).run_id == "7"
    assert player.requests[0].json == player.requests[1].json
    player = Player([answer(503)])
    with pytest.raises(sdk.UnknownStart):
        player.play(acme(AgainSystem).start("w", {}, {}))
    assert len({request.json["id"] for request in player.requests}) == 1


def test_only_what_is_declared_is_offered():
    class Smallest(sdk.RestSystem):
        key, label, default_conn_id, form, states = "small", "Small", "small_default", FORM, STATES
        start_call, status_call = AcmeSystem.start_call, AcmeSystem.status_call
        start_options = AcmeSystem.start_options
        test_call = AcmeSystem.test_call

    everything = (sdk.CanCancel, sdk.CanListRuns, sdk.CanListWorkflows, sdk.HasLog)
    assert all(AcmeSystem.offers(capability) for capability in everything)
    assert not any(Smallest.offers(capability) for capability in everything)


@pytest.mark.parametrize(
    ("fields", "says"),
    [
        ({"states": {}}, "states: is missing, empty"),
        ({"states": {"Ok": RunState.SUCCEEDED}}, "'Ok'"),
        ({"states": {"ok": RunState.SUCCEEDED}}, "no word for success, or none for failure"),
        ({"states": {"ok": "succeeded", "bad": RunState.FAILED}}, "stands for a RunState"),
        ({"key": ""}, "key: is missing"),
        ({"form": None}, "form: is missing"),
        ({"start_call": None}, "start_call: is missing; declare a Start"),
        ({"start_call": sdk.Call(path="/x")}, r"start_call: expected a Start\(…\), not Call"),
        ({"status_call": sdk.Status(path="runs", state="s")}, "status_call.path: 'runs' does not begin with a slash"),
        (
            {"status_call": sdk.Status(path="/{run}", state="s")},
            r"status_call.path: the placeholder \{run\} is unknown",
        ),
        ({"cancel_call": sdk.Cancel(path="/x", method="KILL")}, "cancel_call.method: 'KILL' is no method"),
        (
            {"cancel_call": sdk.Cancel(path="/x", body={"a": sdk.Option("b")})},
            r"Option\('b'\) is not among start_options",
        ),
        ({"start_call": sdk.Start(path="/{workflow}", run_id="id")}, "start_call.body: PARAMETERS is nowhere"),
        ({"start_call": sdk.Start(path="/x", body=sdk.PARAMETERS, run_id="id")}, "names the workflow"),
        (
            {"start_call": sdk.Start(path="/{workflow}", body=sdk.PARAMETERS, run_id=sdk.IDEMPOTENCY_KEY)},
            "IDEMPOTENCY_KEY is nowhere",
        ),
        ({"outputs_call": sdk.Outputs(path="/x", file="/y")}, r"outputs_call.file: needs \{output\}"),
    ],
)
def test_a_mistake_in_a_declaration_is_an_error_when_the_class_is_made(fields, says):
    """It names class and field."""
    with pytest.raises(sdk.InvalidDeclaration, match=f"Broken.*{says}"):
        type("BrokenSystem", (AcmeSystem,), fields)


@pytest.mark.parametrize(
    ("credentials", "header"),
    [
        (sdk.Bearer(), "Bearer a-key-0123"),
        (sdk.Basic(), "Basic dXNlcjphLWtleS0wMTIz"),
        (sdk.Anonymous(), None),
        (sdk.Bearer("token", is_optional=True), None),
    ],
)
def test_credentials_are_declared(credentials, header):
    system = acme(type("OtherSystem", (AcmeSystem,), {"authentication": credentials}), login="user")
    player = Player([answer(200, [])])
    player.play(system.test())
    assert player.requests[0].headers.get("Authorization") == header


@pytest.mark.parametrize("credentials", [sdk.OAuth2("/token"), sdk.LogIn("/auth/token")])
def test_tokens_are_fetched_below_the_host(credentials):
    system = acme(type("OtherSystem", (AcmeSystem,), {"authentication": credentials}), login="user")
    player = Player([answer(200, {"access_token": "minted-0123"}), answer(200, [])])
    player.play(system.test())
    log_in, test = player.requests
    assert log_in.url == f"https://acme.example/v1{credentials.path}"
    assert test.headers["Authorization"] == "Bearer minted-0123"
    assert "a-key-0123" in system.secrets


def test_a_page_of_another_server_is_not_read():
    class Linked(AcmeSystem):
        list_workflows_call = sdk.ListWorkflows(path="/workflows", paginator=sdk.LinkedPages())

    first = sdk.Response(200, {"link": '<https://evil.example/2>; rel="next"'}, b'[{"id": "1", "name": "a"}]')
    with pytest.raises(sdk.ProtocolError, match="another server"):
        Player([first]).play(acme(Linked).list_workflows())
    own = sdk.Response(200, {"link": '</v1/api/workflows?page=2>; rel="next"'}, b'[{"id": "1", "name": "a"}]')
    assert len(Player([own, answer(200, [{"id": "2"}])]).play(acme(Linked).list_workflows())) == 2
