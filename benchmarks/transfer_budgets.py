"""The budgets of moving results, as data."""
# ruff: noqa: RUF001 (the multiplication sign is meant)

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from benchmarks.transfer_meter import Cost

_MEGABYTES = 120  # the CSV that the CPU budget is for


@dataclass(frozen=True)
class Costs:
    """What was measured: by way, for so many rows and bytes of CSV."""

    by_way: Mapping[str, Cost]
    rows: int
    csv_bytes: int


@dataclass(frozen=True)
class Budget:
    """One budget: ``value`` gives what it limits from the costs of the ways that it ``needs``."""

    what: str
    needs: tuple[str, ...]
    value: Callable[[Costs], float]
    limit: float
    unit: str
    at_least: bool = False

    def measured(self, costs: Costs) -> float | None:
        """Give the figure, or None where a way was left out."""
        return self.value(costs) if all(way in costs.by_way for way in self.needs) else None

    def is_kept(self, value: float) -> bool:
        """True if the figure is within the budget, as it is printed."""
        return round(value, 2) >= self.limit if self.at_least else round(value, 2) <= self.limit


def _wall(what: str, way: str, limit_way: str, limit: float) -> Budget:
    def value(costs: Costs) -> float:
        return costs.by_way[way].wall / costs.by_way[limit_way].wall

    return Budget(what, (way, limit_way), value, limit, "× the limit")


def _cpu_ratio(what: str, way: str, limit_way: str, limit: float) -> Budget:
    def value(costs: Costs) -> float:
        return costs.by_way[way].cpu / costs.by_way[limit_way].cpu

    return Budget(what, (way, limit_way), value, limit, "× the limit")


def _memory(what: str, way: str, limit: float) -> Budget:
    return Budget(what, (way,), lambda costs: costs.by_way[way].memory, limit, "MB above the imported process")


def _growth(what: str, way: str, limit: float) -> Budget:
    def value(costs: Costs) -> float:
        return max(0.0, costs.by_way[f"{way}_grown"].memory - costs.by_way[way].memory)

    return Budget(what, (way, f"{way}_grown"), value, limit, "MB more with five times the rows")


def _cpu(what: str, way: str, limit: float) -> Budget:
    def value(costs: Costs) -> float:
        return costs.by_way[way].cpu * _MEGABYTES * 1e6 / costs.csv_bytes

    return Budget(what, (way,), value, limit, f"s of client CPU for {_MEGABYTES} MB")


BUDGETS = (
    _wall("CSV → PostgreSQL, into a table: wall, to curl | psql", "ours_csv_sql", "psql", 1.1),
    _wall("CSV → PostgreSQL, table made: wall, to curl | psql", "ours_csv_new_table", "psql", 1.1),
    _cpu("CSV → PostgreSQL, into a table: CPU", "ours_csv_sql", 0.5),
    _cpu("CSV → PostgreSQL, table made: CPU", "ours_csv_new_table", 0.5),
    _memory("CSV → PostgreSQL: memory", "ours_csv_sql", 64),
    _growth("CSV → PostgreSQL: growth", "ours_csv_sql", 5),
    _wall("JSON pages → PostgreSQL: wall, to curl | psql", "ours_pages_sql", "psql", 1.6),
    _memory("JSON pages → PostgreSQL: memory, about three pages with their rows", "ours_pages_sql", 96),
    _wall("CSV → MariaDB, into a table: wall, to mysql --local-infile", "ours_csv_mysql", "mysql_load", 1.2),
    _wall("Table → table of one database: wall, to INSERT … SELECT", "ours_in_database", "insert_select", 1.05),
    _wall("CSV → Parquet: wall, to DuckDB from a local file", "ours_csv_parquet", "duckdb_parquet", 1.25),
    _cpu_ratio("CSV → Parquet: CPU, to DuckDB from a local file", "ours_csv_parquet", "duckdb_parquet", 1.3),
    _growth("CSV → Parquet: growth", "ours_csv_parquet", 50),
    _wall("gzip kept as gzip: wall, to curl into a file", "ours_gzip_gzip", "curl_file", 10),
    Budget(
        "CSV → gzip: rate",
        ("ours_csv_gzip",),
        lambda costs: costs.csv_bytes / 1e6 / costs.by_way["ours_csv_gzip"].wall,
        80,
        "MB/s",
        at_least=True,
    ),
)
