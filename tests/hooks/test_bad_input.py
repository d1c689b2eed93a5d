"""What the hook refuses: one clear error that names the field or the argument, and nothing is started."""

from __future__ import annotations

import pytest

from airflow_workflow_provider.exceptions import AuthenticationFailed, InvalidArgument, InvalidConnection
from airflow_workflow_provider.hooks.carto import CartoHook

BY_STATE = {"min_airports": 100}


@pytest.fixture
def hook(carto):
    return CartoHook()


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({"host": ""}, "host"),
        ({"host": "no host at all"}, "host"),
        ({"host": "http://example.com"}, "host"),
        ({"password": ""}, "password"),
        ({"extra": {"warehouse": "mongo"}}, "warehouse"),
        ({"extra": {"timeout": "soon"}}, "timeout"),
        ({"extra": {"proxies": "not json"}}, "proxies"),
        ({"host": "https://127.0.0.1:9", "extra": {"verify": "/no/such/ca.pem"}}, "verify"),
    ],
)
def test_a_bad_connection_is_one_clear_error_before_anything_is_sent(carto, fields, field):
    conn_id = carto.connection(**fields)
    with pytest.raises(InvalidConnection, match=f"connection 'carto_changed', field '{field}'"):
        CartoHook(conn_id).start_run(carto["airports_by_state"], BY_STATE)
    assert carto.asked() == []


@pytest.mark.parametrize("conn_id", ["nobody_defined", "", "  "])
def test_an_unknown_connection_is_named(carto, conn_id):
    with pytest.raises(InvalidConnection, match=conn_id.strip() or "carto_conn_id: is empty"):
        CartoHook(conn_id).start_run(carto["airports_by_state"])


@pytest.mark.parametrize("workflow", ["", "   ", None, [], True])
def test_a_workflow_that_is_none_starts_nothing(carto, hook, workflow):
    with pytest.raises(InvalidArgument, match=r"^workflow: "):
        hook.start_run(workflow)
    assert carto.asked() == []


@pytest.mark.parametrize("parameters", [5, "abc", {1: 2}, {"a": b"x"}, [1]])
def test_parameters_that_cannot_be_used_start_nothing(carto, hook, parameters):
    with pytest.raises(InvalidArgument, match=r"^query_parameters"):
        hook.start_run(carto["airports_by_state"], parameters)
    assert carto.asked() == []


def test_an_option_that_the_system_does_not_have_starts_nothing(carto, hook):
    with pytest.raises(InvalidArgument, match="priority: CARTO has no such start option"):
        hook.start_run(carto["airports_by_state"], BY_STATE, priority=1)
    assert carto.asked() == []


def test_wrong_credentials_start_nothing(carto):
    with pytest.raises(AuthenticationFailed, match=r"Check the field 'password' of connection"):
        CartoHook(carto.connection(password="wrong")).start_run(carto["airports_by_state"], BY_STATE)
    assert carto.runs() == []
