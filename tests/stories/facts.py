"""What workflows of the sandbox must give, computed from the data of `vega_datasets` and the workflows' descriptions.

Nothing here reads the sandbox's SQL: two ways to the same rows are what makes a story worth something.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable
from datetime import UTC, date, datetime
from decimal import ROUND_HALF_UP, Decimal
from functools import cache
from typing import Any

import vega_datasets

Row = dict[str, Any]


@cache
def source(name: str) -> tuple[dict[str, str], ...]:
    """A data set as its file has it: all text."""
    text = getattr(vega_datasets.data, name).raw().decode("utf-8")
    return tuple(csv.DictReader(io.StringIO(text)))


def airports(state: str) -> list[Row]:
    """The airports of a state, by code."""
    texts, numbers = ("iata", "name", "city", "state"), ("latitude", "longitude")
    return [
        {**{name: row[name] for name in texts}, **{name: float(row[name]) for name in numbers}}
        for row in sorted(source("airports"), key=lambda row: row["iata"])
        if row["state"] == state
    ]


def airports_by_state(least: int) -> list[Row]:
    """The states with so many airports or more, and where their airports lie on average."""
    found: dict[str, list[dict[str, str]]] = {}
    for row in source("airports"):
        found.setdefault(row["state"], []).append(row)
    return [
        {
            "state": state,
            "airports": len(rows),
            "mean_latitude": sum(float(row["latitude"]) for row in rows) / len(rows),
            "mean_longitude": sum(float(row["longitude"]) for row in rows) / len(rows),
        }
        for state, rows in found.items()
        if len(rows) >= least and state != "NA"
    ]


def stock_prices(symbols: Iterable[str], year: int) -> list[Row]:
    """The monthly prices of shares in one year: symbol, date, timestamp, price."""
    rows = [(row["symbol"], moment(row["date"], "%b %d %Y"), float(row["price"])) for row in source("stocks")]
    return [
        {"symbol": symbol, "date": f"{day:%Y-%m-%d}", "timestamp": int(day.timestamp()), "price": price}
        for wanted in symbols
        for symbol, day, price in rows
        if symbol == wanted and day.year == year
    ]


def weather_days(weather: str, **more: Any) -> list[Row]:
    """The days of Seattle with one kind of weather, with further columns of one value."""
    numbers = ("precipitation", "temp_max", "temp_min", "wind")
    return [
        {
            "date": row["date"].replace("/", "-"),
            **{name: float(row[name]) for name in numbers},
            "weather": weather,
            **more,
        }
        for row in source("seattle_weather")
        if row["weather"] == weather
    ]


def weather_months(weather: str) -> list[Row]:
    """The months of these days: how many, the mean of their highs, the sum of their rain."""
    months: dict[str, list[Row]] = {}
    for row in weather_days(weather):
        months.setdefault(row["date"][:7], []).append(row)
    return [
        {
            "month": month,
            "days": len(days),
            "mean_temp_max": rounded(total(days, "temp_max") / len(days), "0.01"),
            "precipitation": rounded(total(days, "precipitation"), "0.1"),
        }
        for month, days in sorted(months.items())
    ]


def months_of_year(year: int) -> list[Row]:
    """The months of one year in Seattle: days, the highest temperature, the sum of the rain."""
    found: dict[int, list[dict[str, str]]] = {}
    for row in source("seattle_weather"):
        if row["date"].startswith(f"{year}/"):
            found.setdefault(int(row["date"][5:7]), []).append(row)
    return [
        {
            "month": month,
            "days": len(days),
            "temp_max": max(float(day["temp_max"]) for day in days),
            "precipitation": float(sum(Decimal(day["precipitation"]) for day in days)),
        }
        for month, days in found.items()
    ]


def days_of_year(year: int) -> list[Row]:
    """The days of one year in Seattle."""
    return [
        {
            "date": row["date"].replace("/", "-"),
            **{name: float(row[name]) for name in ("temp_max", "temp_min", "precipitation")},
        }
        for row in source("seattle_weather")
        if row["date"].startswith(f"{year}/")
    ]


def employment(sector: str, since: str) -> list[Row]:
    """Employees of a sector by month, since a month."""
    return [
        {"Month": row["month"], "Sector": sector, "Employees": float(row[sector])}
        for row in source("us_employment")
        if row["month"] >= since
    ]


def numbers(count: int) -> list[Row]:
    """The rows of Chorus' flow ``many_rows``."""
    return [
        {
            "id": at,
            "code": f"{at:08}",
            "day": f"{date.fromordinal(date(2024, 1, 1).toordinal() + at % 366)}",
            "amount": float(Decimal(at * 7 % 100_000) / 100),
            "note": f"row {at} of {count}",
        }
        for at in range(count)
    ]


def total(rows: Iterable[Row], name: str) -> Decimal:
    """The exact sum of a column."""
    return sum((Decimal(repr(row[name])) for row in rows), Decimal(0))


def rounded(value: Decimal, place: str) -> float:
    """A number rounded as SQL does it: halves go up."""
    return float(value.quantize(Decimal(place), ROUND_HALF_UP))


def moment(text: str, form: str) -> datetime:
    """Midnight UTC of a day."""
    return datetime.strptime(text, form).replace(tzinfo=UTC)


def plain(rows: Iterable[Row]) -> list[Row]:
    """Rows as this module spells them: a day is its ISO text, a decimal a float; sorted, as tables have no order."""
    made = [{name: _plain(value) for name, value in row.items()} for row in rows]
    return sorted(made, key=lambda row: [str(value) for value in row.values()])


def _plain(value: Any) -> Any:
    if isinstance(value, Decimal):
        return float(value)
    text = value.isoformat() if isinstance(value, date) else value
    if isinstance(text, str) and text[10:] in ("T00:00:00", " 00:00:00", " 00:00:00.000000"):
        return text[:10]
    return text
