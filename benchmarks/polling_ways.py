"""The ways to wait that are compared: ours, other providers' triggers, and the bare limits."""

# ruff: noqa: S106 (the passwords of a server that asks for none)
from __future__ import annotations

import asyncio
import json
import os
import random
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import aiohttp

from benchmarks.polling_server import end_of

Wait = Callable[[str], Awaitable[Any]]
"""Waits until one run has ended."""
SOCKETS = 16


@dataclass(frozen=True)
class Way:
    """One way to wait. ``shape`` is the list that the server is to show, ``is_ours`` whether budgets bind it."""

    name: str
    label: str
    make: Callable[[Place, float, int], Any]
    shape: str = ""
    lists: bool = False
    is_ours: bool = False


@dataclass(frozen=True)
class Place:
    """Where the server listens."""

    port: int
    tls_port: int
    certificate: str
    tls: bool = False

    @property
    def url(self) -> str:
        """The base URL."""
        return f"https://127.0.0.1:{self.tls_port}" if self.tls else f"http://127.0.0.1:{self.port}"


def connections(place: Place) -> None:
    """Tell Airflow the connections of every way; the triggers read them as they would anywhere."""
    tls = {"verify": place.certificate}
    port = place.tls_port if place.tls else place.port
    given: dict[str, dict[str, Any]] = {
        "alteryx": {"login": "8DTESTKEY", "password": "topsecret", "extra": {"auth": "oauth1", **tls}},
        "stevesie": {"password": "5e7e51e0-token", "extra": tls},
    }
    paths = {"alteryx": "/gallery", "stevesie": "/stevesie"}
    for name, path in paths.items():
        _connection(f"bench_{name}", conn_type=name, host=place.url + path, **given[name])
    _connection("bench_http", conn_type="http", host="127.0.0.1", port=port, schema=place.url.partition(":")[0])
    _connection("bench_dbt", conn_type="dbt_cloud", login="1", password="token", host=f"127.0.0.1:{port}")
    schema = place.url.partition(":")[0]
    _connection("bench_databricks", conn_type="databricks", host="127.0.0.1", port=port, schema=schema, password="tok")


def _connection(name: str, **fields: Any) -> None:
    os.environ[f"AIRFLOW_CONN_{name.upper()}"] = json.dumps(fields)


def _of_trigger(trigger: Any) -> Awaitable[Any]:
    return anext(trigger.run())


@asynccontextmanager
async def ours(system: str, workflow: str, place: Place, interval: float, count: int) -> AsyncIterator[Wait]:
    """Our trigger. Where every run has a workflow of its own, no list call can answer for two of them."""
    from airflow_workflow_provider.protocol.model import Run, RunState
    from airflow_workflow_provider.triggers.workflow import WorkflowRunTrigger

    def wait(run: str) -> Awaitable[Any]:
        document = Run(system, f"bench_{system}", workflow or f"wf{run}", run, RunState.RUNNING).to_json()
        return _of_trigger(
            WorkflowRunTrigger(system, f"bench_{system}", document, interval, run_log={"interval": 30.0})
        )

    yield wait


@asynccontextmanager
async def bare(place: Place, interval: float, count: int) -> AsyncIterator[Wait]:
    """The limit for one request a run: a loop of requests over one shared aiohttp session, and nothing else."""
    async with _session(place) as session:

        async def wait(run: str) -> None:
            while True:
                async with session.get(
                    f"{place.url}/stevesie/workflows/executions/{run}", headers={"Token": "x"}
                ) as answer:
                    document = json.loads(await answer.read())
                if document["object"]["completed_at"]:
                    return
                await asyncio.sleep(interval)

        yield wait


@asynccontextmanager
async def bare_list(place: Place, interval: float, count: int) -> AsyncIterator[Wait]:
    """The limit for lists: one list call an interval, its rows looked up among those who wait."""
    waiting: dict[str, asyncio.Future[None]] = {}

    async def watch(session: aiohttp.ClientSession) -> None:
        while True:
            await asyncio.sleep(interval)
            for offset in range(0, count, 1000):
                url = f"{place.url}/gallery/api/v1/workflows/wf/jobs/?offset={offset}&limit=1000"
                async with session.get(url) as answer:
                    rows = json.loads(await answer.read())
                for row in rows:
                    if row["status"] == "Completed" and row["id"] in waiting:
                        waiting.pop(row["id"]).set_result(None)

    async def wait(run: str) -> None:
        waiting[run] = asyncio.get_running_loop().create_future()
        await waiting[run]

    async with _session(place) as session:
        watching = asyncio.create_task(watch(session))
        try:
            yield wait
        finally:
            watching.cancel()


@asynccontextmanager
async def http_sensor(place: Place, interval: float, count: int) -> AsyncIterator[Wait]:
    """The HTTP provider's sensor, deferred."""
    from airflow.providers.http.triggers.http import HttpSensorTrigger

    yield lambda run: _of_trigger(HttpSensorTrigger(f"sensor/{run}", "bench_http", poke_interval=interval))


@asynccontextmanager
async def dbt_cloud(place: Place, interval: float, count: int) -> AsyncIterator[Wait]:
    """The dbt Cloud provider's trigger. It speaks https only, so plain http is put into it for the plain columns."""
    from airflow.providers.dbt.cloud.hooks.dbt import DbtCloudHook
    from airflow.providers.dbt.cloud.triggers.dbt import DbtCloudRunJobTrigger

    secure = DbtCloudHook.__dict__["get_request_url_params"].__func__

    def plain(tenant: str, endpoint: str, *more: Any, **others: Any) -> tuple[str, dict[str, Any]]:
        url, params = secure(tenant, endpoint, *more, **others)
        return url.replace("https://", "http://"), params

    DbtCloudHook.get_request_url_params = staticmethod(secure if place.tls else plain)
    try:
        yield lambda run: _of_trigger(
            DbtCloudRunJobTrigger("bench_dbt", int(run), end_of(run) + 3600, interval, account_id=1)
        )
    finally:
        DbtCloudHook.get_request_url_params = staticmethod(secure)


@asynccontextmanager
async def databricks(place: Place, interval: float, count: int) -> AsyncIterator[Wait]:
    """The Databricks provider's trigger."""
    from airflow.providers.databricks.triggers.databricks import DatabricksExecutionTrigger

    yield lambda run: _of_trigger(DatabricksExecutionTrigger(int(run), "bench_databricks", int(interval)))


@asynccontextmanager
async def _session(place: Place) -> AsyncIterator[aiohttp.ClientSession]:
    import ssl

    context = ssl.create_default_context(cafile=place.certificate)
    connector = aiohttp.TCPConnector(limit=0, limit_per_host=SOCKETS, keepalive_timeout=330, ssl=context)
    async with aiohttp.ClientSession(connector=connector) as session:
        yield session


def _ours(system: str, workflow: str = "") -> Callable[[Place, float, int], Any]:
    return lambda place, interval, count: ours(system, workflow, place, interval, count)


WAYS = {
    way.name: way
    for way in (
        Way("bare", "one shared aiohttp session (limit)", bare),
        Way("header", "ours, Stevesie (header)", _ours("stevesie"), is_ours=True),
        Way("oauth1", "ours, Alteryx V1 (OAuth 1)", _ours("alteryx"), is_ours=True),
        Way("bare_list", "one list call (limit)", bare_list, shape="alteryx", lists=True),
        Way("lists", "ours, Alteryx V1, multiplexed", _ours("alteryx", "wf"), "alteryx", lists=True, is_ours=True),
        Way(
            "header_lists", "ours, Stevesie, multiplexed", _ours("stevesie", "wf"), "stevesie", lists=True, is_ours=True
        ),
        Way("http", "HttpSensorTrigger", http_sensor),
        Way("dbt", "DbtCloudRunJobTrigger", dbt_cloud),
        Way("databricks", "DatabricksExecutionTrigger", databricks),
    )
}


def spread(count: int, interval: float) -> list[float]:
    """Give the moments within an interval at which runs begin to be waited for, so that none is bunched."""
    moments = [interval * index / count for index in range(count)]
    random.Random(7).shuffle(moments)  # noqa: S311  # the same for every way
    return moments
