"""Every command as a process of its own, as a person or a script runs it, with its output compared.

`airflow workflow-runs …` where Airflow takes commands of providers, else `python -m …`; both read one table.
"""

from __future__ import annotations

import json
import os
import pty
import re
import select
import signal
import subprocess
import sys
import time

import pytest

from airflow_workflow_provider.cli.table import COMMANDS
from tests.cli.calling import GROUP, IS_A_PROVIDERS_COMMAND, MODULE, ROOT, process

pytestmark = pytest.mark.system

STOCKS, NEVER = "5f0e2c000000000000000002", "5f0e2c00000000000000000b"
PROGRAM = GROUP if IS_A_PROVIDERS_COMMAND else MODULE
CALLED = "airflow workflow-runs" if IS_A_PROVIDERS_COMMAND else "python -m airflow_workflow_provider"


def ran(*words, program=PROGRAM, **variables):
    return process(*program, *words, **variables)


def test_systems():
    answer = ran("systems")
    assert (answer.code, answer.stderr) == (0, "")
    head, _, *rows = answer.without().splitlines()
    assert head == "system | name | list_workflows | find_runs | cancel | poll_interval | options | distribution"
    own = {row.partition(" | ")[0]: row for row in rows if row.endswith(" | airflow-workflow-provider")}
    carto = "carto | CARTO | no | no | yes | 15.0 | carto_connection, check_parameters | airflow-workflow-provider"
    assert own["carto"] == carto
    assert own["alteryx"].startswith("alteryx | Alteryx Server | yes | yes | yes | 10.0 | check_questions, ")
    assert own["stevesie"].startswith("stevesie | Stevesie Cloud | yes | yes | no | 20.0 | ")
    assert own["chorus"].startswith("chorus | TIBCO Team Studio | no | no | yes | 10.0 | run_mode | ")
    assert own["invision"].startswith("invision | Profitbase InVision | no | no | no | 10.0 | await_completion, ")


def test_workflows(quick):
    answer = ran("workflows", "stevesie_default", "-o", "plain")
    assert (answer.code, answer.stderr) == (0, "")
    lines = [line.split(maxsplit=1) for line in answer.stdout.splitlines()]
    assert lines[0] == ["id", "name"]
    assert ["5e7e51e0-0001-4000-8000-000000000001", "Stock prices"] in lines
    assert len(lines) == 10


def test_start_wait_runs_status_and_output(quick, tmp_path):
    """From the start of a run to its file, each step with what the one before has printed."""
    started = ran(
        *("start", "alteryx_default", "name:Stock prices", "-p", "Symbol=IBM"),
        *("--wait", "--poll-interval", "0.1", "--timeout", "1m", "-o", "json"),
    )
    assert started.code == 0
    run_id = started.run["run_id"]
    states = [line for line in started.stderr.splitlines() if line.startswith("run ")]  # the others are of its log
    assert states[-1] == f"run {run_id} has succeeded"

    listed = ran("runs", "alteryx_default", STOCKS, "-o", "plain")
    assert listed.without(run_id) == "run_id state started_at ended_at message\n… succeeded TIME - -"

    seen = ran("status", "alteryx_default", "@-", stdin=started.stdout)
    assert (seen.code, seen.stderr) == (0, "")
    assert seen.without(run_id).splitlines()[2:] == [
        "system | alteryx",
        "conn_id | alteryx_default",
        f"workflow | {STOCKS}",
        "run_id | …",
        "state | succeeded",
        "message |",
        f"url | {quick.url}/alteryx/gallery/#!app/run/{STOCKS}",
        "started_at | TIME",
        "ended_at | TIME",
        "outputs | stock_prices.csv",
    ]

    target = tmp_path / "stocks.csv"
    landed = ran("output", "alteryx_default", run_id, "stock_prices.csv", "--to", str(target), "-o", "yaml")
    assert (landed.code, landed.stderr) == (0, "")
    assert f"path: {target}\n" in landed.stdout
    assert f"bytes: {target.stat().st_size}\n" in landed.stdout
    assert target.read_text().splitlines()[1:]

    poured = ran("output", "alteryx_default", run_id, "--to", "-")
    assert (poured.code, poured.stdout, poured.stderr) == (0, target.read_text(), "")


def test_cancel(quick):
    quick.settings("alteryx", delete_queued=False)
    run_id = ran("start", "alteryx_default", NEVER, "-o", "json").run["run_id"]
    stopped = ran("cancel", "alteryx_default", run_id, "--wait", "--poll-interval", "0.1", "-o", "plain")
    assert stopped.code == 0
    assert stopped.without(run_id) == "run_id state started_at ended_at message\n… cancelled TIME TIME -"


@pytest.mark.parametrize("form", ["table", "json", "plain"])
@pytest.mark.parametrize(("workflow", "code"), [((STOCKS, "-p", "Symbol=IBM"), 0), (("5f0e2c000000000000000009",), 1)])
def test_whoever_stops_reading_gets_the_code_all_the_same(quick, workflow, code, form):
    """A script with pipefail asks for it, though nobody reads the result."""
    words = ("start", "alteryx_default", *workflow, "--wait", "--poll-interval", "0.1", "-o", form)
    reading, writing = os.pipe()
    os.close(reading)
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    command = subprocess.run(
        [*PROGRAM, *words], cwd=ROOT, env=environment, stdout=writing, stderr=subprocess.PIPE, check=False
    )
    os.close(writing)
    assert command.returncode == code, command.stderr


def test_doctor(quick):
    answer = ran("doctor", "carto_default")
    assert (answer.code, answer.stderr) == (0, "")
    text = re.sub(r"\d+ ms", "N ms", answer.without(quick.url))
    assert text.splitlines()[2:] == [
        "connection | ok | type carto (CARTO)",
        "host | ok | … takes connections (N ms)",
        "tls | ok | not used (localhost)",
        "clock | ok | the server's clock agrees with this machine's",
        "credentials | ok | CARTO accepts the credentials",
        "api version | ok | SQL API v3",
        "list workflows | - | this API cannot; use the id of a workflow",
        "find runs | - | this API cannot: a start whose answer was lost is not found again, see on_unknown_start",
        "cancel | ok | this API can",
        "poll | ok | N ms for a request (--run RUN measures the polls of a run); every 15 s by default",
    ]


def test_a_connection_in_airflow_s_database_is_found(quick):
    """No variable of the environment says it."""
    connection = quick.connections()["stevesie_default"]
    add = (str(GROUP[0]), "connections", "add", "in_database", "--conn-json", json.dumps(connection))
    added = process(*add, PYTHONWARNINGS="ignore")
    assert added.code == 0, added.stderr
    try:
        answer = ran("doctor", "in_database", "-o", "json", program=MODULE)
        assert (answer.code, answer.stderr) == (0, "")
        assert answer.json[0] == {"check": "connection", "result": "ok", "detail": "type stevesie (Stevesie Cloud)"}
    finally:
        process(str(GROUP[0]), "connections", "delete", "in_database", PYTHONWARNINGS="ignore")


def test_a_wrong_command_line_is_told_what_is_wrong():
    answer = ran("start", "carto_default")
    assert (answer.code, answer.stdout if not IS_A_PROVIDERS_COMMAND else "") == (2, "")
    assert "the following arguments are required: WORKFLOW" in answer.stderr


def test_both_command_lines_have_all_commands():
    shown = ran("--help").stdout
    assert [command.name for command in COMMANDS if f"\n    {command.name}" not in shown] == []


@pytest.mark.skipif(not IS_A_PROVIDERS_COMMAND, reason="this Airflow takes no commands of providers")
def test_the_module_says_what_the_command_says(quick):
    words = ("start", "alteryx_default", STOCKS, "-p", "Symbl=IBM")
    assert ran(*words, program=MODULE) == ran(*words)
    assert ran(*words, program=MODULE).code == 2


def test_a_person_at_a_terminal_sees_a_line_that_moves_and_may_leave_it(quick):
    """Ctrl-C ends the command and leaves the run going."""
    ours, theirs = pty.openpty()
    words = ("start", "alteryx_default", NEVER, "--wait", "--poll-interval", "0.2", "-o", "json")
    environment = os.environ | {"TERM": "xterm", "COLUMNS": "120"}
    # Who starts the tests in the background of a script has Ctrl-C ignored, and so have all that they start.
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        command = subprocess.Popen(
            [*PROGRAM, *words], cwd=ROOT, env=environment, stdout=subprocess.PIPE, stderr=theirs, start_new_session=True
        )
    finally:
        signal.signal(signal.SIGINT, before)
    with command:
        os.close(theirs)
        try:
            seen = read_until(ours, "is running")
            command.send_signal(signal.SIGINT)
            seen += read_until(ours, "cancel it with: ")
            assert (command.wait(timeout=30), command.stdout.read()) == (130, b"")
        finally:
            command.kill()
    os.close(ours)
    assert "\x1b[" in seen
    assert f"watch it with: {CALLED} status alteryx_default " in seen
    (run,) = quick.runs("alteryx")
    assert run["state"].lower() == "running"


def read_until(terminal, words, patience=60):
    """What a terminal shows up to these words."""
    seen, deadline = "", time.monotonic() + patience
    while words not in seen:
        assert time.monotonic() < deadline, seen
        if select.select([terminal], [], [], 0.5)[0]:
            try:
                seen += os.read(terminal, 65_536).decode(errors="replace")
            except OSError:  # whoever wrote to it has ended
                assert words in seen, seen
    return seen


def test_listing_the_commands_imports_nothing_heavy():
    """Every ``airflow`` command asks for the list at its start."""
    program = """
import sys
before = set(sys.modules)
from airflow_workflow_provider.cli import definition, main
print(*sorted({name.partition(".")[0] for name in set(sys.modules) - before} - sys.stdlib_module_names))
"""
    answer = process(sys.executable, "-c", program)
    assert answer.stdout.split() == ["airflow_workflow_provider"]
