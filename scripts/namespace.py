"""A network of its own for one part of the cluster, which can be cut off and joined again.

The part keeps the addresses that all parts have (``127.0.0.1:PORT``): inside of its network namespace and outside of
it a process forwards each port over a pair of virtual interfaces. When the pair is down, packets are lost without an
error, as when a cable is pulled. It needs Linux, root, and ``ip`` of iproute2.

``python -m scripts.namespace BIND TARGET PORT …`` forwards ports.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from scripts.environment import ROOT
from scripts.processes import Background, stop_all

NETWORK = "198.18.{}."  # RFC 2544 keeps it for tests of networks
OUTSIDE, INSIDE = "1", "2"  # the last numbers of the two addresses
PIECE = 64 * 1024  # bytes
IP = shutil.which("ip", path=f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin") or ""


def missing() -> str:
    """Say why this machine cannot make a network namespace; an empty text where it can."""
    if not IP:
        return "the program ip is not installed; Debian's package iproute2 has it"
    name = f"awp-try-{os.getpid()}"
    made = subprocess.run([IP, "netns", "add", name], capture_output=True, text=True, check=False)
    if made.returncode:
        return f"network namespaces cannot be made here: {made.stderr.strip()}"
    subprocess.run([IP, "netns", "delete", name], capture_output=True, check=False)
    return ""


class Namespace:
    """A network namespace whose processes reach some ports of this machine, while its cable is plugged in.

    :param number: 0 to 255; tells the namespaces of one machine apart.
    :param ports: the ports on this machine's loopback that its processes reach at the same address.
    :param logs: where the forwarding processes write.
    """

    def __init__(self, number: int, ports: Sequence[int], logs: Path) -> None:
        self.name = f"awp-{os.getpid()}-{number}"
        self._link = f"awp{number}o", f"awp{number}i"
        network = NETWORK.format(number)
        self._outside, self._inside = network + OUTSIDE, network + INSIDE
        forward = [sys.executable, "-m", "scripts.namespace"]
        words = [str(port) for port in ports]
        environment = {"PATH": os.environ.get("PATH", os.defpath), "PYTHONPATH": str(ROOT)}
        commands = {
            f"{self.name}-outside": [*forward, self._outside, "127.0.0.1", *words],
            f"{self.name}-inside": self.command([*forward, "127.0.0.1", self._outside, *words]),
        }
        self._forwarding = [
            Background(name, command, env=environment, log=logs / f"{name}.log") for name, command in commands.items()
        ]

    def command(self, command: Sequence[str]) -> list[str]:
        """Give the command that runs another one inside of the namespace."""
        return [IP, "netns", "exec", self.name, *command]

    def start(self) -> None:
        """Make the namespace and its interfaces, and forward the ports."""
        outer, inner = self._link
        _ip("netns", "add", self.name)
        _ip("link", "add", outer, "type", "veth", "peer", "name", inner, "netns", self.name)
        _ip("address", "add", f"{self._outside}/30", "dev", outer)
        _ip("link", "set", outer, "up")
        for words in (("address", "add", f"{self._inside}/30", "dev", inner), ("link", "set", inner, "up")):
            _ip("-netns", self.name, *words)
        _ip("-netns", self.name, "link", "set", "lo", "up")
        for program in self._forwarding:
            program.start()

    def cut(self) -> None:
        """Lose every packet between the namespace and the rest of the machine."""
        _ip("link", "set", self._link[0], "down")

    def join(self) -> None:
        """Let packets through again."""
        _ip("link", "set", self._link[0], "up")

    def stop(self) -> None:
        """Remove the namespace and its interfaces; its processes have ended before."""
        stop_all(self._forwarding)
        for words in (("link", "delete", self._link[0]), ("netns", "delete", self.name)):
            with contextlib.suppress(RuntimeError):  # it was not made
                _ip(*words)


def _ip(*words: str) -> None:
    done = subprocess.run([IP, *words], capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"ip {' '.join(words)}: {done.stderr.strip()}")


async def _copy(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter, beginning: asyncio.Future[bytes] | None = None
) -> None:
    with contextlib.suppress(OSError):
        data = await (beginning or reader.read(PIECE))
        while data:
            writer.write(data)
            await writer.drain()
            data = await reader.read(PIECE)
    with contextlib.suppress(OSError):
        writer.close()


async def _forward(bind: str, target: str, ports: Sequence[int]) -> None:
    async def serve(port: int) -> asyncio.Server:
        async def joined(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            opening = asyncio.ensure_future(asyncio.open_connection(target, port))
            beginning = asyncio.ensure_future(reader.read(PIECE))
            sent = b""
            with contextlib.suppress(OSError):
                while not opening.done():
                    await asyncio.wait({opening, beginning}, return_when=asyncio.FIRST_COMPLETED)
                    if beginning.done() and not opening.done():
                        if not (data := beginning.result()):
                            break  # it has given up, and what it sent must not arrive later
                        sent += data
                        beginning = asyncio.ensure_future(reader.read(PIECE))
            if not opening.done() or opening.exception():
                opening.cancel()
                beginning.cancel()
                writer.close()
                return
            there, back = opening.result()
            back.write(sent)
            await asyncio.gather(_copy(reader, back, beginning), _copy(there, writer))

        return await asyncio.start_server(joined, bind, port)

    servers = [await serve(port) for port in ports]
    await asyncio.gather(*(server.serve_forever() for server in servers))


if __name__ == "__main__":
    asyncio.run(_forward(sys.argv[1], sys.argv[2], [int(port) for port in sys.argv[3:]]))
