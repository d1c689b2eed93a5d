"""The wheels of this package and of the plug-ins, and a folder in which they are installed."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
PLUGINS = sorted(folder for folder in (ROOT / "plugins").iterdir() if (folder / "pyproject.toml").exists())


def build(folder: Path, into: Path) -> Path:
    """Build the wheel of a project with the build backend of this environment."""
    known = set(into.glob("*.whl"))
    command = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(into)]
    subprocess.run(command, cwd=folder, check=True, capture_output=True)
    (made,) = set(into.glob("*.whl")) - known
    return made


def install(into: Path, *wheels: Path) -> None:
    """Install wheels into a folder, without their dependencies and without an index."""
    command = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--no-index", "--target", str(into)]
    subprocess.run([*command, *map(str, wheels)], check=True, capture_output=True)


def installed(folder: Path) -> Path:
    """Build all wheels and install them; give the folder, which is for `PYTHONPATH`."""
    wheels, site = folder / "wheels", folder / "site"
    wheels.mkdir()
    install(site, *(build(project, wheels) for project in (ROOT, *PLUGINS)))
    return site
