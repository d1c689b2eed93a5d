"""Runs a command in this process or as one of its own, and tells what came of it."""

from __future__ import annotations

import io
import json
import os
import re
import subprocess
import sys
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from airflow_workflow_provider.cli.main import main
from scripts.airflow_home import AIRFLOW_VERSION

ROOT = Path(__file__).parents[2]
MODULE = (sys.executable, "-m", "airflow_workflow_provider")
GROUP = (str(Path(sys.executable).with_name("airflow")), "workflow-runs")
IS_A_PROVIDERS_COMMAND = tuple(map(int, AIRFLOW_VERSION.split(".")[:2])) >= (3, 3)
TIME = re.compile(r"\d{4}-\d\d-\d\dT[\d:.]+Z")


@dataclass(frozen=True)
class Answer:
    """What a command said."""

    code: int
    stdout: str
    stderr: str

    @property
    def json(self) -> Any:
        """Standard output, which has to be JSON and nothing else."""
        return json.loads(self.stdout)

    @property
    def run(self) -> dict[str, Any]:
        """The one run that was shown as JSON."""
        (run,) = self.json
        return dict(run)

    def without(self, *changing: str) -> str:
        """Standard output with its times, and other words that change, called TIME and …, in single spaces."""
        text = TIME.sub("TIME", self.stdout)
        for word in changing:
            text = text.replace(word, "…")
        return "\n".join(" ".join(line.split()) for line in text.splitlines() if line.strip())


class _Bytes(io.TextIOWrapper):
    """Standard output whose bytes can be asked for."""

    def __init__(self) -> None:
        super().__init__(io.BytesIO(), encoding="utf-8", write_through=True)

    def text(self) -> str:
        return self.buffer.getvalue().decode()  # type: ignore[attr-defined]  # it is the BytesIO of the line above


def called(*arguments: str) -> Answer:
    """Run a command in this process."""
    out, errors = _Bytes(), io.StringIO()
    with redirect_stdout(out), redirect_stderr(errors):
        try:
            code = main(arguments)
        except SystemExit as end:
            code = int(end.code or 0)
    return Answer(code, out.text(), errors.getvalue())


def process(*command: str, stdin: str = "", **variables: str) -> Answer:
    """Run a program to its end."""
    done = subprocess.run(
        command,
        cwd=ROOT,
        env=os.environ | {"PYTHONPATH": str(ROOT)} | variables,
        input=stdin,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    return Answer(done.returncode, done.stdout, done.stderr)
