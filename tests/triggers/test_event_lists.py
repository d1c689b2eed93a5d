"""How much of Alteryx's list of jobs is read: all pages once, and later only those that can matter."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from airflow_workflow_provider.exceptions import RequestRejected
from airflow_workflow_provider.protocol.connection import ConnectionValues
from airflow_workflow_provider.protocol.effects import Request, Response
from airflow_workflow_provider.protocol.times import from_epoch
from airflow_workflow_provider.systems import SYSTEMS
from tests.protocol.playing import EPOCH, Player, answer

JOBS = 350
MINUTE = timedelta(minutes=1)
NOW = from_epoch(EPOCH)


class Server:
    """A server with a job a minute; ``obeys`` says whether it sorts as it is asked to."""

    def __init__(self, *, obeys: bool = True, refuses: bool = False) -> None:
        self.obeys, self.refuses = obeys, refuses

    def __call__(self, request: Request) -> Response:
        """Answer one page, or a token."""
        if "/jobs" not in request.url:
            return answer(200, {"access_token": "t", "expires_in": 3600, "token_type": "bearer"})
        asked = dict(request.params or {})
        if self.refuses and "direction" in asked:
            return answer(400, {"message": "The request is invalid."})
        jobs = [self.job(number) for number in range(JOBS)]  # the newest comes first
        rows = jobs if self.obeys and asked.get("direction") == "desc" else jobs[::-1]
        start = int(asked["offset"])
        return answer(200, rows[start : start + int(asked["limit"])])

    def job(self, minutes: int) -> dict[str, Any]:
        """The job that was created so many minutes ago."""
        return {"id": f"job-{minutes}", "status": "Completed", "createDate": (NOW - minutes * MINUTE).isoformat()}


def listed(server: Server, minutes: int | None, times: int = 1) -> tuple[list[str], int]:
    """The ids of a list that goes back so many minutes, and how many pages the last of some calls has asked for."""
    values = ConnectionValues("a", host="https://server/webapi", login="key", password="secret")
    system, player = SYSTEMS["alteryx"](values), Player(answer_to=server)
    since = None if minutes is None else NOW - minutes * MINUTE
    found = [player.play(system.list_runs("app", since)) for _ in range(times - 1)]
    before = len([one for one in player.requests if "/jobs" in one.url])
    found.append(player.play(system.list_runs("app", since)))
    return [run.run_id for run in found[-1]], len([one for one in player.requests if "/jobs" in one.url]) - before


def test_all_pages_are_read_without_a_moment():
    assert listed(Server(), None) == ([f"job-{number}" for number in range(JOBS)], 4)


@pytest.mark.parametrize(("minutes", "pages"), [(0, 1), (60, 1), (98, 1), (100, 2), (250, 3), (1_000, 4)])
def test_no_page_is_read_behind_the_moment(minutes, pages):
    wanted = [f"job-{number}" for number in range(min(minutes + 1, JOBS))]
    assert listed(Server(), minutes) == (wanted, pages)


def test_a_server_that_does_not_sort_is_read_to_the_end():
    assert listed(Server(obeys=False), 60) == ([f"job-{number}" for number in range(61)], 4)


def test_a_server_that_refuses_to_sort_is_asked_without_from_then_on():
    assert listed(Server(obeys=False, refuses=True), 60) == ([f"job-{number}" for number in range(61)], 5)
    assert listed(Server(obeys=False, refuses=True), 60, times=2)[1] == 4


def test_another_refusal_is_an_error():
    with pytest.raises(RequestRejected):
        listed(Deaf(), None)


class Deaf(Server):
    """A server that refuses the list, whatever is asked."""

    def __call__(self, request: Request) -> Response:
        """Answer a token, and refuse everything else."""
        return answer(400, {"message": "no"}) if "/jobs" in request.url else super().__call__(request)
