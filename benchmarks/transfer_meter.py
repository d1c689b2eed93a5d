"""What one way costs: wall time, CPU time and memory of this process, from after its imports."""

from __future__ import annotations

import gc
import resource
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

_STATUS = Path("/proc/self/status")
_CLEAR = Path("/proc/self/clear_refs")


@dataclass(frozen=True)
class Cost:
    """Seconds of wall and CPU, and megabytes that the process had at most above what it had before."""

    wall: float
    cpu: float
    memory: float

    def to_json(self) -> dict[str, float]:
        """Give it as a mapping."""
        return asdict(self)


def measured(work: Callable[[], object]) -> Cost:
    """Do the work and tell what it cost."""
    gc.collect()
    _forget_peak()
    before, cpu, wall = _kilobytes("VmRSS"), _cpu(), time.monotonic()
    work()
    wall, cpu = time.monotonic() - wall, _cpu() - cpu
    return Cost(wall, cpu, max(0, _kilobytes("VmHWM") - before) / 1024)


def _cpu() -> float:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


def _forget_peak() -> None:
    _CLEAR.write_text("5")


def _kilobytes(name: str) -> int:
    return next(int(line.split()[1]) for line in _STATUS.read_text().splitlines() if line.startswith(f"{name}:"))
