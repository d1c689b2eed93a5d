"""Distributions with a registered system, as an installation leaves them on the path."""

from __future__ import annotations

import sys
import textwrap
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from airflow_workflow_provider.hooks import registered as hooks
from airflow_workflow_provider.systems import registry

if TYPE_CHECKING:
    import pytest

Install = Callable[..., None]


def write(folder: Path, name: str, points: str, code: str | None = None) -> None:
    """Write the metadata of a distribution ``plug-<name>`` with these entry points, and its module ``plug_<name>``."""
    if code is not None:
        (folder / f"plug_{name}.py").write_text(textwrap.dedent(code))
    info = folder / f"plug_{name}-1.2.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: plug-{name}\nVersion: 1.2\n")
    (info / "entry_points.txt").write_text(f"[{registry.GROUP}]\n{points}\n")


@contextmanager
def installations(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Install]:
    """Give a function that installs; what it installed is forgotten at the end."""
    monkeypatch.syspath_prepend(str(folder))
    forget()

    def install(name: str, key: str, code: str | None = None, value: str | None = None) -> None:
        value = value or "AcmeSystem"
        write(folder, name, f"{key} = {value if code is None else f'plug_{name}:{value}'}", code)
        registry.registered.cache_clear()

    try:
        yield install
    finally:
        forget()
        for name in [name for name in sys.modules if name.startswith("plug_")]:
            del sys.modules[name]


def forget() -> None:
    """Forget what was found and loaded."""
    registry.registered.cache_clear()
    for system in registry._loaded.values():  # a class that other tests use as well
        if "distribution" in vars(system):
            del system.distribution
    registry._loaded.clear()
    registry._failed.clear()
    hooks.hook_class.cache_clear()
