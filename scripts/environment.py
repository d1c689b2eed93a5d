"""Make one of the project's virtual environments, or renew it when what it is made from has changed.

``python scripts/environment.py airflow-3`` leaves ``.venv/airflow-3`` with the pinned packages of
``requirements/airflow-3.txt`` and this package, editable. It needs nothing but Python's standard library.
"""

from __future__ import annotations

import hashlib
import shutil
import subprocess
import sys
import time
import tomllib
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
NEWEST = "airflow-3"
BENCH = "bench"
# Interpreters to try, best first; the newest Airflow takes the one that runs this script.
OLD_PYTHONS = ("python3.12", "python3.11")
PYTHONS = {NEWEST: (sys.executable,), BENCH: (sys.executable,), "airflow-2": OLD_PYTHONS, "lowest": OLD_PYTHONS[::-1]}


def folder(name: str) -> Path:
    """Where the environment lives."""
    return ROOT / ".venv" / name


def python_of(name: str) -> Path:
    """The environment's interpreter."""
    return folder(name) / "bin" / "python"


def interpreter(name: str) -> tuple[str, str] | None:
    """The first interpreter that really runs (a version manager's shim may be on PATH and fail), and its version."""
    for candidate in PYTHONS[name]:
        try:
            answer = subprocess.run(
                [candidate, "-c", "import sys; print(sys.executable, sys.version.split()[0])"],
                capture_output=True,
                text=True,
                check=True,
            )
        except (OSError, subprocess.CalledProcessError):
            continue
        executable, _, version = answer.stdout.strip().rpartition(" ")
        return executable, version
    return None


def pins(name: str) -> Path:
    """The file with the environment's pinned packages."""
    return ROOT / "requirements" / f"{name}.txt"


def recipe(name: str, version: str) -> str:
    """A fingerprint of everything that the environment is made from."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    made_from = {key: project[key] for key in ("project", "build-system")}
    digest = hashlib.sha256(f"{version} {folder(name)} {made_from}".encode())
    for source in (pins(name), ROOT / "airflow_workflow_provider" / "__init__.py", Path(__file__)):
        digest.update(source.read_bytes())
    return digest.hexdigest()


def pinned(name: str, package: str) -> str:
    """The pin of one package, such as ``uv==1.2.3``."""
    return next(line for line in pins(name).read_text().splitlines() if line.startswith(f"{package}=="))


def install(name: str) -> None:
    """Install the pins with uv, which is many times faster, or with pip where uv cannot be had or fails."""
    python = str(python_of(name))
    pip = [python, "-m", "pip", "--disable-pip-version-check", "install", "--quiet"]
    uv = [python, "-m", "uv", "pip", "install", "--quiet", "--python", python]
    this = ["--no-deps", "--no-build-isolation", "--editable", str(ROOT)]
    try:
        subprocess.run([*pip, pinned(name, "uv")], check=True)
        # Compiled once here, or else by every Airflow process at the same time at its first start.
        subprocess.run([*uv, "--compile-bytecode", "--requirement", str(pins(name))], check=True)
        subprocess.run([*uv, *this], check=True)
    except (OSError, subprocess.CalledProcessError) as error:
        print(f"uv did not do it ({error}); installing with pip, which takes some minutes", flush=True)
        subprocess.run([*pip, "--requirement", str(pins(name))], check=True)
        subprocess.run([*pip, *this], check=True)


def build(name: str) -> bool:
    """Leave the environment up to date; False where no suitable Python runs."""
    found = interpreter(name)
    if found is None:
        print(f"No {name} environment: none of {', '.join(PYTHONS[name])} runs on this machine", flush=True)
        shutil.rmtree(folder(name), ignore_errors=True)
        return False
    executable, version = found
    stamp = folder(name) / "recipe"
    wanted = recipe(name, version)
    if stamp.exists() and stamp.read_text() == wanted:
        return True
    print(f"Making .venv/{name} with Python {version} from requirements/{name}.txt", flush=True)
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
