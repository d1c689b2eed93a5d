"""Credentials are removed from texts for people, in whatever form a server repeats them."""

from __future__ import annotations

import base64
import html
import json
import re
import sys
from collections.abc import Iterable, Iterator, Mapping
from functools import lru_cache
from html.entities import html5
from typing import Any
from urllib.parse import quote, quote_plus, unquote

HIDDEN = "***"
LEAST = 4  # characters; a shorter secret stands in many an innocent word
PIECE = 10  # characters; a piece of a long secret that is as long as this is removed as well
LONG = 16  # characters from which on a secret is long
_UUID = re.compile(r"[0-9A-Fa-f]{8}(?:-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12}").fullmatch
CUT = "… (cut)"
ROUNDS = 3  # times that a text is decoded
# One encoded character: percent, also of a percent sign, JSON and other escapes, HTML with codes or names.
_ENCODED = re.compile(
    r"%(?:25)*(?:u(?P<percent>[0-9A-Fa-f]{4})|(?P<code>[0-9A-Fa-f]{2}))"
    r"|(?<!\\)\\++(?:u(?P<wide>[0-9A-Fa-f]{4})|u\{(?P<braces>[0-9A-Fa-f]{1,6})\}|U(?P<long>[0-9A-Fa-f]{8})"
    r"|x(?P<hex>[0-9A-Fa-f]{2})|(?P<octal>[0-3][0-7]{2}))"
    r"|&(?:amp;)*(?:#(?:(?P<number>0{0,6}[0-9]{1,7})|[xX](?P<digits>[0-9A-Fa-f]{1,6}));?|(?P<name>[A-Za-z]{2,31});)"
)
_BASES = {"number": 10, "octal": 8}
MOST = 64 * 1024  # characters of a text that are looked at; no text for people is longer


def redacted(text: str, secrets: Iterable[str]) -> str:
    """Remove credentials from a text, and longer pieces of them: a server may cut what it repeats.

    A secret is found as it is, in hexadecimal digits, in Base64 (also within ``user:password``), with other white
    space, and percent-encoded or escaped as JSON or HTML, wholly or in part, once or several times. Redact a text
    before it is cut: half a secret is not recognised by its end.
    """
    text = text[:MOST]
    wholes, pieces = _forms(tuple(secret for secret in secrets if len(secret) >= LEAST))
    if not wholes:
        return text
    for whole in wholes:
        if whole in text:
            text = text.replace(whole, HIDDEN)
    # Encoded characters first: a piece that is taken out of them would hide the rest.
    text = _without_encoded(text, wholes, pieces) if _ENCODED.search(text) else text
    return _without_pieces(text, pieces) if pieces else text


def holds(text: str, secrets: Iterable[str]) -> bool:
    """Tell whether a text of any length holds a whole secret in one of its forms."""
    wholes, _ = _forms(tuple(secret for secret in secrets if len(secret) >= LEAST))
    decoded = [text, *(plain for plain, _ in _decodings(text))]
    return any(whole in one for one in decoded for whole in wholes)


def redacted_value(value: Any, secrets: tuple[str, ...]) -> Any:
    """Remove credentials from every text of a JSON value, keys included."""
    if isinstance(value, str):
        return redacted(value, secrets) if len(value) <= MOST else redacted(value, secrets) + CUT
    if isinstance(value, Mapping):
        return {redacted_value(key, secrets): redacted_value(item, secrets) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return type(value)(redacted_value(item, secrets) for item in value)
    return value


def without_whole(text: str, secrets: Iterable[str]) -> str:
    """Remove whole credentials only: for texts of this package, whose ids must stay readable."""
    wholes, _ = _forms(tuple(secret for secret in secrets if len(secret) >= LEAST))
    for whole in wholes:
        text = text.replace(whole, HIDDEN) if whole in text else text
    return text


def _without_pieces(text: str, pieces: frozenset[str]) -> str:
    kept: list[str] = []
    begin, end = 0, 0  # of the text that is kept, and of the piece that was found last
    for at in range(len(text) - PIECE + 1):
        if text[at : at + PIECE] in pieces:
            if at > end or not end:
                kept += [text[begin:at], HIDDEN] if at > end or not kept else []
            end = begin = at + PIECE
    return "".join([*kept, text[begin:]])


def _decodings(text: str) -> Iterator[tuple[str, list[int]]]:
    """Give a text decoded once, twice and so on, each with the places where its characters begin, and its end."""
    places = list(range(len(text) + 1))
    for _ in range(ROUNDS):
        chars: list[str] = []
        begins: list[int] = []
        last = 0
        for found in _ENCODED.finditer(text):
            group = str(found.lastgroup)
            if group == "name":
                name = html5.get(f"{found[group]};", "")
                code = ord(name) if len(name) == 1 else -1
            else:
                code = int(found[group], _BASES.get(group, 16))
            if not 0 <= code <= sys.maxunicode:
                continue
            chars += [*text[last : found.start()], chr(code)]
            begins += places[last : found.start() + 1]
            last = found.end()
        if not last:
            return
        text, places = "".join([*chars, text[last:]]), [*begins, *places[last:]]
        yield text, places


def _without_encoded(text: str, wholes: tuple[str, ...], pieces: frozenset[str]) -> str:
    """Remove what is a secret once the text is decoded: each of its characters may be encoded in its own way."""
    spans: list[tuple[int, int]] = []
    for plain, places in _decodings(text):
        for whole in wholes:
            at = plain.find(whole)
            while at >= 0:
                spans.append((places[at], places[at + len(whole)]))
                at = plain.find(whole, at + 1)
        if pieces:
            found = (at for at in range(len(plain) - PIECE + 1) if plain[at : at + PIECE] in pieces)
            spans += [(places[at], places[at + PIECE]) for at in found]
    kept: list[str] = []
    end = 0
    for begin, stop in sorted(spans):
        if begin > end or not kept:
            kept += [text[end:begin], HIDDEN]
        end = max(end, stop)
    return "".join([*kept, text[end:]])


@lru_cache(maxsize=256)
def _forms(secrets: tuple[str, ...]) -> tuple[tuple[str, ...], frozenset[str]]:
    """Give the forms of some secrets, longest first, and the pieces of the long ones."""
    forms = {form for secret in secrets for form in _spellings(secret)}
    wholes = sorted((form for form in forms if len(form) >= LEAST), key=len, reverse=True)
    # A UUID shares its dashes and zeros with harmless ones, and servers do not cut it.
    long = [form for form in wholes if len(form) >= LONG and not _UUID(form)]
    return tuple(wholes), frozenset(form[at : at + PIECE] for form in long for at in range(len(form) - PIECE + 1))


def _spellings(secret: str) -> Iterator[str]:
    for text in {secret, " ".join(secret.split()), unquote(secret)}:
        yield text
        yield from (quote(text, safe=""), quote(text), quote_plus(text), quote(quote(text, safe=""), safe=""))
        yield from (lower_hex(quote(text, safe="")), lower_hex(quote_plus(text)))
        yield from (json.dumps(text)[1:-1], json.dumps(text)[1:-1].replace("/", "\\/"), _escaped(text, "\\u{:04x}"))
        yield from (_escaped(text, "\\u{:04X}"), _escaped(text, "\\u{:04X}").replace("\\u002F", "\\/"))
        yield from (_escaped(text, "&#{};"), _escaped(text, "&#x{:x};"), _escaped(text, "&#x{:X};"), html.escape(text))
        yield from _in_base64(text)
        raw = text.encode("utf-8", "surrogatepass")
        yield from (raw.hex(), raw.hex().upper(), raw.decode("latin-1"))


def lower_hex(text: str) -> str:
    """Write the codes of a percent-encoded text in lower case."""
    head, *parts = text.split("%")
    return head + "".join(f"%{part[:2].lower()}{part[2:]}" for part in parts)


def _escaped(text: str, form: str) -> str:
    return "".join(char if char.isalnum() and char.isascii() else form.format(ord(char)) for char in text)


def _in_base64(text: str) -> Iterator[str]:
    """Give what is sure to stand in the Base64 of any text that holds this one, for the three places where it begins.

    The first and the last characters depend on what stands before and behind.
    """
    raw = text.encode("utf-8", "surrogatepass")
    for shift in range(3):
        packed = base64.b64encode(b"\0" * shift + raw).decode()
        sure = packed[-(-shift * 8 // 6) : (shift + len(raw)) * 8 // 6]
        if len(sure) >= 2 * LEAST:
            yield sure
            yield sure.replace("+", "-").replace("/", "_")
            yield quote(sure, safe="")
