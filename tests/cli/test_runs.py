"""Commands about runs, on every system of the sandbox."""

from __future__ import annotations

import io
import json
import os
import signal
import threading
import time

import pytest

from tests.cli.calling import called

STOCKS, NEVER, FAILING = (f"5f0e2c0000000000000000{number}" for number in ("02", "0b", "09"))
CARTO = "carto-dw-ac-sandbox.workflows_temp_sandbox_5a17b0c3.wfproc_api_8baf05255035847a"
SOON = ("--wait", "--poll-interval", "0.1", "--timeout", "30")
EACH_SYSTEM = {
    "carto": (CARTO, "-p", "rows:=3"),
    "alteryx": (STOCKS, "-p", "Symbol=IBM"),
    "stevesie": ("5e7e51e0-0001-4000-8000-000000000004", "-p", "rows:=3"),
    "chorus": ("1000006", "-p", "@rows=3"),
    "invision": ("2f0c0003-3b1e-4c55-9a10-0d5eed000003", "-p", "rows:=3"),
}


@pytest.mark.parametrize("system", EACH_SYSTEM)
def test_a_run_of_every_system_is_started_awaited_and_looked_at_again(quick, system):
    conn_id, (workflow, *parameters) = f"{system}_default", EACH_SYSTEM[system]
    started = called("start", conn_id, workflow, *parameters, *SOON, "-o", "json")
    assert (started.code, started.run["state"], started.run["system"]) == (0, "succeeded", system)
    again = called("status", conn_id, started.run["run_id"], "--workflow", workflow, "-o", "json")
    assert (again.code, again.run["state"]) == (0, "succeeded")


def test_a_start_without_wait_gives_the_run_at_once(quick):
    started = called("start", "alteryx_default", NEVER, "-o", "json")
    assert (started.code, started.run["state"]) == (0, "queued")
    assert called("status", "alteryx_default", started.run["run_id"]).code == 4


def test_a_failed_run_gives_code_1_and_says_why_beside_the_result(quick):
    failed = called("start", "alteryx_default", FAILING, "-p", "Message=no input today", *SOON, "-o", "json")
    assert (failed.code, failed.run["state"]) == (1, "failed")
    assert "failed: no input today" in failed.stderr.splitlines()[-1]
    assert called("status", "alteryx_default", failed.run["run_id"]).code == 1


def test_a_cancel_is_done_when_the_run_is_over_and_its_status_is_code_3(quick):
    quick.settings("alteryx", delete_queued=False)
    run_id = called("start", "alteryx_default", NEVER, "-o", "json").run["run_id"]
    cancelled = called("cancel", "alteryx_default", run_id, *SOON, "-o", "json")
    assert (cancelled.code, cancelled.run["state"]) == (0, "cancelled")
    assert called("status", "alteryx_default", run_id).code == 3


def test_a_run_that_its_cancel_removes_counts_as_cancelled(quick):
    """A job that still queues is deleted; an id that never was is wrong."""
    quick.settings("alteryx", queued_seconds=60)
    run_id = called("start", "alteryx_default", NEVER, "-o", "json").run["run_id"]
    cancelled = called("cancel", "alteryx_default", run_id, *SOON)
    assert cancelled.code == 0
    assert "the system does not know the run any more" in cancelled.stdout
    assert called("cancel", "alteryx_default", run_id, *SOON).code == 2


def test_a_cancel_without_wait_is_done_when_it_was_taken(quick):
    quick.settings("alteryx", cancel_seconds=30)
    run_id = called("start", "alteryx_default", NEVER, "-o", "json").run["run_id"]
    asked = called("cancel", "alteryx_default", run_id)
    assert asked.code == 0
    assert f"Run {run_id} was asked to stop and is still " in asked.stderr


def test_cancelling_what_has_ended_says_so(quick):
    run_id = called("start", "alteryx_default", STOCKS, "-p", "Symbol=IBM", *SOON, "-o", "json").run["run_id"]
    late = called("cancel", "alteryx_default", run_id)
    assert late.code == 0
    assert "had already ended" in late.stderr
    assert "succeeded" in late.stdout


def test_cancelling_what_has_ended_stops_nothing_else(quick):
    """A stop reaches a Job whoever runs it, so the end of a run is looked for first."""
    job = ("start", "chorus_default", "1000001", "--option", "run_mode=job", "-o", "json")
    run_id = called(*job, *SOON).run["run_id"]
    late = called("cancel", "chorus_default", run_id, "--wait")
    assert (late.code, late.stderr) == (0, f"Run {run_id} had already ended; nothing was cancelled\n")
    assert not [asked for asked in quick.requests("chorus") if asked["path"].endswith("/stop")]


def test_a_cancel_was_taken_though_the_server_then_has_trouble(quick):
    quick.settings("alteryx", cancel_seconds=30)
    run_id = called("start", "alteryx_default", NEVER, "-o", "json").run["run_id"]
    elsewhere = {"Location": "https://elsewhere/"}
    quick.fault(system="alteryx", kind="status", status=302, headers=elsewhere, method="GET", path="/jobs/", after=1)
    asked = called("cancel", "alteryx_default", run_id)
    assert asked.code == 0
    assert f"Run {run_id} was asked to stop and is still " in asked.stderr


def test_an_api_that_cannot_cancel_is_named(quick):
    slow = "5e7e51e0-0001-4000-8000-000000000006"
    run_id = called("start", "stevesie_default", slow, "-p", "seconds:=30", "-o", "json").run["run_id"]
    refused = called("cancel", "stevesie_default", run_id)
    assert (refused.code, refused.stdout) == (2, "")
    assert "Stevesie Cloud has no API call that cancels a run" in refused.stderr


def test_a_timeout_shows_the_run_and_how_to_go_on(quick):
    late = called("start", "alteryx_default", NEVER, "--wait", "--poll-interval", "0.1", "--timeout", "0.5")
    assert late.code == 4
    assert "did not end in time; it was last seen running" in late.stderr
    line = next(line for line in late.stderr.splitlines() if "watch it with: " in line)
    words = line.partition("watch it with: python -m airflow_workflow_provider ")[2].split()
    assert called(*words, "--timeout", "0.5").code == 4
    stop = late.stderr.splitlines()[-1].partition("cancel it with: python -m airflow_workflow_provider ")[2].split()
    assert called(*stop, *SOON).code == 0


def test_the_way_to_go_on_has_options_as_they_were_given(quick):
    quick.settings("stevesie", running_seconds=30)
    words = ("start", "stevesie_default", EACH_SYSTEM["stevesie"][0], "--option", "fail_on_empty_results=false")
    late = called(*words, "--wait", "--poll-interval", "0.1", "--timeout", "0.2")
    assert late.code == 4
    assert " --option fail_on_empty_results=false --wait" in late.stderr


def test_each_change_of_state_is_a_line_where_nobody_watches(quick):
    started = called("start", "alteryx_default", STOCKS, "-p", "Symbol=IBM", *SOON, "-o", "json")
    states = [line.split()[-1] for line in started.stderr.splitlines() if line.startswith("run ")]
    assert states == sorted(set(states), key=states.index)
    assert (states[0], states[-1]) == ("queued", "succeeded")


def test_ctrl_c_leaves_the_run_going_and_says_how_to_watch_it(quick):
    """The signal comes while it waits, after the first line about the run."""

    def interrupt() -> None:
        deadline = time.monotonic() + 20
        while not quick.runs("alteryx") and time.monotonic() < deadline:
            time.sleep(0.05)
        time.sleep(0.5)
        os.kill(os.getpid(), signal.SIGINT)

    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    threading.Thread(target=interrupt, daemon=True).start()
    try:
        stopped = called("start", "alteryx_default", NEVER, "--wait", "--poll-interval", "30")
    finally:
        signal.signal(signal.SIGINT, before)
    assert (stopped.code, stopped.stdout) == (130, "")
    assert " goes on; watch it with: python -m airflow_workflow_provider status alteryx_default " in stopped.stderr
    (run,) = quick.runs("alteryx")
    assert run["state"] not in {"cancelled", "Cancelled"}


def test_parameters_come_from_a_file_and_single_ones_win(quick, tmp_path):
    given = tmp_path / "parameters.json"
    given.write_text('{"Text": "from the file", "Number": "7"}')
    echo = "5f0e2c000000000000000007"
    words = ("start", "alteryx_default", echo, "--parameters", str(given), "-p", "Text=a=b", *SOON, "-o", "json")
    run = called(*words).run
    shown = called("output", "alteryx_default", run["run_id"], "--to", "-").stdout
    assert "a=b" in shown
    assert "7" in shown
    assert "from the file" not in shown


def test_a_list_of_parameters_comes_from_standard_input(quick, monkeypatch):
    monkeypatch.setattr("sys.stdin", io.StringIO("[3]"))
    workflow = "SANDBOX.WORKFLOWS_TEMP.wfproc_api_052ec8bf124d116f"
    run = called("start", "carto_snowflake", workflow, "--parameters", "-", *SOON, "-o", "json").run
    lines = called("output", "carto_snowflake", json.dumps(run), "--to", "-").stdout.splitlines()
    assert len(lines) == 3


def test_a_system_s_own_option_reaches_it(quick):
    """The id tells of a job; the option that says otherwise is refused."""
    run = called("start", "chorus_default", "1000001", "--option", "run_mode=job", *SOON, "-o", "json").run
    assert run["run_id"].startswith("job:1000001:")
    refused = called("status", "chorus_default", run["run_id"], "--option", "run_mode=engine")
    assert (refused.code, refused.stderr.split(":")[0]) == (2, "run_id")


def test_runs_are_listed_newest_first_and_limited(quick):
    ids = [
        called("start", "alteryx_default", STOCKS, "-p", f"Symbol={symbol}", *SOON, "-o", "json").run["run_id"]
        for symbol in ("IBM", "MSFT", "AAPL")
    ]
    listed = called("runs", "alteryx_default", "name:Stock prices", "-o", "json")
    assert {run["run_id"] for run in listed.json} == set(ids)
    short = called("runs", "alteryx_default", STOCKS, "--limit", "1", "-o", "plain")
    assert len(short.stdout.splitlines()) == 2
    assert "2 older runs are left out" in short.stderr
    nothing = called("runs", "alteryx_default", STOCKS, "--since", "2035-01-01", "-o", "plain")
    assert (nothing.code, nothing.stdout) == (0, "")


@pytest.mark.parametrize("spelling", ["object", "list", "file", "input"])
def test_a_run_object_is_taken_in_every_spelling(quick, tmp_path, monkeypatch, spelling):
    """A data flow's run needs its workflow too, which the object knows."""
    flow, *parameters = EACH_SYSTEM["invision"]
    text = called("start", "invision_default", flow, *parameters, *SOON, "-o", "json").stdout
    (tmp_path / "run.json").write_text(text)
    monkeypatch.setattr("sys.stdin", io.StringIO(text))
    run = {
        "object": json.dumps(json.loads(text)[0]),
        "list": text,
        "file": f"@{tmp_path / 'run.json'}",
        "input": "@-",
    }[spelling]
    assert called("status", "invision_default", run, "-o", "json").run["state"] == "succeeded"
