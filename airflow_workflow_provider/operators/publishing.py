"""What a task hands to others of its run: XComs and links while it is going, assets when it has succeeded."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Protocol

from airflow_workflow_provider.assets.emission import aliases, emit, own_extra, receivers, shared_extra
from airflow_workflow_provider.exceptions import WorkflowError
from airflow_workflow_provider.links.workflow import OUTPUT_LINK, page_of, show_run
from airflow_workflow_provider.protocol.limits import fitting
from airflow_workflow_provider.protocol.model import Run, parse_run

if TYPE_CHECKING:
    from airflow.providers.common.compat.sdk import Context

    from airflow_workflow_provider.assets.places import Landed
    from airflow_workflow_provider.hooks.workflow import WorkflowHook


class PublishingTask(Protocol):
    """What this module needs of a run operator."""

    task_id: Any
    outlets: Any
    asset_alias: str | None

    @property
    def log(self) -> Any:
        """The log of the task."""

    @property
    def hook(self) -> WorkflowHook:
        """The hook of its system."""

    def sent(self, context: Context) -> Any:
        """Give the parameters of its run."""


def publish(ti: Any, run: Run) -> None:
    """Let links, callbacks and other tasks see the run while it is going."""
    ti.xcom_push(key="run_id", value=run.run_id)
    ti.xcom_push(key="run_url", value=run.url)
    ti.xcom_push(key="run", value=fitting(run).to_json())
    show_run(ti, run)


def published(operator: PublishingTask, context: Context) -> Run | None:
    """Give the run that this very task instance has published, or None, also where that cannot be read."""
    ti = context["ti"]
    try:
        value = ti.xcom_pull(task_ids=operator.task_id, key="run", map_indexes=ti.map_index)
        return parse_run(value) if value else None
    except Exception as error:  # noqa: BLE001  # an XCom backend may raise anything, and the wait goes on
        operator.log.warning("The run of this task cannot be read from its XCom: %s", error)
        return None


def hand_on(operator: PublishingTask, context: Context, run: Run) -> tuple[Landed, ...]:
    """Show what a run that succeeded has left: a link, and an asset for each output; give their URIs.

    The run has succeeded, so nothing here fails the task: what goes wrong is a warning in its log.
    """
    # Imported late, here and below: a DAG file must not pay for all the systems.
    from airflow_workflow_provider.assets.places import landed

    found: tuple[Landed, ...] = ()
    with _only_warning(operator, run, "its outputs could not be named"):
        found = landed(run, _extra(operator, run))
    with _only_warning(operator, run, "no link to its output is shown"):
        _show_output(context["ti"], found)
    if aliases(operator.outlets):
        with _only_warning(operator, run, "its outputs were not made assets"):
            _emit(operator, context, run, found)
    return found


def _emit(operator: PublishingTask, context: Context, run: Run, found: tuple[Landed, ...]) -> None:
    receiving = receivers(operator.outlets, operator.asset_alias, mapped=getattr(context["ti"], "map_index", -1) >= 0)
    if len(receiving) < len(aliases(operator.outlets)):
        operator.log.warning(
            "This Airflow does not know the asset_alias of a mapped task; give it as partial(outlets=[AssetAlias(%r)])",
            operator.asset_alias,
        )
    shared = shared_extra(context, run, operator.sent(context))
    for item in found if receiving else ():
        with _only_warning(operator, run, f"{item.uri} was not made an asset"):
            emit(context, receiving, item, {**shared, **own_extra(item, _rows(operator, run, item))})
            operator.log.info("Run %s left %s", run.run_id, item.uri)


def _rows(operator: PublishingTask, run: Run, item: Landed) -> int | None:
    """Count the rows of an output where one call does that; it is asked once, a task that is done waits for nothing."""
    from airflow_workflow_provider.protocol.capabilities import CanCountRows
    from airflow_workflow_provider.protocol.retry import Retry, persist
    from airflow_workflow_provider.systems import system_class

    output = item.output
    if output is None or not system_class(run.system).offers(CanCountRows):
        return None
    system = operator.hook.system
    try:
        return operator.hook.client.run(
            persist(lambda: system.require(CanCountRows).count_rows(run, output), Retry(attempts=1))
        )
    except WorkflowError as error:
        operator.log.info("The number of rows of %s is not known: %s", item.uri, error)
        return None


@contextmanager
def _only_warning(operator: PublishingTask, run: Run, what: str) -> Iterator[None]:
    try:
        yield
    except Exception as error:  # noqa: BLE001  # whatever it is, the run has succeeded
        operator.log.warning("Run %s succeeded, but %s: %s", run.run_id, what, error)


def _show_output(ti: Any, found: tuple[Landed, ...]) -> None:
    pages = [page for item in found if (page := page_of(item.uri))]
    if len(pages) == 1:
        OUTPUT_LINK.push(ti, pages[0])


def _extra(operator: PublishingTask, run: Run) -> Mapping[str, Any]:
    """Give the connection's extras where they tell which warehouse a run's tables are in."""
    from airflow_workflow_provider.assets.places import tells_warehouse

    if not run.outputs or not tells_warehouse(run.system):
        return {}
    extra: Mapping[str, Any] = operator.hook.get_connection(operator.hook.conn_id).extra_dejson
    return extra
