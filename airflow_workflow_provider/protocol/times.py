"""Times as the APIs write them: tolerant in, one spelling out."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any

# .NET writes seven digits of a second, Python reads six: https://learn.microsoft.com/dotnet/standard/base-types/standard-date-and-time-format-strings
_FRACTION = re.compile(r"(\.\d{6})\d+")
_OFFSET_WITHOUT_COLON = re.compile(r"([+-]\d{2})(\d{2})$")
_MILLISECONDS_FROM = 100_000_000_000  # an epoch number above this can only mean milliseconds


# Between these seconds the difference of a server's clock from ours is believed: below, it may be the way of the answer
# and the whole seconds of a date; above, the date is wrong.
SURE_LAG, LONGEST_LAG = 5.0, 3600.0


def server_lag(headers: Mapping[str, str], now: float) -> float | None:
    """Give how many seconds the clock that wrote these headers is behind ours, negative: ahead; None without a date."""
    try:
        return now - parsedate_to_datetime(headers["date"]).timestamp()
    except (KeyError, TypeError, ValueError, OverflowError, OSError):
        return None


def server_time(headers: Mapping[str, str], now: float) -> float:
    """Give the time of the server's clock when it answered, for comparing it with other times of the server."""
    lag = server_lag(headers, now)
    return now if lag is None or not SURE_LAG <= abs(lag) <= LONGEST_LAG else now - lag


def as_utc(value: datetime | None) -> datetime | None:
    """Make a datetime aware, in UTC; a naive one is UTC already."""
    if value is None:
        return None
    return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)


def from_epoch(seconds: float) -> datetime:
    """Turn the seconds that `Now` gives into an aware datetime."""
    return datetime.fromtimestamp(seconds, tz=UTC)


def iso(value: datetime | None) -> str | None:
    """Spell a datetime as ISO 8601 with ``Z``; None stays None."""
    aware = as_utc(value)
    return None if aware is None else aware.replace(tzinfo=None).isoformat() + "Z"


def parse_time(value: Any) -> datetime | None:
    """Read ISO 8601 text (any fraction, ``Z`` or offset), epoch seconds or epoch milliseconds.

    None and ``""`` give None. Raises ValueError for anything else that is no time.
    """
    if value is None or value == "":
        return None
    if isinstance(value, datetime):
        return as_utc(value)
    is_number = isinstance(value, (int, float)) and not isinstance(value, bool)
    if is_number or (isinstance(value, str) and value.isdecimal() and len(value) >= 9):
        try:
            number = float(value)
            return datetime.fromtimestamp(number / 1000 if number >= _MILLISECONDS_FROM else number, tz=UTC)
        except (OverflowError, OSError) as error:
            raise ValueError(f"not a time: {value!r}") from error
    text = _OFFSET_WITHOUT_COLON.sub(r"\1:\2", _FRACTION.sub(r"\1", str(value).strip()))
    try:
        return as_utc(datetime.fromisoformat(text))
    except (OverflowError, ValueError) as error:
        raise ValueError(f"not a time: {value!r}") from error


def time_or_none(value: Any) -> datetime | None:
    """Read a server's time; one that cannot be read is left out instead of failing a whole run."""
    try:
        return parse_time(value)
    except (TypeError, ValueError):
        return None
