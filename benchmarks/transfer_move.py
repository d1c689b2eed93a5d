"""One way, once, in a process of its own: ``python -m benchmarks.transfer_move WAY PLACE`` prints what it cost."""
# ruff: noqa: T201 (whoever started it reads this)

from __future__ import annotations

import importlib
import json
import sys

from benchmarks import transfer_ours as ours
from benchmarks.transfer_meter import measured
from benchmarks.transfer_ways import WAYS, Place

_IMPORTED = {
    "copy_expert": ("requests", "airflow.providers.postgres.hooks.postgres"),
    "insert_rows": ("requests", "csv", "airflow.providers.postgres.hooks.postgres"),
    "pandas_parquet": ("pandas", "pyarrow.parquet"),
    "arrow_parquet": ("pyarrow.csv", "pyarrow.parquet"),
    "duckdb_parquet": ("duckdb",),
    "polars_parquet": ("polars",),
    "insert_select": ("psycopg",),
    "gzip_default": ("requests", "gzip"),
}


def main() -> None:
    """Import, measure, print."""
    name, place = sys.argv[1], Place(**json.loads(sys.argv[2]))
    if name.startswith("ours"):
        ours.imported()
    for module in _IMPORTED.get(name, ()):
        importlib.import_module(module)
    cost = measured(lambda: WAYS[name](place))
    print(json.dumps(cost.to_json()))


if __name__ == "__main__":
    main()
