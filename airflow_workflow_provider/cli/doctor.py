"""The command that checks a connection: a line for each thing that can be wrong, and what to change."""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from airflow_workflow_provider.cli import exit_codes
from airflow_workflow_provider.cli.arguments import hook_of, run_of
from airflow_workflow_provider.cli.handshake import Place, encrypted, reached
from airflow_workflow_provider.cli.measure import Seen, observed
from airflow_workflow_provider.cli.terminal import Result, Terminal
from airflow_workflow_provider.exceptions import WorkflowError
from airflow_workflow_provider.hooks.workflow import WorkflowHook
from airflow_workflow_provider.protocol.capabilities import CanCancel, CanListRuns, CanListWorkflows
from airflow_workflow_provider.protocol.form import unknown_extras

MAX_SKEW = 60.0  # seconds; signatures and tokens are refused beyond some minutes
POLLS = 3
OK, WRONG, UNKNOWN = "ok", "WRONG", "-"


@dataclass(frozen=True)
class Check:
    """One line: what was checked, how it is, and what that means or how to mend it."""

    check: str
    result: str
    detail: str


def doctor(options: Namespace, terminal: Terminal) -> Result:
    """Check a connection from its fields to the time of a poll."""
    try:
        hook = hook_of(options, terminal)
    except WorkflowError as error:
        return _result([Check("connection", WRONG, str(error))])
    checks = [Check("connection", OK, f"type {hook.system.key} ({hook.system.label})")]
    extra = hook.get_connection(hook.conn_id).extra_dejson
    checks += [Check("extras", WRONG, reason) for reason in unknown_extras(hook.system.form, extra)]
    seen = Seen()
    credentials = _credentials(hook, seen)
    if seen.url:
        place = Place.of(seen.url, hook.client.session)
        host = _host(place)
        checks += [host, _tls(place) if host.result == OK else Check("tls", UNKNOWN, "not tried"), _clock(seen)]
    is_good = credentials.result == OK
    checks += [credentials, _version(hook)]
    checks += _abilities(hook, listing=is_good)
    checks.append(_polls(hook, options) if is_good else Check("poll", UNKNOWN, "not measured"))
    return _result(checks)


def _result(checks: list[Check]) -> Result:
    rows = [{"check": one.check, "result": one.result, "detail": " ".join(one.detail.split())} for one in checks]
    return Result(rows, code=exit_codes.FAILED if any(one.result == WRONG for one in checks) else exit_codes.DONE)


def _credentials(hook: WorkflowHook, seen: Seen) -> Check:
    try:
        said = hook.client.run(observed(hook.system.test(), seen))
    except WorkflowError as error:
        return Check("credentials", WRONG, str(error))
    return Check("credentials", OK, said)


def _host(place: Place) -> Check:
    try:
        return Check("host", OK, reached(place))
    except OSError as error:
        return Check("host", WRONG, f"{place.shown}: {error}; check the fields host and proxies, and the network")


def _tls(place: Place) -> Check:
    try:
        is_good, detail = encrypted(place)
    except OSError as error:
        hint = "check the port, and the field verify: it takes the CA file of a private authority"
        return Check("tls", WRONG, f"{place.shown}: {error}; {hint}")
    return Check("tls", OK if is_good else WRONG, detail)


def _clock(seen: Seen) -> Check:
    if seen.skew is None:
        return Check("clock", UNKNOWN, "the server sends no date")
    if abs(seen.skew) < 1:
        return Check("clock", OK, "the server's clock agrees with this machine's")
    ahead = "ahead of" if seen.skew > 0 else "behind"
    text = f"the server's clock is {abs(seen.skew):.0f} s {ahead} this machine's"
    if abs(seen.skew) <= MAX_SKEW:
        return Check("clock", OK, text)
    return Check("clock", WRONG, f"{text}; set the one that is wrong: signatures and tokens depend on it")


def _version(hook: WorkflowHook) -> Check:
    told = hook.system.api_version
    return Check("api version", OK if told else UNKNOWN, told or "the API does not show it")


def _abilities(hook: WorkflowHook, *, listing: bool) -> Iterator[Check]:
    """Say what this API can and cannot do; what can be tried without harm is tried."""
    system = hook.system
    finds, cancels = system.supports(CanListRuns), system.supports(CanCancel)
    if not system.supports(CanListWorkflows):
        yield Check("list workflows", UNKNOWN, "this API cannot; use the id of a workflow")
    elif listing:
        yield _tried("list workflows", lambda: f"{len(hook.list_workflows())} workflows")
    else:
        yield Check("list workflows", UNKNOWN, "not tried")
    lost = f"this API cannot: a start whose answer was lost {system.lost_starts}"
    yield Check("find runs", OK if finds else UNKNOWN, "this API can" if finds else lost)
    goes_on = "this API cannot: a run continues when its task is stopped"
    yield Check("cancel", OK if cancels else UNKNOWN, "this API can" if cancels else goes_on)


def _tried(name: str, attempt: Callable[[], str]) -> Check:
    try:
        return Check(name, OK, attempt())
    except WorkflowError as error:
        return Check(name, WRONG, str(error))


def _polls(hook: WorkflowHook, options: Namespace) -> Check:
    """Measure looks at a run where one is named, else the requests that the test makes."""
    measured = Seen()
    try:
        run = run_of(options, hook) if options.run else None
        for _ in range(POLLS):
            hook.client.run(observed(hook.system.get_run(run) if run else hook.system.test(), measured))
    except WorkflowError as error:
        return Check("poll", WRONG, str(error))
    what = "a poll of this run" if options.run else "a request (--run RUN measures the polls of a run)"
    took = f"{(measured.typical or 0) * 1000:.0f} ms for {what}"
    return Check("poll", OK, f"{took}; every {hook.system.poll_interval:g} s by default")
