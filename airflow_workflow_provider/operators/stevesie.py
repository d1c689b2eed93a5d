"""Operators for Stevesie Cloud."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from airflow.providers.common.compat.sdk import BaseOperator

from airflow_workflow_provider.operators.workflow import RunWorkflowOperator

if TYPE_CHECKING:
    from airflow.providers.common.compat.sdk import Context


class StevesieRunWorkflowOperator(RunWorkflowOperator):
    """Executes a Stevesie workflow and returns the run object with its result files.

    ``workflow`` is the workflow's id, or ``name:My workflow``. ``query_parameters`` become the
    ``execution_parameters``; a datetime is sent as seconds since 1970. Stevesie cannot cancel an execution, so
    ``maximum_requests_count`` is what bounds its cost.

    The arguments of every run operator are described at
    :class:`~airflow_workflow_provider.operators.workflow.RunWorkflowOperator`.

    :param stevesie_conn_id: Airflow connection to Stevesie Cloud. (templated)
    :param proxy: the proxy block of the start, without its URL; default the connection's. (templated)
    :param maximum_requests_count: requests that the execution may make. (templated)
    :param output_aggregation_format: ``csv`` or ``json``. (templated)
    :param do_proxy_hot_swap: change the proxy when it is blocked.
    :param fail_on_empty_results: an execution that completes without results has failed.
    :param results_grace: seconds after its end in which results may still be attached. (templated)
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
        stevesie_conn_id: str = "stevesie_default",
        proxy: Mapping[str, Any] | None = None,
        maximum_requests_count: int | None = None,
        output_aggregation_format: str | None = None,
        do_proxy_hot_swap: bool | None = None,
        fail_on_empty_results: bool = True,
        results_grace: float = 30,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.stevesie_conn_id = stevesie_conn_id
        self.proxy = proxy
        self.maximum_requests_count = maximum_requests_count
        self.output_aggregation_format = output_aggregation_format
        self.do_proxy_hot_swap = do_proxy_hot_swap
        self.fail_on_empty_results = fail_on_empty_results
        self.results_grace = results_grace


class StevesieUpdateCollectionOperator(BaseOperator):
    """Adds items to a collection, removes items, or brings it to exactly these items; a retry changes nothing more.

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

    def execute(self, context: Context) -> dict[str, Any]:
        """Change the collection and tell the counts before and after."""
        from airflow_workflow_provider.hooks.stevesie import StevesieHook

        changed = StevesieHook(self.stevesie_conn_id).update_collection(self.collection_id, self.items, self.method)
        self.log.info(
            "Collection %s had %s items and has %s now", self.collection_id, changed["before"], changed["after"]
        )
        return changed
