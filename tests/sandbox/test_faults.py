"""Faults on demand: each breaks the wire as its name says."""

from __future__ import annotations

import errno
import http.client
import socket
import time
from urllib.parse import urlsplit

import pytest
import requests

STATUS_PATH = "/carto/v3/sql/carto_dw/job/none"


def spoken(sandbox, path: str = STATUS_PATH) -> bytes:
    """Ask by a bare socket; everything that came back before the end."""
    parts = urlsplit(sandbox.url)
    with socket.create_connection((parts.hostname, parts.port), timeout=5) as wire:
        head = f"GET {path} HTTP/1.1\r\nHost: sandbox\r\nAuthorization: Bearer sandbox-carto-token\r\n\r\n"
        wire.sendall(head.encode())
        received = b""
        while piece := wire.recv(65536):
            received += piece
        return received


def test_status_answers_instead_of_processing(sandbox, carto):
    """A 429 with Retry-After comes once, and no job was created."""
    sandbox.fault(system="carto", kind="status", status=429, headers={"Retry-After": 2}, body={"error": "slow down"})
    answer = carto.send("POST", "/job", json=carto.call("clock", {"label": ""}))
    assert (answer.status_code, answer.headers["Retry-After"]) == (429, "2")
    assert answer.json() == {"error": "slow down"}
    assert sandbox.runs() == []
    assert sandbox.requests()[-1]["fault"] == "status"
    assert carto.send("POST", "/job", json=carto.call("clock", {"label": ""})).status_code == 200


def test_html_is_an_error_page_of_a_proxy(sandbox, carto):
    """The body is no JSON, and the type says so."""
    sandbox.fault(system="carto", kind="html")
    answer = carto.send("GET", "/job/none")
    assert answer.status_code == 503
    assert answer.headers["content-type"].startswith("text/html")
    assert answer.text.startswith("<html>")


@pytest.mark.parametrize("kind", ["reset", "lost"])
def test_reset_and_lost_end_in_a_real_rst(sandbox, kind):
    """The kernel reports ECONNRESET, which an orderly close does not."""
    sandbox.fault(system="carto", kind=kind)
    with pytest.raises(ConnectionResetError) as raised:
        spoken(sandbox)
    assert raised.value.errno == errno.ECONNRESET
    assert sandbox.requests()[-1]["status"] is None


def test_reset_happens_before_processing(sandbox, carto):
    """Nothing was started by a request that was reset."""
    sandbox.fault(system="carto", kind="reset", method="POST", path="/job$")
    with pytest.raises(requests.ConnectionError):
        carto.start("clock", {"label": ""})
    assert sandbox.runs() == []


def test_lost_happens_after_processing(sandbox, carto):
    """The job was created although its creator never heard of it."""
    sandbox.fault(system="carto", kind="lost", method="POST", path="/job$")
    with pytest.raises(requests.ConnectionError):
        carto.start("clock", {"label": ""})
    assert len(sandbox.runs()) == 1


def test_slow_waits_and_then_processes(sandbox, carto):
    """The answer is the ordinary one, later."""
    sandbox.fault(system="carto", kind="slow", seconds=0.3)
    begun = time.monotonic()
    assert carto.rows("SELECT 1 AS one") == [{"one": 1}]
    assert time.monotonic() - begun >= 0.3


def test_late_processes_at_once_and_answers_afterwards(sandbox, carto):
    """The run is there while its starter still waits for the answer: what a killed worker leaves behind."""
    sandbox.fault(system="carto", kind="late", seconds=30)
    with pytest.raises(requests.ReadTimeout):
        requests.post(
            f"{carto.base}/v3/sql/carto_dw/job",
            json=carto.call("airports_by_state", {"min_airports": 10}),
            headers={"Authorization": f"Bearer {carto.token}"},
            timeout=0.5,
        )
    assert len(sandbox.runs("carto")) == 1


def test_truncate_cuts_the_body(sandbox, carto):
    """Less arrives than Content-Length promises, and the connection ends in order."""
    sandbox.fault(system="carto", kind="truncate")
    parts = urlsplit(sandbox.url)
    wire = http.client.HTTPConnection(parts.hostname, parts.port, timeout=5)
    wire.request("GET", STATUS_PATH, headers={"Authorization": "Bearer sandbox-carto-token"})
    answer = wire.getresponse()
    promised = int(answer.headers["Content-Length"])
    with pytest.raises(http.client.IncompleteRead) as raised:
        answer.read()
    wire.close()
    assert 0 < len(raised.value.partial) < promised


def test_faults_wait_for_their_requests(sandbox, carto):
    """Method, path and `after` choose; `times` counts down; the oldest fault that is due strikes."""
    sandbox.fault(system="carto", kind="status", status=500, method="get", path=r"/job/\w+$", after=1, times=2)
    sandbox.fault(system="carto", kind="status", status=502, times=None)
    seen = [carto.send("GET", "/job/none").status_code for _ in range(4)]
    assert seen == [502, 500, 500, 502]
    assert carto.send("POST", "/query", json={"q": "SELECT 1"}).status_code == 502
    assert [fault["fired"] for fault in sandbox.faults()] == [2, 3]
    sandbox.clear_faults()
    assert carto.send("GET", "/job/none").status_code == 404


def test_probability_is_a_reproducible_series(sandbox, carto):
    """The dice start anew with each reset, so a failing test fails again."""

    def series() -> list[int]:
        sandbox.fault(system="carto", kind="status", status=503, times=None, probability=0.5)
        return [carto.send("GET", "/job/none").status_code for _ in range(20)]

    first = series()
    sandbox.reset()
    assert series() == first
    assert set(first) == {404, 503}


def test_faults_by_http(sandbox, carto):
    """Faults can be planned, listed and cleared from outside."""
    url = f"{sandbox.url}/_sandbox/faults"
    planned = requests.post(url, json={"system": "carto", "kind": "status", "status": 401}, timeout=5)
    assert planned.status_code == 201
    assert requests.get(url, timeout=5).json() == planned.json()
    assert carto.send("GET", "/job/none").status_code == 401
    assert requests.delete(url, timeout=5).json() == []
