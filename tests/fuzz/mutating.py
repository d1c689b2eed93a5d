"""Answers as a hostile or broken server gives them: samples of real answers, changed at random."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from random import Random
from typing import Any

SAMPLES = Path(__file__).parent.parent / "samples"
SECRET = "fuzz-s3cret+token/0123456789="
STATUSES = (
    200,
    200,
    200,
    200,
    200,
    201,
    202,
    204,
    206,
    100,
    301,
    302,
    400,
    401,
    403,
    404,
    408,
    409,
    410,
    429,
    500,
    503,
)
SCALARS: tuple[Any, ...] = (
    None,
    True,
    False,
    0,
    -1,
    1.5,
    1e308,
    -0.0,
    10**400,
    -(10**18),
    2**63,
    1e-300,
    "",
    " ",
    "\0",
    "\ud800",
    "\u202e",
    "bad \0 text",
    "\x1b[31mred\r\nFAKE LOG LINE",
    SECRET,
    f"Bearer {SECRET}",
    "../../x",
    "a/b?c=d#e",
    "2026-13-45T99:99",
    "9999-12-31T23:59:59.999999999+99:99",
    "0001-01-01T00:00:00+23:59",
    "1e1000000",
    "NaN",
    "[]",
    "{}",
    "null",
    "x" * 70_000,
    "succeeded",
    "Completed",
    "success",
    "failure",
    "COMPLETED",
    "Running",
    "{{ jinja }}",
    "http://169.254.169.254/x",
    "file:///etc/passwd",
    "`t`; DROP TABLE x; --",
    "é" * 1000,
    [],
    {},
    [[]],
    [None],
    {"": None},
    "🎉",
    "\u0661\u0662",
    "0x7f",
)
RAW = (
    b"",
    b"null",
    b"[]",
    b"{}",
    b'""',
    b"0",
    b"true",
    b"{",
    b'{"a":',
    b"[" * 200_000,
    b'{"a":' * 50_000,
    b"\xff\xfe\x00",
    b"<html><title>" + b"<title" * 20_000,
    b"<!doctype html>" + SECRET.encode(),
    b"1" * 10_000,
    b"[1e999999999]",
    b"NaN",
    b'{"a": 1e1000000}',
    b" " * 100_000,
    b'"' + b"\\" * 50_001,
    b'"\\ud800"',
    b"\xef\xbb\xbf{}",
    b"{}{}",
    b'{"id": 1, "id": 2}',
    b"[" + b"{}," * 50_000 + b"{}]",
    b"\x1f\x8b\x08",
    b"a,b\n1,2\n",
    SECRET.encode(),
    b"[" + b"null," * 1000 + b"null]",
)
HEADERS: tuple[dict[str, str], ...] = (
    {},
    {},
    {},
    {"retry-after": "1e400"},
    {"retry-after": "-5"},
    {"retry-after": "9" * 400},
    {"retry-after": "Mon, 99 Foo"},
    {"location": "//x"},
    {"location": f"https://u:{SECRET}@evil/?t={SECRET}"},
    {"content-type": "text/html"},
    {"retry-after": "Fri, 31 Dec 9999 23:59:59 GMT"},
    {"retry-after": "\ud800"},
    {"content-disposition": 'x="\0'},
)


def bodies(system: str) -> list[Any]:
    """The bodies of the samples of one system."""
    return [json.loads(path.read_text())["answer"]["body"] for path in sorted((SAMPLES / system).glob("*.json"))]


def mutated(value: Any, random: Random, depth: int = 0) -> Any:
    """Change some places of a JSON value."""
    if random.random() < 0.08 or depth > 12:
        return random.choice(SCALARS)
    if isinstance(value, Mapping):
        kept = {name: mutated(item, random, depth + 1) for name, item in value.items() if random.random() > 0.04}
        if random.random() < 0.05:
            kept[str(random.choice(list(value) or ["x"])).swapcase()] = random.choice(SCALARS)
        return kept
    if isinstance(value, list):
        items = [mutated(item, random, depth + 1) for item in value]
        if items and random.random() < 0.05:
            items *= random.choice((0, 2, 50))
        return items
    return value


def body(samples: list[Any], random: Random) -> bytes:
    """A body: a changed sample, as JSON with escapes or without, or broken bytes."""
    if random.random() < 0.12:
        return random.choice(RAW)
    value = mutated(random.choice(samples), random)
    if isinstance(value, str) and random.random() < 0.5:
        return value.encode("utf-8", "surrogatepass")
    raw = json.dumps(value, ensure_ascii=random.random() < 0.7).encode("utf-8", "surrogatepass")
    if random.random() < 0.1 and raw:
        at = random.randrange(len(raw))
        raw = raw[:at] + bytes([random.randrange(256)]) + raw[at + random.choice((0, 1, 7)) :]
    return raw


def answer_to(samples: list[Any], random: Random) -> tuple[int, dict[str, str], bytes]:
    """Status, headers and body of one answer."""
    status = random.choice(STATUSES) if random.random() < 0.9 else random.randrange(100, 600)
    return status, random.choice(HEADERS), body(samples, random)
