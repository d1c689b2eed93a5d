"""List calls that tell of many runs whether they go on."""

from __future__ import annotations

from urllib.parse import parse_qs, urlencode

import pytest

from airflow_workflow_provider.exceptions import NotSupported
from airflow_workflow_provider.protocol.connection import ConnectionValues
from airflow_workflow_provider.protocol.model import Run
from airflow_workflow_provider.systems import SYSTEMS
from airflow_workflow_provider.systems.alteryx_list import DEPTH, PAGE
from tests.protocol.playing import Player, answer

STEVESIE = SYSTEMS["stevesie"](ConnectionValues("c", password="5e7e51e0-token"))  # it is none


def alteryx(auth="oauth1"):
    """Alteryx with the API of either generation."""
    return SYSTEMS["alteryx"](
        ConnectionValues(
            "c", host="https://server/gallery", login="key", password="topsecret", extra={"auth": auth}
        )  # it is none
    )


def asked(system, wanted, player, workflow="wf"):
    """Ask for the list of a workflow."""
    return player.play(system.run_list(Run(system.key, "c", workflow, "1")).ask(set(wanted)))


def paged(rows):
    """A server that gives as many rows of its list as it is asked for."""

    def given(request):
        query = {name: values[0] for name, values in parse_qs(urlencode(request.params)).items()}
        begin = int(query["offset"])
        assert query["direction"] == "desc"
        return answer(200, rows[begin : begin + int(query["limit"])])

    return given


def job(number, status="Running"):
    return {"id": f"j{number}", "createDate": "2026-01-01T00:00:00Z", "status": status, "priority": "Low"}


def test_alteryx_tells_going_from_over_and_from_not_shown():
    rows = [job(1), job(2, "Queued"), job(3, "Completed"), job(4, "Cancelled"), job(5, "Novelty"), {"id": "j6"}]
    shown = asked(alteryx(), ["j1", "j2", "j3", "j4", "j5", "j6", "j7"], Player(answer_to=paged(rows)))
    assert (shown.going, shown.over) == ({"j1", "j2"}, {"j3", "j4", "j5"})


def test_alteryx_reads_pages_until_all_are_found():
    rows = [job(number) for number in range(3000)]
    player = Player(answer_to=paged(rows))
    shown = asked(alteryx(), [f"j{number}" for number in range(1200)], player)
    assert len(shown.going) == 1200
    assert (shown.requests, len(player.requests), shown.rows) == (3, 3, 3 * PAGE[1])


def test_alteryx_does_not_read_a_long_history_for_a_few_jobs():
    rows = [job(number) for number in range(100_000)]
    shown = asked(alteryx(), ["gone1", "gone2", "gone3"], Player(answer_to=paged(rows)))
    assert shown.rows <= DEPTH * 3
    assert not shown.going | shown.over
    assert not shown.is_whole


def test_one_job_that_is_not_listed_does_not_make_the_list_seem_too_long_for_all():
    """So many rows as are worth it for those who wait, whatever the size of the pages."""
    rows = [job(number) for number in range(5000)]
    wanted = [f"j{number}" for number in range(99)]
    shown = asked(alteryx(), [*wanted, "gone"], Player(answer_to=paged(rows)))
    assert (len(shown.going), shown.rows) == (99, DEPTH * 100)


def test_alteryx_tells_that_it_has_read_the_whole_list():
    shown = asked(alteryx(), ["j0", "gone1", "gone2"], Player(answer_to=paged([job(number) for number in range(7)])))
    assert (shown.going, shown.is_whole) == ({"j0"}, True)


def test_a_server_that_gives_fewer_rows_than_asked_for_is_asked_on():
    rows = [job(number) for number in range(200)]
    player = Player(answer_to=lambda request: answer(200, rows[int(request.params["offset"]) :][:20]))
    assert len(asked(alteryx(), [f"j{number}" for number in range(100)], player).going) == 100


@pytest.mark.parametrize("document", [{"message": "no"}, "text", 7, None], ids=repr)
@pytest.mark.parametrize("system", [alteryx(), STEVESIE], ids=lambda system: system.key)
def test_an_answer_that_is_no_list_means_that_there_is_none(system, document):
    if document is None:
        document = {"data": None, "objects": None}
    body = '"text"' if document == "text" else document
    with pytest.raises(NotSupported, match="no list"):
        asked(system, ["j1"], Player([answer(200, body)]))


def test_stevesie_tells_going_from_over_and_from_not_shown():
    rows = [
        {"id": "e1", "completed_at": None},
        {"id": "e2", "completed_at": "2026-01-01T00:00:00Z"},
        {"id": "e3", "completed_at": None, "error": "blocked"},
        {"id": "e4"},
    ]
    shown = asked(STEVESIE, ["e1", "e2", "e3", "e4", "e5"], Player([answer(200, {"objects": rows})]))
    assert (shown.going, shown.over, shown.rows) == ({"e1"}, {"e2", "e3"}, 4)


@pytest.mark.parametrize("system", [alteryx(), STEVESIE], ids=lambda system: system.key)
def test_a_run_whose_workflow_is_not_known_has_no_list(system):
    assert system.run_list(Run(system.key, "c", "", "1")) is None


@pytest.mark.parametrize("key", ["carto", "chorus", "invision"])
def test_the_other_systems_have_no_list(key):
    assert "run_list" not in vars(SYSTEMS[key])
