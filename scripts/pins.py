"""Renew ``requirements/*.txt``: the newest versions that fit pyproject.toml with all its extras, for each Airflow.

The files hold ``name==version`` lines and nothing else: no address of a package index, no path, no comment.
``lowest.txt`` has the oldest versions that pyproject.toml allows of what users get, on the oldest Airflow.
"""

from __future__ import annotations

import re
import subprocess
import sys
import tempfile
import tomllib
from pathlib import Path

from scripts.environment import BENCH, NEWEST, ROOT

USERS_EXTRAS = ("fast", "sandbox", "postgres", "openlineage", "yxdb")
PIN = re.compile(r"[a-z0-9][a-z0-9._-]*(\[[a-z0-9,_-]+\])?==[A-Za-z0-9.!+]+")


def limits() -> dict[str, list[str]]:
    """What pyproject.toml leaves open on purpose, for each environment."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    ours = [
        *project["dependencies"],
        *(one for extra in USERS_EXTRAS for one in project["optional-dependencies"][extra]),
    ]
    return {
        NEWEST: ["apache-airflow>=3"],
        BENCH: ["apache-airflow>=3"],
        "airflow-2": ["apache-airflow>=2.11,<3"],
        # Airflow 2.11.0 takes any universal-pathlib, but its ObjectStoragePath fails with those that came after it.
        "lowest": [*(one.replace(">=", "==") for one in ours), "universal-pathlib<0.3"],
    }


def extras(name: str) -> list[str]:
    """The extras that an environment has: all, but for the others that we are only measured against."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    return [extra for extra in project["optional-dependencies"] if extra != BENCH or name == BENCH]


def resolve(name: str, limited_to: list[str]) -> list[str]:
    """Ask uv for the pins of one environment, on the oldest Python that we support."""
    with tempfile.NamedTemporaryFile("w", suffix=".txt") as limit:
        limit.write("\n".join(limited_to))
        limit.flush()
        command = [sys.executable, "-m", "uv", "pip", "compile", "--quiet", "--upgrade"]
        command += [f"--extra={extra}" for extra in extras(name)]
        command += ["--python-version", "3.11", "--no-header", "--no-annotate", "--constraint", limit.name]
        answer = subprocess.run([*command, "pyproject.toml"], cwd=ROOT, check=True, capture_output=True, text=True)
    return [line.strip() for line in answer.stdout.splitlines() if line.strip() and not line.startswith("#")]


def main() -> int:
    """Write every file, or none of a kind that we would not commit."""
    for name, limited_to in limits().items():
        lines = resolve(name, limited_to)
        if odd := [line for line in lines if not PIN.fullmatch(line)]:
            print(f"{name}: these are no plain pins: {odd}", file=sys.stderr)
            return 1
        Path(ROOT / "requirements" / f"{name}.txt").write_text("\n".join(lines) + "\n")
        print(f"requirements/{name}.txt: {len(lines)} packages")
    return 0


if __name__ == "__main__":
    sys.exit(main())
