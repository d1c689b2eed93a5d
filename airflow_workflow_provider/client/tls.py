"""Trusted authorities: TLS contexts are built once for each state of a CA file, since loading one costs some 20 ms."""

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
State = tuple[tuple[str, int, int, int], ...]


def checked(transport: Transport) -> bool | str:
    """Give ``verify``; a CA file that is not there raises `InvalidConnection` before anything is sent."""
    verify = transport.verify
    if isinstance(verify, str) and not Path(verify).exists():
        raise InvalidConnection(f"connection {transport.conn_id!r}, field 'verify': there is no file {verify!r}")
    return verify


def bundle_of(transport: Transport) -> str:
    """Give the file or folder with the authorities; empty where no certificate is checked."""
    if transport.verify is False:
        return ""
    if isinstance(transport.verify, str):
        return transport.verify
    return next((os.environ[name] for name in _BUNDLE_VARIABLES if os.environ.get(name)), certifi.where())


def state_of(bundle: str) -> State:
    """Tell one state of a CA file, or of the files of a folder, from another: it changes when a file is replaced."""
    if not bundle:
        return ()
    path = Path(bundle)
    try:
        files = sorted(path.iterdir()) if path.is_dir() else [path]
        stats = [(str(file), file.stat()) for file in files]
    except OSError:
        return ()
    return tuple((name, stat.st_mtime_ns, stat.st_size, stat.st_ino) for name, stat in stats)


@lru_cache(maxsize=32)
def _context(bundle: str, state: State) -> ssl.SSLContext:
    if Path(bundle).is_dir():
        return ssl.create_default_context(capath=bundle)
    return ssl.create_default_context(cafile=bundle)


async def tls_context(transport: Transport) -> ssl.SSLContext | bool:
    """Give what aiohttp takes as ``ssl``: the same trust as `requests`, and as the CA file is now."""
    if checked(transport) is False:
        return False
    bundle = bundle_of(transport)
    try:
        return await asyncio.to_thread(_context, bundle, state_of(bundle))
    except OSError as error:
        what = str(error)
    raise InvalidConnection(
        f"connection {transport.conn_id!r}, field 'verify': {bundle!r} holds no certificates: {what}"
    )
