"""``doctor``: every line that it can say, against real servers."""

from __future__ import annotations

import json
import ssl
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest

from airflow_workflow_provider.cli.measure import Seen, observed
from airflow_workflow_provider.protocol.capabilities import CanCancel, CanListRuns, CanListWorkflows
from airflow_workflow_provider.protocol.effects import NotSent, Request, Response, Shared
from airflow_workflow_provider.systems import SYSTEMS
from tests.cli.calling import called
from tests.client.certificates import self_signed
from tests.client.recording import Reply, recording_server

STOCKS = "5f0e2c000000000000000002"
CHECKS = (
    "connection",
    "host",
    "tls",
    "clock",
    "credentials",
    "api version",
    "list workflows",
    "find runs",
    "cancel",
    "poll",
)
STEVESIE = {"conn_type": "stevesie", "password": "a-long-secret"}


def examined(monkeypatch, connection, *more):
    """The lines about a connection, by their check, and the exit code."""
    monkeypatch.setenv("AIRFLOW_CONN_EXAMINED", json.dumps(connection))
    answer = called("doctor", "examined", *more, "-o", "json")
    assert "a-long-secret" not in answer.stdout + answer.stderr
    return {row["check"]: (row["result"], row["detail"]) for row in answer.json}, answer.code


@pytest.mark.parametrize("key", SYSTEMS)
def test_a_good_connection_has_no_wrong_line(quick, key):
    answer = called("doctor", f"{key}_default", "-o", "json")
    assert answer.code == 0, answer.stdout
    found = {row["check"]: row for row in answer.json}
    assert tuple(found) == CHECKS
    assert {row["result"] for row in found.values()} <= {"ok", "-"}
    system = SYSTEMS[key]
    abilities = {"list workflows": CanListWorkflows, "find runs": CanListRuns, "cancel": CanCancel}
    for check, capability in abilities.items():
        can = system.offers(capability)
        assert (found[check]["result"] == "ok") is can
        assert ("this API cannot" in found[check]["detail"]) is not can
    assert found["api version"]["result"] == "ok"
    assert f"every {system.poll_interval:g} s by default" in found["poll"]["detail"]


def test_what_this_generation_of_an_api_cannot_is_said(quick):
    """Alteryx V1 cannot cancel, though V3 can."""
    rows = {row["check"]: row for row in called("doctor", "alteryx_oauth1", "-o", "json").json}
    assert rows["cancel"]["result"] == "-"
    assert rows["api version"]["detail"] == "V1"


@pytest.mark.parametrize(
    ("without", "what_becomes"),
    [
        (None, "is found again with workflow_api='flow' only, else see on_unknown_start"),
        ("flow_api_key", "is not found again, see on_unknown_start"),
        ("tenant_id", "is not found again, see on_unknown_start"),
        ("workspace_id", "is not found again, see on_unknown_start"),
    ],
)
def test_a_connection_for_profitbase_flow_is_told_that_it_finds_lost_starts(quick, monkeypatch, without, what_becomes):
    """A data flow's API lists no runs, and Flow's does; without one of its fields there is no Flow."""
    connection = quick.connections()["invision_default"]
    extra = {name: value for name, value in connection["extra"].items() if name != without}
    rows, code = examined(monkeypatch, {**connection, "extra": extra})
    assert (code, rows["find runs"]) == (0, ("-", f"this API cannot: a start whose answer was lost {what_becomes}"))


def test_a_poll_is_measured_on_a_run(quick):
    run_id = called("start", "alteryx_default", STOCKS, "-p", "Symbol=IBM", "-o", "json").run["run_id"]
    quick.clear_requests()
    rows = {row["check"]: row for row in called("doctor", "alteryx_default", "--run", run_id, "-o", "json").json}
    assert "ms for a poll of this run" in rows["poll"]["detail"]
    assert len([one for one in quick.requests("alteryx") if one["path"].endswith(f"/jobs/{run_id}")]) == 3
    wrong = called("doctor", "alteryx_default", "--run", "5f0e2c0000000000000000ff")
    assert wrong.code == 1


def test_a_connection_that_lacks_a_field_is_one_line(monkeypatch):
    rows, code = examined(monkeypatch, {"conn_type": "carto", "host": "https://127.0.0.1"})
    assert code == 1
    assert rows == {"connection": ("WRONG", "connection 'examined', field 'password': is empty")}


def test_a_server_that_is_away_is_told_from_bad_credentials(quick, monkeypatch):
    rows, code = examined(monkeypatch, {**STEVESIE, "host": "http://127.0.0.1:1"})
    assert code == 1
    assert rows["host"][0] == rows["credentials"][0] == "WRONG"
    assert "Connection refused; check the fields host and proxies" in rows["host"][1]
    assert rows["tls"] == rows["list workflows"] == ("-", "not tried")
    rows, code = examined(monkeypatch, {**STEVESIE, "host": quick.connections()["stevesie_default"]["host"]})
    assert (code, rows["host"][0], rows["credentials"][0]) == (1, "ok", "WRONG")
    assert "Check the field 'password' of connection" in rows["credentials"][1]


def test_plain_http_to_another_machine_is_wrong_even_where_it_is_allowed(monkeypatch):
    """The proxy stands for the other machine, and is all that is reached."""
    with recording_server() as server:
        server.script([Reply(200, [])])
        elsewhere = {**STEVESIE, "host": "http://stevesie.example"}
        rows, code = examined(
            monkeypatch, {**elsewhere, "extra": {"allow_http": True, "proxies": {"http": server.url}}}
        )
    assert (code, rows["tls"][0], rows["host"][0]) == (1, "WRONG", "ok")
    assert "http://stevesie.example through the proxy 127.0.0.1:" in rows["host"][1]


def test_tls_says_what_is_wrong_with_a_certificate(monkeypatch, tmp_path):
    certificate = self_signed(tmp_path / "server.pem")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    with recording_server() as server:
        # The handshake belongs to the connection's own thread: one that fails must not end the server.
        server.socket = context.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
        server.script([Reply(200, [])])
        host = server.url.replace("http://", "https://")
        rows, code = examined(monkeypatch, {**STEVESIE, "host": host})
        assert (code, rows["host"][0], rows["tls"][0]) == (1, "ok", "WRONG")
        assert "certificate verify failed" in rows["tls"][1]
        assert "the field verify" in rows["tls"][1]
        rows, code = examined(monkeypatch, {**STEVESIE, "host": host, "extra": {"verify": False}})
        assert (code, rows["tls"][0], rows["credentials"][0]) == (1, "WRONG", "ok")
        assert "the certificate is not checked" in rows["tls"][1]
        rows, code = examined(monkeypatch, {**STEVESIE, "host": host, "extra": {"verify": str(certificate)}})
        # It is good for an hour only.
        assert (code, rows["tls"][0]) == (1, "WRONG")
        assert rows["tls"][1].startswith("TLSv1.3, certificate valid until ")
        assert rows["tls"][1].endswith("renew it")


@pytest.mark.parametrize(("hours", "result"), [(-1, "WRONG"), (0, "ok"), (1, "WRONG")])
def test_clocks_that_differ_are_told(hours, result):
    """A server an hour away, as `doctor` hears it."""
    told = format_datetime(datetime.now(UTC) + timedelta(hours=hours), usegmt=True)
    seen = play(Response(200, {"date": told}))
    assert seen.skew is not None
    assert abs(seen.skew - 3600 * hours) < 5
    assert (abs(seen.skew) > 60) is (result == "WRONG")


@pytest.mark.parametrize("headers", [{}, {"date": "yesterday"}])
def test_a_server_without_a_clock_is_no_trouble(headers):
    assert play(Response(200, headers)).skew is None


def play(response: Response) -> Seen:
    """What is noted of a flow with one request, whose answer is this."""

    def flow():
        return (yield Request("GET", "http://server/path"))

    seen = Seen()
    playing = observed(flow(), seen)
    assert next(playing).url == "http://server/path"
    with pytest.raises(StopIteration) as end:
        playing.send(response)
    assert end.value.value is response
    return seen


def test_what_is_observed_stays_as_it_is():
    """Errors reach the flow, which may go on; a log-in that others share is noted too."""

    def log_in():
        yield Request("POST", "http://server/login")
        return "token"

    def flow():
        with pytest.raises(NotSent):
            yield Request("GET", "http://server/first")
        return (yield Shared("key", log_in))

    seen = Seen()
    playing = observed(flow(), seen)
    next(playing)
    shared = playing.throw(NotSent("no route"))
    inner = shared.flow()
    assert next(inner).method == "POST"
    with pytest.raises(StopIteration):
        inner.send(Response(200))
    with pytest.raises(StopIteration) as end:
        playing.send("token")
    assert end.value.value == "token"
    assert (seen.url, len(seen.seconds)) == ("http://server/first", 1)
