"""JSON from servers within bounds of size, depth and time, so that no answer stalls or ends a triggerer."""

from __future__ import annotations

import gc
import json
import re
from codecs import BOM_UTF8
from collections.abc import Callable, Iterator
from decimal import Decimal
from hashlib import blake2b
from math import isfinite
from typing import Any

from airflow_workflow_provider.protocol.text import REPLACEMENT

# Bytes of a control answer after decompression, unless the connection says otherwise: on a worker, and in a triggerer,
# which all teams share.
MAX_ANSWER, MAX_SHARED_ANSWER = 32 * 1024 * 1024, 8 * 1024 * 1024
MAX_VALUES = 1_000_000  # values of a control answer; each costs up to a hundred bytes of memory
MAX_DEPTH = 48  # below what a run object may have; nested arrays and objects of a control answer
MAX_DATA_DEPTH = 256  # the same for the rows of a table
MAX_DIGITS = 4300  # of a number; Python's own bound for integers
SHARED_MEMORY = 3  # times the limit of bytes: the memory that reading one answer may take in a triggerer
VALUE_BYTES = 100  # of memory, that a value takes beside its text
BEGINNING = 4096  # bytes of a large body that errors may quote
SLICE, OVERLAP = 64 * 1024, 512  # characters
SAFE_DIGITS = 15  # a float keeps every decimal number of so many digits

Hook = Callable[[dict[str, Any]], Any] | None
_BEGINNING = re.compile(rb'[ \t\r\n]{0,1000}["\[{tfn0-9-]')
_TOKEN = re.compile(rb'"(?:[^"\\]+|\\.)*+"?|[\[\]{}]', re.DOTALL)
_NO_BRACKETS = bytes(byte for byte in range(256) if byte not in b"[]{}")
# Texts of a document that need cleaning: an escape, or a control character that JSON allows to stand as it is.
_UNCLEAN = re.compile("[\\\\\x7f-\x9f\u2028-\u202e\u2066-\u2069]")
_RAW = re.compile("[\x7f-\x84\x86-\x9f\u202a-\u202e\u2066-\u2069]")
_RAW_BREAKS = re.compile("[\x85\u2028\u2029]")
_ESCAPE = re.compile(
    r"(?P<pair>\\u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2})"
    r"|(?P<line>(?:\\r|\\u000[dD])(?:\\n|\\u000[aA])|\\u0085|\\u202[89])"
    r"|(?P<bad>\\[bfr]|\\u(?:00(?:0[0-8b-fB-F]|1[0-9a-fA-F]|7[fF]|[89][0-9a-fA-F])"
    r"|[dD][89a-fA-F][0-9a-fA-F]{2}|202[a-eA-E]|206[6-9]))"
    r"|\\."
)
# Characters that make each one of their text take four bytes of memory.
_FOUR_BYTES, _HALF_PAIR = re.compile(rb"[\xf0-\xff]"), re.compile(rb"\\u[dD][89abAB]")
_WILD_NUMBER = re.compile(r"[0-9.][eE]\+?[0-9]{3}|NaN|Infinity|[0-9]{309}")


class TooMuchError(ValueError):
    """Reading a document would take more memory than the limit."""


def control_document(body: bytes, object_hook: Hook = None) -> Any:
    """Read a control answer: texts are clean, numbers are finite. Raises ValueError."""
    body = body.removeprefix(BOM_UTF8)
    check_bounds(body)
    return _document(_text_of(body), object_hook)


def _text_of(body: bytes) -> str:
    """Decode a control answer. A message of a server in another encoding must not hide what the answer says else."""
    try:
        return body.decode()
    except UnicodeDecodeError:
        return body.decode(errors="replace")


def _document(text: str, object_hook: Hook) -> Any:
    if _finds(_UNCLEAN, text):
        text = _cleaned(text)
    try:
        if _finds(_WILD_NUMBER, text):
            return json.loads(text, parse_float=_finite, parse_constant=lambda word: None, object_hook=object_hook)
        return json.loads(text, object_hook=object_hook)
    except RecursionError:
        raise ValueError("nested too deeply") from None


def exact_document(body: bytes, object_hook: Hook = None) -> Any:
    """Read the rows of a table without changing a text or losing a digit. Raises ValueError."""
    body = body.removeprefix(BOM_UTF8)
    check_depth(body, MAX_DATA_DEPTH)
    try:
        return json.loads(body.decode(), parse_float=exact_number, object_hook=object_hook)
    except RecursionError:
        raise ValueError("nested too deeply") from None


def large_document(bodies: list[bytes], *, exact: bool, limit: int = MAX_SHARED_ANSWER) -> tuple[bytes, Any]:
    """Read a large body, which is taken out of the list so that its memory is free again; for a thread of its own.

    Gives a short body that stands for it, its beginning and a digest, beside the document. The parser is one long
    call that lets no other thread run; a function that it must call for each object does. ``limit`` is that of the
    bytes of an answer, and bounds the memory, too. Raises ValueError, `TooMuchError` where it takes more.
    """
    body = bodies.pop().removeprefix(BOM_UTF8)
    stands_for_it = body[:BEGINNING] + blake2b(body).hexdigest().encode()
    if not _BEGINNING.match(body):
        raise ValueError("this is not JSON")
    if (needed := memory_of(body)) > limit * SHARED_MEMORY:
        raise TooMuchError(
            f"reading it takes {needed >> 20} MB of memory "
            "(a larger limit can be set with max_answer_bytes in the extra)"
        )
    if exact:
        check_depth(body, MAX_DATA_DEPTH)
    else:
        check_bounds(body)
    text = body.decode() if exact else _text_of(body)
    del body
    was_enabled = gc.isenabled()
    gc.disable()  # a collection for every few hundred objects would stop the whole process again and again
    try:
        if not exact:
            return stands_for_it, _document(text, _as_it_is)
        return stands_for_it, json.loads(text, parse_float=exact_number, object_hook=_as_it_is)
    except RecursionError:
        raise ValueError("nested too deeply") from None
    finally:
        if was_enabled:
            gc.enable()


def memory_of(body: bytes) -> int:
    """Estimate the bytes of memory that a document takes with the text that it is read from."""
    values = sum(part.count(sign) for part in _parts(body) for sign in (b",", b"[", b"{"))
    return 2 * _width(body) * len(body) + VALUE_BYTES * values


def _width(body: bytes) -> int:
    """Give the bytes of memory that each character of the widest text may take."""
    is_ascii, has_escapes = body.isascii(), b"\\" in body
    if is_ascii and not has_escapes and b"\x7f" not in body:
        return 1
    is_widest = (not is_ascii and any(_FOUR_BYTES.search(part) for part in _parts(body))) or (
        has_escapes and any(_HALF_PAIR.search(part) for part in _parts(body, overlap=3))
    )
    return 4 if is_widest else 2


def _as_it_is(document: dict[str, Any]) -> dict[str, Any]:
    return document


def looks_like_json(body: bytes) -> bool:
    """True if a body begins as JSON does."""
    return _BEGINNING.match(body) is not None


def check_bounds(body: bytes) -> None:
    """Raise ValueError for what cannot be a control answer of an API, before anything is made of it."""
    if not looks_like_json(body):
        raise ValueError("this is not JSON")
    if len(body) > MAX_VALUES and sum(body.count(sign) for sign in (b",", b"[", b"{")) > MAX_VALUES:
        raise ValueError(f"more than {MAX_VALUES} values")
    check_depth(body)


def check_depth(body: bytes, limit: int = MAX_DEPTH) -> None:
    """Raise ValueError for a document that is nested more deeply than ``limit``.

    Python's own parser raises an error for that, others and later readers end the process.
    """
    if body.count(b"[") + body.count(b"{") <= limit:
        return
    brackets = b"".join([part.translate(None, _NO_BRACKETS) for part in _parts(body)])
    for _ in range(8):  # most documents are flat: taking innermost pairs away leaves nothing
        shorter = brackets.replace(b"{}", b"").replace(b"[]", b"")
        if not shorter:
            return
        if len(shorter) > len(brackets) // 2:
            break
        brackets = shorter
    depth = 0
    for token in _TOKEN.finditer(body):  # a bracket in a text is none
        first = body[token.start()]
        if first in b"[{":
            depth += 1
            if depth > limit:
                raise ValueError("nested too deeply")
        elif first in b"]}":
            depth -= 1


def _parts(body: bytes, overlap: int = 0) -> Iterator[bytes]:
    """Cut a body into parts: what goes through a whole one of many megabytes lets no other thread run, or copies it."""
    return (body[at : at + SLICE + overlap] for at in range(0, len(body), SLICE))


def exact_number(text: str) -> float | Decimal:
    """Read a JSON number with a fraction or exponent: a float where it prints as this very text, else a decimal.

    So no digit is lost, and a zero at the end (``1.10``) is kept for a column of text. Raises ValueError for a giant.
    """
    number = float(text)
    if len(text) <= SAFE_DIGITS and (text[-1] != "0" or text[-2:-1] == ".") and "e" not in text and "E" not in text:
        return number
    if len(text) > MAX_DIGITS:
        raise ValueError(f"a number of more than {MAX_DIGITS} digits")
    if repr(number) == text:
        return number
    precise = Decimal(text)
    if abs(precise.adjusted()) > MAX_DIGITS:
        raise ValueError(f"a number of more than {MAX_DIGITS} digits")
    return precise


def _finite(text: str) -> float | None:
    number = float(text)
    return number if isfinite(number) else None


def _cleaned(text: str) -> str:
    """Clean the texts of a document before it is parsed: that costs less than a walk through all its values."""
    text = "".join(_RAW_BREAKS.sub(r"\\n", _RAW.sub(REPLACEMENT, part)) for part in _slices(text))
    return _ESCAPE.sub(_escape, text) if "\\" in text else text


def _slices(text: str) -> Iterator[str]:
    """Cut a text into parts: a search through a whole one of many megabytes would let no other thread run."""
    return (text[at : at + SLICE] for at in range(0, len(text), SLICE))


def _finds(pattern: re.Pattern[str], text: str) -> bool:
    """Tell whether a pattern is found; slice by slice, and what it finds is no longer than `OVERLAP`."""
    if len(text) <= SLICE:
        return pattern.search(text) is not None
    return any(pattern.search(text, at, at + SLICE + OVERLAP) for at in range(0, len(text), SLICE))


def _escape(found: re.Match[str]) -> str:
    if found["line"]:
        return r"\n"
    return REPLACEMENT if found["bad"] else found[0]
