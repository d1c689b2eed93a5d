"""Systems by declaration: what is sent, what comes of the answers, and what a mistake in a declaration says."""

from __future__ import annotations

import json

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


def wrong(value):
    """A value of another type than a declaration takes."""
    return value


def started(**fields):
    """A start that is right but for these fields."""
    return sdk.Start(**{"path": "/{workflow}", "body": sdk.PARAMETERS, "run_id": "id", **fields})


def lines(paginator):
    """One result in pages of lines."""
    return sdk.Outputs(only="x", table=sdk.Table(path="/{run_id}", is_lines=True, paginator=paginator))


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
        ({"outputs_call": sdk.Outputs(path="/x")}, "outputs_call.file: an output is read by one of .* declared: none"),
        ({"outputs_call": sdk.Outputs(path="/x", file="/{output}", url="u")}, "declared: file and url"),
        ({"outputs_call": sdk.Outputs(path="/x", table=sdk.Table(path="/y"))}, r"table.path: needs \{output\}"),
        ({"outputs_call": sdk.Outputs(path="/x", url="u", format="xml")}, "outputs_call.format: 'xml' is unknown"),
        ({"outputs_call": sdk.Outputs(file="/{run_id}/{output}")}, "outputs_call.path: '' does not begin with a slash"),
        ({"outputs_call": sdk.Outputs(only="x", file="/result")}, "outputs_call.file: does not name the run"),
        (
            {"outputs_call": sdk.Outputs(only="x", path="/{run_id}", file="/{run_id}")},
            "outputs_call.path: is that of a",
        ),
        ({"outputs_call": sdk.Outputs(only="x", url="link")}, "outputs_call.url: is a place in a list"),
        ({"outputs_call": sdk.Outputs(only="x", file="/{run_id}", format=str)}, "outputs_call.format: "),
        ({"outputs_call": sdk.Outputs(only=wrong(1), file="/{run_id}")}, "outputs_call.only: expected the name"),
        (
            {"outputs_call": sdk.Outputs(only="x", table=sdk.Table(path="/{run_id}", rows="r", is_lines=True))},
            "outputs_call.table.rows: an answer of lines",
        ),
        (
            {"outputs_call": lines(sdk.CursorPages("meta.next"))},
            "outputs_call.table.paginator: read: an answer of lines has nothing at 'meta.next'",
        ),
        ({"outputs_call": lines(sdk.OffsetPages(total="total"))}, "outputs_call.table.paginator: total: an answer of"),
        ({"authentication": sdk.Header}, r"authentication: expected one such as Header\(…\), not Header"),
        ({"base_path": "api"}, "base_path: 'api' does not begin with a slash"),
        ({"base_path": "/api/"}, "base_path: '/api/' ends with a slash"),
        ({"run_page": "/runs/{id}"}, r"run_page: the placeholder \{id\} is unknown"),
        ({"cancell_call": sdk.Cancel(path="/x")}, "cancell_call: is no call of a RestSystem; did you mean cancel_call"),
        ({"status_call": sdk.Status(path="/{run_id", state="s")}, r"status_call.path: '/\{run_id' is no template"),
        ({"status_call": sdk.Status(path="/x", state="")}, "status_call.state: is empty"),
        (
            {"status_call": sdk.Status(path="/x", state=wrong(["s"]))},
            "status_call.state: expected a dotted path or a function",
        ),
        ({"status_call": sdk.Status(path="/x", state="s", body=sdk.PARAMETERS)}, "body: PARAMETERS is unknown here"),
        ({"test_call": sdk.Call(path="/x", params={"id": sdk.RUN_ID})}, "test_call.body: RUN_ID is unknown here"),
        ({"test_call": sdk.Call(path="/x", params=wrong([1]))}, "test_call.params: expected a mapping, not list"),
        (
            {"list_workflows_call": sdk.ListWorkflows(path="/x", paginator=wrong(sdk.OffsetPages))},
            "paginator: expected one such",
        ),
        ({"cancel_call": sdk.Cancel(path="/x", taken=wrong(True))}, "cancel_call.taken: expected a function, not bool"),
        ({"start_call": started(refused="")}, "start_call.refused: is empty"),
        ({"start_call": started(refused=wrong(1))}, "start_call.refused: expected a dotted path"),
        ({"start_call": started(run_id="")}, "start_call.run_id: is empty"),
        ({"start_call": started(run_id=sdk.WORKFLOW)}, "start_call.run_id: expected a place"),
        (
            {"start_call": started(run_id=sdk.FromHeader("L", "("))},
            r"run_id: the pattern '\(' is no regular expression",
        ),
        ({"start_call": started(run_id=sdk.FromHeader("L", "a"))}, "run_id: the pattern 'a' has 0 groups"),
        ({"start_call": started(form={"a": 1})}, "start_call.form: a call has a body or a form, not both"),
        (
            {"start_call": started(path="/{workflow}/{run_id}")},
            r"start_call.path: the placeholder \{run_id\} is unknown",
        ),
        ({"start_options": "queue"}, "start_options: expected a frozenset of names"),
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


def made(**fields):
    """Acme with other declarations."""
    return acme(type("OtherSystem", (AcmeSystem,), fields))


def test_a_number_and_a_truth_value_are_words_of_a_state():
    """0 is a state, too."""
    numbers = {"0": RunState.QUEUED, "1": RunState.RUNNING, "true": RunState.SUCCEEDED, "-1": RunState.FAILED}
    system = made(states=numbers, status_call=sdk.Status(path="/runs/{run_id}", state="code"))
    for code, state in (
        (0, RunState.QUEUED),
        (1.0, RunState.RUNNING),
        (-1, RunState.FAILED),
        (True, RunState.SUCCEEDED),
    ):
        assert Player([answer(200, {"code": code}), FILES]).play(system.look(RUN)).state is state
    with pytest.raises(sdk.ProtocolError):
        Player([answer(200, {"code": None})]).play(system.look(RUN))


def test_a_state_that_only_a_list_shows_is_found_on_any_page():
    pages = sdk.CursorPages(header="X-Next")
    system = made(status_call=sdk.Status(path="/runs", rows="all", id="no", state="st", paginator=pages))
    first = sdk.Response(200, {"x-next": "2"}, b'{"all": [{"no": 6, "st": "bad"}]}')
    player = Player([first, answer(200, {"all": [{"no": 7, "st": "going"}]})])
    assert player.play(system.look(RUN)).state is RunState.RUNNING
    assert player.requests[1].params == {"cursor": "2"}
    with pytest.raises(sdk.WorkflowNotFound, match="Acme does not list run 7"):
        Player([answer(200, {"all": []})]).play(system.look(RUN))


def test_a_list_of_which_a_part_would_mislead_is_read_whole_or_not_at_all():
    """A lost start, a state in a list, the outputs of a run."""
    row = {"run": {"id": 1, "state": "going", "input": {"n": 1}}, "no": 1, "st": "going", "name": "a"}
    full = answer(200, {"items": [row, row]})
    since = sdk.from_epoch(EPOCH)
    with pytest.raises(sdk.ProtocolError, match="more than 50 pages"):
        Player([full]).play(acme().find_started("w", {"n": 3}, {}, since))
    listed = sdk.Status(path="/runs", rows="items", id="no", state="st", paginator=sdk.OffsetPages(2))
    with pytest.raises(sdk.ProtocolError, match="more than 50 pages"):
        Player([full]).play(made(status_call=listed).look(RUN))
    assert len(Player([full]).play(acme().find_runs("w"))) == 1  # two pages that show one run list it once


def test_files_at_addresses_of_the_list_are_asked_for_right_before():
    """Only the API's own server gets the credentials; a forged location counts for nothing."""
    system = made(outputs_call=sdk.Outputs(path="/runs/{run_id}/files", id="n", name="n", url="href", format="csv"))
    rows = [{"n": "a.csv", "href": "https://files.example/a?sig=1"}, {"n": "b.csv", "href": "/own/b"}]
    run = Player([answer(200, {"run": {"state": "ok"}}), answer(200, rows)]).play(system.look(RUN))
    assert [(output.name, output.location) for output in run.outputs] == [("a.csv", "a.csv"), ("b.csv", "b.csv")]
    assert system.rebuilt(run).outputs == run.outputs
    for output, url in zip(run.outputs, ("https://files.example/a?sig=1", "https://acme.example/own/b"), strict=True):
        player = Player([answer(200, rows), answer(200, "x")])
        player.play(system.read(run, output).flow())
        assert player.requests[1].url == url
        assert ("X-Key" in player.requests[1].headers) is url.startswith("https://acme.example/")
        assert player.requests[1].foreign is not url.startswith("https://acme.example/")
    forged = Output("a.csv", "file", "https://evil.example/a.csv", ("csv",))
    player = Player([answer(200, rows), answer(200, "x")])
    player.play(system.read(run, forged).flow())
    assert player.requests[1].url == "https://files.example/a?sig=1"
    with pytest.raises(sdk.OutputUnavailable, match=r"has no output 'c\.csv' any more"):
        Player([answer(200, rows)]).play(system.read(run, Output("c.csv", "file", "", ("csv",))).flow())


def test_a_table_is_read_page_by_page_and_exactly():
    table = sdk.Table(path="/runs/{run_id}/tables/{output}", rows="rows", paginator=sdk.OffsetPages(2))
    system = made(outputs_call=sdk.Outputs(path="/runs/{run_id}/files", table=table))
    run = Player([answer(200, {"run": {"state": "ok"}}), FILES]).play(system.look(RUN))
    bodies = ('{"rows": [{"n": 1.10, "t": "\\u0000"}, {"n": 123456789012345678901.5, "t": null}]}', '{"rows": []}')
    player = Player([answer(200, body) for body in bodies])
    player.play(system.read(run, run.outputs[0]).flow())
    (page, _) = player.chunks
    assert [str(row["n"]) for row in page.rows] == ["1.10", "123456789012345678901.5"]
    assert page.rows[0]["t"] == "\0"
    assert player.requests[0].exact


@pytest.mark.parametrize("place", ["error.text", lambda answer: answer["error"]["text"] if not answer["ok"] else None])
@pytest.mark.parametrize("run_id", ["run.id", sdk.FromHeader("Location")])
def test_a_refusal_with_status_200_starts_nothing(place, run_id):
    system = made(start_call=started(run_id=run_id, refused=place))
    taken = sdk.Response(200, {"location": "/runs/7"}, b'{"ok": true, "run": {"id": "7"}}')
    assert Player([taken]).play(system.start("report", {}, {})).run_id == "7"
    body = {"ok": False, "error": {"text": "no such\nflow: a-key-0123"}}
    player = Player([sdk.Response(200, {"location": "/runs/8"}, json.dumps(body).encode())])
    with pytest.raises(sdk.RequestRejected, match=r'^Acme refused it: "no such flow: .*"') as refused:
        player.play(system.start("report", {}, {}))
    assert refused.value.status == 200
    assert "while: starting workflow report" in str(refused.value)
    assert "a-key-0123" not in str(refused.value)
    with pytest.raises(sdk.UnknownStart):
        Player([answer(200, {})]).play(system.start("report", {}, {}))


def test_pages_of_lines_are_read_exactly_and_a_broken_line_is_named():
    pages = sdk.CursorPages(header="X-Next", param="after")
    table = sdk.Table(path="/runs/{run_id}/results", is_lines=True, paginator=pages)
    system = made(outputs_call=sdk.Outputs(only="results", table=table))
    (output,) = Player([]).play(system.outputs(RUN))
    assert (output.name, output.kind) == ("results", "table")
    lines = '{"n": 1.10, "t": "a\u2028b"}\r\n\n{"n": 123456789012345678901.5}\n'
    first = sdk.Response(200, {"x-next": "c2"}, lines.encode())
    player = Player([first, answer(200, "")])
    player.play(system.read(RUN, output).flow())
    rows = [row for page in player.chunks for row in page.rows]
    assert [str(row["n"]) for row in rows] == ["1.10", "123456789012345678901.5"]
    assert rows[0]["t"] == "a\u2028b"
    assert player.requests[1].params == {"after": "c2"}
    for body, says in (('{"n": 1}\n{"n": ', "Line 2 of the answer is not JSON"), ("[1]\n", "no list of objects")):
        with pytest.raises(sdk.ProtocolError, match=says):
            Player([answer(200, body)]).play(system.read(RUN, output).flow())


def test_the_page_after_lines_may_begin_after_the_last_of_them():
    pages = sdk.CursorPages(lambda rows: rows[-1]["n"], param="after")
    system = made(outputs_call=lines(pages))
    (output,) = Player([]).play(system.outputs(RUN))
    player = Player([answer(200, '{"n": 1}\n{"n": 2}\n'), answer(200, '{"n": 3}'), answer(200, "")])
    player.play(system.read(RUN, output).flow())
    assert [row["n"] for page in player.chunks for row in page.rows] == [1, 2, 3]
    assert [request.params for request in player.requests] == [None, {"after": "2"}, {"after": "3"}]


def test_a_run_with_one_result_needs_no_list_of_outputs():
    """The address is made from the run's id, whatever a run object says."""
    system = made(outputs_call=sdk.Outputs(only="result", file="/runs/{run_id}/result", format="csv"))
    run = Player([answer(200, {"run": {"state": "ok"}})]).play(system.look(RUN))
    assert [(one.name, one.formats, one.location) for one in run.outputs] == [
        ("result", ("csv",), "https://acme.example/v1/api/runs/7/result")
    ]
    player = Player([answer(200, "a,b")])
    player.play(system.read(RUN, sdk.Output("result", "file", "https://evil.example/x", ("csv",))).flow())
    assert player.requests[0].url == "https://acme.example/v1/api/runs/7/result"
    with pytest.raises(sdk.OutputUnavailable, match="has no output 'other'"):
        system.read(RUN, sdk.Output("other", "file", "", ("csv",)))
    with pytest.raises(sdk.OutputUnavailable):
        Player([answer(404)]).play(system.read(RUN, run.outputs[0]).flow())


def test_credentials_of_another_server_are_fetched_there():
    system = acme(
        type("T", (AcmeSystem,), {"authentication": sdk.OAuth2(url_field="token_url")}),
        login="user",
        extra={"token_url": "https://login.example/t"},
    )
    player = Player([answer(200, {"access_token": "minted-0123"}), answer(200, [])])
    player.play(system.test())
    assert player.requests[0].url == "https://login.example/t"
    with pytest.raises(sdk.InvalidConnection, match=r"'token_url'.*plain http"):
        acme(type(system), login="user", extra={"token_url": "http://login.example/t"})


class OddError(Exception):
    """What a library raises."""


def test_whatever_the_code_of_a_system_raises_after_a_start_leaves_it_unknown():
    """Otherwise a retry would start another run."""
    from airflow_workflow_provider.protocol.retry import guarded_start

    class Failing(AcmeSystem):
        def seen(self, run, document):
            raise OddError("secret text")

    with pytest.raises(sdk.UnknownStart, match=r"unexpected shape \(OddError in ") as caught:
        Player([answer(201, {"run": {"id": 7}})]).play(guarded_start(acme(Failing).start("w", {}, {})))
    assert "secret text" not in str(caught.value)

    class Misread(AcmeSystem):
        def describe(self, response):
            raise OddError("no XML")

    with pytest.raises(sdk.RequestRejected, match="HTTP 400 from Acme"):
        Player([answer(400, "<a>")]).play(acme(Misread).start("w", {}, {}))


def test_an_own_base_class_is_not_checked_and_a_call_can_be_taken_away():
    class House(AcmeSystem, is_base=True):
        states = None

    class Quiet(House):
        states = STATES
        cancel_call = None

    assert not Quiet.offers(sdk.CanCancel)
    assert not acme(Quiet).supports(sdk.CanCancel)
    assert AcmeSystem.offers(sdk.CanCancel)
    with pytest.raises(sdk.CancelNotSupported):
        acme(Quiet).require(sdk.CanCancel)


def test_a_run_that_has_ended_is_not_cancelled_where_that_would_change_its_state():
    system = made(cancel_call=sdk.Cancel(path="/runs/{run_id}/stop", looks_first=True))
    player = Player([answer(200, {"run": {"state": "ok"}})])
    player.play(system.cancel(RUN))
    assert player.asked == ["GET /v1/api/runs/7"]
    player = Player([answer(200, {"run": {"state": "going"}}), answer(200)])
    player.play(system.cancel(RUN))
    assert player.asked == ["GET /v1/api/runs/7", "POST /v1/api/runs/7/stop"]
    with pytest.raises(sdk.ServerUnavailable):
        Player([answer(503)]).play(system.cancel(RUN))


def test_cursors_are_in_a_header_or_in_the_body():
    pages = sdk.CursorPages(lambda document: document["next"], in_body=True)
    system = made(
        list_workflows_call=sdk.ListWorkflows(path="/find", method="POST", body={}, rows="rows", paginator=pages)
    )
    player = Player([answer(200, {"rows": [{"id": 1}], "next": "x"}), answer(200, {"rows": [], "next": None})])
    assert len(player.play(system.list_workflows())) == 1
    assert [request.json for request in player.requests] == [{}, {"cursor": "x"}]
    for wrong in ({}, {"read": str, "header": "X"}):
        with pytest.raises(TypeError, match="CursorPages: give read or header"):
            sdk.CursorPages(**wrong)


def test_a_log_of_text_gives_new_lines_only():
    system = made(log_call=sdk.Log(path="/runs/{run_id}/log", is_text=True))
    page = Player([answer(200, "one\ntwo\n")]).play(system.read_log(RUN))
    assert [line.text for line in page] == ["one", "two"]
    more = Player([answer(200, "one\ntwo\nthree\n")]).play(system.read_log(RUN, page.cursor))
    assert [line.text for line in more] == ["three"]


def test_a_log_in_is_declared_with_the_shapes_of_its_answer_and_its_header():
    """A form, a token below another field, a header of its own, a life that the answer tells."""
    given = sdk.LogIn(
        "/session",
        body={"user": "{login}", "secret": "{password}", "app": "airflow"},
        token="data.session.id",
        lifetime="data.seconds",
        header="X-Session",
        prefix="",
        is_form=True,
    )
    system = acme(type("OtherSystem", (AcmeSystem,), {"authentication": given}), login="user")
    token = answer(200, {"data": {"session": {"id": "minted-0123"}, "seconds": "600"}})
    player = Player([token, answer(200, []), answer(200, [])])
    player.play(system.test())
    log_in, test = player.requests
    assert (log_in.url, log_in.json) == ("https://acme.example/v1/session", None)
    assert log_in.form == {"user": "user", "secret": "a-key-0123", "app": "airflow"}
    assert test.headers == {"X-Session": "minted-0123"}
    for broken in ({}, {"data": []}, {"data": {"session": {"id": 5}}}):
        system = acme(type("OtherSystem", (AcmeSystem,), {"authentication": given}), login="user")
        with pytest.raises(sdk.ProtocolError, match=r"no 'data\.session\.id'"):
            Player([answer(200, broken)]).play(system.test())


def test_a_log_in_with_a_secret_alone_needs_no_user():
    given = sdk.LogIn("/token", body={"api_key": "{password}"})
    system = acme(type("OtherSystem", (AcmeSystem,), {"authentication": given}))
    player = Player([answer(200, {"access_token": "minted-0123"}), answer(200, [])])
    player.play(system.test())
    assert player.requests[0].json == {"api_key": "a-key-0123"}


def test_a_key_in_the_query_is_sent_with_every_request_and_is_in_no_error():
    system = acme(type("OtherSystem", (AcmeSystem,), {"authentication": sdk.QueryKey("api_key")}))
    player = Player([answer(200, {"items": []})])
    player.play(system.find_runs("w"))
    assert player.requests[0].params == {"offset": "0", "limit": "2", "api_key": "a-key-0123"}
    with pytest.raises(sdk.AuthenticationFailed) as caught:
        Player([answer(401, {"message": "bad key a-key-0123"})]).play(system.test())
    assert "a-key-0123" not in str(caught.value)


def test_places_of_pages_are_dotted_paths_or_functions():
    rows = {"items": [{"id": 1}, {"id": 2}]}
    for total in ("meta.total", lambda document: document["meta"]["total"]):
        system = made(
            list_workflows_call=sdk.ListWorkflows(path="/w", rows="items", paginator=sdk.OffsetPages(2, total=total))
        )
        assert len(Player([answer(200, {**rows, "meta": {"total": "2"}})]).play(system.list_workflows())) == 2
        for wrong_total in ({}, {"total": None}, {"total": True}, {"total": "many"}):
            with pytest.raises(sdk.ProtocolError, match="has no number of all rows at"):
                Player([answer(200, {**rows, "meta": wrong_total})]).play(system.list_workflows())
    system = made(
        list_workflows_call=sdk.ListWorkflows(path="/w", rows="items", paginator=sdk.CursorPages("meta.next"))
    )
    player = Player([answer(200, {**rows, "meta": {"next": "c2"}}), answer(200, {"items": []})])
    assert len(player.play(system.list_workflows())) == 2
    assert player.requests[1].params == {"cursor": "c2"}


def test_a_list_that_shows_the_runs_of_all_workflows_gives_those_of_one():
    """A run of another workflow is never taken for the one that a lost start has left."""
    listing = sdk.ListRuns(path="/runs", rows="items", workflow="flow", parameters="input")
    rows = [{"id": n, "flow": flow, "state": "going", "input": {"n": 1}} for n, flow in enumerate(("w", "v", "w", 7))]
    system = made(list_runs_call=listing, status_call=sdk.Status(path="/runs/{run_id}", state="state"))
    page = answer(200, {"items": rows})
    assert [run.run_id for run in Player([page]).play(system.find_runs("w"))] == ["0", "2"]
    assert [run.run_id for run in Player([page]).play(system.find_runs("7"))] == ["3"]
    found = Player([page]).play(system.find_started("v", {"n": 1}, {}, sdk.from_epoch(EPOCH)))
    assert [run.run_id for run in found] == ["1"]


def test_a_run_below_a_wrapper_is_read_from_answers_and_from_bare_rows():
    """``{"job": {…}}`` is the answer about one run, and a list has the objects themselves."""
    system = made(
        start_call=started(path="/jobs/{workflow}", run_id="job.uuid"),
        status_call=sdk.Status(path="/jobs/{run_id}", record="job", state="phase", message="problem.detail"),
        list_runs_call=sdk.ListRuns(path="/jobs", params={"of": sdk.WORKFLOW}, rows="jobs", run_id="uuid"),
    )
    job = {"uuid": "7", "phase": "bad", "problem": {"detail": "no space"}}
    run = Player([answer(201, {"job": {"uuid": "7", "phase": "waiting"}})]).play(system.start("w", {}, {}))
    assert (run.run_id, run.state) == ("7", RunState.QUEUED)
    seen = Player([answer(200, {"job": job})]).play(system.look(run))
    (row,) = Player([answer(200, {"jobs": [job]})]).play(system.find_runs("w"))
    assert (seen.state, seen.message) == (row.state, row.message) == (RunState.FAILED, "no space")
    for odd in ({}, {"job": None}, {"job": []}, job):
        with pytest.raises(sdk.ProtocolError, match="no state of a run"):
            Player([answer(200, odd)]).play(system.look(run))


def test_the_words_of_an_error_are_where_the_class_says():
    system = made(error_message="problem.detail")
    for body, says in (
        ({"problem": {"detail": "no such flow"}}, "no such flow"),
        ({"message": "bad"}, "bad"),
        ([], ""),
    ):
        with pytest.raises(sdk.RequestRejected, match=f"HTTP 400 from Acme.*{says}"):
            Player([answer(400, body)]).play(system.start("w", {}, {}))


class PagedSystem(AcmeSystem):
    """Log, table and lists in numbered pages of two rows."""

    log_call = sdk.Log(path="/runs/{run_id}/log", rows="rows", text="text", paginator=sdk.NumberedPages(2))
    outputs_call = sdk.Outputs(
        path="/runs/{run_id}/files", table=sdk.Table(path="/t/{output}", rows="rows", paginator=sdk.OffsetPages(2))
    )


def numbered(request):
    """Two rows of a list that has no end."""
    at = 2 * int(request.params["page"])
    return answer(200, {"rows": [{"text": f"line {number}"} for number in (at, at + 1)]})


def test_a_log_of_many_pages_is_read_to_its_end():
    def rows(request):
        return numbered(request) if int(request.params["page"]) < 300 else answer(200, {"rows": []})

    page = Player(answer_to=rows).play(acme(PagedSystem).read_log(Run("acme", "c", "wf", "7")))
    assert len(page) == 598
    assert not page.note


def test_a_log_without_an_end_is_cut_and_says_so_once():
    paged, run = acme(PagedSystem), Run("acme", "c", "wf", "7")
    first = Player(answer_to=numbered).play(paged.read_log(run))
    assert len(first) == 1000
    assert "more than 500 pages" in first.note
    second = Player(answer_to=numbered).play(paged.read_log(run, first.cursor))
    assert (len(second), second.note) == (0, "")


def test_a_server_that_gives_one_page_for_every_number_is_asked_twice():
    same = answer(200, {"rows": [{"text": "a"}, {"text": "b"}]})
    player = Player([same])
    assert [line.text for line in player.play(acme(PagedSystem).read_log(Run("acme", "c", "wf", "7")))] == ["a", "b"]
    assert len(player.requests) == 2


def test_links_that_lead_in_a_circle_end_a_list_and_refuse_a_table():
    class Linked(AcmeSystem):
        list_workflows_call = sdk.ListWorkflows(path="/workflows", rows="items", paginator=sdk.LinkedPages("next"))
        outputs_call = sdk.Outputs(
            path="/runs/{run_id}/files",
            table=sdk.Table(path="/t/{output}", rows="items", paginator=sdk.LinkedPages("next")),
        )

    def circle(request):
        other = "?page=b" if not request.url.endswith("?page=b") else "?page=a"
        return answer(200, {"items": [{"id": request.url[-1], "name": "n"}], "next": other})

    player = Player(answer_to=circle)
    assert len(player.play(acme(Linked).list_workflows())) == 3
    source = acme(Linked).read(Run("acme", "c", "wf", "7"), Output("t", "table", "t", ("jsonl",)))
    with pytest.raises(sdk.ProtocolError, match="repeat themselves"):
        Player(answer_to=circle).play(source.flow())


def test_a_table_whose_server_gives_one_page_for_every_place_ends_in_an_error():
    """A load would go on without an end."""
    player = Player([answer(200, {"rows": [{"a": 1}, {"a": 2}]})])
    source = acme(PagedSystem).read(Run("acme", "c", "wf", "7"), Output("t", "table", "t", ("jsonl",)))
    with pytest.raises(sdk.ProtocolError, match="repeat themselves"):
        player.play(source.flow())
    assert len(player.requests) < 30


def test_rows_that_are_all_equal_are_data():
    pages = [answer(200, {"rows": [{"a": 1}, {"a": 1}]})] * 40 + [answer(200, {"rows": []})]
    source = acme(PagedSystem).read(Run("acme", "c", "wf", "7"), Output("t", "table", "t", ("jsonl",)))
    player = Player(pages)
    player.play(source.flow())
    assert sum(len(chunk.rows) for chunk in player.chunks) == 80


def test_a_message_in_another_encoding_does_not_hide_the_state():
    """A run that has failed must not be polled until the task's time is over."""
    body = b'{"run": {"state": "bad", "why": "caf\xe9 is closed"}}'
    run = Player([answer(200, body)]).play(acme().get_run(Run("acme", "c", "wf", "7")))
    assert (run.state, run.message) == (RunState.FAILED, "caf\N{REPLACEMENT CHARACTER} is closed")


def test_a_number_that_airflows_processes_cannot_send_becomes_text():
    from airflow_workflow_provider.protocol.limits import fitting

    class Counted(AcmeSystem):
        status_call = sdk.Status(path="/runs/{run_id}", state="state", details={"rows": "rows"})

    answered = [answer(200, {"state": "ok", "rows": 2**70})]
    run = Player(answered).play(acme(Counted).get_run(Run("acme", "c", "wf", "7")))
    assert fitting(run).details == {"rows": str(2**70)}
