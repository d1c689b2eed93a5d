"""What is wrong with a command line is said in one sentence, and nothing is done."""

from __future__ import annotations

import argparse
import importlib
import json
import re
import shlex
from datetime import UTC, datetime, timedelta

import pytest

from airflow_workflow_provider import exceptions
from airflow_workflow_provider.cli import exit_codes, values
from airflow_workflow_provider.cli.execute import code_of
from airflow_workflow_provider.cli.main import parser
from airflow_workflow_provider.cli.table import COMMANDS
from tests.cli.calling import ROOT, called

APP = "5f0e2c000000000000000002"
CARTO = {"conn_type": "carto", "host": "http://127.0.0.1:1", "password": "a-long-secret"}


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ([], "the following arguments are required: COMMAND"),
        (["begin"], "invalid choice: 'begin'"),
        (["start", "alteryx_default"], "the following arguments are required: WORKFLOW"),
        (["start", "alteryx_default", APP, "-p", "Symbol"], "'Symbol' is not NAME=TEXT or NAME:=JSON"),
        (["start", "alteryx_default", APP, "-p", "=IBM"], "'=IBM' is not NAME=TEXT or NAME:=JSON"),
        (["start", "alteryx_default", APP, "-p", "Symbol:=IBM"], "Symbol: 'IBM' is not JSON"),
        (["start", "alteryx_default", APP, "--timeout", "soon"], "'soon' is not a duration"),
        (["start", "alteryx_default", APP, "--timeout", "0"], "'0' is not a duration"),
        (["runs", "alteryx_default", APP, "--since", "yesterday"], "'yesterday' is neither a time"),
        (["runs", "alteryx_default", APP, "--limit", "-1"], "'-1' is not a whole number"),
        (["systems", "-o", "xml"], "invalid choice: 'xml'"),
    ],
)
def test_a_wrong_argument_is_refused_before_anything_is_asked(words, said):
    answer = called(*words)
    assert (answer.code, answer.stdout) == (2, "")
    assert said in answer.stderr
    assert answer.stderr.count("\n") == 1


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (["status", "", "1"], 6, "CONN: is empty"),
        (["status", "nowhere", "1"], 6, "connection 'nowhere' is not defined"),
        (["status", "of_http", "1"], 6, "connection 'of_http' has the type 'http'; this works with: carto, alteryx"),
        (["status", "no_password", "1"], 6, "connection 'no_password', field 'password': is empty"),
        (["status", "refused", "1"], 6, "Check the field 'password' of connection"),
        (["status", "alteryx_default", "5f0e2c0000000000000000ff"], 2, "HTTP 404"),
        (["status", "alteryx_default", " "], 2, "run: is empty; give a run object, its JSON text or an id"),
        (["status", "alteryx_default", "{"], 2, "run: this is not JSON"),
        (["status", "alteryx_default", "[]"], 2, "run: an empty sequence holds no run"),
        (["status", "alteryx_default", "@/no/such/file"], 2, "'/no/such/file' cannot be read: No such file"),
        (["status", "invision_default", "1"], 2, "workflow: InVision knows a run by its data flow and its run id"),
        (["start", "alteryx_default", "name:Nobody"], 2, "no workflow has the name 'Nobody'"),
        (["start", "alteryx_default", APP, "--parameters", "/no/file"], 2, "'/no/file' cannot be read"),
        (["start", "alteryx_default", APP, "--option", "speed=9"], 2, "speed: Alteryx Server has no such start option"),
        (["start", "alteryx_default", APP, "-p", "Symbl=IBM"], 2, "has no question 'Symbl'; it has: Symbol"),
        (["workflows", "carto_default"], 2, "CARTO has no API call that lists workflows"),
        (["runs", "chorus_default", "1"], 2, "TIBCO Team Studio has no API call that lists the runs"),
        (["output", "alteryx_default", "1", "--force"], 2, "--to: is missing"),
    ],
)
def test_what_cannot_be_done_is_one_sentence_and_a_code(quick, monkeypatch, words, code, said):
    for name, connection in {
        "of_http": {"conn_type": "http", "host": "x"},
        "no_password": {**CARTO, "password": ""},
        "refused": {**quick.connections()["stevesie_default"], "conn_type": "stevesie", "password": "a-wrong-token"},
    }.items():
        monkeypatch.setenv(f"AIRFLOW_CONN_{name.upper()}", json.dumps(connection))
    answer = called(*words)
    assert (answer.code, answer.stdout) == (code, "")
    assert said in answer.stderr
    assert answer.stderr.count("\n") == 1
    assert "Traceback" not in answer.stderr
    assert "secret" not in answer.stderr
    assert "a-wrong-token" not in answer.stderr
    assert not quick.runs("alteryx")


def test_a_list_of_parameters_takes_no_single_ones(quick, tmp_path):
    (tmp_path / "list.json").write_text("[1]")
    answer = called("start", "carto_default", "x", "--parameters", str(tmp_path / "list.json"), "-p", "a=b")
    assert (answer.code, answer.stderr) == (2, "--parameters: holds a list, which -p cannot add to\n")


def test_a_run_of_another_system_is_refused(quick):
    run = {"system": "carto", "conn_id": "carto_default", "run_id": "job_1"}
    answer = called("status", "alteryx_default", json.dumps(run))
    assert (answer.code, answer.stderr.split(",")[0]) == (2, "RUN: belongs to the system 'carto'")
    two = called("status", "carto_default", json.dumps([run, run]))
    assert (two.code, two.stderr) == (2, "RUN: expected one run, not 2\n")


def test_a_lost_answer_to_a_start_has_a_code_of_its_own(quick):
    quick.fault(system="stevesie", kind="lost", method="POST", path="/executions$")
    answer = called("start", "stevesie_default", "5e7e51e0-0001-4000-8000-000000000003")
    assert (answer.code, answer.stdout) == (5, "")
    assert "a run may have been started; look for it" in answer.stderr


def test_an_answer_that_is_not_this_api_s_has_a_code_of_its_own(quick):
    quick.fault(system="carto", kind="status", status=302, headers={"Location": "https://elsewhere/"})
    answer = called("status", "carto_default", "job_1")
    assert (answer.code, answer.stdout) == (7, "")
    assert "It redirects to https://elsewhere/" in answer.stderr


def test_verbose_shows_where_an_error_comes_from():
    answer = called("status", "nowhere", "1", "--verbose")
    assert answer.code == 6
    assert "Traceback (most recent call last)" in answer.stderr
    assert answer.stderr.splitlines()[-1].startswith("connection 'nowhere' is not defined")


# ---- values


@pytest.mark.parametrize(
    ("text", "amount"), [("90", 90), ("90s", 90), ("1.5m", 90), ("2h", 7200), ("1 d", 86_400), ("15M", 900)]
)
def test_durations(text, amount):
    assert values.seconds(text) == amount


@pytest.mark.parametrize("text", ["", "m", "-5", "0", "1w", "nan", "1e9", "9" * 30])
def test_no_durations(text):
    with pytest.raises(argparse.ArgumentTypeError, match="is not a duration"):
        values.seconds(text)


def test_moments():
    assert values.since("2026-01-31T08:00") == datetime(2026, 1, 31, 8, tzinfo=UTC)
    assert values.since("2026-01-31T08:00+02:00") == datetime(2026, 1, 31, 6, tzinfo=UTC)
    before = datetime.now(UTC)
    assert before <= values.since("2h") + timedelta(hours=2) <= datetime.now(UTC)


@pytest.mark.parametrize(
    ("text", "pair"),
    [
        ("a=b", ("a", "b")),
        ("a=", ("a", "")),
        ("a=b=c", ("a", "b=c")),
        ("a=1", ("a", "1")),
        ("a:=1", ("a", 1)),
        ("a:=[1, null]", ("a", [1, None])),
        ('a:="1"', ("a", "1")),
        ("@state='TX'", ("@state", "'TX'")),
    ],
)
def test_parameters_are_text_or_json(text, pair):
    assert values.parameter(text) == pair


@pytest.mark.parametrize(
    ("text", "pair"),
    [
        ("run_mode=job", ("run_mode", "job")),
        ("await_completion=false", ("await_completion", False)),
        ("priority=2", ("priority", 2)),
        ('proxy={"type": "shared"}', ("proxy", {"type": "shared"})),
        ('credential_id:="12"', ("credential_id", "12")),
    ],
)
def test_options_are_json_where_they_can_be(text, pair):
    assert values.option(text) == pair


# ---- the tables


def test_every_error_has_the_code_of_what_the_reader_should_do():
    errors = [one for one in vars(exceptions).values() if isinstance(one, type) and issubclass(one, Exception)]
    found = {one.__name__: code_of(one("x")) for one in errors if one.__module__ == exceptions.__name__}
    assert found["InvalidConnection"] == found["PermissionDenied"] == exit_codes.CONNECTION
    assert found["InvalidArgument"] == found["CancelNotSupported"] == exit_codes.WRONG
    assert found["FinalUnknownStart"] == exit_codes.UNKNOWN_START
    unsorted = {name for name, code in found.items() if code == exit_codes.FAILED}
    assert unsorted == {"WorkflowError", "_RunError", "RunFailed", "TaskStopped", "CancelRefused"}


def test_every_function_of_the_table_exists():
    for command in COMMANDS:
        module, _, name = command.function.rpartition(".")
        assert callable(getattr(importlib.import_module(module), name))


def test_no_argument_is_called_like_another_of_its_command():
    """Airflow's parser takes the same table, and reads ``output`` itself."""
    for command in COMMANDS:
        names = [flag for argument in command.arguments for flag in argument.flags]
        assert len(names) == len(set(names))
        assert "--output" in names


def test_the_page_names_every_command_and_every_exit_code():
    page = (ROOT / "docs" / "command_line.md").read_text(encoding="utf-8")
    listed = dict(re.findall(r"^\| (\d+) \| (.*) \|$", page, re.MULTILINE))
    assert listed == {str(code): meaning for code, meaning in exit_codes.MEANINGS.items()}
    described = re.findall(r"^\| `(\w+)[^`]*` \|", page, re.MULTILINE)
    assert described == [command.name for command in COMMANDS]


def test_the_commands_on_the_page_can_be_parsed():
    """Every command line of its shell blocks."""
    page = (ROOT / "docs" / "command_line.md").read_text(encoding="utf-8")
    lines = re.findall(r"(?:airflow workflow-runs|python -m airflow_workflow_provider) (.*)", page)
    shown = [line for line in lines if line.split()[0] in {command.name for command in COMMANDS}]
    for line in shown:
        words = shlex.split(re.split(r" [|>] ", line)[0])
        assert parser().parse_args(words).command == words[0]
    assert len(shown) > 8
