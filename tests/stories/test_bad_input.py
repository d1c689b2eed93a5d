"""What is wrong before a run exists: the error names connection and field, nothing is started, no secret is told."""

from __future__ import annotations

import pytest

from airflow_workflow_provider.exceptions import (
    InvalidConnection,
    ProtocolError,
    RunFailed,
    UnknownStart,
    WorkflowError,
)
from tests.stories import acts
from tests.stories.stage import CHANGED

WRONG = "0bad0bad-0bad-4bad-8bad-00000bad0bad"
LOGIN_PAGE = "<!DOCTYPE html><html><head><title>Sign in to your account</title></head><body></body></html>"


def refused(story, **arguments):
    """Play a task that is refused; give its error."""
    with pytest.raises(WorkflowError) as caught:
        story.told(**arguments)
    return caught.value


def known_secrets(story):
    """Every credential of the connection, the wrong one, and what log-ins gave."""
    one = story.sandbox.connections()[story.case.conn_id]
    keys = [value for name, value in one["extra"].items() if name.endswith("_key")]
    return [WRONG, one["password"], *keys, *acts.minted(story.sandbox)]


def left_behind(story, error, log):
    """All that somebody could read afterwards."""
    chain: list[BaseException] = []
    while error is not None and error not in chain:
        chain.append(error)
        error = error.__cause__ or error.__context__
    told = [(str(one), vars(one)) for one in chain]
    return f"{told} {story.crossed} {story.ti.pushed} {story.store.history} {log}"


def test_a_wrong_secret_is_refused(story, logged):
    """At once, and without an echo of it: neither in the error and its causes, nor in XComs, state or log."""
    case = story.case
    conn_id = story.connection(**{case.secrets[-1]: WRONG})
    error = refused(story, **{f"{case.system}_conn_id": conn_id})
    assert isinstance(error, case.wrong_secret.error), error
    assert all(part in str(error) for part in (f"connection {CHANGED!r}", case.wrong_secret.words)), error
    assert story.runs() == []
    text = left_behind(story, error, logged())
    assert not [secret for secret in known_secrets(story) if secret in text]


def test_a_run_that_goes_well_tells_no_secret_either(story, logged):
    """The same search, where there is more to find: the trigger, its event, and tokens from log-ins."""
    found = story.told()
    story.ti.pushed.append(("return_value", found))
    text = left_behind(story, None, logged())
    assert found["run_id"] in text
    assert bool(story.crossed) is (story.mode == "deferrable")
    assert bool(acts.minted(story.sandbox)) is (bool(story.case.login) and story.case.system != "carto")
    assert not [secret for secret in known_secrets(story) if secret in text]


@pytest.mark.parametrize("answer", ["a log-in page", "a redirect"])
def test_another_product_behind_the_address_is_told(story, answer):
    """A page with status 200, or a redirect to one: the error names connection, field and what came."""
    if answer == "a redirect":
        story.fault("status", status=302, headers={"Location": "https://example.com/login?next=%2F"}, times=None)
    else:
        story.fault("html", status=200, body=LOGIN_PAGE, times=None)
    error = refused(story)
    # A page in answer to a start leaves open what became of the start; where a log-in comes first, it does not.
    assert isinstance(error, (ProtocolError, UnknownStart)), error
    assert all(part in str(error) for part in (story.case.conn_id, "'host'")), error
    assert ("Sign in to your account" if answer == "a log-in page" else "https://example.com/login") in str(error)
    assert story.runs() == []


def test_a_redirect_is_not_followed_with_a_start(story):
    """A start that went to another address as a GET would start nothing, and tell the key to strangers."""
    if story.case.name in ("chorus-job", "chorus-workfile", "chorus-engine"):
        story.sandbox.settings("chorus", redirect_http=True)
    else:
        place = f"{story.sandbox.url}/_sandbox"
        story.fault("status", story.case.start, method="POST", status=302, headers={"Location": place})
    error = refused(story)
    assert isinstance(error, ProtocolError), error
    assert "Check the field 'host' of connection " in str(error)
    assert "(http or https?)" in str(error)
    assert story.runs() == []


def test_an_unknown_workflow_is_told(story):
    """As the API lets it be known; nothing of it goes on."""
    wanted = story.case.unknown_workflow
    error = refused(story, workflow=story.case.missing)
    assert isinstance(error, wanted.error), error
    assert all(part in str(error) for part in (story.case.missing, wanted.words))
    assert isinstance(error, RunFailed) or f"connection {story.case.conn_id!r}" in str(error)
    assert len(story.runs()) == wanted.started


def test_an_unknown_parameter_is_told(story):
    """Before the start where the API lists what it knows, by the API where it checks."""
    wanted = story.case.unknown_parameter
    given = {**(story.case.good.parameters or {}), "nonsense": "1"}
    if wanted is None:
        assert story.told(query_parameters=given)["state"] == "succeeded"
        return
    with pytest.raises(wanted.error, match=wanted.words):
        story.told(query_parameters=given)
    assert len(story.runs()) == wanted.started


@pytest.mark.parametrize("mode", ["sync"])
def test_a_secret_is_not_sent_over_plain_http(story):
    """To anything but this machine, unless the connection allows it."""
    case = story.case
    flow = case.name == "invision-flow"
    conn_id = story.connection(**{"flow_host" if flow else "host": "http://workflows.example.com/api"})
    error = refused(story, **{f"{case.system}_conn_id": conn_id})
    assert isinstance(error, InvalidConnection), error
    field = "flow_host" if flow else "host"
    assert all(part in str(error) for part in (f"connection {CHANGED!r}, field {field!r}", "allow_http")), error
    assert story.asked("", "POST") == []


@pytest.mark.parametrize("empty", ["", "  "])
@pytest.mark.parametrize("mode", ["sync"])
def test_an_empty_secret_is_named(story, empty):
    """Each field on its own, before anything is sent."""
    for field in story.case.secrets:
        conn_id = story.connection(**{field: empty})
        error = refused(story, **{f"{story.case.system}_conn_id": conn_id})
        assert isinstance(error, InvalidConnection), error
        assert f"connection {CHANGED!r}, field {field!r}" in str(error)
    assert story.asked("", "POST") == story.asked("") == []


def test_what_was_refused_leaves_no_intent_behind(story):
    """So that the next try starts afresh, once the connection is mended."""
    case = story.case
    if case.wrong_secret.error is UnknownStart:
        pytest.skip("the API answers 500 to a wrong key, so nobody can tell whether a run was started")
    refused(story, **{f"{case.system}_conn_id": story.connection(**{case.secrets[-1]: WRONG})})
    assert story.store.kept == {}
    story.ti = story.ti.retried()
    assert story.told()["state"] == "succeeded"
    assert len(story.runs()) == 1
