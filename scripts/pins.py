"""Renew ``requirements/*.txt``: the newest versions that fit pyproject.toml, for each environment.

The files hold ``name==version`` lines, some with a marker, and nothing else: no address of a package index, no path,
no comment. ``lowest.txt`` has the oldest versions that pyproject.toml allows of what users get, on the oldest Airflow.
An older Airflow 3 gets its own dependencies as they were when it was released, as Airflow's constraints do.

``python -m scripts.pins --keep [name …]`` changes only the pins that pyproject.toml does not allow any more.
"""

from __future__ import annotations

import re
import subprocess
import sys
import tempfile
import tomllib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from scripts.environment import BENCH, ENVIRONMENTS, NEWEST, OLDEST_PYTHON, ROOT, WAREHOUSES, Pins, pins_file

USERS_EXTRAS = ("fast", "sandbox", "postgres", "openlineage", "yxdb")
# Not part of every environment: providers that the package is only measured against, programs for a cluster.
SPECIAL_EXTRAS = {"bench": (BENCH,), "cluster": (NEWEST,), "warehouses": (WAREHOUSES,)}
# It ships no wheels for Linux, so that a machine without a compiler and MySQL's headers could not install it.
# The tests connect with PyMySQL.
LEFT_OUT = "mysqlclient"
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
PIN = re.compile(r"[a-z0-9][a-z0-9._-]*(\[[a-z0-9,_-]+\])?==[A-Za-z0-9.!+]+( ; [A-Za-z0-9_.*'<>=! ()]+)?")


def project() -> dict[str, Any]:
    """What pyproject.toml says about the distribution."""
    found: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    return found


def normalised(requirement: str) -> str:
    """The name of a requirement, in the spelling of package indexes."""
    found = NAME.match(requirement)
    assert found is not None, requirement
    return re.sub(r"[-_.]+", "-", found.group()).lower()


def extras(name: str) -> list[str]:
    """The extras that an environment has: all but the special ones of others."""
    return [extra for extra in project()["optional-dependencies"] if name in SPECIAL_EXTRAS.get(extra, (name,))]


def oldest() -> list[str]:
    """The lower bounds of what users get, as pins."""
    named = project()
    ours = [*named["dependencies"], *(one for extra in USERS_EXTRAS for one in named["optional-dependencies"][extra])]
    # Airflow 2.11.0 takes any universal-pathlib, but its ObjectStoragePath fails with those that came after it.
    return [*(one.replace(">=", "==") for one in ours), "universal-pathlib<0.3"]


def of_release(pins: Pins) -> list[str]:
    """What an Airflow depends on, as of the day of its release.

    Providers are left out, which users renew by themselves, and what pyproject.toml names, which has bounds there.
    """
    if not pins.released:
        return []
    lines = compiled(["-"], "--universal", "--exclude-newer", pins.released, stdin=pins.airflow)
    named = project()
    ours = {normalised(one) for group in named["optional-dependencies"].values() for one in group}
    ours |= {normalised(one) for one in named["dependencies"]}
    return [line for line in lines if not (line.startswith("apache-airflow-providers-") or normalised(line) in ours)]


def compiled(sources: Sequence[str], *options: str, stdin: str | None = None) -> list[str]:
    """Ask uv for pins, for every Python that we support."""
    command = [sys.executable, "-m", "uv", "pip", "compile", "--quiet"]
    command += [
        "--python-version",
        OLDEST_PYTHON,
        "--no-header",
        "--no-annotate",
        "--no-emit-package",
        LEFT_OUT,
        *options,
        *sources,
    ]
    answer = subprocess.run(command, cwd=ROOT, input=stdin, check=False, capture_output=True, text=True)
    if answer.returncode:
        raise SystemExit(f"uv cannot resolve it:\n{answer.stderr}")
    return plain(answer.stdout)


def plain(text: str) -> list[str]:
    """The lines of a file of pins, without comments."""
    return [line.strip() for line in text.splitlines() if line.strip() and not line.startswith("#")]


def resolve(name: str, *, keep: bool) -> list[str]:
    """The pins of one environment."""
    pins = ENVIRONMENTS[name]
    limits = oldest() if name == "lowest" else [pins.airflow, *of_release(pins)]
    with tempfile.TemporaryDirectory() as folder:
        limit, before = Path(folder, "limits.txt"), Path(folder, "before.txt")
        limit.write_text("\n".join(limits))
        if keep and pins_file(name).exists():
            before.write_text(pins_file(name).read_text())
        options = [f"--extra={extra}" for extra in extras(name)]
        # What is in the output file stays as it is where it can, unless all of it is to be renewed.
        # The oldest versions are meant for the oldest Python.
        options += [] if name == "lowest" else ["--universal"]
        options += ["--constraint", str(limit), "--output-file", str(before)]
        compiled(["pyproject.toml"], *options, *([] if keep else ["--upgrade"]))
        return plain(before.read_text())


def main() -> int:
    """Write every file that is named on the command line, or all; none of a kind that we would not commit."""
    keep = "--keep" in sys.argv
    for name in [name for name in sys.argv[1:] if not name.startswith("-")] or ENVIRONMENTS:
        lines = resolve(name, keep=keep)
        if odd := [line for line in lines if not PIN.fullmatch(line)]:
            print(f"{name}: these are no plain pins: {odd}", file=sys.stderr)
            return 1
        pins_file(name).write_text("\n".join(lines) + "\n")
        print(f"requirements/{name}.txt: {len(lines)} packages")
    return 0


if __name__ == "__main__":
    sys.exit(main())
