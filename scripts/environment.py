"""Make one of the project's virtual environments, or renew it when what it is made from has changed.

``python scripts/environment.py airflow-3`` leaves ``.venv/airflow-3`` with the pinned packages of
``requirements/airflow-3.txt`` and this package, editable; ``airflow-3.1-python3.12`` is an Airflow on a certain Python.
It needs nothing but Python's standard library.
"""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import subprocess
import sys
import time
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
NEWEST = "airflow-3"
BENCH = "bench"
WAREHOUSES = "warehouses"
OLDEST_PYTHON = "3.11"


@dataclass(frozen=True)
class Pins:
    """What an environment's file of pins is resolved from.

    :param airflow: the requirement of Airflow.
    :param pythons: the Pythons that this Airflow runs on, those to be preferred first.
    :param released: the day at which Airflow's own dependencies are resolved; none for the newest.
    """

    airflow: str
    pythons: tuple[str, ...]
    released: str = ""


ENVIRONMENTS = {
    NEWEST: Pins("apache-airflow>=3.3", ("3.11", "3.12", "3.13", "3.14")),
    "airflow-3.2": Pins("apache-airflow==3.2.2", ("3.13", "3.12", "3.11", "3.14"), released="2026-06-10"),
    "airflow-3.1": Pins("apache-airflow==3.1.8", ("3.12", "3.13", "3.11"), released="2026-03-20"),
    "airflow-3.0": Pins("apache-airflow==3.0.6", ("3.12", "3.11"), released="2025-09-01"),
    "airflow-2": Pins("apache-airflow>=2.11,<3", ("3.12", "3.11")),
    "lowest": Pins("apache-airflow==2.11.0", ("3.11", "3.12")),
    BENCH: Pins("apache-airflow>=3.3", ("3.11", "3.12", "3.13", "3.14")),
    # Snowflake's emulator needs a certain sqlglot and an older client than the newest.
    WAREHOUSES: Pins("apache-airflow>=3.3", ("3.11", "3.12", "3.13")),
}
# These take the Python that runs this script, which every machine has that can make them at all.
ANY_PYTHON = {NEWEST, BENCH, WAREHOUSES}


def parts_of(name: str) -> tuple[str, str]:
    """Split ``airflow-3.1-python3.12`` into the name of the pins and the Python, which may be empty."""
    pins, _, python = name.partition("-python")
    if pins not in ENVIRONMENTS or (python and python not in ENVIRONMENTS[pins].pythons):
        raise SystemExit(f"There is no environment {name!r}; there are {', '.join(matrix())}")
    return pins, python


def matrix() -> list[str]:
    """The name of every supported pair of an Airflow and a Python."""
    return [
        f"{name}-python{python}"
        for name, pins in ENVIRONMENTS.items()
        if name not in {"lowest", BENCH, WAREHOUSES}
        for python in sorted(pins.pythons, key=lambda version: int(version.partition(".")[2]))
    ]


def folder(name: str) -> Path:
    """Where the environment lives."""
    return ROOT / ".venv" / name


def python_of(name: str) -> Path:
    """The environment's interpreter."""
    return folder(name) / "bin" / "python"


def candidates(version: str) -> Iterator[str]:
    """Where a machine may have this Python: on PATH, or below the folders of version managers."""
    yield f"python{version}"
    home = Path.home()
    shelves = (
        Path(os.environ.get("PYENV_ROOT", home / ".pyenv")) / "versions",
        home / ".asdf" / "installs" / "python",
        home / ".local" / "share" / "uv" / "python",
        home / ".local" / "share" / "mise" / "installs" / "python",
        Path("/opt/python"),
    )
    for shelf in shelves:
        # 3.12.10 is newer than 3.12.9
        found = shelf.glob(f"*{version}*/bin/python{version}")
        yield from map(
            str, sorted(found, key=lambda path: [int(n) for n in re.findall(r"\d+", str(path))], reverse=True)
        )
    yield f"/usr/bin/python{version}"
    yield f"/usr/local/bin/python{version}"


def asked(candidate: str) -> tuple[str, str] | None:
    """The path and the version of an interpreter; None where it does not run, as a version manager's shim may not."""
    question = "import ensurepip, sys; print(sys.executable, sys.version.split()[0])"
    try:
        answer = subprocess.run([candidate, "-c", question], capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        return None
    executable, _, version = answer.stdout.strip().rpartition(" ")
    return executable, version


def interpreter(name: str) -> tuple[str, str] | None:
    """The first interpreter for the environment that runs, and its version."""
    pins, python = parts_of(name)
    if pins in ANY_PYTHON and not python:
        return asked(sys.executable)
    for version in (python,) if python else ENVIRONMENTS[pins].pythons:
        for candidate in candidates(version):
            if found := asked(candidate):
                return found
    return None


def pins_file(name: str) -> Path:
    """The file with the environment's pinned packages."""
    return ROOT / "requirements" / f"{parts_of(name)[0]}.txt"


def recipe(name: str, version: str) -> str:
    """A fingerprint of everything that the environment is made from."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    made_from = {key: project[key] for key in ("project", "build-system")}
    digest = hashlib.sha256(f"{version} {folder(name)} {made_from}".encode())
    for source in (pins_file(name), ROOT / "airflow_workflow_provider" / "__init__.py", Path(__file__)):
        digest.update(source.read_bytes())
    return digest.hexdigest()


def pinned(name: str, package: str) -> str:
    """The pin of one package, such as ``uv==1.2.3``."""
    return next(line for line in pins_file(name).read_text().splitlines() if line.startswith(f"{package}=="))


def install(name: str) -> None:
    """Install the pins with uv, which is many times faster, or with pip where uv cannot be had or fails.

    The pins are complete but for packages that are left out on purpose (`scripts/pins.py`): nothing else is resolved.
    """
    python = str(python_of(name))
    pip = [python, "-m", "pip", "--disable-pip-version-check", "install", "--quiet", "--no-deps"]
    uv = [python, "-m", "uv", "pip", "install", "--quiet", "--no-deps", "--python", python]
    this = ["--no-build-isolation", "--editable", str(ROOT)]
    try:
        subprocess.run([*pip, pinned(name, "uv")], check=True)
        # Compiled once here, or else by every Airflow process at the same time at its first start.
        subprocess.run([*uv, "--compile-bytecode", "--requirement", str(pins_file(name))], check=True)
        subprocess.run([*uv, *this], check=True)
    except (OSError, subprocess.CalledProcessError) as error:
        print(f"uv did not do it ({error}); installing with pip, which takes some minutes", flush=True)
        subprocess.run([*pip, "--requirement", str(pins_file(name))], check=True)
        subprocess.run([*pip, *this], check=True)


def build(name: str) -> bool:
    """Leave the environment up to date; False where no suitable Python runs."""
    found = interpreter(name)
    if found is None:
        pins, python = parts_of(name)
        wanted = f"Python {python or ' or '.join(ENVIRONMENTS[pins].pythons)}"
        print(f"No {name} environment: no {wanted} runs on this machine", flush=True)
        shutil.rmtree(folder(name), ignore_errors=True)
        return False
    executable, version = found
    stamp = folder(name) / "recipe"
    wanted = recipe(name, version)
    if stamp.exists() and stamp.read_text() == wanted:
        return True
    print(f"Making .venv/{name} with Python {version} from requirements/{pins_file(name).name}", flush=True)
    began = time.monotonic()
    shutil.rmtree(folder(name), ignore_errors=True)
    subprocess.run([executable, "-m", "venv", str(folder(name))], check=True)
    install(name)
    stamp.write_text(wanted)
    print(f"Made .venv/{name} in {time.monotonic() - began:.0f} s", flush=True)
    return True


def main() -> int:
    """Build the environments that are named on the command line."""
    names = sys.argv[1:] or [NEWEST]
    try:
        for name in names:
            build(name)
    except subprocess.CalledProcessError as error:
        print(f"Could not make an environment: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
