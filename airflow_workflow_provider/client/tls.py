"""TLS contexts, built once: loading a CA bundle costs some 20 ms each time."""

from __future__ import annotations

import asyncio
import os
import ssl
from functools import lru_cache
from pathlib import Path

import certifi

# What `requests` looks at too: both modes must trust the same authorities.
_BUNDLE_VARIABLES = ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE")


@lru_cache(maxsize=32)
def _context(bundle: str) -> ssl.SSLContext:
    if Path(bundle).is_dir():
        return ssl.create_default_context(capath=bundle)
    return ssl.create_default_context(cafile=bundle)


async def tls_context(verify: bool | str) -> ssl.SSLContext | bool:
    """Give what aiohttp takes as ``ssl``: the same trust as `requests`. A bundle that cannot be read raises OSError."""
    if verify is False:
        return False
    from_environment = next((os.environ[name] for name in _BUNDLE_VARIABLES if os.environ.get(name)), certifi.where())
    return await asyncio.to_thread(_context, verify if isinstance(verify, str) else from_environment)
