"""What the contract says of systems that break it: one clear sentence each, which names the class."""

from __future__ import annotations

import inspect
import itertools
import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import ClassVar

import pytest
from _pytest.outcomes import Failed, Skipped

from airflow_workflow_provider import sdk
from airflow_workflow_provider.client.worker import WorkerClient
from airflow_workflow_provider.systems import registry
from airflow_workflow_provider.testing.system_contract import SystemContract
from tests.systems.test_rest import AcmeSystem


def failures(system, *, connection=None, only="", **fields):
    """Play the contract, or the tests whose names begin so; give what they say, by their names."""
    contract = type("Contract", (SystemContract,), {"system": system, **fields})()
    found = {}
    for name, test in inspect.getmembers(contract, inspect.ismethod):
        if not name.startswith(only or "test_"):
            continue
        wanted = set(inspect.signature(test).parameters)
        if wanted & {"made", "client", "task_connection"} and connection is None:
            continue
        for values in combinations(test):
            arguments = dict(values)
            if "made" in wanted:
                arguments["made"] = system(sdk.ConnectionValues("contract", **connection))
                arguments["client"] = WorkerClient(arguments["made"].transport)
            if "task_connection" in wanted:
                arguments["task_connection"] = "contract"
            try:
                with pytest.MonkeyPatch.context() as patch, registry.standing_in(system):
                    fields = {"conn_type": system.key, **(connection or {})}
                    patch.setenv("AIRFLOW_CONN_CONTRACT", json.dumps(fields))
                    test(**arguments)
            except Skipped:
                pass
            except (Exception, Failed) as error:  # noqa: BLE001  # whatever it is, an author reads it
                found.setdefault(name, str(error).partition("\n")[0])
    return found


def combinations(test):
    """The values of a test's parameters, as pytest combines them."""
    marks = [mark for mark in getattr(test, "pytestmark", []) if mark.name == "parametrize"]
    rows = [
        [dict(zip(names, value if len(names) > 1 else [value], strict=True)) for value in mark.args[1]]
        for mark in marks
        for names in [mark.args[0] if isinstance(mark.args[0], (tuple, list)) else [mark.args[0]]]
    ]
    return [{name: value for part in row for name, value in part.items()} for row in itertools.product(*rows)]


def test_a_good_system_has_no_failure():
    assert failures(AcmeSystem) == {}


class TwiceSystem(AcmeSystem):
    """Sends a start again by itself."""

    def start(self, workflow, parameters, options):
        request = self.request(self.start_call, workflow=workflow, known={sdk.PARAMETERS: {}})
        try:
            return (yield from self.send_start(self.api, request, workflow, lambda document: "1", self.seen))
        except sdk.UnknownStart:
            return (yield from self.send_start(self.api, request, workflow, lambda document: "1", self.seen))


class PastSystem(AcmeSystem):
    """Starts with a call that may be repeated."""

    def start(self, workflow, parameters, options):
        request = self.request(self.start_call, workflow=workflow, known={sdk.PARAMETERS: {}})
        document = yield from self.api.read(request, "starting")
        return sdk.Run(self.key, self.conn_id, workflow, str(document))


class EarlySystem(AcmeSystem):
    """Cancels without a request."""

    def cancel(self, run):
        return
        yield


class DeafSystem(AcmeSystem):
    """Cancels, whatever the server says."""

    def cancel(self, run):
        try:
            yield from self.api.call(self.request(self.cancel_call, run_id=run.run_id), "cancelling")
        except sdk.WorkflowError:
            return


class EndlessSystem(AcmeSystem):
    """Reads pages as long as they have rows."""

    def find_runs(self, workflow, since=None):
        page, found = 0, []
        while True:
            page += 1
            request = sdk.Request("GET", self.api.url("/runs"), params={"page": str(page)})
            rows = yield from self.api.read(request, "listing runs")
            if not rows:
                return found
            found += [sdk.Run(self.key, self.conn_id, workflow, "1")]


class GuessingSystem(AcmeSystem):
    """Takes a word that it does not know for success."""

    def seen(self, run, document):
        made = super().seen(run, document)
        word = sdk.found(document, "run.state")
        return made if str(word).lower() in self.states else sdk.replace(made, state=sdk.RunState.SUCCEEDED)


class TrustingSystem(AcmeSystem):
    """Downloads from where a run object says."""

    def read(self, run, output):
        request = sdk.Request("GET", output.location, stream=True)
        return sdk.FileSource("csv", lambda: self.api.call(request, "reading"))


class TellingSystem(AcmeSystem):
    """Forgets to name its secret."""

    def __init__(self, values):
        super().__init__(values)
        self.secrets = ()

    def get_run(self, run):
        return sdk.replace(run, state=sdk.RunState.FAILED, message=f"bad key {self.auth.value}")
        yield


@pytest.mark.parametrize(
    ("system", "test", "says"),
    [
        (TwiceSystem, "test_a_start_is_sent_once_when", "TwiceSystem.start: a start whose answer was lost was sent ag"),
        (PastSystem, "test_a_start_is_sent_once_when", "PastSystem.start: the request that starts a run does not go"),
        (EarlySystem, "test_a_cancel_that_no_server_took", "EarlySystem.cancel returned without a request: the run "),
        (DeafSystem, "test_a_cancel_that_no_server_took", "DeafSystem.cancel returned although the server answered "),
        (EndlessSystem, "test_whatever_the_server_answers", "more than 300 requests are sent, the last one is GET"),
        (GuessingSystem, "test_the_table_of_states", "'a word from the future' is read as succeeded"),
        (
            TrustingSystem,
            "test_a_run_object_carries_no_authority",
            "TrustingSystem sends GET o for a forged run object",
        ),
        (TellingSystem, "test_whatever_the_server_answers", "shows the field 'password'"),
    ],
)
def test_a_broken_system_fails_with_a_sentence(system, test, says):
    (found,) = failures(system, only=test).values()
    assert says in found


class _Server(BaseHTTPRequestHandler):
    """Acme's API: each run succeeds at once, but for one that cannot be stopped."""

    protocol_version = "HTTP/1.1"
    runs: ClassVar[list[str]] = []

    def log_message(self, *arguments):
        """Say nothing."""

    def _answer(self):
        self.rfile.read(int(self.headers.get("Content-Length") or 0))
        path = self.path.partition("?")[0].removeprefix("/api")
        if self.command == "POST" and path.endswith("/runs"):
            self.runs.append("endless" if "endless" in path else "ok")
            found = {"run": {"id": f"r{len(self.runs)}"}} if "nothing" not in path else {"run": {"name": "r1"}}
        elif path.endswith("/stop"):
            found = {"stopped": True}
        elif path.endswith("/files"):
            found = [{"name": "a.csv"}]
        elif path.endswith((".csv", "/log")):
            found = []
        elif path.startswith("/runs/"):
            number = int(path.removeprefix("/runs/r"))
            found = {"run": {"id": f"r{number}", "state": "going" if self.runs[number - 1] == "endless" else "ok"}}
        else:
            found = {"items": [{"run": {"id": f"r{n + 1}", "state": "ok"}} for n, _ in enumerate(self.runs)]}
        body = b"n,name\n1,x\n" if path.endswith(".csv") else json.dumps(found).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    do_GET = do_POST = _answer  # noqa: N815  # the names that http.server wants


@pytest.fixture
def connection():
    """A connection to the server."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), type("Server", (_Server,), {"runs": []}))
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    yield {"host": f"http://127.0.0.1:{server.server_address[1]}", "password": "a-key-0123456789"}
    server.shutdown()
    server.server_close()
    thread.join()


class SinglePaged(AcmeSystem):
    """The system that fits the server."""

    list_runs_call = sdk.ListRuns(path="/workflows/{workflow}/runs", rows="items", run_id="run.id")


class SharedFiles(SinglePaged):
    """Its files belong to no run."""

    outputs_call = sdk.Outputs(path="/runs/{run_id}/files", file="/latest/{output}", format="csv")


class Misplaced(SinglePaged):
    """Its list shows no parameters where it says."""

    list_runs_call = sdk.ListRuns(
        path="/workflows/{workflow}/runs", rows="items", run_id="run.id", parameters="run.nowhere"
    )


def test_against_a_server_a_good_system_has_no_failure(connection):
    assert failures(SinglePaged, connection=connection, workflow="w", run_poll_interval=0.02) == {}


@pytest.mark.parametrize(
    ("system", "fields", "test", "says"),
    [
        (
            SinglePaged,
            {"endless_workflow": "endless", "run_timeout": 1.0, "run_poll_interval": 0.05},
            "test_a_run_is_cancelled",
            "SinglePaged.cancel retu",
        ),
        (
            SinglePaged,
            {"workflow": "nothing"},
            "test_a_run_succeeds",
            "where SinglePaged.start_call.run_id says, at 'run.id'",
        ),
        (
            SharedFiles,
            {},
            "test_outputs_are_those_of_their_run",
            "SharedFiles.output_location: output 'a.csv' of run r",
        ),
        (
            Misplaced,
            {"parameters": {"n": 1}},
            "test_a_start_whose_answer_is_lost_starts_one_run",
            "Misplaced.find_started finds 0 runs for a start whose answer was lost",
        ),
    ],
)
def test_against_a_server_a_broken_system_fails_with_a_sentence(connection, system, fields, test, says):
    assert says in failures(system, connection=connection, only=test, **{"workflow": "w", **fields})[test]


def test_a_run_id_that_is_missing_names_class_field_and_distribution():
    from tests.protocol.playing import Player, answer
    from tests.systems.test_rest import acme

    class Registered(AcmeSystem):
        distribution = "acme-plug 1.2"

    with pytest.raises(
        sdk.UnknownStart, match=r"no id .* Registered.start_call.run_id of acme-plug 1.2 says, at 'run.id'"
    ):
        Player([answer(200, {"id": 1})]).play(acme(Registered).start("w", {}, {}))
    with pytest.raises(sdk.ProtocolError, match=r"Registered.status_call.state of acme-plug 1.2 says, at 'run.state'"):
        Player([answer(200, {"id": 1})]).play(acme(Registered).look(sdk.Run("acme", "c", "w", "1")))
