"""Text from servers, cleaned where it enters: every database stores it and no terminal or log line obeys it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from math import isfinite
from typing import Any

REPLACEMENT = "\N{REPLACEMENT CHARACTER}"
# Control characters other than tab and newline, halves of surrogate pairs, and what turns the direction of text.
# PostgreSQL stores no NUL, UTF-8 has no surrogates, a terminal obeys the rest.
_CONTROLS = "\x00-\x08\x0b-\x1f\x7f-\x9f\ud800-\udfff\u202a-\u202e\u2066-\u2069"
_UNCLEAN = re.compile(f"[{_CONTROLS}\u2028\u2029]")
_LINE_BREAKS = re.compile("\r\n|[\u2028\u2029\x85]")
_REPLACED = re.compile(f"[{_CONTROLS}]")
_WHITE_SPACE = re.compile(r"[\t\n ]+")
_INT64 = 2**63  # MessagePack, in which Airflow's processes talk, has 64 bits for an integer
CUT = "… (cut: {} characters in all)"


def clean_text(text: str) -> str:
    """Replace what cannot be stored or shown: control characters but tab and newline, and lone surrogates.

    Each becomes U+FFFD. A line break of another kind becomes a newline.
    """
    if text.isprintable() or not _UNCLEAN.search(text):
        return text
    return _REPLACED.sub(REPLACEMENT, _LINE_BREAKS.sub("\n", text))


def one_line(text: str) -> str:
    """Clean a text and put it on one line: in a log, a second line could look like a line of its own."""
    return _WHITE_SPACE.sub(" ", clean_text(text)).strip()


def indented(text: str) -> str:
    """Clean a text and indent every line but the first: no line of a server's message begins where ours begin."""
    return clean_text(text).replace("\n", "\n    ")


def cut_text(text: str, limit: int) -> str:
    """Cut a text to ``limit`` characters; a note at the end says how many there were."""
    if len(text) <= limit:
        return text
    note = CUT.format(len(text))
    return text[: max(limit - len(note), 0)] + note


def clean_value(value: Any) -> Any:
    """Clean every text of a JSON value, keys included; a number that JSON does not have becomes None."""
    if isinstance(value, str):
        return clean_text(value)
    if isinstance(value, Mapping):
        return {clean_text(key) if isinstance(key, str) else key: clean_value(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [clean_value(item) for item in value]
    if isinstance(value, float) and not isfinite(value):
        return None
    return value


def sendable(value: Any) -> Any:
    """Clean a JSON value, and make text of each integer that Airflow's processes cannot send to each other."""
    return _small_numbers(clean_value(value))


def _small_numbers(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _small_numbers(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_small_numbers(item) for item in value]
    if isinstance(value, int) and not -_INT64 <= value < 2 * _INT64:
        return _digits(value)
    return value


def _digits(number: int) -> str:
    try:
        return str(number)
    except ValueError:  # Python spells no number of more than some thousand digits
        return f"{number:#x}"
