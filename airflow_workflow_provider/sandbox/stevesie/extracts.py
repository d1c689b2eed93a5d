"""What the workflows find: real rows, in the flat form of Stevesie's result files.

inferred: one request per input, and that ``min_timestamp`` is inside the window and ``max_timestamp`` is not.
"""

from __future__ import annotations

import csv
import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache
from itertools import groupby, islice
from pathlib import Path
from typing import Any

from ..data_files import data_file
from .order import Order

PAGE = 100  # rows that one request of "Many rows" brings
FIRST_SECOND = 1_704_067_200  # 2024-01-01


class BrokenExecution(Exception):
    """The execution cannot go on."""


@dataclass(frozen=True)
class Found:
    """One collection of the responses: its path, its columns without that path, and its rows."""

    name: str
    columns: tuple[str, ...]
    rows: Iterable[Sequence[Any]]


@dataclass(frozen=True)
class Window:
    """The time filter of an execution, in seconds since 1970."""

    first: float
    end: float

    def holds(self, timestamp: float) -> bool:
        """Whether a moment is inside."""
        return self.first <= timestamp < self.end


def window_of(order: Order) -> Window:
    """The window that the execution parameters open; open-ended where they say nothing."""
    try:
        first, end = order.given("min_timestamp", None), order.given("max_timestamp", None)
        return Window(float("-inf") if first is None else float(first), float("inf") if end is None else float(end))
    except (TypeError, ValueError) as error:
        raise BrokenExecution("A timestamp is no number") from error


def stock_prices(order: Order, inputs: Sequence[str]) -> list[Found]:
    """One row a month for each symbol, in the order of the inputs."""
    window = window_of(order)
    days = [(row["symbol"], moment(row["date"], "%b %d %Y"), float(row["price"])) for row in data("stocks")]
    rows = [
        (symbol, f"{day:%Y-%m-%d}", int(day.timestamp()), price)
        for wanted in inputs
        for symbol, day, price in days
        if symbol == wanted and window.holds(day.timestamp())
    ]
    return [Found("results", ("symbol", "date", "timestamp", "price"), rows)]


def seattle_weather(order: Order, inputs: Sequence[str]) -> list[Found]:
    """Two collections for each year: its months, and within them its days."""
    window = window_of(order)
    dated = [(moment(row["date"], "%Y/%m/%d"), row) for row in data("seattle-weather")]
    kept = [(day, row) for year in inputs for day, row in dated if str(day.year) == year]
    kept = [(day, row) for day, row in kept if window.holds(day.timestamp())]
    measured = ("precipitation", "temp_max", "temp_min")
    days = [
        (f"{day:%Y-%m-%d}", int(day.timestamp()), row["weather"], *(float(row[name]) for name in measured))
        for day, row in kept
    ]
    months = [
        (year, month, len(rows), max(numbers(rows, "temp_max")), min(numbers(rows, "temp_min")))
        for (year, month), group in groupby(kept, lambda one: (one[0].year, one[0].month))
        if (rows := [row for _, row in group])
    ]
    return [
        Found("results", ("year", "month", "days_count", "extremes[0]", "extremes[1]"), months),
        Found("results.days", ("date", "timestamp", "weather", *measured), days),
    ]


def users(order: Order, inputs: Sequence[str]) -> list[Found]:
    """One row per input: shows what a collection held when the execution began."""
    return [Found("results", ("user_id", "position"), [(one, at) for at, one in enumerate(inputs, 1)])]


def many_rows(order: Order, inputs: Sequence[str]) -> list[Found]:
    """As many rows as ``rows`` says, a hundred per request; a row is made when it is written."""
    window, count = window_of(order), int(order.given("rows", 1000))
    if order.maximum is not None:
        count = min(count, PAGE * order.maximum)
    columns = ("id", "iata", "name", "state", "latitude", "longitude", "timestamp")
    return [Found("results", columns, numbered_airports(count, window))]


def numbered_airports(count: int, window: Window) -> Iterator[tuple[Any, ...]]:
    """The airports of the United States over and over, a second apart."""
    airports = [
        (row["iata"], row["name"], row["state"], float(row["latitude"]), float(row["longitude"]))
        for row in data("airports")
    ]
    for number in range(count):
        if window.holds(FIRST_SECOND + number):
            yield number, *airports[number % len(airports)], FIRST_SECOND + number


def echo(order: Order, inputs: Sequence[str]) -> list[Found]:
    """What the execution was asked: its parameters in their order, then the other fields."""
    rest: dict[str, Any] = {"proxy.type": order.proxy_type, "proxy.location": order.proxy_location}
    rest |= {"maximum_requests_count": order.maximum, "output_aggregation_format": order.form}
    asked = (order.parameters or {}) | rest | {"do_proxy_hot_swap": order.hot_swap}
    rows = [(name, value if isinstance(value, str) else json.dumps(value)) for name, value in asked.items()]
    return [Found("results", ("name", "value"), rows)]


def one_row(order: Order, inputs: Sequence[str]) -> list[Found]:
    """One row with the seconds that the execution was asked to take."""
    return [Found("results", ("seconds",), [(order.given("seconds", 30),)])]


def nothing(order: Order, inputs: Sequence[str]) -> list[Found]:
    """A collection without rows."""
    return [Found("results", ("id",), [])]


@cache
def data(name: str) -> list[dict[str, str]]:
    """The rows of a file inside vega-datasets."""
    with data_file(f"{name}.csv").open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def moment(text: str, form: str) -> datetime:
    """Midnight UTC of a day."""
    return datetime.strptime(text, form).replace(tzinfo=UTC)


def numbers(rows: Iterable[dict[str, str]], name: str) -> list[float]:
    """A column of rows as numbers."""
    return [float(row[name]) for row in rows]


def write(found: Found, form: str, path: Path) -> int:
    """Write a result file; returns its rows.

    CSV columns carry the collection's path, JSON keys do not (https://stevesie.com/docs/data-extractors).
    """
    rows = iter(found.rows)
    count = 0
    with path.open("w", encoding="utf-8", newline="") as file:
        if form == "csv":
            writer = csv.writer(file, lineterminator="\n")
            writer.writerow(f"{found.name}.{column}" for column in found.columns)
            while part := list(islice(rows, 1000)):
                writer.writerows(part)
                count += len(part)
            return count
        file.write("[")
        for count, row in enumerate(rows, 1):
            file.write(("," if count > 1 else "") + json.dumps(dict(zip(found.columns, row, strict=True))))
        file.write("]")
    return count
