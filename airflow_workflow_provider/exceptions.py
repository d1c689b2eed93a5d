"""What can go wrong, sorted by what the reader should do.

* WorkflowError                    everything below, and an AirflowException
  x a retry cannot help            (each is an AirflowFailException, so Airflow does not retry)
    + InvalidConnection            correct the Airflow connection: the message names the field
    + AuthenticationFailed         correct the credentials (HTTP 401)
      - PermissionDenied           ask for the right (HTTP 403)
    + WorkflowNotFound             correct the id of the workflow, run or result (HTTP 404)
    + RequestRejected              correct the request (another HTTP 4xx)
      - InvalidArgument            correct the argument of the operator or hook method; nothing was sent
  x try again later
    + ServerUnavailable            408, 425, 429, 5xx, a reset, a time-out; ``retry_after`` if the server said so
    + ProtocolError                the answer is not this API's: a redirect, an HTML page, unreadable JSON
  x look at the remote system
    + UnknownStart                 a start was sent and its answer lost: a run may or may not exist
      - FinalUnknownStart          the same where a retry could only start another run: not retried
    + RunFailed                    the run failed; ``run`` has it
    + RunCancelled                 somebody cancelled the run; ``run`` has it
    + CancelRefused                the server did not take a request to cancel the run
    + RunTimedOut                  the run did not end in time; ``run`` has it
      - WorkflowSensorTimeout      the same from a sensor (also an AirflowSensorTimeout: not retried)
    + OutputUnavailable            the run has no such result, or not yet
      - OutputGone                 the result certainly does not exist: on_missing_output="skip" leaves it out
  x the task, not the run, was stopped
    + TaskStopped                  Airflow killed the task while it waited
  x this API cannot do it          (each is an AirflowFailException, too)
    + NotSupported
      - CancelNotSupported
"""

from __future__ import annotations

from copy import copy
from typing import Any, Self, TypeVar

from airflow.providers.common.compat.sdk import AirflowException, AirflowFailException, AirflowSensorTimeout


class WorkflowError(AirflowException):
    """Base class of all errors of this package.

    ``status`` is the HTTP status that the server answered with, if it answered.
    """

    def __init__(self, message: str = "", *, status: int | None = None) -> None:
        super().__init__(message)
        self.status = status

    @property
    def summary(self) -> str:
        """The first line: the cause and what to do. The lines after it tell what was being done."""
        return str(self).partition("\n")[0]

    def hinted(self, hint: str) -> Self:
        """Give the same error with a hint at the end of its first line; ``status`` and all else stay."""
        head, separator, rest = str(self).partition("\n")
        return self._restated(f"{head} {hint}{separator}{rest}")

    def during(self, doing: str) -> Self:
        """Give the same error with one more line that says what was being done; ``status`` and all else stay."""
        line = f"\n  while: {doing}"
        return self if line in str(self) else self._restated(f"{self}{line}")

    def become(self, kind: type[ErrorT], prefix: str = "", **fields: Any) -> ErrorT:
        """Give this error as another kind, with words before its first line; ``status`` and ``retry_after`` stay."""
        made = kind(f"{prefix}{self}", **fields)
        made.status = self.status
        if hasattr(made, "retry_after"):
            made.retry_after = getattr(self, "retry_after", None)
        return made

    def _restated(self, message: str) -> Self:
        made = copy(self)
        made.args = (message,)
        return made


ErrorT = TypeVar("ErrorT", bound=WorkflowError)


class InvalidConnection(WorkflowError, AirflowFailException):
    """The Airflow connection lacks a field or holds a value that cannot be used."""


class AuthenticationFailed(WorkflowError, AirflowFailException):
    """The server refused the credentials (HTTP 401, or a refused token request)."""


class PermissionDenied(AuthenticationFailed):
    """The credentials are valid, but lack a right (HTTP 403)."""


class WorkflowNotFound(WorkflowError, AirflowFailException):
    """The server does not know this workflow, run or result."""


class RequestRejected(WorkflowError, AirflowFailException):
    """The server understood the request and refused it (HTTP 4xx); nothing was started."""


class InvalidArgument(RequestRejected, ValueError):
    """An argument cannot be used; nothing was sent to the server."""


class ServerUnavailable(WorkflowError):
    """The server could not answer; for a start it is certain that nothing was started.

    ``retry_after`` is the wait in seconds that the server asked for, or None. ``is_unreachable`` is true where no
    connection to the server could be made: no such host, connection refused, TLS refused.
    """

    def __init__(
        self,
        message: str = "",
        *,
        status: int | None = None,
        retry_after: float | None = None,
        is_unreachable: bool = False,
    ) -> None:
        super().__init__(message, status=status)
        self.retry_after = retry_after
        self.is_unreachable = is_unreachable


class ProtocolError(WorkflowError):
    """The answer is not one that this API gives. ``is_too_large`` is true where it is above the limit of answers."""

    def __init__(self, message: str = "", *, status: int | None = None, is_too_large: bool = False) -> None:
        super().__init__(message, status=status)
        self.is_too_large = is_too_large


class UnknownStart(WorkflowError):
    """A start was sent, and it is not known whether a run exists."""


class FinalUnknownStart(UnknownStart, AirflowFailException):
    """The same, where a retry could only start a second run: below Airflow 3.3, or with ``reattach=False``."""


class CancelRefused(WorkflowError):
    """The server refused to cancel the run, which continues.

    Any other `WorkflowError` of a cancel request means that its effect is unknown.
    """


class OutputUnavailable(WorkflowError):
    """A run has no such result, or does not have it yet."""


class OutputGone(OutputUnavailable):
    """The result does not exist, or does not exist any more: the server's answer says so."""


class TaskStopped(WorkflowError):
    """The task was told to stop while it waited; this says nothing about the run."""


class NotSupported(WorkflowError, AirflowFailException):
    """This workflow system's API cannot do this."""


class CancelNotSupported(NotSupported):
    """This workflow system's API cannot cancel a run."""


class _RunError(WorkflowError):
    """Carries the run that the error is about: a `Run`, or None where it is not known.

    This module is below the one of `Run`, so the type does not stand here.
    """

    def __init__(self, message: str = "", *, run: Any = None, status: int | None = None) -> None:
        super().__init__(message, status=status)
        self.run = run


class RunFailed(_RunError):
    """The run ended in failure; the message holds what the system said."""


class RunCancelled(_RunError):
    """The run was cancelled before it ended."""


class RunTimedOut(_RunError):
    """The run was still going when its time limit had ended."""


class WorkflowSensorTimeout(RunTimedOut, AirflowSensorTimeout):
    """A sensor's time was up; as Airflow's own sensor time-outs it is not retried by the sensor."""
