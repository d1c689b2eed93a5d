"""A look that does not believe a single refusal."""

from __future__ import annotations

from typing import TYPE_CHECKING

from airflow_workflow_provider.exceptions import InvalidArgument, WorkflowError, WorkflowNotFound
from airflow_workflow_provider.protocol.effects import Flow, Sleep
from airflow_workflow_provider.protocol.model import Run

if TYPE_CHECKING:
    from airflow_workflow_provider.hooks.workflow import WorkflowHook

PAUSES = (0.5, 1.0, 2.0, 4.0)  # seconds; with the looks around them as many refusals as end a wait


def look(hook: WorkflowHook, run: Run, bearing: tuple[type[WorkflowError], ...]) -> Run:
    """Look at a run, and look again after a refusal: a replica may lag, or a deployment be under way.

    Raises only when every look was refused: `WorkflowNotFound` if all of them say that the run is unknown.
    """
    refusals: list[WorkflowError] = []
    for pause in (0.0, *PAUSES):
        if pause:
            rest(hook, pause)
        try:
            return hook.get_run(run)
        except InvalidArgument:
            raise
        except bearing as error:
            refusals.append(error)
    raise next((error for error in refusals if not isinstance(error, WorkflowNotFound)), refusals[-1])


def rest(hook: WorkflowHook, seconds: float) -> None:
    """Pause as the hook's client does: a task that is told to stop ends it."""
    hook.client.run(_rest(seconds))


def _rest(seconds: float) -> Flow[None]:
    yield Sleep(seconds)
