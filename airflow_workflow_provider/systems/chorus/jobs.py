"""Runs of Chorus Jobs: no id of their own before the end, but a result record with success or failure.

A Job refuses to start while it is not idle, so its first result after the newest one before the start is this run's.
To which Job ``latest`` belongs is unverified: the source of 5.4 reads it by Job, that of 5.8 was taken to ignore the
Job. So the Job's own activities decide, and ``latest`` alone only where they cannot be read.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from airflow_workflow_provider.exceptions import CancelRefused, InvalidArgument, ServerUnavailable, WorkflowError
from airflow_workflow_provider.protocol.api import Api
from airflow_workflow_provider.protocol.effects import Flow, Note, Request
from airflow_workflow_provider.protocol.model import Output, Run, RunState
from airflow_workflow_provider.protocol.parameters import Parameters
from airflow_workflow_provider.protocol.system import WorkflowSystem
from airflow_workflow_provider.protocol.times import time_or_none
from airflow_workflow_provider.systems.chorus import answers
from airflow_workflow_provider.systems.chorus.engine import Engine

RUN = "/jobs/{job}/run"
STOP = "/jobs/{job}/stop"
LATEST = "/jobs/{job}/job_results/latest"
ACTIVITIES = "/activities"
CANCELLED = "canceled by user"  # the message of a task that was killed [src]
SUCCEEDED = {"JobSucceeded": True, "JobFailed": False}  # an activity's action [src]


class Jobs:
    """Chorus's Jobs."""

    def __init__(self, system: WorkflowSystem, api: Api, engine: Engine) -> None:
        self.system, self.api, self.engine = system, api, engine

    def start(self, workflow: str, parameters: Parameters) -> Flow[Run]:
        """Run a Job. 422 NOT_RUNNABLE says that it is not idle, and is `RequestRejected`."""
        baseline = _id((yield from self._latest(workflow)))
        request = Request("POST", self.api.url(RUN, job=workflow))

        def run_id(document: Any) -> str:
            return f"job:{workflow}:{baseline}"

        def seen_first(run: Run, document: Any) -> Run:
            return replace(run, url=self.url(run), details={"run_mode": "job"})

        doing = f"starting job {workflow}"
        return (
            yield from self.system.send_start(
                self.api, request, workflow, run_id, seen_first, doing=doing, has_document=False
            )
        )

    def get_run(self, run: Run) -> Flow[Run]:
        """Wait for the first result after the baseline; there is none while the Job runs."""
        job, baseline = _parts(run)
        run = replace(run, workflow=run.workflow or job, state=RunState.RUNNING)
        latest = yield from self._latest(job)
        if _id(latest) == baseline and (_is_over(latest) or not baseline):
            return run
        result = yield from self._own(job, baseline, latest)
        return (yield from self._concluded(run, result)) if _is_over(result) else run

    def cancel(self, run: Run) -> Flow[None]:
        """Ask for a stop, unless this run is over: the call stops the Job's newest run, whoever started it.

        An idle Job takes it as well and is blocked for a minute or two [src].
        """
        job, _ = _parts(run)
        if (yield from answers.is_over(self.get_run(run), run)):
            return
        request = Request("POST", self.api.url(STOP, job=job))
        response = yield from self.system.send_cancel(self.api, request, run)
        if response is not None and answers.status_of(response) in ("running", "enqueued"):
            raise CancelRefused(f"Job {job} was not stopped, run {run.run_id} goes on: the Job is still running.")

    def url(self, run: Run) -> str:
        """Give the address of the Job's newest result."""
        return self.api.url(LATEST, job=_parts(run)[0])

    def _latest(self, job: str) -> Flow[Mapping[str, Any]]:
        request = Request("GET", self.api.url(LATEST, job=job))
        return answers.response_of((yield from self.api.read(request, f"reading the latest result of job {job}")))

    def _own(self, job: str, baseline: int, latest: Mapping[str, Any]) -> Flow[Mapping[str, Any]]:
        """Give the Job's result that follows the baseline, or nothing; the Job may have run again since."""
        params = {"entity_type": "job", "entity_id": job}
        request = Request("GET", self.api.url(ACTIVITIES), params=params)
        try:
            document = yield from self.api.read(request, f"listing the results of job {job}")
        except ServerUnavailable:
            raise  # they can be read, a little later
        except WorkflowError:
            document = None
        if not isinstance(document, Mapping) or not isinstance(document.get("response"), list):
            # The newest result serves where activities cannot be read.
            return latest if _id(latest) > baseline else {}
        found = [_result_of(row) for row in answers.rows_of(document)]
        own = min((result for result in found if _id(result) > baseline), key=_id, default={})
        return latest if _id(own) == _id(latest) and _is_over(latest) else own

    def _concluded(self, run: Run, result: Mapping[str, Any]) -> Flow[Run]:
        tasks = [row for row in result.get("job_task_results") or () if isinstance(row, Mapping)]
        blame = "; ".join(f"{row.get('name')}: {row.get('message')}" for row in tasks if row.get("status") == "failure")
        state = RunState.SUCCEEDED if result.get("succeeded") is True else RunState.FAILED
        if CANCELLED in blame.lower():
            state = RunState.CANCELLED
        outputs: list[Output] = []
        if state is RunState.SUCCEEDED:
            # That a task whose flow failed can count as a success is possible [src]; the engine knows better.
            state, blame, outputs = yield from self._checked(run, tasks)
        return replace(
            run,
            state=state,
            message=(blame or "the Job gives no message") if state is not RunState.SUCCEEDED else "",
            started_at=time_or_none(result.get("started_at")) or run.started_at,
            ended_at=time_or_none(result.get("finished_at")),
            outputs=tuple(outputs),
            details={
                **run.details,
                "job_result_id": str(result.get("id")),
                "workfiles": [str(task["payload_id"]) for task in tasks if task.get("payload_id")],
            },
        )

    def _checked(self, run: Run, tasks: list[Mapping[str, Any]]) -> Flow[tuple[RunState, str, list[Output]]]:
        outputs: list[Output] = []
        for task in tasks:
            workfile, process = task.get("payload_id"), task.get("payload_result_id")
            if not workfile or not process:
                continue
            try:
                results = yield from self.engine.results(str(workfile), str(process))
            except WorkflowError as error:
                yield Note(
                    f"The engine's results of run {run.run_id} cannot be read, so the Job's own status is used: {error}"
                )
                continue
            if not results:
                continue
            seen = self.engine.concluded(replace(run, workflow=str(workfile)), results, str(process))
            if seen.state is not RunState.SUCCEEDED:
                return seen.state, seen.message, []
            outputs += seen.outputs
        return RunState.SUCCEEDED, "", outputs


def _result_of(activity: Mapping[str, Any]) -> Mapping[str, Any]:
    """Give the result in an activity. Only its id is promised: whether the Job succeeded tells the action as well."""
    result = activity.get("job_result")
    action = SUCCEEDED.get(str(activity.get("action")))
    if not isinstance(result, Mapping) or isinstance(result.get("succeeded"), bool) or action is None:
        return result if isinstance(result, Mapping) else {}
    return {**result, "succeeded": action}


def _is_over(result: Mapping[str, Any]) -> bool:
    """False for the record of a run that goes on; whether ``latest`` shows such is unverified."""
    return bool(result.get("finished_at")) or isinstance(result.get("succeeded"), bool)


def _id(result: Mapping[str, Any]) -> int:
    try:
        return int(result.get("id") or 0)
    except (TypeError, ValueError):
        return 0


def _parts(run: Run) -> tuple[str, int]:
    parts = run.run_id.split(":")
    if len(parts) != 3 or not parts[1] or not parts[2].isdecimal():
        raise InvalidArgument(f"run_id: {run.run_id!r} is not job:<job>:<result before it>")
    return parts[1], int(parts[2])
