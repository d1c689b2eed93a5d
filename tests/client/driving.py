"""The two drivers as one: run a flow on a worker's client or in a triggerer's, without waiting for its sleeps."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from airflow_workflow_provider.client.triggerer import TriggererClient
from airflow_workflow_provider.client.worker import WorkerClient
from airflow_workflow_provider.exceptions import WorkflowError
from airflow_workflow_provider.protocol.connection import Transport
from airflow_workflow_provider.protocol.effects import Flow, TransportError

EPOCH = 1_790_000_000.0
MODES = ("worker", "triggerer")
Secrets = Callable[[], tuple[str, ...]]


@dataclass
class Drive:
    """What a flow came to: its value or its error, and what it asked its driver for."""

    mode: str
    value: Any = None
    error: Exception | None = None
    masked: list[str] = field(default_factory=list)
    noted: list[str] = field(default_factory=list)
    now: float = EPOCH

    @property
    def outcome(self) -> Any:
        """The value, or the kind and text of the error."""
        return self.value if self.error is None else (type(self.error), str(self.error))

    @property
    def slept(self) -> float:
        """Seconds in all: the worker naps, so that it notices when it is told to stop."""
        return round(self.now - EPOCH, 3)

    def sleep(self, seconds: float) -> None:
        """Let time pass without waiting for it."""
        self.now += seconds

    async def asleep(self, seconds: float) -> None:
        """As `sleep`."""
        self.sleep(seconds)
        await asyncio.sleep(0)

    async def amask(self, secret: str) -> None:
        """Note what is to be masked."""
        self.masked.append(secret)

    def clock(self) -> float:
        """The time that only sleeping moves."""
        return self.now


class Notes(logging.Handler):
    """Collects what is logged."""

    def __init__(self, noted: list[str]) -> None:
        super().__init__()
        self.noted = noted

    def emit(self, record: logging.LogRecord) -> None:
        """Keep a line with its level."""
        self.noted.append(f"{record.levelname}: {record.getMessage()}")


def logger_for(drive: Drive) -> logging.Logger:
    """A logger of its own, that writes into the drive."""
    logger = logging.Logger(f"drive-{drive.mode}")  # noqa: LOG001  # nobody else is to find it
    logger.addHandler(Notes(drive.noted))
    return logger


def driven(
    mode: str, flow: Callable[[], Flow[Any]], transport: Transport | None = None, secrets: tuple[str, ...] = ()
) -> Drive:
    """Run a flow in one of the modes, in a client of its own that knows these credentials."""
    drive, transport = Drive(mode), transport or Transport(timeout=5.0)
    run = _on_worker if mode == "worker" else _in_triggerer
    try:
        drive.value = run(drive, flow, transport, lambda: secrets)
    except (WorkflowError, TransportError) as error:
        drive.error = error
    return drive


def _on_worker(drive: Drive, flow: Callable[[], Flow[Any]], transport: Transport, secrets: Secrets) -> Any:
    client = WorkerClient(
        transport,
        mask=drive.masked.append,
        sleep=drive.sleep,
        now=drive.clock,
        logger=logger_for(drive),
        secrets=secrets,
    )
    try:
        return client.run(flow())
    finally:
        client.close()


def _in_triggerer(drive: Drive, flow: Callable[[], Flow[Any]], transport: Transport, secrets: Secrets) -> Any:
    async def run() -> Any:
        client = TriggererClient(
            transport,
            mask=drive.amask,
            sleep=drive.asleep,
            now=drive.clock,
            logger=logger_for(drive),
            secrets=secrets,
        )
        async with client:
            return await client.run(flow())

    return asyncio.run(run())
