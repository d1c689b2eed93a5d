"""The real data behind the sandbox: the files inside vega-datasets."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path


def data_file(name: str) -> Path:
    """A file inside vega-datasets, found without importing that package (it would import pandas)."""
    spec = find_spec("vega_datasets")
    if spec is None or not spec.submodule_search_locations:
        raise ModuleNotFoundError("No module named 'vega_datasets'", name="vega_datasets")
    return Path(spec.submodule_search_locations[0]) / "_data" / name
