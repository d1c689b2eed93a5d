"""List calls that tell of many runs whether they go on."""

from __future__ import annotations

from urllib.parse import parse_qs, urlencode

import pytest

from airflow_workflow_provider.exceptions import NotSupported
from airflow_workflow_provider.protocol.connection import ConnectionValues
from airflow_workflow_provider.protocol.model import Run
from airflow_workflow_provider.protocol.times import from_epoch
from airflow_workflow_provider.systems import SYSTEMS
from airflow_workflow_provider.systems.alteryx.run_list import DEPTH, PAGE
from tests.protocol.playing import EPOCH, Player, answer

SINCE = from_epoch(EPOCH)
LATER, EARLIER = "2027-01-01T00:00:00Z", "2026-01-01T00:00:00Z"
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
    with pytest.raises(NotSupported, match="is not a list of"):
        asked(system, ["j1"], Player([answer(200, body)]))


def test_stevesie_tells_going_from_over_and_from_not_shown():
    rows = [
        {"id": "e1", "completed_at": None, "status": "working"},
        {"id": "e2", "completed_at": "2026-01-01T00:00:00Z"},
        {"id": "e3", "completed_at": None, "error": "blocked"},
        {"id": "e4"},
        {"id": "e6", "completed_at": None, "state": "Errored"},
        {"id": "e7", "completed_at": None, "status": "canceled"},
    ]
    shown = asked(STEVESIE, [f"e{number}" for number in range(1, 8)], Player([answer(200, {"objects": rows})]))
    assert (shown.going, shown.over, shown.rows) == ({"e1"}, {"e2", "e3", "e6", "e7"}, 6)


@pytest.mark.parametrize("system", [alteryx(), STEVESIE], ids=lambda system: system.key)
def test_a_run_whose_workflow_is_not_known_has_no_list(system):
    assert system.run_list(Run(system.key, "c", "", "1")) is None


@pytest.mark.parametrize("key", ["carto", "chorus", "invision"])
def test_the_other_systems_have_no_list(key):
    assert "run_list" not in vars(SYSTEMS[key])


INVISION = SYSTEMS["invision"](
    ConnectionValues(
        "c",
        host="https://server",
        password="key-s3cret",
        extra={"flow_api_key": "k-s3cret", "tenant_id": "t", "workspace_id": "w"},
    )  # they are none
)
STARTED = [(alteryx(), {}), (STEVESIE, {}), (INVISION, {"workflow_api": "flow"})]
of_each_list = pytest.mark.parametrize(("system", "options"), STARTED, ids=["alteryx", "stevesie", "invision"])
# What each list shows of a run that began some time.
ROWS = {
    "alteryx": lambda began: {"id": "r", "status": "Running", "createDate": began},
    "stevesie": lambda began: {"id": "r", "created_at": began, "completed_at": None, "execution_parameters": None},
    "invision": lambda began: {"jobId": "r", "state": 1, "startTime": began},
}


def started(system, options, document, parameters=None):
    """Look for the run of a start whose answer was lost."""
    return Player([answer(200, document)]).play(system.find_started("wf", parameters or {}, options, SINCE))


def listing(system, *rows):
    """A list as the system gives it."""
    return {"objects": list(rows)} if system is STEVESIE else list(rows)


@of_each_list
def test_a_start_is_found_by_its_time(system, options):
    row = ROWS[system.key]
    assert [run.run_id for run in started(system, options, listing(system, row(LATER)))] == ["r"]
    assert started(system, options, listing(system, row(EARLIER))) == []
    assert started(system, options, listing(system)) == []


@of_each_list
@pytest.mark.parametrize("document", [{"executions": [{"id": "r"}]}, {"items": []}, {}, "null", ["r"], [{}]], ids=repr)
def test_what_is_no_list_does_not_tell_that_nothing_was_started(system, options, document):
    """Else a second run would be started, and paid for, beside the one whose answer was lost."""
    with pytest.raises(NotSupported, match="is not a list of"):
        started(system, options, document)


@of_each_list
def test_a_run_without_a_start_is_not_taken_for_the_one_that_is_looked_for(system, options):
    """It may be years old."""
    with pytest.raises(NotSupported, match="does not tell when"):
        started(system, options, listing(system, ROWS[system.key](None)))


@pytest.mark.parametrize("given", [{}, {"execution_parameters": "a=1"}, {"execution_parameters": [1]}], ids=repr)
def test_stevesie_cannot_tell_runs_apart_without_their_parameters(given):
    row = {"id": "e1", "created_at": LATER, "completed_at": None, **given}
    with pytest.raises(NotSupported, match="with which parameters"):
        started(STEVESIE, {}, {"objects": [row]}, {"a": 1})
    assert started(STEVESIE, {}, {"objects": [{**row, "created_at": EARLIER}]}, {"a": 1}) == []


def test_stevesie_finds_the_run_with_the_same_parameters():
    rows = [
        {"id": name, "created_at": LATER, "completed_at": None, "execution_parameters": given}
        for name, given in (("other", '{"a": 2}'), ("none", None), ("ours", '{"a": 1}'))
    ]
    assert [run.run_id for run in started(STEVESIE, {}, {"objects": rows}, {"a": 1})] == ["ours"]
    assert [run.run_id for run in started(STEVESIE, {}, {"objects": rows})] == ["none"]


def test_a_list_that_shows_little_is_still_a_list_of_runs():
    """For whoever looks at each; only an answer that was lost cannot be settled by it."""
    document = {"objects": [{"id": "e1"}]}
    assert [run.run_id for run in Player([answer(200, document)]).play(STEVESIE.find_runs("wf"))] == ["e1"]
