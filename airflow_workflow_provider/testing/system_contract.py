"""Tests that an author of a system inherits: a pytest class that plays our contract against it.

    from airflow_workflow_provider.testing.system_contract import SystemContract

    class TestAcme(SystemContract):
        system = AcmeSystem

        @pytest.fixture
        def connection(self):
            return {"host": server_url, "password": "a-key-0123"}

        workflow, parameters = "report", {"n": 3}

``connection`` is a fixture with the fields of a connection to a server, real or fake; without it only what needs no
server is tested. The stories of tasks run operators and sensors without a scheduler and without Airflow's database.
Needs ``pytest``.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import replace
from typing import Any, ClassVar, Literal
from uuid import uuid4

import pytest

from airflow_workflow_provider.client.worker import WorkerClient
from airflow_workflow_provider.exceptions import NotSupported, RunFailed, RunTimedOut, UnknownStart, WorkflowError
from airflow_workflow_provider.protocol.capabilities import CanCancel, CanListRuns, CanListWorkflows, HasLog
from airflow_workflow_provider.protocol.connection import ConnectionValues, origin_of
from airflow_workflow_provider.protocol.effects import Flow, NoAnswer, Now, Request, Response, Shared, Sleep
from airflow_workflow_provider.protocol.form import COMMON_FIELDS, connection_type
from airflow_workflow_provider.protocol.model import Output, Run, RunHandle, RunState
from airflow_workflow_provider.protocol.poll import wait
from airflow_workflow_provider.protocol.results import FileSource
from airflow_workflow_provider.protocol.retry import persist
from airflow_workflow_provider.protocol.system import WorkflowSystem
from airflow_workflow_provider.protocol.times import from_epoch
from airflow_workflow_provider.systems import registry
from airflow_workflow_provider.testing.running import run_task

HOST = "https://own.example"
HOSTILE = ("https://evil.example/x", "..", "../../admin", "a/../../b", "x\r\nHost: evil", "\x00", "p.d.t; DROP TABLE x")
MOST = 300  # requests that one flow may send to a server that gives every request the same answer
TOKENS = b'{"access_token": "minted-0123456789", "token": "minted-0123456789", "expires_in": 600}'
ANSWERS: tuple[tuple[int, bytes], ...] = (
    (200, b"{}"),
    (200, b"[]"),
    (200, b"null"),
    (200, b'"text"'),
    (200, b"<html><title>Log in</title></html>"),
    (200, b"[" * 10_000),
    (200, b'{"id": {"a": [1]}, "state": 5, "status": [], "data": "x"}'),
    (200, b"[" + b",".join(b'{"id": "%d", "name": "n%d"}' % (n, n) for n in range(500)) + b"]"),
    (204, b""),
    (302, b""),
    (400, b'{"message": "no"}'),
    (401, b""),
    (403, b""),
    (404, b""),
    (409, b""),
    (429, b""),
    (500, b"{"),
    (503, b"<html>"),
)


class _Played:
    """A server that gives every request the same answer, and a clock that passes by sleeping only.

    With ``lost`` it takes every request but starts, whose answers are lost.
    """

    def __init__(self, status: int, body: bytes, most: int, *, lost: bool = False) -> None:
        self.status, self.body, self.most, self.lost = status, body, most, lost
        self.now = 1_790_000_000.0
        self.sent: list[Request] = []

    def perform(self, effect: Any) -> Any:
        """Do what a flow asks for."""
        if isinstance(effect, Request):
            self.sent.append(effect)
            if len(self.sent) > self.most:
                raise EndlessError(f"more than {self.most} requests are sent, the last one is {effect}")
            if self.lost and not effect.starts:
                return Response(200, {}, TOKENS)
            if not self.status:
                raise NoAnswer("the connection was reset")
            return Response(self.status, {}, self.body)
        if isinstance(effect, Now):
            return self.now
        if isinstance(effect, Sleep):
            self.now += effect.seconds
        return self.play(effect.flow()) if isinstance(effect, Shared) else None

    def play(self, flow: Any) -> Any:
        """Drive a flow to its end."""
        reply: Any = None
        error: Exception | None = None
        try:
            while True:
                effect = flow.throw(error) if error else flow.send(reply)
                reply = error = None
                try:
                    reply = self.perform(effect)
                except (WorkflowError, NoAnswer) as failure:
                    error = failure
        except StopIteration as end:
            return end.value


class EndlessError(AssertionError):
    """A flow sends requests without an end."""


def play(flow: Any, status: int, body: bytes, *, most: int = MOST) -> tuple[Any, list[Request]]:
    """Drive a flow by hand: every request gets the same answer; a status of 0 is a connection that is reset.

    Raises `EndlessError` for a flow that sends more requests than ``most``.
    """
    played = _Played(status, body, most)
    return played.play(flow), played.sent


def losing(flow: Flow[Any]) -> Flow[Any]:
    """Play a flow whose first request that starts something is sent, and whose answer to it is lost."""
    reply: Any = None
    error: Exception | None = None
    is_lost = False
    while True:
        try:
            effect = flow.throw(error) if error else flow.send(reply)
        except StopIteration as end:
            return end.value
        error = None
        try:
            reply = yield effect
        except (WorkflowError, NoAnswer) as failure:
            error = failure
        if isinstance(effect, Request) and effect.starts and not is_lost:
            is_lost, error = True, NoAnswer("the connection was reset")


def _sent(request: Request) -> str:
    """Tell requests apart by what the server gets."""
    return json.dumps(
        [request.method, request.url, dict(request.params or {}), request.json, dict(request.form or {})],
        sort_keys=True,
        default=str,
    )


def _nested(place: str, value: Any) -> Any:
    """Make the document in which a value stands at a dotted path."""
    for name in reversed(place.split(".")):
        value = [*[None] * int(name), value] if name.isdecimal() else {name: value}
    return value


class SystemContract:
    """Inherit from this class, name the system, and give a connection to a server."""

    system: ClassVar[type[WorkflowSystem]]
    fields: ClassVar[Mapping[str, Any]] = {"login": "a-user", "password": "a-secret-0123456789"}
    """Fields of a made-up connection, for what needs no server."""
    workflow: ClassVar[str] = ""
    """A workflow of the server that succeeds within ``run_timeout`` seconds."""
    parameters: ClassVar[Mapping[str, Any]] = {}
    options: ClassVar[Mapping[str, Any]] = {}
    """Start options."""
    failing_workflow: ClassVar[str] = ""
    """A workflow that fails, if the server has one."""
    failing_parameters: ClassVar[Mapping[str, Any] | None] = None
    """Its parameters; None stands for ``parameters``."""
    endless_workflow: ClassVar[str] = ""
    """A workflow that runs for longer than ``run_timeout``, if the server has one."""
    endless_parameters: ClassVar[Mapping[str, Any] | None] = None
    """Its parameters; None stands for ``parameters``."""
    run_timeout: ClassVar[float] = 60.0
    """Seconds that a run may take."""
    run_poll_interval: ClassVar[float] = 0.5
    """Seconds between two polls of a run."""

    @pytest.fixture
    def connection(self) -> Mapping[str, Any]:
        """Override this: the fields of a connection to a server."""
        pytest.skip("no connection: override the fixture 'connection' for the tests against a server")

    @pytest.fixture
    def made(self, connection: Mapping[str, Any]) -> WorkflowSystem:
        """The system on the connection to the server."""
        return self.system(ConnectionValues("contract", **connection))

    @pytest.fixture
    def client(self, made: WorkflowSystem) -> WorkerClient:
        """What drives its flows."""
        return WorkerClient(made.transport)

    def alone(self) -> WorkflowSystem:
        """The system on a made-up connection."""
        return self.system(ConnectionValues("contract", **{"host": HOST, **self.fields}))

    def known_run(self, **changes: Any) -> Run:
        """A run object of the system."""
        return replace(Run(self.system.key, "contract", "a-workflow", "a-run", RunState.RUNNING), **changes)

    # ---- what needs no server

    def test_the_class_is_a_system(self) -> None:
        """Key, label, form, states, and the version of the SDK."""
        registry.check(self.system, self.system.key, self.system.__name__)
        assert self.system.default_conn_id == f"{self.system.key}_default"

    def test_the_form_is_one_that_airflow_takes(self) -> None:
        """Every connection understands the common fields; a secret is shown as one."""
        form = self.system.form
        assert set(COMMON_FIELDS) <= set(form.extras)
        assert not set(form.hidden) & set(form.labels)
        assert json.dumps(connection_type(form, self.system.key, "a.b.C", self.system.label))

    def test_the_form_asks_for_the_credentials(self) -> None:
        """A field that the declared credentials are read from is shown, or is an extra of the form."""
        credentials = getattr(self.system, "authentication", None)
        names = [getattr(credentials, name, "") for name in ("field", "url_field")]
        form = self.system.form
        for name in filter(None, names):
            is_shown = name in form.extras or (name in ("login", "password") and name not in form.hidden)
            assert is_shown, (
                f"{self.system.__name__}.form: the field {name!r}, which authentication reads, is not shown"
            )

    def test_secrets_are_named(self) -> None:
        """What the connection holds as a secret is removed from every message."""
        made = self.alone()
        told = made.cleaned(self.known_run(message=f"denied: {self.fields.get('password', '')}"))
        assert not self.fields.get("password") or not made.secrets or str(self.fields["password"]) not in told.message

    def test_watch_options_are_kept_in_the_handle(self) -> None:
        """They are no facts of the server; a value that is the default is not written."""
        made, run = self.alone(), self.known_run()
        defaults = self.system.watch_options
        assert made.with_options(run, defaults) == run
        for name in defaults:
            told = made.with_options(run, {name: "something else"})
            assert (dict(told.details), told.handle.to_json()) == ({}, {"watch": {name: "something else"}})
            assert made.with_options(told, defaults) == run

    @pytest.mark.parametrize("field", ["workflow", "run_id", "url", "outputs", "details", "handle"])
    @pytest.mark.parametrize("value", HOSTILE)
    def test_a_run_object_carries_no_authority(self, field: str, value: str) -> None:
        """Whatever stands in it, requests go below the connection's own address."""
        output = Output(value, "table", value, ("csv",))
        forged: dict[str, Any] = {
            "outputs": (output,),
            "details": {"files": [{"id": value}], "carto_connection": value},
            "handle": RunHandle({"results_grace": value}, {"over_since": value, "state": value}),
        }
        run = self.known_run(**{field: forged.get(field, value)})
        run = run if run.outputs else replace(run, outputs=(Output("o", "file", "o"),))
        made = self.alone()
        for flow in self.flows_of(made, run):
            played = _Played(404, b"", MOST)
            with suppress(WorkflowError):  # what counts is what was sent before
                played.play(flow())
            for request in played.sent:
                is_own = origin_of(request.url) in made.transport.origins and request.url.isprintable()
                what = f"{self.system.__name__} sends {request} for a forged run object: {field} is {value!r}"
                assert is_own, what
                assert ".." not in request.url, what

    @pytest.mark.parametrize(("status", "body"), [*ANSWERS, (0, b"")])
    def test_whatever_the_server_answers_a_flow_ends_in_a_value_or_in_our_error(self, status: int, body: bytes) -> None:
        """Nothing but a `WorkflowError` leaves a flow, every flow ends, and a run that comes out can be stored."""
        made = self.alone()
        run = self.known_run(outputs=(Output("o", "file", "o"),))
        flows = [*self.flows_of(made, run), *self.lists_of(made), lambda: self.start_of(made)]
        for flow in flows:
            value: Any = None
            try:
                value, _ = play(flow(), status, body)
            except WorkflowError as error:
                value = str(error)
            is_clean = str(self.fields.get("password") or "no such text") not in str(value)
            assert is_clean, f"{self.system.__name__} shows the field 'password' in a run or an error; see secrets"
            if isinstance(value, Run):
                assert Run.from_json(json.loads(json.dumps(value.to_json()))) == value

    def test_a_start_is_sent_once_when_its_answer_is_lost(self) -> None:
        """`UnknownStart`, unless the system finds the run or may send the same start again.

        The request goes through `send_start`; otherwise nothing could tell it from one that may be repeated.
        """
        name = self.system.__name__
        for status in (503, 0):
            played = _Played(status, b"", MOST, lost=True)
            outcome: Any = None
            try:
                outcome = played.play(self.start_of(self.alone()))
            except WorkflowError as error:
                outcome = error
            starts = [request for request in played.sent if request.starts]
            if not starts and isinstance(outcome, WorkflowError) and not isinstance(outcome, UnknownStart):
                continue  # it asked for something before, and did not get it
            assert starts, f"{name}.start: the request that starts a run does not go through send_start"
            assert isinstance(outcome, (UnknownStart, Run)), f"{name}.start: a lost answer is {outcome!r}"
            assert len({_sent(request) for request in starts}) == 1, f"{name}.start sends two different starts"
            may_repeat = getattr(getattr(self.system, "start_call", None), "is_idempotent", False)
            assert may_repeat or len(starts) == 1, f"{name}.start: a start whose answer was lost was sent again"
            again = [request for request in played.sent if not request.starts and _sent(request) == _sent(starts[0])]
            assert not again, f"{name}.start: a start whose answer was lost was sent again, past send_start"

    @pytest.mark.parametrize("status", [500, 503, 0])
    def test_a_cancel_that_no_server_took_is_an_error(self, status: int) -> None:
        """A cancel that returns says that the server took the request, or that the run has ended."""
        made = self.alone()
        if not made.supports(CanCancel):
            pytest.skip("the API cannot cancel")
        name = self.system.__name__
        try:
            _, sent = play(made.require(CanCancel).cancel(self.known_run()), status, b"")
        except WorkflowError:
            return
        what = f"although the server answered {status or 'nothing'}" if sent else "without a request"
        pytest.fail(f"{name}.cancel returned {what}: the run goes on, and the task says that it was cancelled")

    def test_the_table_of_states_is_what_a_poll_goes_by(self) -> None:
        """Each word of ``states`` means what the table says; an unknown word keeps the run going."""
        place = getattr(getattr(self.system, "status_call", None), "state", None)
        if not isinstance(place, str) or self.system.status_call.rows is not None:  # type: ignore[attr-defined]  # a RestSystem
            pytest.skip("the state is at no dotted path of an answer")
        record = self.system.status_call.record  # type: ignore[attr-defined]  # as above
        if not isinstance(record, str):
            pytest.skip("the object of a run is at no dotted path of an answer")
        place = f"{record}.{place}" if record else place
        made, name = self.alone(), self.system.__name__
        for word, state in {**self.system.states, "a word from the future": RunState.RUNNING}.items():
            body = json.dumps(_nested(place, word.upper())).encode()
            seen = _Played(200, body, MOST)
            try:
                run = seen.play(made.get_run(self.known_run()))
            except WorkflowError:
                continue  # the answer to a log-in is another one
            assert run.state is state, f"{name}.states: {word!r} is read as {run.state}"

    def start_of(self, made: WorkflowSystem) -> Any:
        """The flow that starts a run."""
        return made.start("a-workflow", dict(self.parameters), dict(self.options))

    def lists_of(self, made: WorkflowSystem) -> list[Any]:
        """The flows that read lists."""
        return [
            lambda: made.require(CanListWorkflows).list_workflows(),
            lambda: made.require(CanListRuns).find_runs("a-workflow", None),
        ]

    def flows_of(self, made: WorkflowSystem, run: Run) -> list[Any]:
        """The flows that a run object reaches."""

        def cancelled() -> Any:
            return made.require(CanCancel).cancel(run)

        def logged() -> Any:
            return made.require(HasLog).read_log(run, None)

        def read() -> Any:
            return made.read(run, run.outputs[0]).flow()

        return [
            lambda: made.look(run),
            lambda: made.look(made.rebuilt(run)),
            lambda: made.outputs(run),
            cancelled,
            logged,
            read,
        ]

    # ---- against a server

    def test_the_connection_can_be_tested(self, made: WorkflowSystem, client: WorkerClient) -> None:
        """A sentence for the user."""
        assert isinstance(client.run(made.test()), str)

    def test_a_run_succeeds(self, made: WorkflowSystem, client: WorkerClient) -> None:
        """Started once, awaited, stored and read back."""
        run = self.started(made, client, self.workflow)
        ended = self.awaited(made, client, run)
        assert ended.state is RunState.SUCCEEDED, ended.message
        assert ended.run_id == run.run_id
        assert ended.ended_at is not None
        assert Run.from_json(json.loads(json.dumps(ended.to_json()))) == ended
        assert made.rebuilt(ended).outputs == ended.outputs, "rebuilding an honest run changes its outputs"

    def test_a_failure_says_why(self, made: WorkflowSystem, client: WorkerClient) -> None:
        """The message is the system's own."""
        if not self.failing_workflow:
            pytest.skip("no failing_workflow is named")
        ended = self.awaited(made, client, self.started(made, client, self.failing_workflow, self.failing_parameters))
        assert ended.state is RunState.FAILED
        assert ended.message

    def test_a_run_is_cancelled(self, made: WorkflowSystem, client: WorkerClient) -> None:
        """The run ends, and a second cancel is no error."""
        if not self.endless_workflow or not made.supports(CanCancel):
            pytest.skip("no endless_workflow is named, or the API cannot cancel")
        run = self.started(made, client, self.endless_workflow, self.endless_parameters)
        limit = time.monotonic() + self.run_timeout
        while client.run(made.look(run)).state is RunState.QUEUED and time.monotonic() < limit:
            time.sleep(self.run_poll_interval)  # the run goes on in a real server
        client.run(made.require(CanCancel).cancel(run))
        try:
            ended = self.awaited(made, client, run)
        except RunTimedOut:
            pytest.fail(f"{self.system.__name__}.cancel returned, but run {run.run_id} goes on at the server")
        assert ended.state in (RunState.CANCELLED, RunState.FAILED)
        client.run(made.require(CanCancel).cancel(run))

    def test_outputs_can_be_read(self, made: WorkflowSystem, client: WorkerClient) -> None:
        """Each output of a run that succeeded gives its rows, or the bytes of a file that has none."""
        from airflow_workflow_provider.outputs import reading

        ended = self.awaited(made, client, self.started(made, client, self.workflow))
        for output in ended.outputs:
            source = made.read(ended, output)
            if isinstance(source, FileSource) and source.format == "raw":
                with reading.opened(source, client) as file:
                    assert isinstance(file.read(1 << 20), bytes)
            else:
                assert reading.batches(source, client, max_rows=100_000).read_all().num_rows >= 0

    def test_outputs_are_those_of_their_run(self, made: WorkflowSystem, client: WorkerClient) -> None:
        """The files of two runs have two addresses, and a run does not read what only another one has."""
        if made.foreign_locations:
            pytest.skip("outputs lie at other hosts, whose addresses are for people")
        one, two = (self.awaited(made, client, self.started(made, client, self.workflow)) for _ in range(2))
        for output in one.outputs:
            places = {made.output_location(run, output) for run in (one, two)}
            assert output.kind != "file" or "/" not in output.location or len(places) == 2, (
                f"{self.system.__name__}.output_location: output {output.name!r} of run {one.run_id} has the "
                f"address of that of run {two.run_id}: {output.location}"
            )

    def test_what_can_be_listed_is_listed(self, made: WorkflowSystem, client: WorkerClient) -> None:
        """Workflows by id and name; the run that was just started among the runs."""
        if made.supports(CanListWorkflows):
            assert all(one.id for one in client.run(made.require(CanListWorkflows).list_workflows()))
        if made.supports(CanListRuns):
            run = self.started(made, client, self.workflow)
            found = client.run(made.require(CanListRuns).find_runs(run.workflow))
            assert run.run_id in [one.run_id for one in found]

    def test_a_log_is_read_once(self, made: WorkflowSystem, client: WorkerClient) -> None:
        """From a cursor on there are only lines that are new."""
        if not made.supports(HasLog):
            pytest.skip("the API gives no log")
        ended = self.awaited(made, client, self.started(made, client, self.workflow))
        cursor = None
        for _ in range(20):  # some servers get the last lines after the end of a run
            try:
                page = client.run(made.require(HasLog).read_log(ended, cursor))
            except NotSupported:
                return
            if cursor is not None and not len(page):
                return
            cursor = page.cursor
            time.sleep(self.run_poll_interval)  # the run goes on in a real server
        pytest.fail(f"{self.system.__name__}.read_log gives lines again that are before the cursor")

    def test_a_start_whose_answer_is_lost_starts_one_run(self, made: WorkflowSystem, client: WorkerClient) -> None:
        """The server takes the start and its answer is lost: the run is found, or the start stays unknown."""
        name, begun = self.system.__name__, from_epoch(client.now() - 300)  # the server's clock may be late
        workflow = client.run(made.resolved(self.workflow))
        can_list = made.supports(CanListRuns)
        before = (
            {run.run_id for run in client.run(made.require(CanListRuns).find_runs(workflow))} if can_list else set()
        )
        key = {"idempotency_key": f"contract-{uuid4()}"} if made.keyed_start else {}
        parameters, options = dict(self.parameters), {**self.options, **key}
        try:
            run = client.run(losing(made.start(workflow, parameters, options)))
        except UnknownStart:
            run = None
        if can_list:
            listed = {one.run_id for one in client.run(made.require(CanListRuns).find_runs(workflow))} - before
            assert len(listed) == 1, f"{name}.start: {len(listed)} runs are there after a start whose answer was lost"
        if run is None and (made.lists_parameters or made.keyed_start == "found"):
            found = client.run(made.find_started(workflow, parameters, options, begun))
            fitting = [one for one in found if one.run_id not in before]
            assert len(fitting) == 1, f"{name}.find_started finds {len(fitting)} runs for a start whose answer was lost"
            run = fitting[0]
        if run is not None:
            assert self.awaited(made, client, run).state is RunState.SUCCEEDED

    # ---- the life of a run in a task

    @pytest.fixture
    def task_connection(self, connection: Mapping[str, Any], monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
        """The connection for tasks, and the system under its key, registered or not."""
        fields = {"conn_type": self.system.key, **connection}
        monkeypatch.setenv("AIRFLOW_CONN_CONTRACT", json.dumps(fields))
        with registry.standing_in(self.system):
            yield "contract"

    def task(self, conn_id: str, workflow: str, parameters: Mapping[str, Any], **more: Any) -> Any:
        """A task that runs a workflow."""
        from airflow_workflow_provider.operators.workflow import RunWorkflowOperator

        return RunWorkflowOperator(
            task_id="run",
            system=self.system.key,
            conn_id=conn_id,
            workflow=workflow,
            query_parameters=dict(parameters),
            start_options=dict(self.options),
            **more,
        )

    @pytest.mark.parametrize("mode", ["sync", "deferrable"])
    def test_a_task_gives_the_run_that_it_started(
        self, task_connection: str, mode: Literal["sync", "deferrable"]
    ) -> None:
        """On a worker and through a trigger: the run object is returned, and its id is an XCom."""
        task = self.task(task_connection, self.workflow, self.parameters, timeout=self.run_timeout)
        done = run_task(task, mode=mode, poll_interval=self.run_poll_interval, state={})
        run = Run.from_json(done.value)
        assert (run.system, run.state) == (self.system.key, RunState.SUCCEEDED)
        assert done.xcoms["run_id"] == run.run_id
        assert done.xcoms["run"] == done.value

    def test_a_retry_takes_the_run_over(self, task_connection: str) -> None:
        """The second try of a task awaits the run that its first try has started."""
        state: dict[str, Any] = {}
        task = self.task(task_connection, self.workflow, self.parameters, wait_for_completion=False, retries=1)
        first = run_task(task, mode="sync", state=state)
        task = self.task(task_connection, self.workflow, self.parameters, timeout=self.run_timeout, retries=1)
        second = run_task(task, mode="sync", poll_interval=self.run_poll_interval, try_number=2, state=state)
        what = f"{self.system.__name__}: a retry started a second run"
        assert second.value["run_id"] == first.value["run_id"], what
        assert second.value["state"] == "succeeded"

    @pytest.mark.parametrize("mode", ["sync", "deferrable"])
    def test_a_task_that_is_out_of_time_cancels_its_run(
        self, made: WorkflowSystem, client: WorkerClient, task_connection: str, mode: Literal["sync", "deferrable"]
    ) -> None:
        """The error carries the run, and the server says that the run has ended."""
        if not self.endless_workflow or not made.supports(CanCancel):
            pytest.skip("no endless_workflow is named, or the API cannot cancel")
        parameters = self.parameters if self.endless_parameters is None else self.endless_parameters
        task = self.task(task_connection, self.endless_workflow, parameters, timeout=4 * self.run_poll_interval)
        with pytest.raises(RunTimedOut) as caught:
            run_task(task, mode=mode, poll_interval=self.run_poll_interval, state={})
        run = caught.value.run
        assert run is not None
        assert self.awaited(made, client, run).state in (RunState.CANCELLED, RunState.FAILED)

    @pytest.mark.parametrize("mode", ["sync", "deferrable"])
    def test_a_failed_run_fails_its_task(self, task_connection: str, mode: Literal["sync", "deferrable"]) -> None:
        """The error of the task says why, and is the same in both modes."""
        if not self.failing_workflow:
            pytest.skip("no failing_workflow is named")
        parameters = self.parameters if self.failing_parameters is None else self.failing_parameters
        task = self.task(task_connection, self.failing_workflow, parameters, timeout=self.run_timeout)
        with pytest.raises(RunFailed) as caught:
            run_task(task, mode=mode, poll_interval=self.run_poll_interval, state={})
        assert caught.value.run is not None
        assert caught.value.run.message.partition("\n")[0] in str(caught.value)

    @pytest.mark.parametrize("mode", ["sync", "deferrable"])
    def test_a_sensor_awaits_a_run(
        self, made: WorkflowSystem, client: WorkerClient, task_connection: str, mode: Literal["sync", "deferrable"]
    ) -> None:
        """It returns the run object in both modes."""
        from airflow_workflow_provider.sensors.workflow import WorkflowRunSensor

        run = self.started(made, client, self.workflow)
        sensor = WorkflowRunSensor(task_id="wait", conn_id=task_connection, run=run.to_json(), timeout=self.run_timeout)
        seen = run_task(sensor, mode=mode, poll_interval=self.run_poll_interval).value
        assert (seen["run_id"], seen["state"]) == (run.run_id, "succeeded")

    def started(
        self,
        made: WorkflowSystem,
        client: WorkerClient,
        workflow: str,
        parameters: Mapping[str, Any] | None = None,
    ) -> Run:
        """Start a run."""
        found = client.run(made.resolved(workflow))
        given = self.parameters if parameters is None else parameters
        return client.run(persist(lambda: made.start(found, dict(given), dict(self.options))))

    def awaited(self, made: WorkflowSystem, client: WorkerClient, run: Run) -> Run:
        """Wait for a run's end."""
        deadline = client.now() + self.run_timeout
        return client.run(wait(made.look, run, poll_interval=self.run_poll_interval, deadline=deadline))
