"""Another Airflow as a workflow system: a run is a DAG run.

Source: https://airflow.apache.org/docs/apache-airflow/stable/stable-rest-api-ref.html (v2, Airflow 3), and
https://airflow.apache.org/docs/apache-airflow/2.11.0/stable-rest-api-ref.html (v1, Airflow 2).
"""

from __future__ import annotations

import re
from typing import Any, ClassVar

from airflow_workflow_provider import sdk
from airflow_workflow_provider.sdk import IDEMPOTENCY_KEY, PARAMETERS
from airflow_workflow_provider_airflow.form import FORM

RUNS = "/dags/{workflow}/dagRuns"
RUN = "/dags/{workflow}/dagRuns/{run_id}"
TASKS = f"{RUN}/taskInstances"
LINE = re.compile(r"\[(?P<timestamp>[^\]]+)\] \{[^}]*\} (?P<level>[A-Z]+) - (?P<event>.*)")  # of Airflow 2
PAGES = sdk.OffsetPages(100, total=lambda document: document["total_entries"])  # a server may give smaller pages


class AirflowSystem(sdk.RestSystem):
    """Airflow 3 through its REST API v2. ``workflow`` is the id of a DAG, ``query_parameters`` is the run's conf."""

    key = "airflow"
    label = "Airflow"
    default_conn_id = "airflow_default"
    form = FORM
    states: ClassVar[dict[str, sdk.RunState]] = {
        "queued": sdk.RunState.QUEUED,
        "running": sdk.RunState.RUNNING,
        "restarting": sdk.RunState.RUNNING,
        "success": sdk.RunState.SUCCEEDED,
        "failed": sdk.RunState.FAILED,
    }
    start_options = frozenset({"idempotency_key"})
    base_path = "/api/v2"
    authentication = sdk.LogIn("/auth/token", is_optional=True)
    start_call = sdk.Start(
        path=RUNS,
        body={"dag_run_id": IDEMPOTENCY_KEY, "conf": PARAMETERS, "logical_date": None},
        run_id=IDEMPOTENCY_KEY,
    )
    status_call = sdk.Status(path=RUN, state="state", message="note", started_at="start_date", ended_at="end_date")
    cancel_call = sdk.Cancel(
        path=RUN,
        method="PATCH",
        body={"state": "failed"},
        taken=lambda document: document["state"] == "failed",
        looks_first=True,  # a run that has succeeded would be marked as failed
    )
    list_runs_call = sdk.ListRuns(
        path=RUNS,
        params={"order_by": "-id"},
        rows="dag_runs",
        run_id="dag_run_id",
        parameters="conf",
        since="updated_at_gte",  # what began since then was changed since then
        paginator=PAGES,
    )
    list_workflows_call = sdk.ListWorkflows(path="/dags", rows="dags", id="dag_id", name="dag_id", paginator=PAGES)
    outputs_call = sdk.Outputs(
        path=f"{TASKS}/~/xcomEntries", rows="xcom_entries", id="key", file=f"{RUN}/{{output}}", paginator=PAGES
    )
    test_call = sdk.Call(path="/dags", params={"limit": 1})
    run_page = "/dags/{workflow}/runs/{run_id}"

    def conclude(self, run: sdk.Run) -> sdk.Flow[sdk.Run]:
        """Say which tasks failed; add the XComs of a run that succeeded."""
        if run.state is not sdk.RunState.FAILED or run.message:
            return (yield from super().conclude(run))
        failed = [row["task_id"] for row in (yield from self._tasks(run)) if row.get("state") == "failed"]
        return sdk.replace(run, message=f"failed tasks: {', '.join(failed) or 'none, the run was marked as failed'}")

    def outputs(self, run: sdk.Run) -> sdk.Flow[list[sdk.Output]]:
        """List the XComs: ``task:key``."""
        doing = f"listing the XComs of run {run.run_id}"
        rows = yield from self.rows(self.outputs_call, doing, run.workflow, run.run_id, whole=True)
        names = [f"{row['task_id']}:{row['key']}" for row in rows if row.get("map_index", -1) < 0]
        return [sdk.Output(name, "table", name, ("jsonl",)) for name in names]

    def output_location(self, run: sdk.Run, output: sdk.Output) -> str:
        """Give an XCom's name, which is all that it has."""
        return output.name

    def read(self, run: sdk.Run, output: sdk.Output) -> sdk.Source:
        """Read an XCom: a list of objects is a table, anything else is one row with the column ``value``."""

        def rows() -> sdk.Flow[None]:
            task, _, key = output.name.partition(":")
            names = {"workflow": run.workflow, "run_id": run.run_id, "task": task, "key": key}
            url = self.api.url(f"{TASKS}/{{task}}/xcomEntries/{{key}}", **names)
            request = sdk.Request("GET", url, params={"stringify": "false"}, exact=True)
            doing = f"reading XCom {output.name!r}"
            response = yield from self.api.call(request, doing, sdk.Asked.OUTPUT)
            value: Any = sdk.found(self.api.document(request, response, doing, exact=True), "value")
            is_table = isinstance(value, list) and value and all(isinstance(row, dict) for row in value)
            found = value if is_table else [{"value": value}]
            columns = dict.fromkeys(name for row in found for name in row)
            yield sdk.Chunk(sdk.Page([(name, "any") for name in columns], found))

        return sdk.RowSource(rows)

    def read_log(self, run: sdk.Run, cursor: sdk.Cursor = None) -> sdk.Flow[sdk.LogPage]:
        """Read the logs of all tasks, in the order in which these began."""
        lines = []
        begun = [row for row in (yield from self._tasks(run)) if row.get("start_date")]
        for row in sorted(begun, key=lambda row: str(row["start_date"])):
            names = {
                "workflow": run.workflow,
                "run_id": run.run_id,
                "task": row["task_id"],
                "n": str(row["try_number"]),
            }
            params = {"full_content": "true", "map_index": str(row["map_index"])}
            request = sdk.Request("GET", self.api.url(f"{TASKS}/{{task}}/logs/{{n}}", **names), params=params)
            for event in (yield from self.log_events(request, f"reading the log of {row['task_id']}")):
                made = sdk.line_of(event, sdk.Log(path="/", text="event", time="timestamp", level="level"))
                lines.append(made._replace(text=f"{row['task_id']}: {made.text}"))
        return sdk.unseen(lines, cursor)

    def log_events(self, request: sdk.Request, doing: str) -> sdk.Flow[list[Any]]:
        """Read the log of one try of a task: objects with ``event``, ``timestamp`` and ``level``."""
        content = sdk.found((yield from self.api.read(request, doing)), "content")
        return content if isinstance(content, list) else [{"event": line} for line in str(content or "").splitlines()]

    def _tasks(self, run: sdk.Run) -> sdk.Flow[list[Any]]:
        call = sdk.ListRuns(path=TASKS, rows="task_instances", paginator=PAGES)
        return (yield from self.rows(call, f"listing the tasks of run {run.run_id}", run.workflow, run.run_id))


class Airflow2System(AirflowSystem):
    """Airflow 2 through its REST API v1, with user and password."""

    key = "airflow2"
    label = "Airflow 2"
    default_conn_id = "airflow2_default"
    base_path = "/api/v1"
    authentication = sdk.Basic()
    start_call = sdk.Start(path=RUNS, body={"dag_run_id": IDEMPOTENCY_KEY, "conf": PARAMETERS}, run_id=IDEMPOTENCY_KEY)
    run_page = "/dags/{workflow}/grid?dag_run_id={run_id}"

    def log_events(self, request: sdk.Request, doing: str) -> sdk.Flow[list[Any]]:
        """Read the log as text; as JSON it is the text of a Python list."""
        response = yield from self.api.call(request.with_headers(Accept="text/plain"), doing)
        found = [(LINE.fullmatch(line), line) for line in response.text().splitlines()]
        return [match.groupdict() if match else {"event": line} for match, line in found]
