"""What stands behind an argument, as text on the command line; argparse shows the errors."""

from __future__ import annotations

import json
import re
from argparse import ArgumentTypeError
from datetime import UTC, datetime, timedelta
from typing import Any

_UNITS = {"": 1, "s": 1, "m": 60, "h": 3600, "d": 86_400}
_DURATION = re.compile(r"(\d+(?:\.\d+)?)\s*([smhd]?)", re.IGNORECASE)
Pair = tuple[str, Any]


def seconds(text: str) -> float:
    """Read a duration above 0: ``90``, ``90s``, ``15m``, ``2h``, ``1d``."""
    found = _DURATION.fullmatch(text.strip())
    amount = float(found[1]) * _UNITS[found[2].lower()] if found else 0.0
    if not 0 < amount <= timedelta.max.days * 86_400 / 100:
        raise ArgumentTypeError(f"{text!r} is not a duration; give seconds, or a number with s, m, h or d such as 15m")
    return amount


def since(text: str) -> datetime:
    """Read a moment: ISO 8601 (without a zone it is UTC), or a duration for "so long ago"."""
    try:
        return datetime.now(UTC) - timedelta(seconds=seconds(text))
    except (ArgumentTypeError, OverflowError):
        pass
    try:
        moment = datetime.fromisoformat(text.strip())
    except ValueError:
        raise ArgumentTypeError(
            f"{text!r} is neither a time such as 2026-01-31T08:00 nor a duration such as 2h"
        ) from None
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def count(text: str) -> int:
    """Read a number of rows, 0 or more."""
    if not text.isascii() or not text.isdigit():
        raise ArgumentTypeError(f"{text!r} is not a whole number")
    return int(text)


def parameter(text: str) -> Pair:
    """Read ``name=text`` or ``name:=json``."""
    name, is_there, value = text.partition("=")
    is_json = name.endswith(":")
    name = name.removesuffix(":").strip()
    if not is_there or not name:
        raise ArgumentTypeError(f"{text!r} is not NAME=TEXT or NAME:=JSON")
    if not is_json:
        return name, value
    try:
        return name, json.loads(value)
    except ValueError as error:
        raise ArgumentTypeError(f"{name}: {value!r} is not JSON ({error}); NAME=TEXT takes text as it is") from None


def option(text: str) -> Pair:
    """Read ``name=value``: a number, true, false, null or other JSON where it is some, else text."""
    name, value = parameter(text)
    if not isinstance(value, str) or f"{name}:=" in text:
        return name, value
    try:
        return name, json.loads(value)
    except ValueError:
        return name, value
