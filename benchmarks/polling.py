"""What waiting for runs costs, beside other providers' triggers and the bare limits.

    python -m benchmarks.polling            # some ten minutes
    python -m benchmarks.polling --quick    # one and a half; fewer rounds, no 10,000 runs
    python -m benchmarks.polling --soak 600 # 5,000 runs with faults instead; nothing may be lost or leak
    python -m benchmarks.polling --airflow  # 1,000 deferred tasks in a real triggerer instead; some four minutes

A status server runs in a process of its own, on another core where there is one; every way waits in one event loop.
The ways take turns, and their ratios to the limit of the same round count: absolute times drift. The exit code is 1
when a budget of ours is missed. Loop lag suffers from whatever else the machine does: run it on an idle one.
"""

# ruff: noqa: S603, T201 (starts a server of its own, and prints)
from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from pathlib import Path
from statistics import median

from benchmarks.polling_verdict import Verdict

PLAIN = ("bare", "header", "oauth1", "http", "dbt", "databricks")
CROWDS = ("bare", "header", "oauth1", "lists", "header_lists", "bare_list")
BURST = 5000  # runs that begin at once; the budget for that speaks of no more
LINE = "{:<34}{:>6}{:>9}{:>7}{:>8}{:>7}{:>6}{:>8}{:>8}{:>8}{:>9}{:>8}{:>8}"
HEAD = ("way", "runs", "CPU/ask", "ratio", "asked", "conns", "open", "lag p50", "p99", "max", "late p99", "end p50")
HEAD += ("end p99",)


def main(arguments: list[str] | None = None) -> int:
    """Run what was asked for; gives the exit code."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.polling", description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="a minute and a half, with fewer rounds")
    parser.add_argument("--soak", type=float, metavar="SECONDS", help="let 5,000 runs wait for so long, faults on")
    parser.add_argument("--airflow", action="store_true", help="let a real triggerer wait, for runs in the sandbox")
    parser.add_argument("--tasks", type=int, default=1000, help="how many tasks it is to carry (%(default)s)")
    asked = parser.parse_args(arguments)
    os.environ.setdefault("AIRFLOW_HOME", tempfile.mkdtemp(prefix="bench-"))
    os.environ.setdefault("AIRFLOW__CORE__LOAD_EXAMPLES", "False")
    with tempfile.TemporaryDirectory() as folder:
        if asked.airflow:
            from benchmarks.polling_airflow import many

            return many(Path(folder), asked.tasks)
        server, place = _served(Path(folder))
        try:
            if asked.soak:
                from benchmarks.polling_soak import soak

                return soak(place, asked.soak)
            return compared(place, quick=asked.quick)
        finally:
            server.terminate()
            server.wait()


def compared(place: object, *, quick: bool) -> int:  # noqa: C901  # one table after the other
    """Measure every way, print the tables, and judge ours."""
    from benchmarks.polling_measure import Figures, measured, share
    from benchmarks.polling_memory import weight
    from benchmarks.polling_ways import WAYS, Place

    assert isinstance(place, Place)
    verdict, rounds, seconds = Verdict(), 1 if quick else 3, 2.0 if quick else 3.0

    def show(found: Figures, name: str, base: float = 0.0) -> None:
        per = found.cpu_per_look if WAYS[name].lists else found.cpu_per_request
        times = [1000 * share(found.lags, part) for part in (0.5, 0.99, 1.0)]
        print(
            LINE.format(
                WAYS[name].label[:33],
                found.runs,
                f"{1000 * per:.4f}",
                f"{per / base:.2f}" if base else "",
                found.requests,
                found.connections,
                found.most_open,
                *(f"{value:.1f}" for value in times),
                f"{1000 * share(found.late, 0.99):.0f}",
                f"{share(found.delays, 0.5):.2f}",
                f"{share(found.delays, 0.99):.2f}",
            ),
            flush=True,
        )

    def table(title: str) -> None:
        print(f"\n{title}; CPU in ms, lag and lateness in ms, ends in s")
        print(LINE.format(*HEAD))

    def turns(names: tuple[str, ...], at: Place, times: int, **options: float) -> dict[str, list[float]]:
        ratios: dict[str, list[float]] = defaultdict(list)
        for _ in range(times):
            base = 0.0
            for name in names:
                found = measured(WAYS[name], at, **options)
                base = base or found.cpu_per_request
                ratios[name].append(found.cpu_per_request / base)
                show(found, name, base)
        return ratios

    began = time.monotonic()
    options = {"runs": 400, "seconds": seconds}
    table("400 runs, every second, one request a run")
    turns(("bare", "header", "dbt") if quick else PLAIN, place, 1, interval=1.0, **options)
    table("400 runs, twice a second: 800 polls a second")
    ratios = turns(("bare", "header", "oauth1"), place, rounds, interval=0.5, **options)
    verdict.judge("CPU a poll, header, to one shared session", median(ratios["header"]), 1.15, "x")
    verdict.judge("CPU a poll, OAuth 1, to one shared session", median(ratios["oauth1"]), 1.3, "x")
    secure = Place(place.port, place.tls_port, place.certificate, tls=True)
    table("400 runs, every second, TLS")
    turns(("bare", "header") if quick else ("bare", "header", "oauth1", "dbt"), secure, 1, interval=1.0, **options)

    sizes = [(5000, 5.0, CROWDS if not quick else ("header", "lists"), 5.0)]
    sizes += [] if quick else [(10_000, 30.0, ("header", "lists"), 30.0)]
    for runs, interval, names, window in sizes:
        table(f"{runs} runs, every {interval:g} s")
        for name in names:
            more = {"calm": interval} if WAYS[name].lists else {}
            found = measured(
                WAYS[name], place, runs=runs, interval=interval, seconds=window, at_once=True, ending=0.02, **more
            )
            show(found, name)
            if WAYS[name].is_ours:
                judged(verdict, WAYS[name], found)
    print("\nmemory")
    for name in ("header",) if quick else ("header", "oauth1", "lists"):
        verdict.judge(f"a waiting run, {WAYS[name].label}", weight(WAYS[name], place) / 1024, 4, "KB")
    if not quick:
        table("5000 runs, every 5 s, other providers")
        for name in ("http", "dbt", "databricks"):
            show(measured(WAYS[name], place, runs=5000, interval=5.0, seconds=6.0, ending=0.02), name)
    print(f"\n{verdict.missed} budgets missed; {time.monotonic() - began:.0f} s")
    return 1 if verdict.missed else 0


def judged(verdict: Verdict, way: object, found: object) -> None:
    """Judge a crowd of ours."""
    from benchmarks.polling_measure import Figures, share
    from benchmarks.polling_ways import Way

    assert isinstance(way, Way)
    assert isinstance(found, Figures)
    if way.lists:
        verdict.judge("CPU a run and interval", 1000 * found.cpu_per_look, 0.015, "ms")
    else:
        verdict.judge("connections opened a poll", found.connections_per_request, 0.01)
    verdict.judge("connections open", found.most_open, 16)
    verdict.judge("loop lag p99", 1000 * share(found.lags, 0.99), 10, "ms")
    verdict.judge("loop lag max", 1000 * max(found.lags), 50, "ms")
    verdict.judge("end noticed p99", share(found.delays, 0.99), found.interval + 0.1, "s")
    verdict.judge("ends missed", found.missed, 0)
    burst = 1000 * found.burst_lag
    if found.runs <= BURST:
        verdict.judge("loop lag while all begin at once", burst, 100, "ms")
    else:  # what it takes then is Python's garbage collection, which looks at twice as many objects
        print(f"        loop lag while all begin at once: {burst:.4g} ms")


def _served(folder: Path) -> tuple[subprocess.Popen[bytes], object]:
    """Start the status server, on the last core; this process keeps the first."""
    from scripts.processes import free_port
    from tests.client.certificates import self_signed

    certificate = self_signed(folder / "certificate.pem")
    # dbt Cloud's trigger takes no CA file; OpenSSL's own variable is the way to make it trust the server. aiohttp
    # reads it once, when it is imported.
    os.environ["SSL_CERT_FILE"] = str(certificate)
    from benchmarks.polling_ways import Place

    place = Place(free_port(), free_port(), str(certificate))
    command = [sys.executable, "-m", "benchmarks.polling_server", str(place.port), str(place.tls_port)]
    server = subprocess.Popen([*command, str(certificate)])
    if hasattr(os, "sched_setaffinity") and len(cores := sorted(os.sched_getaffinity(0))) > 1:
        os.sched_setaffinity(server.pid, {cores[-1]})
        os.sched_setaffinity(0, {cores[0]})
    time.sleep(1.0)
    return server, place


if __name__ == "__main__":
    sys.exit(main())
