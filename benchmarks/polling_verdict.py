"""Judges figures by budgets."""

# ruff: noqa: T201 (prints)
from __future__ import annotations


class Verdict:
    """Judges figures by budgets."""

    def __init__(self) -> None:
        self.missed = 0

    def judge(self, what: str, value: float, limit: float, unit: str = "") -> None:
        """Print one budget."""
        met = value <= limit
        self.missed += not met
        print(f"  {'PASS' if met else 'MISS'}  {what}: {value:.4g} {unit} (at most {limit:g})", flush=True)
