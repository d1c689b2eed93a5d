"""Dropping the workflow's own output tables after their rows were loaded."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from typing import Any

from airflow_workflow_provider.exceptions import InvalidArgument, NotSupported, WorkflowError
from airflow_workflow_provider.hooks.workflow import WorkflowHook
from airflow_workflow_provider.protocol.capabilities import CanDropOutput
from airflow_workflow_provider.transfers.resolve import ResolvedOutput


def check(resolved: Iterable[ResolvedOutput], conn_id: str | None) -> None:
    """Refuse outputs of a system that has none to drop. Raises `InvalidArgument`, before anything is loaded."""
    for item in resolved:
        try:
            WorkflowHook.for_run(item.run, conn_id).system.require(CanDropOutput)
        except NotSupported as error:
            raise InvalidArgument(f"cleanup_output: {error}") from error


def drop(resolved: Iterable[ResolvedOutput], conn_id: str | None, log: logging.Logger | Any) -> None:
    """Drop the outputs. The rows are committed already, so what cannot be dropped is a warning."""
    for item in resolved:
        hook = WorkflowHook.for_run(item.run, conn_id)
        try:
            hook.client.run(hook.system.require(CanDropOutput).drop_output(item.run, item.output))
        except WorkflowError as error:
            log.warning("cleanup_output: %s was not dropped: %s", item.output.location, error.summary)
        else:
            log.info("cleanup_output: dropped %s", item.output.location)
