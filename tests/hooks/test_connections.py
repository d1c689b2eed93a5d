"""What a workflow system reads from an Airflow connection, whichever secrets backend it comes from."""

from __future__ import annotations

import json

import pytest
from airflow.providers.common.compat.sdk import Connection

from airflow_workflow_provider.exceptions import InvalidConnection
from airflow_workflow_provider.hooks.connections import load_system, values_of


def test_the_id_that_was_asked_for_names_the_connection():
    """A secrets backend may leave the id of its object empty, or put an alias there."""
    for own in (None, "alias"):
        values = values_of(Connection(conn_id=own, conn_type="carto", password="secret"), conn_id="asked_for")
        assert values.conn_id == "asked_for"


@pytest.mark.parametrize("conn_type", ["stevesie", "http"])
def test_a_connection_of_another_type_is_refused_by_name(monkeypatch, conn_type):
    """The error names the connection, its type and the type that is wanted."""
    fields = {"conn_type": conn_type, "host": "https://localhost", "password": "secret"}
    monkeypatch.setenv("AIRFLOW_CONN_X", json.dumps(fields))
    with pytest.raises(InvalidConnection, match=f"connection 'x' is of type {conn_type}, this operator wants carto"):
        load_system("carto", "x")


@pytest.mark.parametrize("conn_type", ["", "carto"])
def test_an_empty_type_is_allowed(monkeypatch, conn_type):
    """Some secrets backends store no type."""
    fields = {"conn_type": conn_type, "host": "https://localhost", "password": "secret"}
    monkeypatch.setenv("AIRFLOW_CONN_X", json.dumps(fields))
    assert load_system("carto", "x").conn_id == "x"


def test_an_unknown_extra_is_named_with_the_nearest_known_one(monkeypatch, caplog):
    """It has no effect, so the log says so; extras in the form of Airflow 1 are left alone."""
    extra = {"carto_conection": "x", "extra__carto__y": 1, "zzz": 2, "warehouse": "bigquery"}
    document = {"conn_type": "carto", "host": "https://c", "password": "secret-0123", "extra": extra}
    monkeypatch.setenv("AIRFLOW_CONN_EXTRAS", json.dumps(document))
    load_system("carto", "extras")
    assert "the extra 'carto_conection' is unknown and has no effect; the nearest known one is 'carto_connection'" in (
        caplog.text
    )
    assert "the extra 'zzz' is unknown and has no effect; known: carto_connection" in caplog.text
    assert "extra__" not in caplog.text
    assert "'warehouse' is unknown" not in caplog.text
