"""Stories of workers that die, and of people who stop a task while its worker polls."""

from __future__ import annotations

import signal

from tests.system.faults.story import story


@story("alteryx", tries=2, fast=True)
def killed_before_the_start(stage):
    """A worker dies after the intent was noted and before the start was sent: the next try starts the only run."""
    stage.fault("slow", "/oauth2/token", seconds=10)
    stage.begin()
    yield from stage.until(lambda: stage.asked("POST /oauth2/token"), "the log-in")
    yield from stage.looked()
    stage.signal()
    yield from stage.ended()


@story("alteryx", seconds=12, tries=2, fast=True)
@story("stevesie", seconds=12, tries=2, name="killed_during_the_start_stevesie")
def killed_during_the_start(stage):
    """A worker dies after the server has taken its start and before it hears so: the next try adopts the run."""
    yield from start_unheard(stage)
    yield from stage.ended()
    stage.expect("the only one that fits", stage.log())


@story("carto", seconds=12, state="failed", tries=3)
def killed_during_the_start_carto(stage):
    """CARTO's jobs cannot be found again: the next try says that nobody knows, and starts no second run."""
    yield from start_unheard(stage)
    yield from stage.ended()
    stage.expect("UnknownStart", stage.log())


@story("carto", seconds=12, arguments={"on_unknown_start": "restart"}, started=2, tries=2)
def killed_during_the_start_restarted(stage):
    """Who prefers a second run to none says ``on_unknown_start="restart"``."""
    yield from start_unheard(stage)
    yield from stage.ended()


def start_unheard(stage):
    """Kill the worker while the answer to its start is held back."""
    stage.fault("late", stage.start_path, method="POST", seconds=20)
    stage.begin()
    yield from stage.until(stage.runs, "the run")
    yield from stage.looked()
    stage.signal()


@story("carto", seconds=10, tries=2, fast=True)
def killed_while_polling(stage):
    """A worker dies after the start: the next try takes over the same run and returns its result."""
    stage.begin()
    yield from stage.polled()
    yield from stage.looked()
    stage.signal()
    yield from stage.ended()


@story("carto", seconds=12, tries=2, arguments={"retry_delay": 12})
def killed_and_over_before_the_next_try(stage):
    """A run that has succeeded by the time of the next try is that try's result."""
    yield from killed_while_polling(stage)


@story("stevesie", seconds=40, tries=2)
def machine_lost_while_polling(stage):
    """The worker and what watches over it die together; Airflow notices by missing heartbeats."""
    stage.begin()
    yield from stage.polled()
    yield from stage.looked()
    for process in stage.worker():
        process.kill()
    yield from stage.ended(150)


@story("carto", seconds=70, arguments={"retries": 1}, tries=2)
def worker_cut_off(stage):
    """A worker is cut off for so long that Airflow replaces it, comes back, and is stopped.

    By then the next try has taken its run over, so the run is left alone and gives that try's result.
    """
    stage.begin()
    yield from stage.polled()
    yield from stage.looked()
    old = stage.worker()
    for process in old:
        process.suspend()
    try:
        yield from stage.until(lambda: stage.task["try_number"] == 2 and stage.state == "running", "the next try")
        yield from stage.polled(2)
    finally:
        for process in old:
            process.resume()
    yield from stage.until(lambda: not any(process.is_running() for process in old[1:]), "the end of the old try")
    yield from stage.ended(150)


@story("carto", seconds=30, arguments={"retries": 0}, started=1, cancelled=1, state="failed", tries=1)
@story("carto", seconds=30, started=2, cancelled=1, tries=2, name="terminated_with_a_try_left")
def terminated_while_polling(stage):
    """A worker is told to stop, as when its machine is drained: the run is cancelled, the next try starts anew."""
    stage.begin()
    yield from stage.polled()
    yield from stage.looked()
    stage.signal(signal.SIGTERM)
    yield from stage.until(stage.cancelled, "cancelled")
    yield from stage.ended()


@story("carto", seconds=30, arguments={"cancel_on_kill": False, "retries": 1}, tries=2)
def terminated_without_cancelling(stage):
    """With ``cancel_on_kill=False`` the next try takes the run over that the terminated one has left."""
    stage.begin()
    yield from stage.polled()
    yield from stage.looked()
    stage.signal(signal.SIGTERM)
    yield from stage.ended()


@story("alteryx", seconds=30, cancelled=1, state="failed", tries=1)
def marked_failed_while_polling(stage):
    """Somebody marks a task failed that is polling: Airflow kills it and the run is cancelled."""
    stage.begin()
    yield from stage.polled()
    stage.mark("failed")
    yield from stage.until(stage.cancelled, "cancelled")
    yield from stage.ended()


@story("carto", seconds=30, cancelled=1, returns=False, tries=1)
def marked_success_while_polling(stage):
    """Somebody marks a task successful that is polling: nobody waits for the run any more."""
    stage.begin()
    yield from stage.polled()
    stage.mark("success")
    yield from stage.until(stage.cancelled, "cancelled")
    yield from stage.ended()


@story("carto", seconds=12, started=2, cancelled=1, tries=2)
def cleared_while_polling(stage):
    """Somebody clears a task that is polling: its run is cancelled and another one started."""
    stage.begin()
    yield from stage.polled()
    stage.clear()
    yield from stage.until(stage.cancelled, "cancelled")
    yield from stage.ended()
