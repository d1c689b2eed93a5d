"""What a triggerer's client knows of one server."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Self

from requests.utils import get_environ_proxies, select_proxy

from airflow_workflow_provider.client.breaker import Breaker
from airflow_workflow_provider.client.gate import Gate, gate_to
from airflow_workflow_provider.protocol.connection import Transport


@dataclass
class Server:
    """The proxy that leads to it, the gate that all clients of the loop go through, and its health."""

    proxy: str | None
    gate: Gate
    breaker: Breaker = field(default_factory=Breaker)

    @classmethod
    def of(cls, url: str, origin: str, transport: Transport) -> Self:
        """Make it at the first request to one of its URLs; the proxy is the connection's, else the environment's."""
        proxies = {**get_environ_proxies(url), **transport.proxies}
        return cls(select_proxy(url, proxies), gate_to(origin))
