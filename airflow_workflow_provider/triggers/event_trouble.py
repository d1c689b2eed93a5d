"""What a watcher does about troubles: it cannot fail visibly, so it says each once, and tries again."""

from __future__ import annotations

import logging

from airflow_workflow_provider.exceptions import (
    AuthenticationFailed,
    InvalidConnection,
    RequestRejected,
    WorkflowError,
    WorkflowNotFound,
)
from airflow_workflow_provider.protocol.retry import Retry
from airflow_workflow_provider.protocol.text import one_line

log = logging.getLogger(__name__)
# The waits grow while a server is down. They are longer where it refuses the credentials: some lock an account.
DOWN, REFUSED_PACE = Retry(base=1.0, cap=60.0), Retry(base=15.0, cap=300.0)
REFUSED = (AuthenticationFailed, InvalidConnection, RequestRejected, WorkflowNotFound)


class Troubles:
    """Counts failures in a row, logs each kind of them once, and gives the seconds to wait."""

    def __init__(self, what: object, interval: float) -> None:
        self.what, self.interval = what, interval
        self._failures, self._said = 0, ""

    def failed(self, error: Exception) -> float:
        """Take down a failure; give the seconds to wait before the next try."""
        self._failures += 1
        if self._said != type(error).__name__:
            self._said = type(error).__name__
            text = "Watching %s failed, it is tried again with growing pauses; no event fires meanwhile: %s"
            log.warning(
                text, self.what, one_line(str(error)), exc_info=None if isinstance(error, WorkflowError) else error
            )
        # An unexpected error does not pass by itself either.
        pace = REFUSED_PACE if isinstance(error, REFUSED) or not isinstance(error, WorkflowError) else DOWN
        asked = getattr(error, "retry_after", None)
        delay = pace.delay(self._failures, None if asked is None else min(asked, pace.longest))
        return max(self.interval, delay)

    def over(self) -> None:
        """Take down that it works again."""
        if self._failures:
            log.info("Watching %s works again after %d failures", self.what, self._failures)
        self._failures, self._said = 0, ""
