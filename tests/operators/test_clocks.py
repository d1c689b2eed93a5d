"""A lost start is found by its time, whatever the clocks of the server and of two workers show."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_workflow_provider.exceptions import NotSupported
from airflow_workflow_provider.operators.driver import RunRequest, TaskDriver
from airflow_workflow_provider.operators.run_store import RunStore
from airflow_workflow_provider.protocol.lifecycle import FindRuns
from airflow_workflow_provider.protocol.model import Run
from airflow_workflow_provider.protocol.times import LONGEST_LAG, from_epoch
from tests.operators.staging import context_of

NOW = 1_800_000_000.0
MINUTE, HOUR, DAY = 60, 3600, 86_400
OWN, OTHERS = "own", "others"


@dataclass
class Server:
    """A hook whose server lists runs; ``ahead`` is how many seconds its clock is ahead of the true time.

    ``begun`` has the true moments at which its runs began, ``worker`` is how far the worker's clock is ahead.
    """

    begun: dict[str, float]
    ahead: float = 0.0
    worker: float = 0.0
    dag_run: float = NOW - HOUR

    conn_id = "memory"
    system = SimpleNamespace(
        label="the server", keyed_start="", lists_parameters=True, with_options=lambda run, options: run
    )

    @property
    def client(self) -> Any:
        """The clock of the worker, and what the date of an answer shows."""
        return SimpleNamespace(now=lambda: NOW + self.worker, server_lag=self.worker - self.ahead)

    def find_started(self, workflow: str, parameters: Any, *, since: Any, **options: Any) -> list[Run]:
        """List by the clock of the server."""
        listed = [
            Run("memory", "memory", workflow, name, started_at=from_epoch(moment + self.ahead))
            for name, moment in self.begun.items()
        ]
        return [run for run in listed if run.started_at and run.started_at >= since]

    def found(self, since: float, *, is_lost: bool = True) -> list[str] | str:
        """Look for a lost start that was intended at this moment of a worker's clock; "unknown" where it is that."""
        context = context_of(dag_run=SimpleNamespace(start_date=from_epoch(self.dag_run)))
        driver = TaskDriver(
            hook=self,  # type: ignore[arg-type]  # it has the attributes of a hook that the driver uses
            context=context,
            store=RunStore(context, 0),
            log=logging.getLogger(__name__),
            request=RunRequest("w", dict, dict, {}),
            publish=lambda run, is_end: None,
            wait=lambda run: run,
        )

        def flow() -> Any:
            return (yield FindRuns(from_epoch(since), None, is_lost))

        try:
            return sorted(run.run_id for run in driver.drive(flow()).runs)
        except NotSupported:
            return "unknown"


@pytest.mark.parametrize("ahead", [-3000, -300, -30, 0, 30, 300, 3000, 2 * HOUR, DAY])
def test_the_run_of_a_lost_start_is_found_beside_one_that_began_before(ahead):
    server = Server({OWN: NOW - 5, OTHERS: NOW - 5 * MINUTE}, ahead)
    assert server.found(NOW - 6) == [OWN]


@pytest.mark.parametrize("ahead", [300, 3000, 2 * HOUR, DAY])
def test_a_run_that_began_before_is_not_taken_where_the_servers_clock_is_ahead(ahead):
    """By that clock it began later; whether the date of an answer can be trusted is not known either."""
    server = Server({OTHERS: NOW - 4 * MINUTE}, ahead)
    assert server.found(NOW - 6) == "unknown"
    assert server.found(NOW - 6, is_lost=False) == []


@pytest.mark.parametrize("ahead", [-3000, 0, 300, 3000, DAY])
def test_no_run_is_none(ahead):
    assert Server({}, ahead).found(NOW - 6) == []


def test_a_clock_that_is_days_behind_leaves_a_lost_start_unknown():
    assert Server({OWN: NOW - 5}, -DAY).found(NOW - 6) == "unknown"


@pytest.mark.parametrize("worker", [-20 * MINUTE, -2 * MINUTE])
@pytest.mark.parametrize("ahead", [-1000, 0, 1000])
def test_a_start_of_a_worker_whose_clock_was_ahead_is_found(worker, ahead):
    """The stored time is still to come, by the clock of this worker: only runs of this DAG run can be meant."""
    server = Server({OWN: NOW - MINUTE, OTHERS: NOW - DAY}, ahead, worker, dag_run=NOW - 5 * MINUTE + worker)
    assert server.found(NOW - MINUTE) == [OWN]


@given(
    ahead=st.floats(-LONGEST_LAG + 1, 3 * DAY),
    worker=st.floats(-30, 30),
    since=st.floats(1, 30 * MINUTE),
    others=st.lists(st.floats(MINUTE * 2.2, DAY), max_size=3),
    is_taken=st.booleans(),
)
def test_another_run_is_never_taken_and_none_is_never_said_of_a_run(ahead, worker, since, others, is_taken):
    """The start was intended some time ago; other runs began more than two minutes before that."""
    begun = {f"{OTHERS}{index}": NOW - since - age for index, age in enumerate(others)}
    server = Server({**begun, **({OWN: NOW - since + 0.5} if is_taken else {})}, ahead, worker)
    found = server.found(NOW - since + worker)
    assert found in (([OWN],) if is_taken else ([], "unknown"))
