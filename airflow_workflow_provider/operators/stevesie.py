"""Operators for Stevesie Cloud."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from airflow.providers.common.compat.sdk import BaseOperator, conf

from airflow_workflow_provider.operators.workflow import QueryParameters, RunWorkflowOperator
from airflow_workflow_provider.protocol.literals import (
    check_choice,
    check_conn_id,
    check_flags,
    check_mapping,
    check_number,
    check_text,
    is_json,
    is_literal,
)
from airflow_workflow_provider.systems.stevesie.choices import FORMATS, METHODS, checked_items, checked_proxy

if TYPE_CHECKING:
    from airflow.providers.common.compat.sdk import Context


class StevesieRunWorkflowOperator(RunWorkflowOperator):
    """Executes a Stevesie workflow and returns the run object with its result files.

    Stevesie cannot cancel an execution; only ``maximum_requests_count`` limits its cost.

    :param workflow: the workflow's id, or ``name:My workflow``. (templated)
    :param query_parameters: the ``execution_parameters``; a datetime is sent as seconds since 1970. A mapping, or a
        callable ``(context, jinja_env)`` that makes it. (templated)
    :param parameter_types: types for rendered text, such as ``{"start": "timestamp", "n": "int64"}``. (templated)
    :param stevesie_conn_id: Airflow connection to Stevesie Cloud. (templated)
    :param proxy: the proxy block of the start, without its URL; default the connection's. (templated)
    :param maximum_requests_count: requests that the execution may make. (templated)
    :param output_aggregation_format: ``csv`` or ``json``. (templated)
    :param do_proxy_hot_swap: change the proxy when it is blocked.
    :param fail_on_empty_results: an execution that completes without results has failed.
    :param results_grace: seconds after its end in which results can still appear. (templated)
    :param wait_for_completion: False returns the run object right after the start.
    :param deferrable: wait in the triggerer instead of a worker slot.
    :param poll_interval: seconds (or timedelta) between two polls of a young run; the interval grows with the age of
        the run, up to four times; default per system. (templated)
    :param timeout: seconds (or timedelta) that the remote run may take, counted from its start. (templated)
    :param expected_duration: seconds (or timedelta) that a run usually takes; around that time it is polled more often.
    :param reattach: a retry takes over the run that an earlier try started, instead of starting another.
    :param on_unknown_start: ``"fail"`` or ``"restart"``, if the answer to a start is lost and the run cannot be found.
    :param cancel_on_kill: cancel the remote run when the task is killed, is cleared or fails before it.
    :param cancel_on_timeout: cancel the remote run when its time limit ends.
    :param on_run_failure: ``"skip"`` skips the task when the run fails, is cancelled or times out.
    :param asset_alias: name of an asset alias that receives the outputs of a run that succeeded as assets.
    :param get_logs: write the lines of the run's log into the log of the task while it waits.
    :param log_interval: seconds (or timedelta) between two requests for that log; default 30.
    """

    system_key = "stevesie"
    start_option_names = ("proxy", "maximum_requests_count", "output_aggregation_format", "do_proxy_hot_swap")
    watch_option_names = ("fail_on_empty_results", "results_grace")
    template_fields: Sequence[str] = (
        "stevesie_conn_id",
        *RunWorkflowOperator.template_fields,
        "proxy",
        "maximum_requests_count",
        "output_aggregation_format",
        "results_grace",
    )

    def __init__(
        self,
        *,
        workflow: str,
        query_parameters: QueryParameters = None,
        parameter_types: Mapping[str, str] | None = None,
        wait_for_completion: bool = True,
        deferrable: bool = conf.getboolean("operators", "default_deferrable", fallback=False),
        poll_interval: float | timedelta | str | None = None,
        timeout: float | timedelta | str | None = None,
        expected_duration: float | timedelta | None = None,
        reattach: bool = True,
        on_unknown_start: str = "fail",
        cancel_on_kill: bool = True,
        cancel_on_timeout: bool = True,
        on_run_failure: str = "fail",
        asset_alias: str | None = None,
        get_logs: bool = True,
        log_interval: float | timedelta | None = None,
        stevesie_conn_id: str = "stevesie_default",
        proxy: Mapping[str, Any] | None = None,
        maximum_requests_count: int | None = None,
        output_aggregation_format: str | None = None,
        do_proxy_hot_swap: bool | None = None,
        fail_on_empty_results: bool = True,
        results_grace: float = 30,
        **kwargs: Any,
    ) -> None:
        super().__init__(
            workflow=workflow,
            query_parameters=query_parameters,
            parameter_types=parameter_types,
            wait_for_completion=wait_for_completion,
            deferrable=deferrable,
            poll_interval=poll_interval,
            timeout=timeout,
            expected_duration=expected_duration,
            reattach=reattach,
            on_unknown_start=on_unknown_start,
            cancel_on_kill=cancel_on_kill,
            cancel_on_timeout=cancel_on_timeout,
            on_run_failure=on_run_failure,
            asset_alias=asset_alias,
            get_logs=get_logs,
            log_interval=log_interval,
            **kwargs,
        )
        self.stevesie_conn_id = stevesie_conn_id
        self.proxy = proxy
        self.maximum_requests_count = maximum_requests_count
        self.output_aggregation_format = output_aggregation_format
        self.do_proxy_hot_swap = do_proxy_hot_swap
        self.fail_on_empty_results = fail_on_empty_results
        self.results_grace = results_grace
        self._checked_early(self._check_own_literals)

    def _check_own_literals(self) -> None:
        check_conn_id("stevesie_conn_id", self.stevesie_conn_id)
        check_choice("output_aggregation_format", self.output_aggregation_format, FORMATS)
        check_number("maximum_requests_count", self.maximum_requests_count, 1, whole=True)
        check_number("results_grace", self.results_grace, 0)
        check_mapping("proxy", self.proxy)
        checked_proxy(self.proxy)
        check_flags(self, "fail_on_empty_results")
        if self.do_proxy_hot_swap is not None:
            check_flags(self, "do_proxy_hot_swap")


class StevesieUpdateCollectionOperator(BaseOperator):
    """Adds items to a collection, removes items, or makes it equal to the items; a retry changes nothing more.

    Returns ``{"collection_id", "before", "after", "added", "removed"}`` with counts of items.

    :param collection_id: the collection. (templated)
    :param items: the items; numbers are sent as text. (templated)
    :param method: ``add``, ``remove`` or ``replace``. (templated)
    :param stevesie_conn_id: Airflow connection to Stevesie Cloud. (templated)
    """

    template_fields: Sequence[str] = ("stevesie_conn_id", "collection_id", "items", "method")

    def __init__(
        self,
        *,
        collection_id: str,
        items: Sequence[Any],
        method: str = "add",
        stevesie_conn_id: str = "stevesie_default",
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.collection_id = collection_id
        self.items = items
        self.method = method
        self.stevesie_conn_id = stevesie_conn_id
        self._check_literals()

    def _check_literals(self) -> None:
        check_conn_id("stevesie_conn_id", self.stevesie_conn_id)
        check_text("collection_id", self.collection_id, number=True)
        check_text("method", self.method)
        check_choice("method", self.method, METHODS)
        if self.items is None or (is_literal(self.items) and not is_json(self.items)):
            checked_items(self.items)

    def execute(self, context: Context) -> dict[str, Any]:
        """Change the collection, and return the counts before and after."""
        from airflow_workflow_provider.hooks.stevesie import StevesieHook

        changed = StevesieHook(self.stevesie_conn_id).update_collection(self.collection_id, self.items, self.method)
        self.log.info(
            "Collection %s had %s items and has %s now", self.collection_id, changed["before"], changed["after"]
        )
        return changed
