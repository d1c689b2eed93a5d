"""A plain `requests` session with a system's credentials, for calls that the hook has no method for."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import requests
from requests.auth import AuthBase

from airflow_workflow_provider.client.tls import bundle_of, state_of
from airflow_workflow_provider.client.worker_session import Exchange, equip, exchanging
from airflow_workflow_provider.protocol.connection import origin_of
from airflow_workflow_provider.protocol.effects import Request
from airflow_workflow_provider.protocol.system import WorkflowSystem

if TYPE_CHECKING:
    from airflow_workflow_provider.client.worker import WorkerClient


class FlowAuth(AuthBase):
    """Runs the system's own auth flow for each request to a server that the connection names; no other is signed."""

    def __init__(self, system: WorkflowSystem, client: WorkerClient) -> None:
        self.system, self.client = system, client
        self.added: set[str] = set()  # the headers that hold credentials

    def __call__(self, prepared: requests.PreparedRequest) -> requests.PreparedRequest:
        """Add the credentials to a request."""
        if origin_of(str(prepared.url)) not in self.system.transport.origins:
            return prepared
        before = dict(prepared.headers)
        request = Request(str(prepared.method), str(prepared.url))
        authorized = self.client.run(self.system.auth.authorize(request))
        prepared.headers.update(authorized.headers)
        if authorized.url != request.url or authorized.params:
            prepared.prepare_url(authorized.url, dict(authorized.params or {}))
        signed = authorized.sign(prepared) if authorized.sign else prepared
        self.added |= {name for name, value in signed.headers.items() if before.get(name) != value}
        return signed


class SignedSession(requests.Session):
    """Signs requests to the connection's own servers. Elsewhere, and after a redirect, none has credentials."""

    def __init__(self, system: WorkflowSystem, client: WorkerClient) -> None:
        super().__init__()
        self._transport = system.transport
        self._flow_auth = FlowAuth(system, client)
        self._authorities = state_of(bundle_of(self._transport))
        equip(self, self._transport)
        self.auth = self._flow_auth

    def rebuild_auth(self, prepared_request: requests.PreparedRequest, response: requests.Response) -> None:
        """Take the credentials away at a redirect to another server; sign for the same one again."""
        for name in self._flow_auth.added:
            prepared_request.headers.pop(name, None)
        self._flow_auth(prepared_request)

    def merge_environment_settings(self, url: Any, proxies: Any, stream: Any, verify: Any, cert: Any) -> Any:
        """Use the connection's ``verify``, which `requests` would replace by an environment's CA file."""
        chosen = self.verify if verify is None else verify
        settings = super().merge_environment_settings(url, proxies, stream, verify, cert)
        # True leaves the choice to the environment, as in both drivers.
        return settings if chosen is True else {**settings, "verify": chosen}

    def send(self, request: requests.PreparedRequest, **kwargs: Any) -> requests.Response:
        """Send within the connection's time-out, unless there is another one."""
        if kwargs.get("timeout") is None:
            kwargs["timeout"] = self._transport.timeout
        authorities = state_of(bundle_of(self._transport))
        if authorities != self._authorities:  # a connection that an authority of before has vouched for is closed
            self._authorities = authorities
            self.close()
        with exchanging(Exchange(None)):
            return super().send(request, **kwargs)


def signed_session(system: WorkflowSystem, client: WorkerClient) -> requests.Session:
    """Make a session of its own, with the connection's TLS and proxy settings."""
    return SignedSession(system, client)
