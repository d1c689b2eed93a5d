"""Whatever a server answers, a flow of CARTO's ends in a `Run` (or a list, a sentence, nothing) or in our own error."""

from __future__ import annotations

import json
from contextlib import suppress
from itertools import cycle

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from airflow_workflow_provider.exceptions import RunTimedOut, WorkflowError
from airflow_workflow_provider.protocol.connection import ConnectionValues
from airflow_workflow_provider.protocol.effects import Response
from airflow_workflow_provider.protocol.model import Output, Run
from airflow_workflow_provider.protocol.poll import wait
from airflow_workflow_provider.protocol.retry import persist
from airflow_workflow_provider.systems.carto import CartoSystem
from tests.protocol.playing import EPOCH, Player, answer
from tests.systems.answering import GIVEN, MINTED, READING, answers, mutations, samples

RUN = Run("carto", "carto_c", "p.d.wfproc_1", "job_1", outputs=(Output("t", "table", "p.d.t"),))
A_TOKEN = answer(200, {"access_token": MINTED, "expires_in": 3600})

FLOWS = {
    "start": lambda system: persist(lambda: system.start("p.d.wfproc_1", {"n": 1}, {})),
    "start a call": lambda system: persist(lambda: system.start("CALL wfproc_1(@n)", {"n": 1}, {})),
    "look": lambda system: persist(lambda: system.look(RUN)),
    "wait": lambda system: wait(system.look, RUN, poll_interval=10.0, deadline=EPOCH + 90),
    "cancel": lambda system: persist(lambda: system.cancel(RUN)),
    "test": lambda system: system.test(),
    "read": lambda system: system.read(RUN, RUN.outputs[0]).flow(),
}
series = st.lists(answers("carto"), min_size=1, max_size=5)


def system(oauth):
    """CARTO with an access token and a read token, or with OAuth."""
    login = {"login": "client", "extra": {"token_url": "https://auth.example.com/oauth/token"}}
    extra = {"extra": {"read_token": READING}}
    return CartoSystem(
        ConnectionValues("carto_c", host="https://example.com", password=GIVEN, **(login if oauth else extra))
    )


def answering(given_, logs_in):
    """Answer in turn, again and again; the log-in succeeds where it is not what is tried."""
    turns, asked = cycle(given_), []

    def chosen(request):
        asked.append(request)
        if len(asked) > 100 and request.url.endswith("/query"):
            raise StillReading
        return A_TOKEN if logs_in and request.url.endswith("/oauth/token") else next(turns)

    return chosen


class StillReading(Exception):
    """A table that claims to be endless is being read; that is right, and enough."""


def outcome(flow, player):
    """What a flow comes to: its value or an error of ours. Nothing else is caught."""
    try:
        return player.play(flow)
    except WorkflowError as error:
        return error


def check(name, player, oauth):
    """Play a flow; see that it ends well or in an error of ours, and that no secret comes out."""
    found = outcome(FLOWS[name](system(oauth)), player)
    known = {GIVEN, *player.secrets} if oauth else {GIVEN, READING}
    if isinstance(found, WorkflowError):
        assert any(part in str(found) for part in ("carto_c", "job_1", "p.d.t"))
        assert not [secret for secret in known if len(secret) > 3 and secret in str(found)]
        return
    assert isinstance(found, {"cancel": type(None), "test": str, "read": type(None)}.get(name, Run))
    if isinstance(found, Run):
        assert Run.from_json(json.loads(json.dumps(found.to_json()))) == found
        assert not [secret for secret in known if len(secret) > 3 and secret in found.message]


@pytest.mark.parametrize("name", FLOWS)
@settings(max_examples=120)
@given(given_=series, oauth=st.booleans(), logs_in=st.booleans())
def test_whatever_the_server_answers_a_flow_ends_in_a_value_or_in_our_error(name, given_, oauth, logs_in):
    """And shows nobody a secret, though the server may echo each of them."""
    with suppress(StillReading):
        check(name, Player(answer_to=answering(given_, logs_in)), oauth)


@pytest.mark.parametrize("name", FLOWS)
@settings(max_examples=120)
@given(bodies=st.lists(mutations(samples("carto")), min_size=1, max_size=4))
def test_whatever_nearly_right_json_comes_with_a_200_a_flow_ends_in_a_value_or_in_our_error(name, bodies):
    given_ = [Response(200, {}, json.dumps(body).encode()) for body in bodies]
    with suppress(StillReading):
        check(name, Player(answer_to=answering(given_, logs_in=False)), oauth=False)


@settings(max_examples=120)
@given(series)
def test_a_wait_ends_by_its_deadline_whatever_is_answered(given_):
    """It ends in the run's end, out of time, or in the five refusals that end it early."""
    player = Player(answer_to=answering(given_, logs_in=False))
    found = outcome(FLOWS["wait"](system(oauth=False)), player)
    assert player.now <= EPOCH + 90
    if isinstance(found, RunTimedOut):
        assert (player.now, found.run.run_id) == (EPOCH + 90, "job_1")
    elif isinstance(found, Run):
        assert found.state.is_terminal
