"""The password of a proxy is seen nowhere, whatever the proxy answers and wherever its address comes from."""

from __future__ import annotations

import base64
import json
import logging
import traceback
from urllib.parse import quote

import pytest

from airflow_workflow_provider.protocol.api import Api
from airflow_workflow_provider.protocol.auth import HeaderAuth
from airflow_workflow_provider.protocol.connection import ConnectionValues
from airflow_workflow_provider.protocol.effects import Request
from tests.client.driving import driven
from tests.client.hostile import hostile

USER, PASSWORD = "proxyuser", "pr0xy+pass/word=&%x"
ENCODED = quote(PASSWORD, safe="")
FORMS = [
    PASSWORD,
    ENCODED,
    base64.b64encode(f"{USER}:{PASSWORD}".encode()).decode(),
    base64.b64encode(f"{USER}:{ENCODED}".encode()).decode(),
    quote(ENCODED, safe=""),
]
ECHO = " ".join(FORMS)


def page(status, body, *headers):
    """A whole answer."""
    lines = [f"HTTP/1.1 {status} X", f"Content-Length: {len(body)}", *headers]
    return "".join(f"{line}\r\n" for line in lines).encode() + b"\r\n" + body


ANSWERS = {
    "407": page(407, ECHO.encode()),
    "502": page(502, ECHO.encode()),
    "JSON": page(400, json.dumps({"error": ECHO}).encode(), "Content-Type: application/json"),
    "page": page(200, f"<title>{ECHO}".encode(), "Content-Type: text/html"),
    "text": page(200, ECHO.encode(), "Content-Type: text/plain"),
    "redirect": page(302, b"", f"Location: http://{USER}:{ENCODED}@x/"),
    "status line": f"HTTP/1.1 {PASSWORD}\r\n\r\n".encode(),
    "no HTTP": ECHO.encode() + b"\r\n\r\n",
    "nothing": b"",
}


@pytest.fixture(params=["extra", "environment"])
def connection(request, monkeypatch):
    """A connection through a proxy that its extra or the environment names, and the proxy."""
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "http_proxy", "https_proxy", "NO_PROXY", "no_proxy", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
    with hostile() as proxy:
        address = proxy.url.replace("//", f"//{USER}:{ENCODED}@")
        extra = {"allow_http": True, "timeout": 5}
        if request.param == "extra":
            extra["proxies"] = {"http": address, "https": address}
        else:
            for name in ("http_proxy", "https_proxy"):
                monkeypatch.setenv(name, address)
        yield extra, proxy


@pytest.mark.parametrize("answer", ANSWERS)
@pytest.mark.parametrize("scheme", ["http", "https"])
def test_no_error_and_no_log_line_has_the_password_of_a_proxy(mode, connection, scheme, answer, caplog):
    """Neither as it is written, nor decoded, nor as the header holds it."""
    extra, proxy = connection
    proxy.raw(ANSWERS[answer])
    values = ConnectionValues("c", host=f"{scheme}://api.example.com", password="api-secret-01", extra=extra)
    api = Api("c", values.base_url(), HeaderAuth("Token", "api-secret-01"), secrets=("api-secret-01",))
    with caplog.at_level(logging.DEBUG):
        drive = driven(mode, lambda: api.read(Request("GET", api.url("/x")), "reading"), values.transport())
    assert drive.error is not None
    assert proxy.heard
    shown = "".join(traceback.format_exception(drive.error)) + caplog.text
    assert not [form for form in FORMS if form in shown]
