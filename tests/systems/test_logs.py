"""What each system gives as the log of a run, and that the cursor of a page is where the next one begins."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from airflow_workflow_provider.exceptions import NotSupported
from airflow_workflow_provider.protocol.connection import ConnectionValues
from airflow_workflow_provider.protocol.model import Run, RunState
from airflow_workflow_provider.protocol.run_log import CursorLost, HasLog
from airflow_workflow_provider.protocol.times import iso
from airflow_workflow_provider.systems import SYSTEMS
from airflow_workflow_provider.systems.chorus import log as chorus_log
from airflow_workflow_provider.systems.invision.flow_api import NO_ITEMS
from airflow_workflow_provider.systems.invision.log import KEPT, is_of
from tests.protocol.playing import EPOCH, Player, answer

FLOW = {
    "tenant_id": "t",
    "workspace_id": "w",
    "flow_api_key": "flow-key-0001",
    "monitoring_api_key": "monitoring-key-0001",
}
BEGAN = datetime(2026, 11, 30, 14, tzinfo=UTC)
RUN_ID, FLOW_ID = "5a9d0001-0000-4000-8000-00000000ab01", "2f0c0003-3b1e-4c55-9a10-0d5eed000003"


def system(key, **extra):
    auth = {"auth": "oauth1"} if key == "alteryx" else {}
    host = "https://server/gallery" if key == "alteryx" else "https://server"
    return SYSTEMS[key](ConnectionValues("c", host=host, login="user", password="s3cret-word", extra={**auth, **extra}))


def read(made, run, answers, cursor=None):
    """Read one page; give its texts, its cursor as another process gets it, and what was asked."""
    player = Player(list(answers))
    page = player.play(made.read_log(run, cursor))
    return [line.text for line in page], json.loads(json.dumps(page.cursor)), player


@pytest.mark.parametrize("key", SYSTEMS)
def test_every_system_has_a_log(key):
    assert isinstance(system(key), HasLog)


# Profitbase Flow


def items(*numbers, kind=2):
    return {
        "executionState": 1,
        "logItems": [
            {"data": f"line {n}", "type": kind, "logTimeStamp": "2026-11-30T14:00:01Z", "logItemId": n} for n in numbers
        ],
    }


FLOW_RUN = Run("invision", "c", "f", "j", RunState.RUNNING, details={"workflow_api": "flow"})


def test_flow_is_asked_for_what_follows_the_largest_id_that_was_seen():
    made = system("invision", **FLOW)
    texts, cursor, player = read(made, FLOW_RUN, [answer(200, items(7, 8, 9))])
    assert (texts, player.requests[0].params) == (["line 7", "line 8", "line 9"], {"logItemId": "0"})
    texts, cursor, player = read(made, FLOW_RUN, [answer(200, items(10))], cursor)
    assert (texts, player.requests[0].params) == (["line 10"], {"logItemId": "9"})
    texts, again, _ = read(made, FLOW_RUN, [answer(200, items())], cursor)
    assert (texts, again) == ([], cursor)


def test_flow_lines_come_in_the_order_of_their_ids_and_none_twice_whatever_the_server_gives():
    made = system("invision", **FLOW)
    _, cursor, _ = read(made, FLOW_RUN, [answer(200, items(1, 2))])
    texts, _, _ = read(made, FLOW_RUN, [answer(200, items(4, 2, 3, 1))], cursor)
    assert texts == ["line 3", "line 4"]


@pytest.mark.parametrize(
    ("kind", "level"),
    [(1, "debug"), (2, "info"), (3, "info"), (4, "warning"), (5, "error"), ("5", "error"), (9, "info")],
)
def test_flow_types_are_levels(kind, level):
    page = Player([answer(200, items(1, kind=kind))]).play(system("invision", **FLOW).read_log(FLOW_RUN, None))
    assert [(line.level, line.time) for line in page] == [(level, BEGAN + timedelta(seconds=1))]


def test_flow_without_ids_and_with_other_data_is_compared_as_a_whole():
    made = system("invision", **FLOW)
    document = {"executionState": 1, "logItems": [{"data": "a"}, {"data": {"rows": 3}}, {"Data": "b", "Type": 5}, 7]}
    texts, cursor, _ = read(made, FLOW_RUN, [answer(200, document)])
    assert texts == ["a", '{"rows": 3}', "b"]
    document["logItems"].append({"data": "c"})
    assert read(made, FLOW_RUN, [answer(200, document)], cursor)[0] == ["c"]


def test_a_flow_cursor_that_the_server_forgot_is_lost():
    with pytest.raises(CursorLost):
        read(system("invision", **FLOW), FLOW_RUN, [answer(400)], {"id": 9})


def test_a_poll_of_flow_takes_no_log_items_and_their_end_tells_why():
    made, running = system("invision", **FLOW), answer(200, items())
    player = Player([running])
    player.play(made.get_run(FLOW_RUN))
    assert [request.params for request in player.requests] == [{"logItemId": str(NO_ITEMS)}]
    failed = {"executionState": 4, "logItems": []}
    player = Player([answer(200, failed), answer(200, {**failed, "logItems": items(1, kind=5)["logItems"]})])
    assert player.play(made.get_run(FLOW_RUN)).message == "line 1"


def test_a_server_that_refuses_an_id_beyond_all_is_asked_for_all_from_then_on():
    made = system("invision", **FLOW)
    player = Player([answer(400), answer(200, items(1)), answer(200, items(1))])
    for _ in range(2):
        assert player.play(made.get_run(FLOW_RUN)).state is RunState.RUNNING
    assert [request.params["logItemId"] for request in player.requests] == [str(NO_ITEMS), "0", "0"]


# InVision's monitoring log

DATA_FLOW = Run("invision", "c", FLOW_ID, RUN_ID, RunState.RUNNING, started_at=BEGAN)


def monitored(*seconds, text=f"Data Flow ({FLOW_ID}), TaskId {RUN_ID}"):
    return [
        {
            "rowid": f"row {index}",
            "data": f"{text}: line {second}",
            "level": "Warning",
            "timestamputc": iso(BEGAN + timedelta(seconds=second)).rstrip("Z"),
            "logevent": "DataFlowExecution",
        }
        for index, second in enumerate(seconds)
    ]


def lines_of(texts):
    return [text.rpartition("line ")[2] for text in texts]


def test_the_monitoring_log_is_read_from_the_start_of_the_run_and_then_from_where_it_was():
    made = system("invision", **FLOW)
    texts, cursor, player = read(made, DATA_FLOW, [answer(200, monitored(1, 2, 3))], None)
    assert lines_of(texts) == ["1", "2", "3"]
    assert player.requests[0].params["fromDateTimeUtc"] == "2026.11.30 13:59:00"
    texts, cursor, player = read(made, DATA_FLOW, [answer(200, monitored(1, 2, 3, 200))], cursor)
    assert lines_of(texts) == ["200"]
    texts, _, player = read(made, DATA_FLOW, [answer(200, monitored(1, 2, 3, 200)[3:])], cursor)
    assert texts == []
    assert player.requests[0].params["fromDateTimeUtc"] == "2026.11.30 14:02:20"


def test_a_line_that_comes_later_than_its_time_is_not_lost():
    made = system("invision", **FLOW)
    _, cursor, _ = read(made, DATA_FLOW, [answer(200, monitored(1, 30))])
    rows = monitored(1, 30, 10)
    assert lines_of(read(made, DATA_FLOW, [answer(200, rows)], cursor)[0]) == ["10"]


def test_thousands_of_lines_within_a_minute_come_once_and_the_cursor_stays_small():
    made, found, cursor = system("invision", **FLOW), [], None
    rows = monitored(*[number / 100 for number in range(3000)])
    for end in range(500, 3001, 500):
        texts, cursor, _ = read(made, DATA_FLOW, [answer(200, rows[:end])], cursor)
        found += lines_of(texts)
        assert len(json.dumps(cursor)) < 9 * KEPT
    assert found == lines_of(row["data"] for row in rows)


def test_many_lines_of_the_same_moment_come_once():
    made, found, cursor = system("invision", **FLOW), [], None
    rows = monitored(*[5] * 2000)
    for end in (700, 1400, 2000):
        texts, cursor, _ = read(made, DATA_FLOW, [answer(200, rows[:end])], cursor)
        found += texts
    assert len(found) == 2000


@pytest.mark.parametrize(
    ("text", "is_own"),
    [
        (f"TaskId {RUN_ID.upper()}", True),
        (f"Data Flow {FLOW_ID} started", True),
        (f"Data Flow {FLOW_ID}, TaskId 5a9d0009-0000-4000-8000-00000000ab09", False),
        ("something else", False),
    ],
)
def test_a_line_belongs_to_the_run_that_it_names(text, is_own):
    assert is_of(DATA_FLOW, text) is is_own


@pytest.mark.parametrize("moment", ["2026.11.30 14:00:01", None, "soon"])
def test_times_in_another_form_or_none_lose_and_repeat_nothing(moment):
    made = system("invision", **FLOW)
    rows = [{**row, "timestamputc": moment} for row in monitored(1, 2, 3)]
    texts, cursor, _ = read(made, DATA_FLOW, [answer(200, rows[:2])])
    assert lines_of(texts) == ["1", "2"]
    assert lines_of(read(made, DATA_FLOW, [answer(200, rows)], cursor)[0]) == ["3"]


def test_without_a_monitoring_key_there_is_no_log_and_it_says_which_field_lacks():
    with pytest.raises(NotSupported, match="monitoring_api_key"):
        read(system("invision"), DATA_FLOW, [])


# Alteryx

JOB = Run("alteryx", "c", "app", "j1", RunState.RUNNING)


def job(*texts, status="Running", **more):
    return {
        "id": "j1",
        "status": status,
        "messages": [{"status": 1, "text": text, "toolId": -1} for text in texts],
        **more,
    }


def test_alteryx_messages_are_lines_with_levels_and_tools():
    rows = [{"status": 3, "text": "bad", "toolId": 7}, {"status": 2, "text": "hm", "toolId": -1}, {"text": "x"}, 5, {}]
    page = Player([answer(200, {**job(), "messages": rows})]).play(system("alteryx").read_log(JOB, None))
    assert [(line.level, line.text) for line in page] == [("error", "bad (tool 7)"), ("warning", "hm"), ("info", "x")]


def test_alteryx_messages_come_once_also_when_the_server_puts_errors_in_front():
    made = system("alteryx")
    texts, cursor, player = read(made, JOB, [answer(200, job("a", "b"))])
    assert (texts, player.requests[0].params) == (["a", "b"], {"includeMessages": "true"})
    assert read(made, JOB, [answer(200, job("error", "a", "b", "c"))], cursor)[0] == ["error", "c"]


def test_a_poll_of_a_job_takes_no_messages():
    made = system("alteryx")
    player = Player([answer(200, job())])
    player.play(made.get_run(JOB))
    assert [request.params for request in player.requests] == [{"includeMessages": "false"}]


def test_a_reduced_answer_that_lacks_more_than_the_messages_is_completed_at_the_end():
    reduced, whole = {"id": "j1", "status": "Completed"}, job(status="Completed", disposition="Success", outputs=[])
    player = Player([answer(200, reduced), answer(200, whole)])
    assert player.play(system("alteryx").get_run(JOB)).state is RunState.SUCCEEDED
    assert [request.params["includeMessages"] for request in player.requests] == ["false", "true"]


# Team Studio

LOG_IN = answer(201, {"response": {"session_id": "a session of ours"}})
NOTE = {
    "analyticNodeName": "K-Means",
    "messageType": "Info",
    "timeStamp": "Apr 7, 2014 2:30:03 PM",
    "props": {"job": 8},
}


def polled(message):
    """The engine process as a poll sees it."""
    document = {"meta": {"workflowId": "43", "processId": "p", "state": "IN_PROGRESS"}, "message": message}
    made = system("chorus")
    run = Player([LOG_IN, answer(200, document)]).play(made.get_run(Run("chorus", "c", "43", "p")))
    return made, run


def test_the_engine_tells_the_node_in_progress_and_its_message_once():
    made, run = polled(f"In progress, processing node: K-Means, message:{json.dumps(NOTE)}")
    texts, cursor, player = read(made, run, [])
    assert texts == ["K-Means: Apr 7, 2014 2:30:03 PM, job=8"]
    assert player.requests == []
    assert read(made, run, [], cursor)[0] == []
    _, later = polled("In progress, processing node: Row Filter, message:odd")
    page = Player().play(made.read_log(later, cursor))
    assert ([line.text for line in page], page.progress) == (["Row Filter: odd"], "node 2 (Row Filter)")


def test_a_message_of_the_engine_that_is_nested_too_deep_is_text():
    text = f"In progress, processing node: Sum, message:{'[' * 100_000}"
    run = Run("chorus", "c", "w", "1", details={chorus_log.STATUS_TEXT: text})
    (line,) = chorus_log.running_page(run, None)
    assert line.text.startswith("Sum: [[[")


def test_the_notes_of_an_engines_results_come_at_the_end_and_once():
    results = {
        "flowMetaInfo": {"status": "FAILURE"},
        "logs": [{"nodeName": "A", "errMessage": "null"}, {"nodeName": "B", "errMessage": "no such column"}, 7],
        "outputs": [{"out_title": "A", "visualData": {"errorMessages": ["limited to 25 rows"]}}],
    }
    made, run = polled("In progress")
    over = replace(run, state=RunState.FAILED)
    body = answer(200, json.dumps(json.dumps(results)))
    page = Player([body]).play(made.read_log(over, {"said": "x"}))
    assert [(line.level, line.text) for line in page] == [
        ("error", "B: no such column"),
        ("info", "A: limited to 25 rows"),
    ]
    assert read(system("chorus"), over, [LOG_IN, body], page.cursor)[0] == []


def test_the_status_text_is_not_kept_when_the_run_has_ended():
    made, run = polled("In progress")
    assert "status_text" in run.details
    stored = answer(200, json.dumps(json.dumps({"flowMetaInfo": {"status": "SUCCESS"}})))
    ended = Player([answer(200, "Workflow not started or already stopped.\n"), stored]).play(made.get_run(run))
    assert "status_text" not in ended.details


@pytest.mark.parametrize("run_id", ["job:1:2", "workfile:1:2:3"])
def test_other_modes_of_team_studio_have_no_log(run_id):
    with pytest.raises(NotSupported, match="run_mode"):
        read(system("chorus"), Run("chorus", "c", "1", run_id), [])


# CARTO and Stevesie


def test_carto_shows_where_a_job_runs_and_how_its_state_changes():
    made = system("carto")
    run = Run("carto", "c", "wf", "job", RunState.RUNNING, details={"location": "US", "provider": "bigquery"})
    texts, cursor, _ = read(made, run, [])
    assert texts == ["the job runs on bigquery in US", "the job is running"]
    failed = replace(run, state=RunState.FAILED, message="no such column")
    page = Player().play(made.read_log(failed, cursor))
    assert [(line.level, line.text) for line in page] == [("error", "the job has ended: failed: no such column")]
    assert read(made, failed, [], page.cursor)[0] == []


def test_stevesie_shows_the_number_of_results_when_it_changes():
    made = system("stevesie")
    run = Run("stevesie", "c", "wf", "e")
    document = {"object": {"id": "e", "completed_at": None, "results": [{"id": "1", "url": "https://x/1.csv"}]}}
    seen = Player([answer(200, document)]).play(made.get_run(run))
    texts, cursor, _ = read(made, seen, [])
    assert texts == ["the execution has 1 result"]
    assert read(made, seen, [], cursor)[0] == []
    assert read(made, run, [], cursor)[0] == []


def test_moments_of_these_tests_are_apart():
    """The window of the monitoring log ends a minute after now, which the player says."""
    player = Player([answer(200, [])])
    player.play(system("invision", **FLOW).read_log(replace(DATA_FLOW, started_at=None), None))
    now = datetime.fromtimestamp(EPOCH, UTC)
    asked = player.requests[0].params
    assert asked["toDateTimeUtc"] == f"{now + timedelta(seconds=60):%Y.%m.%d %H:%M:%S}"
    assert asked["fromDateTimeUtc"] == f"{now - timedelta(seconds=3660):%Y.%m.%d %H:%M:%S}"
