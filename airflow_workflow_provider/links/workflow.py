"""The links "Open run" and "Open output".

Airflow 3 shows what an XCom holds, and stores a link there only when a task ends or defers. So tasks push the address
themselves as soon as they know it. Airflow 2.11 calls `get_link` in its web server, Airflow 3 in the task.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any, cast
from urllib.parse import unquote, urlencode, urlsplit, urlunsplit

from airflow.providers.common.compat.sdk import BaseOperatorLink

if TYPE_CHECKING:
    from airflow_workflow_provider.protocol.model import Run

_shown: dict[tuple[str, ...], str] = {}  # what the tasks of this process have shown; one process runs one task
BIGQUERY_CONSOLE = "https://console.cloud.google.com/bigquery"


class PushedLink(BaseOperatorLink):
    """A link whose address the task has pushed as an XCom."""

    @property
    def xcom_key(self) -> str:
        """Where the address lies; Airflow 3 looks there, Airflow 2.11 has no such property."""
        return f"_link_{type(self).__name__}"

    def get_link(self, operator: Any, *, ti_key: Any) -> str:
        """Give the address, or an empty text, which shows no link.

        Airflow 3 asks in the process of the task, at its end or deferral: an XCom that does not exist would be an error
        line in the log of each deferral, so the answer is what this process knows.
        """
        if hasattr(ti_key, "xcom_push"):
            return _shown.get(self._place(ti_key), "")
        from airflow.providers.common.compat.sdk import XCom

        value = XCom.get_value(ti_key=ti_key, key=self.xcom_key)
        return presentable(value) if isinstance(value, str) else ""

    def push(self, ti: Any, address: str | None) -> None:
        """Show the link from now on; an address that no browser opens is left out."""
        if shown := self.remember(ti, address):
            _stores_plainly(ti)(key=self.xcom_key, value=shown)

    def remember(self, ti: Any, address: str | None) -> str:
        """Know the address for `get_link` without storing it: it is stored already. Gives it as it is shown."""
        shown = presentable(address)
        if shown:
            _shown[self._place(ti)] = shown
        return shown

    def _place(self, ti: Any) -> tuple[str, ...]:
        names = ("dag_id", "task_id", "run_id", "map_index")
        return self.xcom_key, *(str(getattr(ti, name, "")) for name in names)


class WorkflowRunLink(PushedLink):
    """Leads to the run on its system."""

    name = "Open run"


class WorkflowOutputLink(PushedLink):
    """Leads to what a run has left, where a person can open it."""

    name = "Open output"


RUN_LINK, OUTPUT_LINK = WorkflowRunLink(), WorkflowOutputLink()


def show_run(ti: Any, run: Run) -> None:
    """Show "Open run"."""
    RUN_LINK.push(ti, run.url)


def _stores_plainly(ti: Any) -> Callable[..., Any]:
    """Give what stores an XCom as it is.

    Airflow 3 reads a link from the database itself. A custom XCom backend, such as the one on object storage, would
    store a path there instead of the address.
    """
    try:
        from airflow.sdk.bases.xcom import BaseXCom
        from airflow.sdk.execution_time.task_runner import RuntimeTaskInstance
        from airflow.sdk.execution_time.xcom import XCom
    except ImportError:
        return cast("Callable[..., Any]", ti.xcom_push)
    is_custom = getattr(XCom.serialize_value, "__func__", None) is not getattr(BaseXCom.serialize_value, "__func__", 0)
    store = getattr(XCom, "_set_xcom_in_db", None)  # what Airflow itself stores links with; there is no public name
    if not (is_custom and store and isinstance(ti, RuntimeTaskInstance)):
        return cast("Callable[..., Any]", ti.xcom_push)
    return partial(store, dag_id=ti.dag_id, task_id=ti.task_id, run_id=ti.run_id, map_index=ti.map_index)


def presentable(address: str | None) -> str:
    """Give an http address without user and password; anything else is empty."""
    try:
        parts = urlsplit(address or "")
    except ValueError:
        return ""
    if parts.scheme not in ("http", "https") or not parts.hostname:
        return ""
    return urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2]))


def page_of(uri: str) -> str:
    """Give the page on which a person sees the output of this URI; empty where there is none.

    Addresses of an API are no such pages: what they give is for the credentials of the connection.
    """
    parts = urlsplit(uri)
    if parts.scheme != "bigquery":
        return ""
    _, dataset, table = parts.path.split("/")
    names = {"p": unquote(parts.netloc), "d": unquote(dataset), "t": unquote(table), "page": "table"}
    return f"{BIGQUERY_CONSOLE}?{urlencode(names)}"
