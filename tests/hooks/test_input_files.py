"""A file for a File Browse question of an Alteryx app, uploaded to the sandbox."""

from __future__ import annotations

import json
from hashlib import sha256

import pytest

from airflow_workflow_provider.exceptions import InvalidArgument, ProtocolError
from airflow_workflow_provider.hooks.alteryx import AlteryxHook
from tests.client.hostile import hostile

APP = "5f0e2c00000000000000000d"
CONTENT = b"a;b\r\n1;\xff\x00\r\n--boundary--\r\n"


@pytest.mark.parametrize("conn_id", ["alteryx_default", "alteryx_oauth1"])
@pytest.mark.parametrize("name", ["sales.csv", "Umsätze 2026.csv"])
def test_the_text_that_answers_the_question_comes_back(sandbox, monkeypatch, tmp_path, conn_id, name):
    """The file arrives byte for byte, with OAuth 2 and with a signature of OAuth 1."""
    monkeypatch.setenv(f"AIRFLOW_CONN_{conn_id.upper()}", json.dumps(sandbox.connections()[conn_id]))
    path = tmp_path / name
    path.write_bytes(CONTENT)
    hook = AlteryxHook(conn_id)
    for given in (path, str(path)):
        assert hook.upload_input_file(APP, given) == f"{sha256(CONTENT).hexdigest()[:24]}_{name}"


def test_a_file_that_cannot_be_read_is_an_argument_that_cannot_be_used(sandbox, monkeypatch, tmp_path):
    monkeypatch.setenv("AIRFLOW_CONN_ALTERYX_DEFAULT", json.dumps(sandbox.connections()["alteryx_default"]))
    for path in (tmp_path / "none.csv", tmp_path):
        with pytest.raises(InvalidArgument, match="path: the file"):
            AlteryxHook().upload_input_file(APP, path)


@pytest.mark.parametrize("body", [b"", b"{}", b"[1]", b"null", b"<html><title>Sign in</title></html>", b'" "'])
def test_an_answer_that_is_no_text_is_a_protocol_error(monkeypatch, tmp_path, body):
    path = tmp_path / "a.csv"
    path.write_bytes(CONTENT)
    with hostile() as server:
        connection = {"conn_type": "alteryx", "host": server.url, "login": "key", "password": "secret-01234567"}
        monkeypatch.setenv("AIRFLOW_CONN_ALTERYX_DEFAULT", json.dumps({**connection, "extra": {"auth": "oauth1"}}))
        server.page(body)
        with pytest.raises(ProtocolError, match="uploading the input file"):
            AlteryxHook().upload_input_file(APP, path)


def test_an_answer_may_be_plain_text(monkeypatch, tmp_path):
    """Whether the server quotes its text is unverified."""
    path = tmp_path / "a.csv"
    path.write_bytes(CONTENT)
    with hostile() as server:
        connection = {"conn_type": "alteryx", "host": server.url, "login": "key", "password": "secret-01234567"}
        monkeypatch.setenv("AIRFLOW_CONN_ALTERYX_DEFAULT", json.dumps({**connection, "extra": {"auth": "oauth1"}}))
        server.page(b"C:/files/a.csv\r\n", "Content-Type: text/plain")
        assert AlteryxHook().upload_input_file(APP, path) == "C:/files/a.csv"
