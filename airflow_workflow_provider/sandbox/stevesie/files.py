"""The other host: object storage that knows no tokens, only signed URLs that expire."""

from __future__ import annotations

import hashlib
import hmac
import secrets
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING
from urllib.parse import urlencode, urlsplit

from starlette.applications import Starlette
from starlette.responses import Response
from starlette.routing import Route

from ..file_response import file_response

if TYPE_CHECKING:
    from starlette.requests import Request

    from .executions import Execution, Executions, Result
    from .settings import StevesieSettings

MOUNT = "/stevesie-files"
OTHER_NAMES = {"127.0.0.1": "localhost", "localhost": "127.0.0.1", "::1": "localhost"}
# inferred: the bodies are those of Amazon S3; which storage it really is, is not known.
ERROR = '<?xml version="1.0" encoding="UTF-8"?>\n<Error><Code>{code}</Code><Message>{message}</Message></Error>'
MEDIA_TYPES = {"csv": "text/csv", "json": "application/json"}


@dataclass
class Files:
    """Makes the URLs of result files, and answers them."""

    settings: StevesieSettings
    executions: Executions
    clock: Callable[[], float] = time.time
    secret: bytes = field(default_factory=lambda: secrets.token_bytes(32))

    def app(self) -> Starlette:
        """The ASGI app."""
        return Starlette(routes=[Route("/results/{execution}/{result}/{name}", self.download)])

    def url(self, request: Request, execution: Execution, result: Result) -> str:
        """A fresh URL of a result, as the one who asks reaches the other host."""
        name = result.name if self.settings.file_names == "collection" else result.id
        path = f"/results/{execution.id}/{result.id}/{name}.{result.form}"
        expires, nonce = str(int((self.clock() + self.settings.url_seconds) * 1000)), secrets.token_hex(8)
        query = {"Expires": expires, "Nonce": nonce, "Signature": self.signature(path, expires, nonce)}
        return f"{self.settings.files_base_url or other_host(request)}{path}?{urlencode(query)}"

    def signature(self, path: str, expires: str, nonce: str) -> str:
        """What proves that this server made a URL."""
        text = f"{path}\n{expires}\n{nonce}"
        return hmac.new(self.secret, text.encode(), hashlib.sha256).hexdigest()

    async def download(self, request: Request) -> Response:
        """``GET`` of a signed URL; credentials of the API do not belong here and are refused."""
        if "token" in request.headers:
            return refused(403, "AccessDenied", "The header Token is not for this host")
        if "authorization" in request.headers:
            return refused(400, "InvalidArgument", "Only one auth mechanism allowed")
        asked, path = request.query_params, request.url.path.removeprefix(MOUNT)
        expires = asked.get("Expires", "")
        expected = self.signature(path, expires, asked.get("Nonce", ""))
        if not hmac.compare_digest(expected.encode(), asked.get("Signature", "").encode()):
            return refused(403, "SignatureDoesNotMatch", "The signature does not match")
        if int(expires) <= self.clock() * 1000:
            return refused(self.settings.expired_status, "AccessDenied", "Request has expired")
        return self.file(request)

    def file(self, request: Request) -> Response:
        """The file that a good URL names."""
        execution = self.executions.known.get(request.path_params["execution"])
        wanted = request.path_params["result"]
        result = next((one for one in execution.results if one.id == wanted), None) if execution else None
        if result is None or not result.path.exists():
            return refused(404, "NoSuchKey", "The specified key does not exist.")
        return file_response(request, result.path, MEDIA_TYPES[result.form])


def other_host(request: Request) -> str:
    """This very server under the other name of the machine, so that the authority differs from the API's."""
    parts = urlsplit(str(request.url))
    host = OTHER_NAMES.get(parts.hostname or "", parts.hostname or "")
    authority = f"[{host}]" if ":" in host else host
    return f"{parts.scheme}://{authority}{f':{parts.port}' if parts.port else ''}{MOUNT}"


def refused(status: int, code: str, message: str) -> Response:
    """An error of the storage."""
    return Response(ERROR.format(code=code, message=message), status, media_type="application/xml")
