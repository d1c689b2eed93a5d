"""Stories in which a part of Airflow itself dies or is restarted; each has the stage to itself."""

from __future__ import annotations

import contextlib
import signal
import sqlite3

import psutil

from scripts.processes import Background
from tests.system.faults.patience import BAD_DAY
from tests.system.faults.stage import POLLS, STARTS
from tests.system.faults.story import story

DEFERRED = {"deferrable": True}


@story("carto", seconds=60, arguments=DEFERRED, tries=1, scene=1)
def triggerer_restarted(stage):
    """The triggerer is restarted in good order while it waits: the wait goes on, and nothing is cancelled."""
    yield from triggerer_gone(stage, signal.SIGTERM)


@story("carto", seconds=60, arguments=DEFERRED, conn_id="carto_oauth", tries=1, scene=2)
def triggerer_killed(stage):
    """The triggerer dies while it waits, and comes back: the wait goes on, and nothing is cancelled."""
    yield from triggerer_gone(stage, signal.SIGKILL)


def triggerer_gone(stage, number):
    """End the triggerer, and start it again some time later."""
    triggerer = stage.airflow.processes["triggerer"]
    stage.begin()
    yield from stage.deferred()
    yield from stage.pause(3)  # until a bystander is as far
    triggerer.signal(number)
    yield from stage.until(lambda: not triggerer.running(), "the triggerer's end")
    yield from stage.pause(4)
    triggerer.start()
    yield from stage.polled(3)
    yield from stage.ended()


@story("carto", seconds=60, arguments=DEFERRED, tries=1, scene=10)
def one_of_two_triggerers_killed(stage):
    """One of two triggerers dies with its whole machine: the other takes its waits over, and nothing is cancelled."""
    # The last story of all: the second triggerer stays, and would hold what others want to see in the first.
    first = stage.airflow.processes["triggerer"]
    second = Background("triggerer-2", first.command, env=first.env, log=first.log.with_name("triggerer-2.log"))
    stage.begin()
    yield from stage.deferred()
    stage.airflow.processes[second.name] = second  # so that it is stopped with the others
    second.start()
    yield from stage.until(lambda: triggerers(stage) == 2, "two healthy triggerers")
    for process in [*psutil.Process(first.pid).children(recursive=True), psutil.Process(first.pid)]:
        process.kill()
    yield from stage.polled(3)
    yield from stage.ended(120)


@story("carto", seconds=45, arguments={**DEFERRED, "retries": 1}, tries=2, scene=8)
def trigger_broken_with_tries_left(stage):
    """A trigger fails for good while tries are left: the next try takes the run over, and nothing is cancelled."""
    yield from trigger_broken(stage)


@story("carto", seconds=90, arguments={**DEFERRED, "retries": 0}, state="failed", cancelled=1, scene=9)
def trigger_broken_on_the_last_try(stage):
    """A trigger fails for good on the last try: nobody will wait for its run any more, so it is cancelled."""
    yield from trigger_broken(stage)


def trigger_broken(stage):
    """Restart the triggerer after the trigger's class was lost, as an upgrade gone wrong would."""
    triggerer = stage.airflow.processes["triggerer"]
    stage.begin()
    yield from stage.deferred()
    triggerer.signal(signal.SIGKILL)
    yield from stage.until(lambda: not triggerer.running(), "the triggerer's end")
    with contextlib.closing(sqlite3.connect(stage.airflow.home.database, timeout=30)) as database, database:
        database.execute("UPDATE trigger SET classpath = 'nowhere.to.be.Found'")
    triggerer.start()
    yield from stage.until(lambda: "Trigger failed" in stage.log(), "the failure in the log")
    # SQLite gives the next trigger the same number again, which this triggerer would not touch a second time.
    triggerer.signal(signal.SIGKILL)
    yield from stage.until(lambda: not triggerer.running(), "the triggerer's second end")
    triggerer.start()
    yield from stage.ended(120)


def triggerers(stage):
    """Count the triggerers that are alive."""
    jobs = stage.airflow.api("GET", "jobs?job_type=TriggererJob&is_alive=true")["jobs"]
    return sum(job["state"] == "running" for job in jobs)


@story("carto", seconds=30, arguments=DEFERRED, tries=1, scene=4)
def scheduler_restarted(stage):
    """The scheduler is restarted in good order: it sees running tasks to their end, what is deferred goes on."""
    yield from scheduler_gone(stage, signal.SIGTERM)


@story("carto", seconds=45, arguments=DEFERRED, tries=1, scene=5)
def scheduler_killed(stage):
    """The scheduler dies and another takes its place: what is deferred goes on."""
    yield from scheduler_gone(stage, signal.SIGKILL)


@story("alteryx", seconds=40, arguments={"retries": 0}, tries=2, scene=6)
def scheduler_killed_while_polling(stage):
    """The new scheduler starts a running task again and stops the old process, which leaves the run to the new one."""
    yield from scheduler_gone(stage, signal.SIGKILL)


def scheduler_gone(stage, number):
    """End the scheduler, and start it again some time later."""
    scheduler = stage.airflow.processes["scheduler"]
    stage.begin()
    yield from (stage.deferred() if stage.story.deferred else stage.polled())
    yield from stage.pause(3)  # until a bystander is as far
    scheduler.signal(number)
    yield from stage.until(lambda: not scheduler.running(), "the scheduler's end")
    yield from stage.pause(3)
    scheduler.start()
    yield from stage.ended(240)


@story("stevesie", seconds=61, arguments=DEFERRED, tries=1, scene=2, name="bystander_of_the_triggerer")
@story("alteryx", seconds=31, tries=1, scene=4, name="bystander_of_the_scheduler")
def bystander(stage):
    """What happens to a part of Airflow happens to all its tasks."""
    stage.begin()
    yield from stage.ended(150)


@story(
    "carto",
    arguments={**DEFERRED, "retries": 3},
    expand=[{"seconds": 5 + number % 7} for number in range(50)],
    started=50,
    scene=7,
)
def fifty_at_once(stage):
    """A mapped task of fifty runs on a bad day, with the triggerer killed in between: fifty runs, fifty results."""
    for fault in BAD_DAY:
        stage.fault(**fault, path=POLLS["carto"].partition(" ")[2], method="GET", times=None, probability=0.04)
    stage.fault("status", stage.start_path, method="POST", status=429, times=None, probability=0.2)
    stage.begin()
    yield from stage.until(lambda: len(stage.asked(STARTS["carto"])) > 20, "twenty starts", 120)
    stage.airflow.processes["triggerer"].signal()
    yield from stage.pause(2)
    stage.airflow.processes["triggerer"].start()
    yield from stage.ended(400)
