"""TLS contexts, built once: loading a CA bundle costs some 20 ms each time."""

from __future__ import annotations

import asyncio
import os
import ssl
from functools import lru_cache
from pathlib import Path

import certifi

from airflow_workflow_provider.exceptions import InvalidConnection
from airflow_workflow_provider.protocol.connection import Transport

# What `requests` looks at too: both modes must trust the same authorities.
_BUNDLE_VARIABLES = ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE")


def checked(transport: Transport) -> bool | str:
    """Give ``verify``; a CA file that is not there raises `InvalidConnection` before anything is sent."""
    verify = transport.verify
    if isinstance(verify, str) and not Path(verify).exists():
        raise InvalidConnection(f"connection {transport.conn_id!r}, field 'verify': there is no file {verify!r}")
    return verify


@lru_cache(maxsize=32)
def _context(bundle: str) -> ssl.SSLContext:
    if Path(bundle).is_dir():
        return ssl.create_default_context(capath=bundle)
    return ssl.create_default_context(cafile=bundle)


async def tls_context(transport: Transport) -> ssl.SSLContext | bool:
    """Give what aiohttp takes as ``ssl``: the same trust as `requests`."""
    verify = checked(transport)
    if verify is False:
        return False
    from_environment = next((os.environ[name] for name in _BUNDLE_VARIABLES if os.environ.get(name)), certifi.where())
    bundle = verify if isinstance(verify, str) else from_environment
    try:
        return await asyncio.to_thread(_context, bundle)
    except OSError as error:
        raise InvalidConnection(
            f"connection {transport.conn_id!r}, field 'verify': {bundle!r} holds no certificates: {error}"
        ) from error
