"""What the waiting costs is told to Airflow's own metrics, under the names that docs/scaling.md gives."""

from __future__ import annotations

import asyncio
import re
from pathlib import Path

import pytest

from airflow_workflow_provider.hooks.carto import CartoHook
from airflow_workflow_provider.triggers import metrics
from airflow_workflow_provider.triggers.workflow import WorkflowRunTrigger
from tests.operators.staging import first_event, revived

PAGE = Path(__file__).parents[2] / "docs" / "scaling.md"


class Backend:
    """What Airflow would send to StatsD."""

    def __init__(self):
        self.counters, self.gauges = {}, {}

    def incr(self, name, count=1, rate=1, *, tags=None):
        """Count."""
        self.counters[name] = self.counters.get(name, 0) + count

    def gauge(self, name, value, rate=1, delta=False, *, tags=None):
        """Keep the last value."""
        self.gauges[name] = value


@pytest.fixture
def backend(monkeypatch):
    """Airflow's metrics with a backend of ours behind them."""
    made, stats = Backend(), metrics.stats()
    for name in ("incr", "gauge"):
        monkeypatch.setattr(stats, name, getattr(made, name), raising=False)
    return made


async def test_polls_waiters_and_lag_are_reported(carto, backend):
    run = CartoHook().start_run(carto["every_type"])
    event = await first_event(revived(WorkflowRunTrigger("carto", "carto_default", run.to_json(), 0.02)))
    assert event["status"] == "succeeded"
    async with asyncio.timeout(30):  # on a slow machine, a report before the end counts one waiter
        while backend.gauges.get("workflow_provider.waiters") != 0:  # noqa: ASYNC110  # it has no event
            await asyncio.sleep(0.02)
    assert backend.counters["workflow_provider.polls"] >= 1
    assert backend.gauges["workflow_provider.loop_lag"] >= 0


def test_a_count_is_told_once(backend):
    reporter = metrics.Reporter()
    reporter.meter.polls, reporter.meter.requests_saved = 7, 3
    reporter.report()
    reporter.meter.polls += 1
    reporter.report()
    assert backend.counters == {"workflow_provider.polls": 8, "workflow_provider.requests_saved": 3}


def test_a_backend_that_fails_is_logged_and_no_more(backend, monkeypatch, caplog):
    def fail(*args, **more):
        raise OSError("no route to StatsD")

    monkeypatch.setattr(metrics.stats(), "gauge", fail, raising=False)
    metrics.Reporter().report()
    assert "no route to StatsD" in caplog.text


async def test_who_begins_to_wait_during_the_last_report_is_reported_too(backend, monkeypatch):
    monkeypatch.setattr(metrics, "TICK", 0.01)
    reporter = metrics.Reporter()

    class Late(metrics.Reporter):
        def report(self):
            self.meter.waiters += not backend.gauges
            super().report()

    reporter = Late()
    reporter.start()
    await asyncio.sleep(0.1)
    assert not reporter._task.done()
    reporter.meter.waiters = 0
    await asyncio.wait_for(reporter._task, 5)


async def test_a_last_trigger_that_ends_during_a_report_is_reported(backend, monkeypatch):
    """The gauge says zero in the end, for the report that was under way still counted the trigger."""
    monkeypatch.setattr(metrics, "TICK", 0.01)
    monkeypatch.setattr(metrics, "EVERY", 0.01)

    class Ends(metrics.Reporter):
        def report(self):
            super().report()
            self.meter.waiters = 0

    reporter = Ends()
    reporter.meter.waiters = 1
    reporter.start()
    await asyncio.wait_for(reporter._task, 30)
    assert backend.gauges["workflow_provider.waiters"] == 0


def test_the_documented_names_are_those_that_are_sent(backend):
    reporter = metrics.Reporter()
    for name in metrics.COUNTERS:
        setattr(reporter.meter, name, 1)
    reporter.report()
    described = set(re.findall(r"`(workflow_provider\.\w+)`", PAGE.read_text(encoding="utf-8")))
    assert described == set(backend.counters) | set(backend.gauges)
