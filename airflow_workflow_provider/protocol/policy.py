"""The error policy: what an HTTP status means for what was asked, and what happens after each error.

Both are tables. Documentation and tests read them, too.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum

from airflow_workflow_provider.exceptions import (
    AuthenticationFailed,
    CancelRefused,
    FinalUnknownStart,
    InvalidArgument,
    InvalidConnection,
    NotSupported,
    OutputGone,
    OutputUnavailable,
    PermissionDenied,
    ProtocolError,
    RequestRejected,
    RunCancelled,
    RunFailed,
    RunTimedOut,
    ServerUnavailable,
    TaskStopped,
    UnknownStart,
    WorkflowError,
    WorkflowNotFound,
)


class Asked(Enum):
    """What a request asks for; a status means something only together with it."""

    OTHER = "other"
    WORKFLOW = "workflow"
    START = "start"
    RUN = "run"
    CANCEL = "cancel"
    OUTPUT = "output"
    TOKEN = "token"  # noqa: S105  # a word, not a credential


@dataclass(frozen=True)
class Meaning:
    """What a status means: the error, and what the reader should do."""

    error: type[WorkflowError]
    advice: str


_REFUSED = Meaning(AuthenticationFailed, "Check the {fields} of {conn}.")
_REJECTED = Meaning(RequestRejected, "The request was refused ({conn}); correct what the server names.")
_UNAVAILABLE = Meaning(ServerUnavailable, "The server of {conn} cannot answer at the moment; a retry may succeed.")
_NOT_FOUND: Mapping[Asked, Meaning] = {
    Asked.OTHER: Meaning(WorkflowNotFound, "{label} does not know this under {conn}; check the id and the {place}."),
    Asked.WORKFLOW: Meaning(WorkflowNotFound, "{label} does not know this workflow under {conn}; check its id."),
    Asked.START: Meaning(WorkflowNotFound, "{label} does not know this workflow under {conn}; check its id."),
    Asked.RUN: Meaning(WorkflowNotFound, "The run is gone, or {conn} never had it."),
    Asked.CANCEL: Meaning(WorkflowNotFound, "The run is gone, or {conn} never had it."),
    Asked.OUTPUT: Meaning(OutputGone, "The output is gone, or {conn} never had it."),
    Asked.TOKEN: Meaning(InvalidConnection, "There is no token endpoint at this address; check the {place} of {conn}."),
}
_BY_STATUS: Mapping[int, Meaning] = {
    401: _REFUSED,
    403: Meaning(PermissionDenied, "The credentials of {conn} lack this right; ask for it."),
}
# 408 and 425 ask for the same request again; 5xx are the server's trouble, whatever else they mean
# (RFC 9110 section 15, RFC 8470). 501 and 505 are no passing trouble, but a proxy that restarts sends them too.
TRANSIENT = frozenset({408, 425, 429})


def is_transient(status: int) -> bool:
    """True for an HTTP status that may be gone at the next try."""
    return status in TRANSIENT or status >= 500


def meaning(status: int, asked: Asked = Asked.OTHER) -> Meaning:
    """Give what a status that is no success means for what was asked."""
    if found := _BY_STATUS.get(status):
        return found
    if status in (404, 410) or (asked is Asked.TOKEN and status == 405):
        return _NOT_FOUND[asked]
    if is_transient(status):
        return _UNAVAILABLE
    if 400 <= status < 500:
        return _REFUSED if asked is Asked.TOKEN else _REJECTED  # RFC 6749 section 5.2: 400 with the reason
    return Meaning(ProtocolError, "Check the {place} of {conn}.")


class Endured(Enum):
    """How often a wait for a run endures an error."""

    ALWAYS = "always"
    FIVE = "five times in a row"
    NEVER = "never"


class Ends(Enum):
    """What an error ends where it is not retried or endured."""

    TRY = "the try"
    TASK = "the task"


@dataclass(frozen=True)
class Treatment:
    """What happens after an error.

    ``is_retried`` says whether the same request is sent again at once, after a back-off, within the try. ``endured``
    is for a poll while a run is going, ``ends`` for everything else. What ends the task is not retried by Airflow.
    """

    is_retried: bool
    endured: Endured
    ends: Ends


POLICY: Mapping[type[WorkflowError], Treatment] = {
    ServerUnavailable: Treatment(True, Endured.ALWAYS, Ends.TRY),
    ProtocolError: Treatment(False, Endured.ALWAYS, Ends.TRY),
    AuthenticationFailed: Treatment(False, Endured.FIVE, Ends.TASK),
    WorkflowNotFound: Treatment(False, Endured.FIVE, Ends.TASK),
    RequestRejected: Treatment(False, Endured.FIVE, Ends.TASK),
    InvalidConnection: Treatment(False, Endured.FIVE, Ends.TASK),
    InvalidArgument: Treatment(False, Endured.NEVER, Ends.TASK),
    NotSupported: Treatment(False, Endured.NEVER, Ends.TASK),
    UnknownStart: Treatment(False, Endured.NEVER, Ends.TRY),
    FinalUnknownStart: Treatment(False, Endured.NEVER, Ends.TASK),
    OutputUnavailable: Treatment(False, Endured.NEVER, Ends.TRY),
    OutputGone: Treatment(False, Endured.NEVER, Ends.TRY),
    CancelRefused: Treatment(False, Endured.NEVER, Ends.TRY),
    RunFailed: Treatment(False, Endured.NEVER, Ends.TRY),
    RunCancelled: Treatment(False, Endured.NEVER, Ends.TRY),
    RunTimedOut: Treatment(False, Endured.NEVER, Ends.TRY),
    TaskStopped: Treatment(False, Endured.NEVER, Ends.TRY),
    WorkflowError: Treatment(False, Endured.NEVER, Ends.TRY),
}


def treatment(error: BaseException) -> Treatment:
    """Give what happens after an error, by its nearest class in `POLICY`."""
    for kind in type(error).__mro__:
        if issubclass(kind, WorkflowError) and kind in POLICY:
            return POLICY[kind]
    return POLICY[WorkflowError]
