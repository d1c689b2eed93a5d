"""How often a run is looked at: rarely enough for its age, often enough for its end, and never all runs at once."""

from __future__ import annotations

from dataclasses import dataclass
from hashlib import blake2b
from math import ceil

from airflow_workflow_provider.protocol.model import Run

GROWTH = 0.02  # of a run's age: its end is noticed at most so much of its duration later than the poll interval asks
MOST = 4.0  # poll intervals; the bound of that growth
NEAR = (0.9, 1.2)  # of the expected duration: between these the run is likely to end
CLOSER = 4.0  # how much oftener it is looked at then
QUICKEST = 1.0  # seconds that a shortened interval has at least
TOO_SOON = 0.01  # of an interval: a timer that fires so early has meant the moment after it
TICK = 0.02  # seconds; looks fall on these, since some at once cost the event loop less than each by itself


@dataclass(frozen=True, slots=True)
class Pace:
    """The moments at which one run is looked at.

    They lie on a grid of ``interval`` seconds, shifted by the run's own ``phase`` (0 to 1), so that runs which begin
    to be waited for together, or were held up together, spread over the interval by themselves. ``expected`` is the
    duration in seconds that the run usually has.
    """

    interval: float
    phase: float = 0.0
    expected: float | None = None

    @classmethod
    def of(cls, run: Run, interval: float, expected: float | None = None) -> Pace:
        """Make the pace of a run; the same run has the same phase in every process."""
        digest = blake2b(run.run_id.encode(), digest_size=4).digest()
        # Nothing may make the loop spin: a trigger of long ago may hold an interval that would be refused today.
        return cls(max(TICK, interval), int.from_bytes(digest, "big") / 2**32, expected)

    def seconds(self, age: float) -> float:
        """Give the interval for a run of this age (seconds). It grows by doubling, so the moments stay on a grid."""
        if self.expected and NEAR[0] * self.expected <= age <= NEAR[1] * self.expected:
            return self._closer
        grown = self.interval
        while 2 * grown <= min(age * GROWTH, self.interval * MOST):
            grown *= 2
        return grown

    def pause(self, run: Run, now: float) -> tuple[float, float]:
        """Give the seconds to the next look, and the interval that holds until then."""
        age = now - run.started_at.timestamp() if run.started_at else 0.0
        seconds = self.seconds(age)
        ahead = seconds - (now - self.phase * seconds) % seconds
        if ahead <= seconds * TOO_SOON:
            ahead += seconds
        ahead = ceil((now + ahead) / TICK) * TICK - now
        begins = NEAR[0] * self.expected if self.expected else 0.0
        return (min(ahead, max(begins - age, self._closer)) if age < begins else ahead), seconds

    def after(self, seconds: float, run: Run, now: float) -> float:
        """Give the seconds to the next look, if there is to be none for so many.

        It falls on the run's own moments again: those who were held up together must not come back together.
        """
        return seconds + self.pause(run, now + seconds)[0]

    def change(self, run: Run, now: float) -> float | None:
        """Give the seconds after which another interval holds, for one who sleeps longer; None if none ever does.

        They are spread by the phase, too: runs that began together must not all be looked at in that moment.
        """
        if run.started_at is None:
            return None
        age = now - run.started_at.timestamp()
        ages = [share * self.expected for share in NEAR] if self.expected else []
        grown = self.interval
        while (grown := 2 * grown) <= self.interval * MOST:
            ages.append(grown / GROWTH)
        ahead = [moment - age for moment in ages if moment > age]
        return min(ahead) + self.phase * self.interval if ahead else None

    @property
    def _closer(self) -> float:
        return min(self.interval, max(self.interval / CLOSER, QUICKEST))


@dataclass(frozen=True, slots=True)
class Steady:
    """The same interval all the time, for one who waits alone."""

    interval: float

    def pause(self, run: Run, now: float) -> tuple[float, float]:
        """Give the interval twice, as `Pace.pause` does."""
        return self.interval, self.interval

    def after(self, seconds: float, run: Run, now: float) -> float:
        """Give the seconds to the next look, if there is to be none for so many."""
        return max(self.interval, seconds)

    def change(self, run: Run, now: float) -> None:
        """Nothing changes."""
