"""The table of versions in the documentation is true for the Airflow that is installed here."""

from __future__ import annotations

import sys
from importlib.metadata import version

from scripts.environment import ENVIRONMENTS, pinned
from scripts.versions import FEATURES

AIRFLOW = version("apache-airflow")


def number(text: str) -> tuple[int, ...]:
    """A version as numbers, which can be compared."""
    return tuple(int(part) for part in text.split("."))


def test_each_feature_is_there_from_the_version_that_is_documented():
    """`make test-matrix` proves it for every supported version."""
    found = {feature.text: feature.is_there() for feature in FEATURES}
    assert found == {feature.text: number(AIRFLOW) >= number(feature.since) for feature in FEATURES}


def test_this_pair_of_airflow_and_python_is_one_that_is_documented():
    """Each environment of the matrix runs a supported pair."""
    python = f"{sys.version_info.major}.{sys.version_info.minor}"
    names = {name for name, pins in ENVIRONMENTS.items() if python in pins.pythons}
    assert f"apache-airflow=={AIRFLOW}" in {pinned(name, "apache-airflow") for name in names}
