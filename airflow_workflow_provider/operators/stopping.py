"""What operators and sensors share when they stop: end a wait at once, and show an error without our own frames."""

from __future__ import annotations

from typing import Any, TypeVar

TRIGGER_FAILED = "__fail__"  # what Airflow gives as next_method when a trigger died or its time limit had ended
E = TypeVar("E", bound=BaseException)


def stop_waiting(task: Any) -> None:
    """Make what a task waits for end soon. Safe in a signal handler: it does not even read a connection.

    The handler may have interrupted just that, and would wait for what only the interrupted code can release.
    """
    hook = vars(task).get("hook")
    if hook is not None and "client" in vars(hook):
        hook.client.stop()


def shortened(error: E) -> E:
    """Give an error without the frames that it has passed: the log shows the operator, and the cause without scrolling.

    The error's own text says what was being done. Its causes stay, without their frames.
    """
    one: BaseException | None = error
    seen: set[int] = set()
    while one is not None and id(one) not in seen:
        seen.add(id(one))
        one.__traceback__ = None
        one.__suppress_context__ = True
        one = one.__cause__
    return error
