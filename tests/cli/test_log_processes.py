"""The commands that show a log, as processes whose reader goes away or who are interrupted while a log is followed."""

from __future__ import annotations

import os
import signal
import subprocess
import threading

import pytest

from tests.cli.calling import ROOT, called
from tests.cli.test_logs import FLOW
from tests.cli.test_processes import PROGRAM

pytestmark = pytest.mark.system


@pytest.fixture
def following(quick):
    """Follow the log of a run that goes on for a minute, in a process; its first line has been read already."""
    quick.settings("invision", log_lines=2000, log_seconds=50)
    run = called("start", *FLOW, "-p", "seconds:=60", "-o", "json").run
    words = ("logs", FLOW[0], run["run_id"], "--workflow", FLOW[1], *FLOW[2:], "--follow", "--poll-interval", "1")
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        command = subprocess.Popen(
            [*PROGRAM, *words],
            cwd=ROOT,
            env=os.environ | {"PYTHONPATH": str(ROOT), "PYTHONUNBUFFERED": "1"},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
    finally:
        signal.signal(signal.SIGINT, before)
    with command:
        guard = threading.Timer(120, command.kill)
        guard.start()
        try:
            assert command.stdout is not None
            command.stdout.readline()
            yield command, run["run_id"]
        finally:
            guard.cancel()
            command.kill()


def test_a_log_whose_reader_goes_away_ends_without_a_traceback(following):
    """As with ``logs … --follow | head -1``."""
    command, _ = following
    command.stdout.close()
    said = command.stderr.read()
    command.wait()
    assert "Traceback" not in said
    assert "Broken pipe" not in said
    assert command.returncode >= 0, "it must end by itself"


def test_ctrl_c_ends_the_following_and_the_run_goes_on(following, quick):
    command, run_id = following
    command.send_signal(signal.SIGINT)
    said = command.stderr.read()
    assert command.wait() == 130
    assert "goes on" in said
    assert "Traceback" not in said
    assert [run["state"] for run in quick.runs("invision") if run["id"] == run_id] == ["running"]
