"""What the sandbox's InVision solution holds: keys, tables, data flows and Flows."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

EXECUTION_KEY = "5a9d0001-0000-4000-8000-00000000ab01"
DATA_KEY = "5a9d0002-0000-4000-8000-00000000ab02"
MONITORING_KEY = "5a9d0003-0000-4000-8000-00000000ab03"
FLOW_KEY = "5a9d0004-0000-4000-8000-00000000ab04"
TENANT = "5a9d0005-0000-4000-8000-00000000ab05"
WORKSPACE = "5a9d0006-0000-4000-8000-00000000ab06"

ENVIRONMENTS = ("Development", "Test", "Production")


@dataclass(frozen=True)
class Store:
    """A table: its name in the database, its name as a solution object, its columns besides ``RunId``."""

    table: str
    name: str
    columns: str


@dataclass(frozen=True)
class Routine:
    """What a data flow or a Flow does: append rows, tagged with the run's id, to a table.

    inferred: that the id which the API answers is the task id that a data flow can write into its rows.
    ``sql`` has its arguments as ``$name``; ``seconds`` names the argument that says how long it takes, ``ends`` is how
    a Flow calls its end.
    """

    name: str
    summary: str
    store: Store
    sql: str
    arguments: Mapping[str, Any] = field(default_factory=dict)
    seconds: str | None = None
    ends: Literal["ok", "warning"] = "ok"


EMPLOYMENT = Store("Fact_Employment", "Employment by Sector", "Month DATE, Sector VARCHAR, Employees DECIMAL(12, 1)")
PRICES = Store("Store_StockPrices", "Stock Prices", "Symbol VARCHAR, PriceDate DATE, Price DECIMAL(10, 2)")
NUMBERS = Store("Store_ManyRows", "Many Rows", "Id BIGINT, Code VARCHAR, Day DATE, Amount DECIMAL(12, 2), Note VARCHAR")
WAITS = Store("Store_Slow", "Slow", "Seconds DOUBLE")
TYPES = Store(
    "Store_EveryType",
    "Every Type",
    "Id INTEGER, Code VARCHAR, BigNumber BIGINT, Amount DECIMAL(12, 2), Ratio DOUBLE, Flag BOOLEAN, Day DATE, "
    'Instant TIMESTAMP, "Two Words" VARCHAR',
)
STORES = (EMPLOYMENT, PRICES, NUMBERS, WAITS, TYPES)

EMPLOYED = """
    SELECT month, sector, employees FROM source.employment
    WHERE sector = $sector AND month >= $fromMonth::DATE ORDER BY month"""
QUOTED = "SELECT symbol, day, price FROM source.stocks WHERE symbol = $symbol ORDER BY day"
NUMBERED = """
    SELECT i, lpad(i::VARCHAR, 8, '0'), DATE '2024-01-01' + (i % 366)::INTEGER, i * 7 % 100000 / 100, 'row ' || i
    FROM range($rows::BIGINT) AS numbers(i) ORDER BY i"""
EVERY_TYPE = """
    SELECT * FROM (VALUES
      (1, '007', 9007199254740993, 12345678.90, 2.5, true, DATE '2024-02-29', TIMESTAMP '2024-02-29 12:34:56.789',
       'comma, quote " and back\\slash'),
      (2, '', -9223372036854775808, -0.01, 0.1, false, DATE '1969-12-31', TIMESTAMP '1969-12-31 23:59:59',
       'Zürich 東京 🛩'),
      (3, 'null', 0, 0, 1e300, true, DATE '9999-12-31', TIMESTAMP '9999-12-31 23:59:59', 'line' || chr(10) || 'break'),
      (4, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL)
    ) AS t"""

SECTOR = {"sector": "manufacturing", "fromMonth": "2006-01-01"}
LOAD = Routine("employment", "employment of a sector since a month", EMPLOYMENT, EMPLOYED, SECTOR)
QUOTES = Routine("stock prices", "prices of one symbol; its id is no GUID", PRICES, QUOTED, {"symbol": "AAPL"})
ROWS = Routine("many rows", "as many rows as you like", NUMBERS, NUMBERED, {"rows": 1000})
SLOW = Routine("slow", "runs for as many seconds as you like", WAITS, "SELECT $seconds", {"seconds": 30}, "seconds")
FAILING = Routine("failing", "fails in the database", WAITS, "SELECT symbol::DOUBLE FROM source.stocks")
EMPTY = Routine("empty", "writes no rows", WAITS, "SELECT 0 WHERE false")
DIFFICULT = Routine("every type", "difficult values", TYPES, EVERY_TYPE)
WARNING = Routine("warning", "completes with a warning", PRICES, QUOTED, {"symbol": "IBM"}, ends="warning")

DATA_FLOWS = {
    "2f0c0001-3b1e-4c55-9a10-0d5eed000001": LOAD,
    "stockprices": QUOTES,
    "2f0c0003-3b1e-4c55-9a10-0d5eed000003": ROWS,
    "2f0c0004-3b1e-4c55-9a10-0d5eed000004": SLOW,
    "2f0c0005-3b1e-4c55-9a10-0d5eed000005": FAILING,
    "2f0c0006-3b1e-4c55-9a10-0d5eed000006": EMPTY,
    "2f0c0007-3b1e-4c55-9a10-0d5eed000007": DIFFICULT,
}
FLOWS = {
    "6e1f0001-8d2a-4b7c-b6f4-0d5eed000001": LOAD,
    "6e1f0002-8d2a-4b7c-b6f4-0d5eed000002": WARNING,
    "6e1f0003-8d2a-4b7c-b6f4-0d5eed000003": ROWS,
    "6e1f0004-8d2a-4b7c-b6f4-0d5eed000004": SLOW,
    "6e1f0005-8d2a-4b7c-b6f4-0d5eed000005": FAILING,
}
