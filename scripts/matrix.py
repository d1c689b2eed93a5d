"""Run the tests that depend on the version of Airflow on every supported pair of an Airflow and a Python.

``python -m scripts.matrix [name …] [-- pytest arguments]`` prints a table. A name is one of `environment.matrix`.
Where a Python cannot be had on this machine, the pins are resolved for it instead, and the table says so.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time
import xml.etree.ElementTree as ET
from collections import Counter
from dataclasses import dataclass, field

from scripts import environment

LOGS = environment.ROOT / ".matrix"
# One real Airflow for each pair; the longer stories run in `make test`, on 2.11 and the newest Airflow.
CHOSEN = "not system or matrix"


@dataclass
class Result:
    """How the tests went on one pair."""

    name: str
    airflow: str = ""
    python: str = ""
    passed: int = 0
    failed: int = 0
    skipped: int = 0
    seconds: float = 0.0
    note: str = ""
    reasons: Counter[str] = field(default_factory=Counter)


def airflow_of(name: str) -> str:
    """The version of Airflow that an environment pins."""
    return environment.pinned(name, "apache-airflow").partition("==")[2]


def python_of(name: str) -> str:
    """The Python of an environment, such as ``3.12``; a short name takes what this machine has."""
    pins, python = environment.parts_of(name)
    if not python and (found := environment.interpreter(name)):
        python = ".".join(found[1].split(".")[:2])
    return python or environment.ENVIRONMENTS[pins].pythons[0]


def resolved(name: str) -> Result:
    """Whether every pin has a wheel for a Python that this machine does not have."""
    pins, python = environment.parts_of(name)[0], python_of(name)
    with tempfile.TemporaryDirectory() as target:
        command = [
            sys.executable,
            "-m",
            "uv",
            "pip",
            "install",
            "--quiet",
            "--dry-run",
            "--no-deps",
            "--target",
            target,
        ]
        command += ["--python-version", python, "--only-binary", ":all:", "--requirement"]
        answer = subprocess.run(
            [*command, str(environment.pins_file(pins))], capture_output=True, text=True, check=False
        )
    number = len(environment.pins_file(pins).read_text().splitlines())
    note = f"no Python {python} on this machine; "
    if answer.returncode:
        note += f"the pins do not resolve: {answer.stderr.strip()}"
        return Result(name, airflow_of(name), python, failed=1, note=note)
    return Result(name, airflow_of(name), python, note=f"{note}its {number} pins resolve to wheels for it")


def tested(name: str, arguments: list[str]) -> Result:
    """Run the tests on one pair; what they print goes to a file in ``.matrix``."""
    LOGS.mkdir(exist_ok=True)
    report, log = LOGS / f"{name}.xml", LOGS / f"{name}.txt"
    report.unlink(missing_ok=True)
    command = [str(environment.python_of(name)), "-m", "pytest", "--airflow-side", "-m", CHOSEN, f"--junitxml={report}"]
    began = time.monotonic()
    with log.open("w") as output:
        code = subprocess.run(
            [*command, *arguments], cwd=environment.ROOT, stdout=output, stderr=subprocess.STDOUT, check=False
        ).returncode
    result = Result(name, airflow_of(name), python_of(name), seconds=time.monotonic() - began)
    if not report.exists():
        result.failed, result.note = 1, f"pytest ended with {code}; see {log.relative_to(environment.ROOT)}"
        return result
    for case in ET.parse(report).getroot().iter("testcase"):  # noqa: S314  # pytest has just written it
        if case.find("failure") is not None or case.find("error") is not None:
            result.failed += 1
        elif (skip := case.find("skipped")) is not None:
            result.skipped += 1
            result.reasons[skip.get("message", "")] += 1
        else:
            result.passed += 1
    return result


def show(results: list[Result]) -> None:
    """Print the table, and why tests were skipped."""
    print("\n| Airflow | Python | passed | failed | skipped | seconds | |\n|---|---|---|---|---|---|---|")
    for one in results:
        numbers = f"{one.passed} | {one.failed} | {one.skipped} | {one.seconds:.0f}"
        print(f"| {one.airflow} | {one.python} | {numbers} | {one.note} |")
    for one in results:
        for reason, times in one.reasons.most_common():
            print(f"{one.name}: {times} skipped: {reason}")


def main() -> int:
    """Test every pair that is named, or all; 1 where a test failed."""
    end = sys.argv.index("--") if "--" in sys.argv else len(sys.argv)
    names, arguments = sys.argv[1:end], sys.argv[end + 1 :]
    results = []
    for name in names or environment.matrix():
        if environment.interpreter(name) is None:
            results.append(resolved(name))
        else:
            environment.build(name)
            results.append(tested(name, arguments))
        done = results[-1]
        print(f"{name}: {done.passed} passed, {done.failed} failed, {done.skipped} skipped {done.note}", flush=True)
    show(results)
    return int(any(result.failed for result in results))


if __name__ == "__main__":
    sys.exit(main())
