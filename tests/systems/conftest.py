"""CARTO by hand: a system on a made-up connection."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from airflow_workflow_provider.protocol.connection import ConnectionValues
from airflow_workflow_provider.systems.carto import CartoSystem


@pytest.fixture(scope="session")
def carto() -> Callable[..., CartoSystem]:
    """Make CARTO on a connection with these fields and extras."""

    def made(*, login: str = "", password: str | None = None, **extra: Any) -> CartoSystem:
        CartoSystem.signatures.clear()
        host = "https://gcp-us-east1.api.carto.com"
        secret = "given-token" if password is None else password
        return CartoSystem(ConnectionValues("carto_c", host=host, login=login, password=secret, extra=extra))

    return made
