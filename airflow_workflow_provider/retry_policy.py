"""How long a task waits before its next try: as long as the server asked for (Airflow 3.3+)."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any

from airflow_workflow_provider.exceptions import NotSupported, ServerUnavailable, UnknownStart

if TYPE_CHECKING:
    from airflow.sdk.definitions.retry_policy import RetryDecision, RetryPolicy
else:
    try:
        from airflow.sdk.definitions.retry_policy import RetryDecision, RetryPolicy
    except ImportError:  # below 3.3 the name can be imported, but not used
        RetryDecision, RetryPolicy = None, object


class WorkflowRetryPolicy(RetryPolicy):
    """Waits before a retry as long as the server asked for; otherwise the task's own settings decide.

    Use it as ``retry_policy=WorkflowRetryPolicy()``. It cannot exceed the task's ``retries``. A start with
    an unknown result is not retried, unless ``retry_unknown_start`` is true.

    :param retry_unknown_start: retry after `UnknownStart` too.
    :param longest: seconds; if a server asks for more, the retry comes after this time.
    """

    def __init__(self, *, retry_unknown_start: bool = False, longest: float = 3_600.0) -> None:
        if RetryDecision is None:
            raise NotSupported("WorkflowRetryPolicy needs Airflow 3.3 or newer; use retry_delay below it")
        self.retry_unknown_start = retry_unknown_start
        self.longest = longest

    def evaluate(self, exception: BaseException, try_number: int, max_tries: int, context: Any = None) -> RetryDecision:
        """Decide about one failure."""
        if isinstance(exception, UnknownStart) and not self.retry_unknown_start:
            return RetryDecision.fail("whether a run was started is unknown; look for it before another is started")
        if isinstance(exception, ServerUnavailable) and exception.retry_after is not None:
            wait = min(exception.retry_after, self.longest)
            return RetryDecision.retry(timedelta(seconds=wait), f"the server asked for {wait:.0f} seconds")
        return RetryDecision.default()

    def serialize(self) -> dict[str, Any]:
        """Give the arguments, for the serialized DAG."""
        return {"retry_unknown_start": self.retry_unknown_start, "longest": self.longest}

    @classmethod
    def deserialize(cls, data: dict[str, Any]) -> WorkflowRetryPolicy:
        """Make the policy from its serialized arguments."""
        return cls(**data)
