"""Runs as processes of the analytics engine: they have an id, variables and stored results.

A process that has ended, failed, was stopped or never was all look alike to ``query``: plain text under a JSON
content type [api]. Only the stored results tell, and these come a moment later. A sentence that no page shows is an
end as well, as the vendor's client has it [client].
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

from airflow_workflow_provider.exceptions import CancelRefused, InvalidArgument, OutputGone, WorkflowNotFound
from airflow_workflow_provider.protocol.api import Api, first_text
from airflow_workflow_provider.protocol.auth import redacted
from airflow_workflow_provider.protocol.effects import Chunk, Flow, Note, Now, Request, exact_number
from airflow_workflow_provider.protocol.model import Output, Run, RunState
from airflow_workflow_provider.protocol.parameters import Parameters, as_text, spelled
from airflow_workflow_provider.protocol.results import Page
from airflow_workflow_provider.protocol.run_log import Cursor, LogPage
from airflow_workflow_provider.protocol.system import WorkflowSystem, existing, seconds_in
from airflow_workflow_provider.protocol.times import time_or_none
from airflow_workflow_provider.systems.chorus import answers, log
from airflow_workflow_provider.systems.chorus.settling import OVER_SINCE

RUN = "/workflows/{workflow}/run"
QUERY = "/processes/{process}/query"
STOP = "/processes/{process}/stop"
RESULTS = "/workflows/{workflow}/results/{process}"  # not in TIBCO's pages; the vendor's client reads it
GRACE = 30.0  # seconds that stored results may lag behind the end; the vendor's client waits one
SAID = 500  # characters of the engine's text that a message shows
_OVER = ("already stopped", "invalid processid")  # spelled processId or processID, by version
_TAKEN = ("request accepted", "flow stopped")


class Engine:
    """The engine's API."""

    def __init__(self, system: WorkflowSystem, api: Api) -> None:
        self.system, self.api = system, api

    def start(self, workflow: str, parameters: Parameters) -> Flow[Run]:
        """Start a process. Variables must exist in the flow; their names start with ``@`` and values are text [api]."""
        variables = _variables(parameters)
        body = {"meta": {"version": 1}, "variables": variables} if variables else None
        url = self.api.url(RUN, workflow=workflow)
        # A JSON content type without a body is what the vendor's client sends for a flow without variables.
        headers = {} if body else {"Content-Type": "application/json"}
        request = Request("POST", url, params={"saveResult": "true"}, json=body, headers=headers)

        def seen_first(run: Run, document: Any) -> Run:
            return replace(run, state=RunState.RUNNING, url=self.url(run), details={"run_mode": "engine"})

        return (yield from self.system.send_start(self.api, request, workflow, answers.process_of, seen_first))

    def get_run(self, run: Run) -> Flow[Run]:
        """Ask for the process and, once it is over, for its stored results."""
        doing = f"reading the status of process {run.run_id}"
        request = Request("GET", self.api.url(QUERY, process=run.run_id))
        response = yield from self.api.call(request, doing)
        if said := answers.sentence_of(response):
            return (yield from self._over(run, said))
        document = self.api.document(request, response, doing)
        meta = document.get("meta") if isinstance(document, Mapping) else None
        if not isinstance(meta, Mapping):
            raise self.api.unreadable(request, response, doing, "the answer is not a process")
        yield from self.system.state_of(run, meta.get("state"))
        workflow = run.workflow or str(meta.get("workflowId") or "")
        details = {name: value for name, value in run.details.items() if name != log.STATUS_TEXT}
        if text := first_text([document.get("message")]):
            details[log.STATUS_TEXT] = text[: log.LONGEST]
        return replace(
            run,
            workflow=workflow,
            state=RunState.RUNNING,
            url=self.url(run),
            details=details,
            handle=run.handle.with_poll(),
        )

    def read_log(self, run: Run, cursor: Cursor) -> Flow[LogPage]:
        """Give what the last poll saw of a running process, and the notes of its results once it is over."""
        if not run.state.is_terminal:
            return log.running_page(run, cursor)
        return log.results_page((yield from self.results(run.workflow, run.run_id)) if run.workflow else {}, cursor)

    def cancel(self, run: Run) -> Flow[None]:
        """Ask for a stop.

        There are two spellings of yes; a process that is over has a sentence of its own, and any other answer means
        that the stop failed [api, client].
        """
        request, doing = Request("POST", self.api.url(STOP, process=run.run_id)), f"cancelling process {run.run_id}"
        response = yield from self.api.call(request, doing)
        said = answers.stop_of(response)
        if any(words in said.lower() for words in _TAKEN):
            return
        if any(words in said.lower() for words in _OVER):
            yield Note(f"Process {run.run_id} was not cancelled: it is over. The engine says: {said[:SAID]}")
            return
        if not said:
            raise self.api.unreadable(request, response, doing, "the answer does not say whether the process stops")
        text = redacted(said, (*self.api.secrets, *self.api.auth.minted))[:SAID]
        raise CancelRefused(f"The engine did not stop process {run.run_id}, which goes on. It says: {text}")

    def results(self, workflow: str, process: str) -> Flow[Mapping[str, Any]]:
        """Read the stored results of a process; empty when there are none (yet)."""
        request = Request("GET", self.api.url(RESULTS, workflow=workflow, process=process))
        doing = f"reading the results of process {process}"
        response = yield from self.api.call(request, doing)
        return answers.results_of(self.api.document(request, response, doing)) if response.text().strip() else {}

    def concluded(self, run: Run, results: Mapping[str, Any], process: str) -> Run:
        """Bring stored results into a run."""
        info = results.get("flowMetaInfo")
        meta = info if isinstance(info, Mapping) else {}
        state = answers.STATES.get(str(meta.get("status") or "").lower(), RunState.FAILED)
        blame = answers.failures_of(results) or f"the engine gives the status {meta.get('status')!r}"
        titles = [str(row.get("out_title") or row.get("out_id") or "") for row in _flat(answers.outputs_of(results))]
        place = self.result_url(run.workflow, process)
        details = {name: value for name, value in run.details.items() if name != log.STATUS_TEXT}
        return replace(
            run,
            state=state,
            details=details,
            message=blame if state is RunState.FAILED else "",
            started_at=time_or_none(meta.get("startTime")) or run.started_at,
            ended_at=time_or_none(meta.get("endTime")) or run.ended_at,
            outputs=tuple(Output(title, "table", place, ("jsonl",)) for title in dict.fromkeys(titles) if title)
            if state is RunState.SUCCEEDED
            else (),
        )

    def rows(self, run: Run, output: Output, workflow: str, process: str) -> Flow[None]:
        """Read an operator's result by its title: the first of that title. The engine stores 25 rows at most."""
        results = yield from existing(self.results(workflow, process), run, output)
        row = next((row for row in _flat(answers.outputs_of(results)) if _titled(row, output.name)), None)
        table = next(iter(_tables(row)), None) if row else None
        if table is None:
            raise OutputGone(f"run {run.run_id} has no table {output.name!r} among its stored results")
        for text in table.get("errorMessages") or ():
            yield Note(f"Output {output.name!r} of run {run.run_id}: {text}", "warning")
        types = list(table.get("columnTypes") or ())
        names = [str(name) for name in table.get("columns") or ()]
        items = [item if isinstance(item, Mapping) else {} for item in table.get("items") or ()]
        kinds = zip(names, types + [""] * len(names), strict=False)
        columns = [(name, _type([item.get(name) for item in items], kind)) for name, kind in kinds]
        yield Chunk(Page(columns, [_row(item, columns) for item in items]))

    def url(self, run: Run) -> str:
        """Give the address that identifies a process; it holds no session."""
        return self.api.url(QUERY, process=run.run_id)

    def result_url(self, workflow: str, process: str) -> str:
        """Give the address of the stored results of a process."""
        return self.api.url(RESULTS, workflow=workflow, process=process)

    def _over(self, run: Run, said: str) -> Flow[Run]:
        if not run.workflow:
            raise InvalidArgument(
                "workflow: pass workflow=<workfile id>; the results of an engine process are stored under its workfile"
            )
        try:
            results = yield from self.results(run.workflow, run.run_id)
        except WorkflowNotFound:
            results = {}  # what an unknown process gives is unverified
        if results:
            return self.concluded(run, results, run.run_id)
        now = yield Now()
        since = seconds_in(run.handle.poll, OVER_SINCE) or now
        if now - since < GRACE:
            return replace(run, state=RunState.RUNNING, handle=run.handle.with_poll(**{OVER_SINCE: since}))
        known = any(words in said.lower() for words in _OVER)
        why = "the process is over and has no stored result: it was stopped, failed early, or never existed"
        text = redacted(said, (*self.api.secrets, *self.api.auth.minted))[:SAID]
        message = why if known else f"{why}; the engine says: {text}"
        return replace(run, state=RunState.FAILED, message=message)


def _variables(parameters: Parameters) -> list[dict[str, str]]:
    if not isinstance(parameters, Mapping):
        if parameters:
            raise InvalidArgument("query_parameters: Team Studio takes a mapping from variable to value")
        return []
    return [
        {"name": "@" + name.lstrip("@"), "value": as_text(spelled(value, key=f"query_parameters[{name!r}]"))}
        for name, value in parameters.items()
        if value is not None
    ]


def _flat(rows: list[Mapping[str, Any]]) -> Iterator[Mapping[str, Any]]:
    """Walk all results; a composite one holds others in ``visualData`` [client]."""
    for row in rows:
        yield row
        inner = row.get("visualData")
        if isinstance(inner, list):
            yield from _flat([item for item in inner if isinstance(item, Mapping)])


def _tables(row: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    for item in _flat([row]):
        data = item.get("visualData")
        if isinstance(data, Mapping) and isinstance(data.get("columns"), list):
            yield data


def _titled(row: Mapping[str, Any], name: str) -> bool:
    return name in (str(row.get("out_title")), str(row.get("out_id")))


def _type(values: list[Any], kind: Any) -> str:
    """Give a column's type. One of numbers stays text where a cell is spelled otherwise, as in ``1,640``."""
    try:
        for value in values if kind == "number" else ():
            _number(value)
    except ValueError:
        return "string"
    return "number" if kind == "number" else "string"


def _row(item: Mapping[str, Any], columns: list[tuple[str, str]]) -> dict[str, Any]:
    """Turn a row of texts into values: every cell is text on the wire [client]."""
    return {name: _number(item.get(name)) if kind == "number" else item.get(name) for name, kind in columns}


def _number(value: Any) -> Any:
    if not isinstance(value, str):
        return value
    if value.strip() in ("", "null"):
        return None
    try:
        return int(value)
    except ValueError:
        return exact_number(value)
