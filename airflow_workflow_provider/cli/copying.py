"""The command that copies the example DAGs out of the package."""

from __future__ import annotations

import shutil
from argparse import Namespace
from pathlib import Path

from airflow_workflow_provider.cli import exit_codes
from airflow_workflow_provider.cli.terminal import Result, Terminal

PACKAGE = Path(__file__).resolve().parent.parent
# In an installed package the examples are beside its modules, in a clone of the repository beside the package.
PLACES = (PACKAGE / "example_dags", PACKAGE.parent / "example_dags")


def examples(options: Namespace, terminal: Terminal) -> Result:
    """Copy the example DAGs into a folder. A file that exists stays as it is, unless ``--force`` is given."""
    folder = Path(options.directory)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        rows = [{"file": str(folder / source.name), "result": _copied(source, folder, options)} for source in sources()]
    except OSError as error:
        terminal.say(f"cannot write the examples to {folder}: {error.strerror or error}; give another DIR")
        return Result(code=exit_codes.FAILED, silent=True)
    kept = sum(row["result"] == "exists" for row in rows)
    return Result(rows, note=f"{kept} files exist and are unchanged; --force replaces them" if kept else "")


def sources() -> list[Path]:
    """The example DAGs of this package, by name."""
    folder = next((place for place in PLACES if place.is_dir()), PLACES[0])
    return sorted(folder.glob("*.py"))


def _copied(source: Path, folder: Path, options: Namespace) -> str:
    target = folder / source.name
    existed = target.exists()
    if existed and not options.force:
        return "exists"
    shutil.copyfile(source, target)
    return "replaced" if existed else "copied"
