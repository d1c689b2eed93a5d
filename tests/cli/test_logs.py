"""The command that shows the log of a run."""

from __future__ import annotations

import json
import re

import pytest

from tests.cli.calling import called

FLOW = ("invision_default", "6e1f0004-8d2a-4b7c-b6f4-0d5eed000004", "--option", "workflow_api=flow")
NUMBER = re.compile(r"line (\d+) of")


def numbers(text):
    return [int(number) for number in NUMBER.findall(text)]


@pytest.fixture
def started(quick):
    """Start a run of Flow with 2,000 lines; give its arguments."""

    def start(**settings):
        quick.settings("invision", log_lines=2000, log_seconds=0.3, **settings)
        run = called("start", *FLOW, "-p", "seconds:=0.5", "-o", "json").run
        return (FLOW[0], run["run_id"], "--workflow", FLOW[1], *FLOW[2:])

    return start


def test_a_log_is_followed_until_the_run_has_ended(started):
    shown = called("logs", *started(), "--follow", "--poll-interval", "1")
    assert (shown.code, numbers(shown.stdout)) == (0, list(range(1, 2001)))
    assert re.match(r"\d{4}-\d\d-\d\dT[\d:.]+Z INFO    ", shown.stdout)


def test_a_log_is_shown_once_as_text_and_as_json(started):
    run = started()
    called("logs", *run, "--follow")
    assert numbers(called("logs", *run).stdout) == list(range(1, 2001))
    rows = called("logs", *run, "-o", "json").json
    assert set(rows[0]) == {"time", "level", "text"}
    assert len(rows) == 2002
    assert called("logs", *run, "--since", "2099-01-01").stdout == ""


def test_a_followed_log_as_json_has_a_line_per_line(started):
    shown = called("logs", *started(), "--follow", "-o", "json")
    assert [json.loads(line)["level"] for line in shown.stdout.splitlines()] == ["info"] * 2002


def test_start_and_wait_shows_lines_beside_the_result(quick):
    quick.settings("invision", log_lines=50)
    shown = called("start", *FLOW, "-p", "seconds:=0.2", "--wait", "--poll-interval", "0.1", "-o", "json")
    assert shown.run["state"] == "succeeded"
    assert numbers(shown.stderr) == list(range(1, 51))


def test_a_log_that_fails_does_not_fail_the_wait(quick):
    quick.settings("invision", log_lines=50, log_status=503)
    shown = called("start", *FLOW, "-p", "seconds:=0.2", "--wait", "--poll-interval", "0.1", "-o", "json")
    assert (shown.code, shown.run["state"]) == (0, "succeeded")
    assert "cannot be read" in shown.stderr


def test_a_run_without_a_log_cannot_be_shown(quick, monkeypatch):
    connection = quick.connections()["invision_default"]
    del connection["extra"]["monitoring_api_key"]
    monkeypatch.setenv("AIRFLOW_CONN_INVISION_DEFAULT", json.dumps(connection))
    shown = called("logs", "invision_default", "1", "--workflow", "2f0c0003")
    assert (shown.code, shown.stdout) == (2, "")
    assert "monitoring_api_key" in shown.stderr
