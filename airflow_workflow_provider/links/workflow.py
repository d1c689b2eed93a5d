"""The links "Open run" and "Open output".

Airflow 3 shows what lies in an XCom, and stores a link there only when a task ends or defers. So tasks push the
address themselves as soon as they know it, and `get_link` does nothing but read it back; Airflow 2.11 calls that in
its web server.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from urllib.parse import unquote, urlencode, urlsplit, urlunsplit

from airflow.providers.common.compat.sdk import BaseOperatorLink

if TYPE_CHECKING:
    from airflow_workflow_provider.protocol.model import Run

BIGQUERY_CONSOLE = "https://console.cloud.google.com/bigquery"


class PushedLink(BaseOperatorLink):
    """A link whose address the task has pushed as an XCom."""

    @property
    def xcom_key(self) -> str:
        """Where the address lies; Airflow 3 looks there, Airflow 2.11 has no such property."""
        return f"_link_{type(self).__name__}"

    def get_link(self, operator: Any, *, ti_key: Any) -> str:
        """Give the address, or an empty text, which shows no link."""
        from airflow.providers.common.compat.sdk import XCom

        return str(XCom.get_value(ti_key=ti_key, key=self.xcom_key) or "")

    def push(self, ti: Any, address: str | None) -> None:
        """Show the link from now on; an address that no browser opens is left out."""
        if shown := presentable(address):
            ti.xcom_push(key=self.xcom_key, value=shown)


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
