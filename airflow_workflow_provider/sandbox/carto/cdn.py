"""The CDN in front of ``GET /query``: it keeps every good answer for a year."""

from __future__ import annotations

import re
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from starlette.responses import Response

if TYPE_CHECKING:
    from starlette.requests import Request

YEAR = 31_536_000
KEPT = 200


@dataclass
class Cdn:
    """Answers by full URL with the moment they were made; the oldest go when there are too many."""

    kept: dict[str, tuple[float, bytes]] = field(default_factory=dict)

    def find(self, request: Request) -> Response | None:
        """The kept answer to a URL, unless it is older than the request's ``Cache-Control`` accepts."""
        made, body = self.kept.get(str(request.url), (0.0, b""))
        age = time.monotonic() - made
        if not body or age > accepted_age(request.headers.get("cache-control", "")):
            return None
        return answer(body, int(age), "HIT")

    def keep(self, request: Request, body: bytes) -> Response:
        """Keep an answer and give it."""
        self.kept.pop(str(request.url), None)
        self.kept[str(request.url)] = (time.monotonic(), body)
        if len(self.kept) > KEPT:
            del self.kept[next(iter(self.kept))]
        return answer(body, 0, "MISS")


def accepted_age(cache_control: str) -> float:
    """How old an answer may be, in seconds; a year unless the request says less."""
    if re.search(r"\bno-(cache|store)\b", cache_control, re.IGNORECASE):
        return -1
    found = re.search(r"\bmax-age\s*=\s*(\d+)", cache_control, re.IGNORECASE)
    return int(found[1]) if found else YEAR


def answer(body: bytes, age: int, cache: str) -> Response:
    """A body with the headers of the CDN (inferred)."""
    headers = {"cache-control": f"public, max-age={YEAR}", "age": str(age), "x-cache": cache}
    return Response(body, media_type="application/json", headers=headers)
