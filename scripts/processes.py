"""Programs that run beside us and that must be gone when we are done."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

import psutil


def free_port() -> int:
    """A TCP port on loopback that nothing listens on at the moment."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


class Background:
    """A program in a session of its own (so that a Ctrl-C reaches only us), writing to a log file."""

    def __init__(self, name: str, command: Sequence[str], *, env: Mapping[str, str], log: Path) -> None:
        self.name = name
        self.command = list(command)
        self.env = dict(env)
        self.log = log
        self.sessions: set[int] = set()
        self._popen: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int:
        """The process id of the running program."""
        if self._popen is None:
            raise RuntimeError(f"{self.name} was not started")
        return self._popen.pid

    def start(self) -> None:
        """Start the program; a second call starts it again and appends to the same log."""
        self.log.parent.mkdir(parents=True, exist_ok=True)
        with self.log.open("ab") as output:
            self._popen = subprocess.Popen(
                self.command,
                env=self.env,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        self.sessions.add(self._popen.pid)

    def running(self) -> bool:
        """Whether the program was started and has not ended."""
        return self._popen is not None and self._popen.poll() is None

    def check(self) -> None:
        """Raise, with the end of the log, when the program has ended by itself."""
        if self._popen is not None and (code := self._popen.poll()) is not None:
            raise RuntimeError(f"{self.name} ended with code {code}; the end of its log:\n{self.tail()}")

    def tail(self, lines: int = 30) -> str:
        """The last lines of the log."""
        return "\n".join(self.log.read_text(errors="replace").splitlines()[-lines:]) if self.log.exists() else ""

    def signal(self, number: int = signal.SIGKILL) -> None:
        """Send a signal to the program alone, as a test of what outlives it wants."""
        os.kill(self.pid, number)
        if number == signal.SIGKILL and self._popen is not None:
            self._popen.wait()

    def stop(self, patience: float = 10) -> None:
        """End the program and everything it started."""
        stop_all([self], patience)

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.stop()


def stop_all(programs: Sequence[Background], patience: float = 10) -> None:
    """End several programs at once: first they are asked to, then what is left of them is killed."""
    family = _families({session for program in programs for session in program.sessions})
    try:
        for program in programs:
            if program.running():
                program.signal(signal.SIGTERM)
        leaders = [process for process in family if any(process.pid in program.sessions for program in programs)]
        psutil.wait_procs(leaders, timeout=patience)
    finally:  # also when a Ctrl-C comes while we wait
        for process in family:
            with contextlib.suppress(psutil.NoSuchProcess):
                process.kill()
        psutil.wait_procs(family, timeout=5)
    for program in programs:
        program.running()  # collects the exit code, so that no zombie is left


def _families(sessions: set[int]) -> list[psutil.Process]:
    """Every process of these sessions and its descendants: Airflow's tasks make process groups of their own."""
    found: dict[int, psutil.Process] = {}
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.NoSuchProcess, ProcessLookupError, PermissionError):
            if os.getsid(process.pid) in sessions:
                found |= {one.pid: one for one in [process, *process.children(recursive=True)]}
    return list(found.values())
