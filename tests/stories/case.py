"""What a story wants to know of one way to run workflows: data, so that the stories themselves know no system."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from airflow_workflow_provider.exceptions import WorkflowError, WorkflowNotFound
from airflow_workflow_provider.operators.workflow import RunWorkflowOperator
from airflow_workflow_provider.sandbox.server import RunningSandbox
from airflow_workflow_provider.sensors.workflow import WorkflowRunSensor
from tests.stories.facts import Row

Server = RunningSandbox
Act = Callable[[Server], object]


@dataclass(frozen=True)
class Work:
    """A workflow and what it is given."""

    workflow: str
    parameters: Mapping[str, Any] | None = None


@dataclass(frozen=True)
class Result:
    """What a run leaves: the output to ask for, its rows, and how its bytes are spelled (csv, json, jsonl).

    ``names`` are the outputs that the run object lists; ``run_id`` tells the column that holds the run's id.
    """

    rows: Callable[[], list[Row]]
    spelled: str
    names: tuple[str, ...] = ()
    output: str | None = None
    run_id: str | None = None


@dataclass(frozen=True)
class Refusal:
    """An error and words of it. ``started`` is how many runs the server has then."""

    error: type[WorkflowError]
    words: str
    started: int = 0


@dataclass(frozen=True)
class Case:
    """One system, or one of its modes, behind one connection of the sandbox.

    ``start``, ``poll`` and ``login`` are patterns of paths below the system's mount, ``login`` empty where the
    credentials are constant. ``expire`` ends what a log-in gave, ``revoke`` refuses the credentials for good;
    None stands for polls that are answered 401, where the sandbox has no better way.
    """

    name: str
    system: str
    conn_id: str
    operator: type[RunWorkflowOperator]
    sensor: type[WorkflowRunSensor]
    good: Work
    result: Result
    bad: Work
    blame: str
    slow: Work
    missing: str
    """An id that no workflow has."""
    start: str
    poll: str
    quick: Mapping[str, Any]
    slower: str
    """The setting that says how long a run takes."""
    unknown_workflow: Refusal
    unknown_parameter: Refusal | None
    """None: the API takes any name."""
    wrong_secret: Refusal
    options: Mapping[str, str] = field(default_factory=dict)
    login: str = ""
    renewing_conn_id: str = ""
    """A connection whose credentials are renewed, where ``conn_id`` has constant ones."""
    expire: Act | None = None
    revoke: Act | None = None
    cancels: bool = False
    adopts: bool = False
    restart: Refusal | None = None
    """What hinders a second start beside the first one; None: nothing."""
    secrets: tuple[str, ...] = ("password",)
    """The fields of the connection that must not be empty."""
    mine: Callable[[dict[str, Any]], bool] = lambda run: True
    """Whether a run of the server is one of this case, rather than a part of one."""


NOT_FOUND = Refusal(WorkflowNotFound, "HTTP 404")
