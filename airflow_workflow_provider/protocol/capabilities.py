"""What a workflow system can do beside starting and reading a run: one small protocol per capability.

A system has a capability when its class has the methods. Where only some connections of a system can (an older
server, a missing key), the instance names the capability in `WorkflowSystem.lacks`. Callers ask
`WorkflowSystem.supports`, or use `WorkflowSystem.require`, which raises `NotSupported` with a reason.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any, Protocol, runtime_checkable

from airflow_workflow_provider.exceptions import CancelNotSupported, NotSupported
from airflow_workflow_provider.protocol.effects import Flow
from airflow_workflow_provider.protocol.model import Output, Run, Workflow
from airflow_workflow_provider.protocol.run_log import HasLog


@runtime_checkable
class CanCancel(Protocol):
    """The API can stop a run."""

    def cancel(self, run: Run) -> Flow[None]:
        """Ask the system to stop a run. There are three results.

        The flow returns when the server took the request; that does not mean that the run has stopped. It raises
        `CancelRefused` when the server says that it does not stop the run. Any other `WorkflowError` means that the
        effect is unknown.
        """


@runtime_checkable
class CanListWorkflows(Protocol):
    """The API can list what a connection may start."""

    def list_workflows(self) -> Flow[list[Workflow]]:
        """List the workflows."""


@runtime_checkable
class CanListRuns(Protocol):
    """The API can list the runs of a workflow."""

    def find_runs(self, workflow: str, since: datetime | None = None) -> Flow[list[Run]]:
        """List the runs of a workflow, newest first, without those that started before ``since``."""


@runtime_checkable
class CanCountRows(Protocol):
    """One call gives the number of rows of an output."""

    def count_rows(self, run: Run, output: Output) -> Flow[int]:
        """Count the rows of an output without reading them."""


@runtime_checkable
class CanNameUnlistedOutputs(Protocol):
    """There are outputs that no run lists, such as a table of the workspace."""

    def output_by_name(self, run: Run, name: str) -> Output | None:
        """Give the output of this name, or None where the name is not one of these."""


@runtime_checkable
class CanDropOutput(Protocol):
    """An output is a table of the workflow's own, which nothing needs after its rows were loaded."""

    def drop_output(self, run: Run, output: Output) -> Flow[None]:
        """Drop the table. Raises `OutputUnavailable` for a table that is not certainly the workflow's own."""


__all__ = [
    "LACKS",
    "CanCancel",
    "CanCountRows",
    "CanDropOutput",
    "CanListRuns",
    "CanListWorkflows",
    "CanNameUnlistedOutputs",
    "HasLog",
]

# What a message says that a system without the capability cannot do, and the error that says it.
LACKS: Mapping[Any, tuple[type[NotSupported], str]] = {
    CanCancel: (CancelNotSupported, "cancels a run; the run goes on"),
    CanListWorkflows: (NotSupported, "lists workflows"),
    CanListRuns: (NotSupported, "lists the runs of a workflow"),
    CanCountRows: (NotSupported, "counts the rows of an output"),
    CanDropOutput: (NotSupported, "drops an output"),
    CanNameUnlistedOutputs: (NotSupported, "names outputs that no run lists"),
    HasLog: (NotSupported, "gives the log of a run"),
}
