"""The retry policy waits as long as the server asked for."""

from __future__ import annotations

from datetime import timedelta
from importlib.util import find_spec
from typing import Any

import pytest

from airflow_workflow_provider.exceptions import (
    NotSupported,
    OutputUnavailable,
    RunFailed,
    ServerUnavailable,
    UnknownStart,
)
from airflow_workflow_provider.retry_policy import WorkflowRetryPolicy

try:
    HAS_POLICIES = find_spec("airflow.sdk.definitions.retry_policy") is not None
except ModuleNotFoundError:
    HAS_POLICIES = False
DEFAULT, RETRY, FAIL = ("default", None), "retry", ("fail", None)


def decided(error: BaseException, **options: Any) -> tuple[str, timedelta | None]:
    """Give action and delay of a decision."""
    decision = WorkflowRetryPolicy(**options).evaluate(error, 1, 3)
    return decision.action.value, decision.retry_delay


if HAS_POLICIES:

    @pytest.mark.parametrize(
        ("error", "decision"),
        [
            (ServerUnavailable("busy", retry_after=90), (RETRY, timedelta(seconds=90))),
            (ServerUnavailable("busy", retry_after=0), (RETRY, timedelta())),
            (ServerUnavailable("busy", retry_after=10**6), (RETRY, timedelta(hours=1))),
            (ServerUnavailable("down"), DEFAULT),
            (RunFailed("bad SQL"), DEFAULT),
            (OutputUnavailable("not yet"), DEFAULT),
            (RuntimeError("not ours"), DEFAULT),
            (UnknownStart("the answer was lost"), FAIL),
        ],
        ids=str,
    )
    def test_what_a_failure_leads_to(error, decision):
        """The server's wish counts within reason; a start that may have been taken is not repeated blindly."""
        assert decided(error) == decision

    def test_a_lost_start_is_retried_on_demand():
        """Where two runs do no harm, retries go on."""
        assert decided(UnknownStart("the answer was lost"), retry_unknown_start=True) == DEFAULT

    def test_it_survives_the_serialized_dag():
        """Its arguments are all that it is."""
        policy = WorkflowRetryPolicy(retry_unknown_start=True, longest=60)
        assert vars(WorkflowRetryPolicy.deserialize(policy.serialize())) == vars(policy)

    def test_a_task_takes_it():
        """It is an argument of any operator, and reaches the serialized DAG."""
        from airflow.sdk import DAG

        from airflow_workflow_provider.operators.carto import CartoRunWorkflowOperator

        with DAG("with_policy", schedule=None):
            task = CartoRunWorkflowOperator(task_id="run", workflow="a.b.c", retry_policy=WorkflowRetryPolicy())
        assert isinstance(task.retry_policy, WorkflowRetryPolicy)

else:

    def test_below_33_it_says_what_to_do_instead():
        """The name can be imported everywhere, and using it is a clear error."""
        with pytest.raises(NotSupported, match=r"needs Airflow 3\.3 or newer; use retry_delay"):
            WorkflowRetryPolicy()
