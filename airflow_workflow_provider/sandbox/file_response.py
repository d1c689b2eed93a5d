"""A file as an answer: whole, or the one range of bytes that the client asks for.

It does not use `FileResponse` of Starlette, whose ranges have advisories in the versions that Airflow 3.0 and 3.1
allow: whoever sends many ranges can stall the server.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from email.utils import formatdate
from hashlib import blake2b
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import quote

from starlette.responses import Response, StreamingResponse

if TYPE_CHECKING:
    from starlette.requests import Request

PIECE = 64 * 1024  # bytes
# RFC 9110 section 14.1.2. A header with several ranges, or another unit, is ignored, as section 14.2 allows.
ONE_RANGE = re.compile(r"bytes=\s*([0-9]{0,19})-([0-9]{0,19})\s*", re.IGNORECASE)


def file_response(request: Request, path: Path, media_type: str, *, filename: str = "") -> Response:
    """Answer with a file, or with a part of it.

    :param request: its headers ``Range`` and ``If-Range`` choose the part; without them the answer is the whole file.
    :param path: the file.
    :param media_type: the value of ``Content-Type``.
    :param filename: the name for ``Content-Disposition``; empty leaves the header out.
    """
    stat = path.stat()
    size, modified = stat.st_size, formatdate(stat.st_mtime, usegmt=True)
    etag = f'"{blake2b(f"{stat.st_mtime_ns}-{size}".encode(), digest_size=16).hexdigest()}"'
    headers = {"Accept-Ranges": "bytes", "Last-Modified": modified, "ETag": etag, "Content-Type": media_type}
    if filename:
        headers["Content-Disposition"] = disposition(filename)
    asked = request.headers.get("range", "")
    if request.method != "GET" or request.headers.get("if-range", etag) not in {etag, modified}:
        asked = ""
    start, end, status = part_of(asked, size)
    if status == 416:
        return Response(status_code=416, headers={"Content-Range": f"bytes */{size}"})
    if status == 206:
        headers["Content-Range"] = f"bytes {start}-{end - 1}/{size}"
    headers["Content-Length"] = str(end - start)
    if request.method == "HEAD":
        return Response(headers=headers)
    return StreamingResponse(pieces(path, start, end), status, headers)


def part_of(asked: str, size: int) -> tuple[int, int, int]:
    """Give the first byte of the answer, the byte after its last, and the status: 200, 206 or 416.

    :param asked: the value of ``Range``; one that does not ask for one valid range of bytes stands for the whole file.
    :param size: the size of the file in bytes.
    """
    found = ONE_RANGE.fullmatch(asked)
    first, last = found.groups() if found else ("", "")
    if not (first or last) or (first and last and int(last) < int(first)):
        return 0, size, 200
    if first:
        start, end = int(first), min(int(last) + 1, size) if last else size
    else:  # the last bytes of the file
        start, end = max(size - int(last), 0), size
    return start, end, 206 if start < end else 416


def pieces(path: Path, start: int, end: int) -> Iterator[bytes]:
    """Read a part of a file; Starlette runs this in a thread."""
    with path.open("rb") as file:
        file.seek(start)
        while start < end and (piece := file.read(min(PIECE, end - start))):
            start += len(piece)
            yield piece


def disposition(filename: str) -> str:
    """Spell ``Content-Disposition`` for a name, which may have letters outside of ASCII (RFC 6266)."""
    quoted = quote(filename)
    return f'attachment; filename="{filename}"' if quoted == filename else f"attachment; filename*=utf-8''{quoted}"
