"""A plain `requests` session with a system's credentials, for calls that the hook has no method for."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from requests.auth import AuthBase

from airflow_workflow_provider.client.worker import WorkerClient, session
from airflow_workflow_provider.protocol.effects import Request
from airflow_workflow_provider.protocol.system import WorkflowSystem

if TYPE_CHECKING:
    import requests


@dataclass(eq=False)
class FlowAuth(AuthBase):
    """Runs the system's own auth flow for each request of a session."""

    system: WorkflowSystem
    client: WorkerClient

    def __call__(self, prepared: requests.PreparedRequest) -> requests.PreparedRequest:
        """Add the credentials to a request."""
        request = Request(str(prepared.method), str(prepared.url))
        authorized = self.client.run(self.system.auth.authorize(request))
        prepared.headers.update(authorized.headers)
        if authorized.url != request.url or authorized.params:
            prepared.prepare_url(authorized.url, dict(authorized.params or {}))
        return authorized.sign(prepared) if authorized.sign else prepared


def signed_session(system: WorkflowSystem, client: WorkerClient) -> requests.Session:
    """Make a session of its own, with the connection's TLS and proxy settings."""
    made = session(system.transport)
    made.auth = FlowAuth(system, client)
    return made
