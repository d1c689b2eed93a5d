"""The operator that cancels a run, whatever its system."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from airflow.providers.common.compat.sdk import BaseOperator

from airflow_workflow_provider.exceptions import (
    CancelRefused,
    InvalidArgument,
    ProtocolError,
    ServerUnavailable,
    WorkflowError,
)
from airflow_workflow_provider.operators.stopping import shortened
from airflow_workflow_provider.protocol.literals import check_conn_id, check_run, check_text
from airflow_workflow_provider.protocol.model import RunArgument, parse_run

if TYPE_CHECKING:
    from airflow.providers.common.compat.sdk import Context

    from airflow_workflow_provider.hooks.workflow import WorkflowHook


class CancelWorkflowRunOperator(BaseOperator):
    """Cancels a run of any system; made for teardown tasks, so a run that has ended is not an error.

    :param run: the run object, usually ``run_task.output`` or an XCom ``run``; or an id, with ``system``. (templated)
    :param conn_id: connection to use instead of the run's own. (templated)
    :param system: key of the system of a bare id, such as ``"carto"``; a run object contains its own.
    """

    template_fields: Sequence[str] = ("run", "conn_id")

    def __init__(
        self, *, run: RunArgument, conn_id: str | None = None, system: str | None = None, **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)
        if run is None:
            raise InvalidArgument("run: is missing; give a run object, such as run_task.output")
        check_conn_id("conn_id", conn_id)
        check_text("system", system, optional=True)
        check_run(run, system)
        self.run = run
        self.conn_id = conn_id
        self.system = system

    def execute(self, context: Context) -> None:
        """Poll the run, and cancel it if it is going.

        The task succeeds when the server has taken the request, or when the run has ended. `CancelRefused` means that
        the server did not take it, any other error that whether it was taken is unknown.
        """
        from airflow_workflow_provider.hooks.workflow import WorkflowHook

        try:
            hook = WorkflowHook.for_run(self.run, self.conn_id, system=self.system)
            self._cancel(hook)
        except WorkflowError as error:
            failure = error
        else:
            return
        raise shortened(failure)

    def _cancel(self, hook: WorkflowHook) -> None:
        """Poll the run, and cancel it if it is going or cannot be polled."""
        run = parse_run(self.run, system=hook.system_name, conn_id=hook.conn_id)
        try:
            run = hook.get_run(run)
        except (ServerUnavailable, ProtocolError) as error:  # the server may still take the cancel
            self.log.warning(
                "Run %s cannot be polled at the moment, it is cancelled all the same: %s", run.run_id, error
            )
        if run.state.is_terminal:
            self.log.info("Run %s is %s, there is nothing to cancel", run.run_id, run.state)
            return
        try:
            hook.cancel_run(run)
        except CancelRefused as error:
            seen = run
            with suppress(WorkflowError):
                seen = hook.get_run(run)  # a run that ends at this moment is refused, too
            if not seen.state.is_terminal:
                raise
            self.log.info("Run %s is %s by now; the cancel was refused: %s", run.run_id, seen.state, error.summary)
        else:
            self.log.info("The server has taken the request to cancel run %s", run.run_id)
