"""What the example DAGs are started with, and the rows that they must land, by the data of `vega_datasets`."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from tests.stories import facts
from tests.stories.facts import Row

RUN_ID = "with_parameters"
SYMBOLS = ("AAPL", "AMZN", "GOOG", "IBM", "MSFT")

Runs = Mapping[str, str]
"""The remote run's id by the task that started it."""


@dataclass(frozen=True)
class Example:
    """A DAG, the parameters that are not its defaults, and the rows it must land, by table and by file name.

    A ``*`` in a file name stands for the id of the run; its rows are text where the file's format knows nothing else.
    """

    system: str
    conf: Mapping[str, Any]
    starts: tuple[str, ...]
    deferred: str
    """The task whose run is surely still going when it is looked at."""
    tables: Callable[[Runs], Mapping[str, list[Row]]]
    files: Callable[[Runs], Mapping[str, list[Row]]] = lambda runs: {}
    remote_runs: int = 2


def own(runs: Runs, task: str, rows: list[Row]) -> list[Row]:
    """Rows that carry the id of the run that wrote them."""
    return [{"RunId": runs[task], **row} for row in rows]


def named(prefix: str, rows: list[Row]) -> list[Row]:
    """Rows whose columns carry the path of their collection."""
    return [{f"{prefix}.{name}": value for name, value in row.items()} for row in rows]


def days(year: int) -> list[Row]:
    """The days of a year, as Stevesie's second result has them."""
    order = ("date", "timestamp", "weather", "precipitation", "temp_max", "temp_min")
    kinds = {row["date"].replace("/", "-"): row["weather"] for row in facts.source("seattle_weather")}
    rows = [
        {**row, "weather": kinds[row["date"]], "timestamp": int(facts.moment(row["date"], "%Y-%m-%d").timestamp())}
        for row in facts.days_of_year(year)
    ]
    return named("results.days", [{name: row[name] for name in order} for row in rows])


def months(year: int) -> list[Row]:
    """The months of a year, as Stevesie's first result has them."""
    lows = {month: min(day["temp_min"] for day in found) for month, found in by_month(year).items()}
    rows = [
        {
            "year": year,
            "month": row["month"],
            "days_count": row["days"],
            "extremes[0]": row["temp_max"],
            "extremes[1]": lows[row["month"]],
        }
        for row in facts.months_of_year(year)
    ]
    return named("results", rows)


def by_month(year: int) -> Mapping[int, list[Row]]:
    """The days of a year by month."""
    found: dict[int, list[Row]] = {}
    for day in facts.days_of_year(year):
        found.setdefault(int(day["date"][5:7]), []).append(day)
    return found


def stock_prices(symbols: tuple[str, ...], *years: int) -> list[Row]:
    """Prices over several years."""
    return [row for year in years for row in facts.stock_prices(symbols, year)]


CASES = {
    "example_carto": Example(
        "carto",
        {"min_airports": 60, "state": "CA"},
        starts=("run_workflow", "start_workflow"),
        deferred="run_workflow",
        tables=lambda runs: {"airports_by_state": facts.airports_by_state(60)},
        files=lambda runs: {"airports_in_CA_*.parquet": facts.airports("CA")},
    ),
    "example_alteryx": Example(
        "alteryx",
        {"year": 2014, "state": "NH"},
        starts=("run_app", "start_app"),
        deferred="run_app",
        tables=lambda runs: {"weather_by_month": facts.months_of_year(2014)},
        files=lambda runs: {
            "weather_of_2014_*.parquet": facts.days_of_year(2014),
            "airports_in_NH_*.csv": facts.airports("NH"),
        },
    ),
    "example_stevesie": Example(
        "stevesie",
        {"years": ["2012", "2015"], "since": "2008-01-01T00:00:00Z", "until": "2009-01-01T00:00:00Z"},
        starts=("run_workflow", "start_workflow"),
        deferred="run_workflow",
        tables=lambda runs: {
            "months": [
                {"year": year, "month": row["month"], "days": row["days"]}
                for year in (2012, 2015)
                for row in facts.months_of_year(year)
            ],
            "prices": named("results", stock_prices(SYMBOLS, 2008)),
        },
        files=lambda runs: {
            "*_results.csv": months(2012) + months(2015),
            "*_results.days.csv": days(2012) + days(2015),
        },
    ),
    "example_chorus": Example(
        "chorus",
        {"weather": "fog"},
        starts=("run_flow", "start_job"),
        deferred="run_flow",
        tables=lambda runs: {"weather_days": facts.weather_days("fog", marker=RUN_ID)},
        files=lambda runs: {
            # The engine stores the first 25 rows of a result.
            "monthly_means_*.csv": facts.weather_months("fog")[:25],
            "numbers.jsonl": [{**row, "day": row["day"]} for row in facts.numbers(1000)[:25]],
        },
        remote_runs=4,  # a process, a job and the two processes inside it
    ),
    "example_invision": Example(
        "invision",
        {"sector": "government", "symbol": "GOOG"},
        starts=("run_data_flow", "start_flow"),
        deferred="run_data_flow",
        tables=lambda runs: {
            "employment": own(runs, "run_data_flow", facts.employment("government", "2009-01-01")),
            "stock_prices": own(
                runs,
                "start_flow",
                [
                    {"Symbol": row["symbol"], "PriceDate": row["date"], "Price": row["price"]}
                    for row in stock_prices(("GOOG",), *range(2004, 2011))
                ],
            ),
        },
    ),
}
# Examples of several DAGs that trigger each other are run by tests of their own.
ELSEWHERE = {"example_events": "tests/system/test_events.py"}
