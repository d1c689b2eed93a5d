"""Each mistake in a declaration is one sentence, which names class and field, when the class is made."""

from __future__ import annotations

from typing import Any

import pytest

from airflow_workflow_provider import sdk
from airflow_workflow_provider.exceptions import InvalidArgument
from airflow_workflow_provider.protocol.model import RunState
from airflow_workflow_provider.systems import system_class
from tests.systems.installing import installations
from tests.systems.test_rest import AcmeSystem, started, wrong

GOOD = {"ok": RunState.SUCCEEDED, "bad": RunState.FAILED}


def form(**fields):
    """A form that is right but for these fields."""
    return sdk.Form(**{"labels": {}, "placeholders": {}, "hidden": (), "extras": sdk.COMMON_FIELDS, **fields})


def status(**fields):
    """A status call that is right but for these fields."""
    return sdk.Status(**{"path": "/runs/{run_id}", "state": "state", **fields})


def listed(**fields):
    """A list of runs that is right but for these fields."""
    return sdk.ListRuns(**{"path": "/flows/{workflow}/runs", **fields})


def outputs(**fields):
    """A list of outputs that is right but for these fields."""
    return sdk.Outputs(**{"path": "/runs/{run_id}/files", "file": "/runs/{run_id}/files/{output}", **fields})


def log(**fields):
    """A log that is right but for these fields."""
    return sdk.Log(**{"path": "/runs/{run_id}/log", **fields})


def cancel(**fields):
    """A cancel that is right but for these fields."""
    return sdk.Cancel(**{"path": "/runs/{run_id}/stop", **fields})


MISTAKES: dict[str, tuple[dict[str, Any], str]] = {
    "key-number": ({"key": 5}, "key: is missing, empty, or no str"),
    "key-case": ({"key": "Acme"}, "key: is 'Acme'; a key has lower case letters"),
    "key-dash": ({"key": "ac-me"}, "key: is 'ac-me'"),
    "label-bytes": ({"label": b"x"}, "label: is missing, empty, or no str"),
    "label-lines": ({"label": "a\nb"}, "label: is 'a\\nb'; expected one line"),
    "conn-id-number": ({"default_conn_id": 3}, "default_conn_id: is missing, empty, or no str"),
    "form-dict": ({"form": {"labels": {}}}, "form: is missing, empty, or no Form"),
    "form-class": ({"form": sdk.Form}, "form: is missing, empty, or no Form"),
    "form-labels": ({"form": form(labels=wrong(["a"]))}, "form: labels is no mapping, but list"),
    "form-hidden": ({"form": form(hidden=wrong("login"))}, "form: hidden is no tuple of names, but 'login'"),
    "form-both": (
        {"form": form(hidden=("login",), labels={"login": "x"})},
        "form: hidden and labels both name 'login'",
    ),
    "form-extra": ({"form": form(extras={"x": wrong("y")})}, "form: extras['x'] is no Field, but str"),
    "form-kind": (
        {"form": form(extras={"x": sdk.Field("X", kind="text")})},
        "extras['x'] has the kind 'text'; known: str",
    ),
    "form-name": ({"form": form(labels={"hosst": "x"})}, "form: labels names 'hosst', which is no field of the form"),
    "states-list": ({"states": ["ok"]}, "states: is missing, empty, or no Mapping"),
    "states-number": ({"states": {**GOOD, 0: RunState.QUEUED}}, "states: has 0: <RunState.QUEUED"),
    "states-reversed": ({"states": {RunState.SUCCEEDED: "ok"}}, "states: has"),
    "states-contradict": (
        {"states": {**GOOD, "OK": RunState.FAILED}},
        "states: contradicts itself: 'ok' stands for RunState.SUCCEEDED and 'OK' for RunState.FAILED",
    ),
    "states-blank": ({"states": {**GOOD, "ok ": RunState.SUCCEEDED}}, "states: has 'ok '"),
    "states-empty": ({"states": {**GOOD, "": RunState.QUEUED}}, "states: has ''"),
    "states-no-failure": ({"states": {"ok": RunState.SUCCEEDED}}, "states: has no word for success, or none for"),
    "poll-text": ({"poll_interval": "15"}, "poll_interval: is '15'; expected a number of seconds above 0"),
    "poll-true": ({"poll_interval": True}, "poll_interval: is True"),
    "poll-nan": ({"poll_interval": float("nan")}, "poll_interval: is nan"),
    "options-none": ({"start_options": None}, "start_options: expected a frozenset of names"),
    "options-number": ({"start_options": 5}, "start_options: expected a frozenset of names"),
    "options-dict": ({"start_options": {"queue": 1}}, "start_options: expected a frozenset of names"),
    "base-none": ({"base_path": None}, "base_path: None does not begin with a slash"),
    "base-query": ({"base_path": "/api?x=1"}, "base_path: '/api?x=1' holds a query"),
    "base-up": ({"base_path": "/../x"}, "base_path: '/../x' is no path below the base URL"),
    "auth-text": ({"authentication": "X-Key"}, "authentication: expected one such as Header(…), not str"),
    "auth-none": ({"authentication": None}, "authentication: expected one such as Header(…), not NoneType"),
    "auth-function": ({"authentication": sdk.Bearer}, "authentication: expected one such as Header(…), not function"),
    "auth-header": (
        {"authentication": sdk.Header("X\r\nY")},
        "authentication: Header.name: 'X\\r\\nY' is no name of a",
    ),
    "auth-empty": ({"authentication": sdk.Header("")}, "authentication: Header.name: '' is no name of a header"),
    "auth-query": ({"authentication": sdk.QueryKey("")}, "authentication: QueryKey.name: is empty"),
    "auth-oauth2": ({"authentication": sdk.OAuth2("token")}, "OAuth2.path: 'token' does not begin with a slash"),
    "auth-lifetime": ({"authentication": sdk.OAuth2(lifetime=0)}, "OAuth2.lifetime: expected seconds above 0, not 0"),
    "auth-login": ({"authentication": sdk.LogIn("login")}, "LogIn.path: 'login' does not begin with a slash"),
    "auth-body": ({"authentication": sdk.LogIn("/in", body={"u": "{login}"})}, "LogIn.body: '{password}' is nowhere"),
    "auth-token": ({"authentication": sdk.LogIn("/in", token="$.token")}, "LogIn.token: '$.token' looks like JSONPath"),
    "auth-seconds": (
        {"authentication": sdk.LogIn("/in", lifetime="3600")},
        "LogIn.lifetime: expected seconds, or the pl",
    ),
    "path-none": ({"start_call": started(path=None)}, "start_call.path: None does not begin with a slash"),
    "path-url": (
        {"start_call": started(path="https://evil/{workflow}")},
        "start_call.path: 'https://evil/{workflow}' d",
    ),
    "path-unnamed": ({"start_call": started(path="/{}")}, "start_call.path: the placeholder {} is unknown here"),
    "path-format": ({"start_call": started(path="/{workflow:>9}")}, "has a placeholder with a format"),
    "path-query": (
        {"start_call": started(path="/runs?wf={workflow}")},
        "holds a query; parameters of a request are in",
    ),
    "path-up": ({"start_call": started(path="/../{workflow}")}, "is no path below the base URL"),
    "path-host": ({"start_call": started(path="//evil/{workflow}")}, "is no path below the base URL"),
    "path-blank": ({"start_call": started(path="/a b/{workflow}")}, "is no path below the base URL"),
    "method-case": ({"start_call": started(method="post")}, "start_call.method: 'post' is no method"),
    "headers-none": ({"start_call": started(headers=None)}, "start_call.headers: expected a mapping, not NoneType"),
    "headers-name": ({"start_call": started(headers={"X Y": "1"})}, "start_call.headers: 'X Y' is no name of a header"),
    "body-object": (
        {"start_call": started(body={"a": sdk.PARAMETERS, "b": {1}})},
        "start_call.body: set cannot be sent",
    ),
    "body-option": (
        {"start_call": started(body=[sdk.PARAMETERS, sdk.Option])},
        "start_call.body: Option cannot be sent",
    ),
    "body-run-id": (
        {"start_call": started(body=[sdk.PARAMETERS, sdk.RUN_ID])},
        "start_call.body: RUN_ID is unknown here",
    ),
    "run-id-class": (
        {"start_call": started(run_id=sdk.FromHeader)},
        "start_call.run_id: expected a place, FromHeader(…)",
    ),
    "run-id-header": (
        {"start_call": started(run_id=sdk.FromHeader(""))},
        "start_call.run_id: '' is no name of a header",
    ),
    "run-id-dots": ({"start_call": started(run_id="run..id")}, "start_call.run_id: 'run..id' has an empty part"),
    "run-id-json-path": (
        {"start_call": started(run_id="runs[0].id")},
        "start_call.run_id: 'runs[0].id' looks like JSON",
    ),
    "run-id-two": (
        {"start_call": started(run_id=lambda a, b: a)},
        "start_call.run_id: expected a function that takes on",
    ),
    "idempotent-no-key": ({"start_call": started(is_idempotent=True)}, "start_call.body: IDEMPOTENCY_KEY is nowhere"),
    "idempotent-text": ({"start_call": started(is_idempotent=wrong("yes"))}, "is_idempotent: expected True or False"),
    "call-class": ({"start_call": sdk.Start}, "start_call: expected a Start(…), not Start"),
    "call-dict": ({"status_call": {"path": "/x"}}, "status_call: expected a Status(…), not dict"),
    "status-no-run": ({"status_call": status(path="/status")}, "status_call.path: neither the path nor the body names"),
    "status-id": ({"status_call": status(rows="all", id="")}, "status_call.id: is empty"),
    "status-details": (
        {"status_call": status(details=wrong(["a"]))},
        "status_call.details: expected a mapping, not list",
    ),
    "status-detail": (
        {"status_call": status(details={"a": wrong(5)})},
        "status_call.details['a']: expected a dotted path",
    ),
    "status-message": (
        {"status_call": status(message=wrong(5))},
        "status_call.message: expected a dotted path or a func",
    ),
    "status-record": (
        {"status_call": status(rows="all", record="job")},
        "status_call.record: is for an answer about one",
    ),
    "error-place": ({"error_message": 5}, "error_message: expected a dotted path or a function, not int"),
    "status-pages": ({"status_call": status(paginator=sdk.OffsetPages(2))}, "status_call.paginator: is for a list"),
    "test-missing": ({"test_call": None}, "test_call: is missing; declare a Call(…)"),
    "test-placeholder": (
        {"test_call": sdk.Call(path="/{workflow}")},
        "test_call.path: the placeholder {workflow} is unk",
    ),
    "cancel-no-run": (
        {"cancel_call": sdk.Cancel(path="/stop")},
        "cancel_call.path: neither the path nor the body names",
    ),
    "cancel-taken": (
        {"cancel_call": cancel(taken=lambda: True)},
        "cancel_call.taken: expected a function that takes one",
    ),
    "cancel-first": (
        {"cancel_call": cancel(looks_first=wrong("no"))},
        "cancel_call.looks_first: expected True or False",
    ),
    "list-no-workflow": ({"list_runs_call": listed(path="/runs")}, "list_runs_call.path: nothing names the workflow"),
    "list-since": (
        {"list_runs_call": listed(since=wrong(5))},
        "list_runs_call.since: expected the name of a parameter",
    ),
    "pages-class": (
        {"list_runs_call": listed(paginator=wrong(sdk.CursorPages))},
        "paginator: expected one such as Offset",
    ),
    "pages-zero": (
        {"list_runs_call": listed(paginator=sdk.OffsetPages(0))},
        "list_runs_call.paginator: size: expected a",
    ),
    "pages-text": (
        {"list_runs_call": listed(paginator=sdk.OffsetPages(wrong("100")))},
        "paginator: size: expected a num",
    ),
    "pages-names": (
        {"list_runs_call": listed(paginator=sdk.OffsetPages(offset="n", limit="n"))},
        "'n' is the name of two",
    ),
    "pages-total": (
        {"list_runs_call": listed(paginator=sdk.OffsetPages(total=wrong(5)))},
        "paginator: total: expected a",
    ),
    "pages-start": (
        {"list_runs_call": listed(paginator=sdk.NumberedPages(start=wrong("1")))},
        "paginator: start: expec",
    ),
    "pages-param": (
        {"list_runs_call": listed(paginator=sdk.CursorPages("next", param=""))},
        "paginator: param: expected",
    ),
    "pages-link": (
        {"list_runs_call": listed(paginator=sdk.LinkedPages("a..b"))},
        "paginator: read: 'a..b' has an empty",
    ),
    "pages-get": (
        {"list_runs_call": listed(paginator=sdk.OffsetPages(in_body=True))},
        "paginator: in_body: a GET has no",
    ),
    "pages-body": (
        {"list_runs_call": listed(method="POST", body=[1], paginator=sdk.OffsetPages(in_body=True))},
        "paginator: in_body: needs a body that is a mapping",
    ),
    "outputs-no-run": (
        {"outputs_call": outputs(path="/files")},
        "outputs_call.path: neither the path nor the body names",
    ),
    "outputs-url": (
        {"outputs_call": outputs(file="https://evil/{output}")},
        "outputs_call.file: 'https://evil/{output}'",
    ),
    "outputs-table": (
        {"outputs_call": outputs(file="", table=wrong("/x"))},
        "outputs_call.table: expected a Table(…), not",
    ),
    "outputs-pages": (
        {"outputs_call": outputs(file="", table=sdk.Table(path="/{output}", paginator=wrong(sdk.OffsetPages)))},
        "outputs_call.table.paginator: expected one such as OffsetPages",
    ),
    "outputs-format": (
        {"outputs_call": outputs(format=wrong(None))},
        "outputs_call.format: expected a word or a function",
    ),
    "log-text": ({"log_call": log(text=wrong(5))}, "log_call.text: expected a dotted path or a function, not int"),
    "log-both": ({"log_call": log(is_text=True, rows="lines")}, "log_call.is_text: a log of text has no rows"),
    "log-no-run": ({"log_call": log(path="/log")}, "log_call.path: neither the path nor the body names the run"),
    "page-number": ({"run_page": 5}, "run_page: 5 does not begin with a slash"),
    "field-misspelled": ({"state": GOOD}, "state: is no field of a RestSystem; did you mean states?"),
    "field-close": ({"pol_interval": 5}, "pol_interval: is no field of a RestSystem; did you mean poll_interval?"),
    "auth-misspelled": ({"auth": sdk.Header("X")}, "auth: is no field of a RestSystem; did you mean authentication?"),
    "method-value": ({"describe": 5}, "describe: is a method of a RestSystem; expected a function, not int"),
}


@pytest.mark.parametrize("name", MISTAKES)
def test_a_mistake_names_class_and_field(name):
    fields, says = MISTAKES[name]
    with pytest.raises(sdk.InvalidDeclaration) as caught:
        type("BrokenSystem", (AcmeSystem,), fields)
    assert f"BrokenSystem.{says.partition(':')[0]}" in str(caught.value) or says in str(caught.value)
    assert says in str(caught.value)
    assert "\n" not in str(caught.value)


def test_what_looks_unusual_and_is_right_is_taken():
    """Rows that are texts, a query in the page of a run, constants and helpers of a class."""

    class Unusual(AcmeSystem):
        TASKS = "/tasks"
        statistics = 3
        run_page = "/grid?run={run_id}"
        outputs_call = outputs(id="", name="")
        list_runs_call = sdk.ListRuns(path="/runs", workflow="flow.id", paginator=sdk.CursorPages("meta.next"))
        status_call = sdk.Status(path="/runs", rows="all", state="state", paginator=sdk.OffsetPages(9, total="total"))

    assert Unusual.TASKS == "/tasks"


def test_a_registered_class_with_a_mistake_names_its_distribution_too(tmp_path, monkeypatch):
    code = "from tests.systems.test_rest import AcmeSystem\nclass Other(AcmeSystem):\n    base_path = 'api'\n"
    with installations(tmp_path, monkeypatch) as install:
        install("bad", "acme", code, "Other")
        with pytest.raises(
            InvalidArgument, match=r"'acme' of plug-bad 1\.2 .*plug_bad\.Other\.base_path: 'api' does not"
        ):
            system_class("acme")


@pytest.mark.parametrize(
    ("code", "says"),
    [
        ("from airflow_workflow_provider.sdk import Newest", "cannot import name 'Newest'"),
        ("from airflow_workflow_provider import sdk\nsdk.Newest", "has no attribute 'Newest'"),
        ("from airflow_workflow_provider import sdk\nsdk.Cancel(path='/{run_id}', force=True)", "argument 'force'"),
    ],
)
def test_a_package_for_a_newer_sdk_says_so(tmp_path, monkeypatch, code, says):
    with installations(tmp_path, monkeypatch) as install:
        install("new", "acme", code, "Other")
        with pytest.raises(InvalidArgument) as caught:
            system_class("acme")
    text = str(caught.value)
    assert says in text
    assert "of plug-new 1.2" in text
    assert "has version 1.0 of the SDK; a newer one may have that name" in text


@pytest.mark.parametrize(
    "code",
    [
        "import asyncio\nraise asyncio.CancelledError('x')",
        "raise GeneratorExit",
        "class E(BaseException): pass\nraise E('a\\nb')",
        "def f(): f()\nf()",
    ],
)
def test_whatever_an_import_raises_is_one_sentence(tmp_path, monkeypatch, code):
    with installations(tmp_path, monkeypatch) as install:
        install("bad", "acme", code)
        with pytest.raises(
            InvalidArgument, match=r"^system: 'acme' of plug-bad 1\.2 cannot be loaded from plug_bad:[^\n]*$"
        ):
            system_class("acme")
        assert system_class("carto").key == "carto"


def test_a_distribution_without_a_name_is_named_as_unknown(tmp_path, monkeypatch):
    with installations(tmp_path, monkeypatch) as install:
        install("odd", "acme", "raise RuntimeError('no')")
        (tmp_path / "plug_odd-1.2.dist-info" / "METADATA").unlink()
        with pytest.raises(InvalidArgument, match=r"cannot be loaded from plug_odd:AcmeSystem\. RuntimeError: no"):
            system_class("acme")
