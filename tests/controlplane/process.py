"""Child processes that never outlive the process that started them."""

from __future__ import annotations

import os
import random
import socket
import subprocess
import sys
import time
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path

_LOG_TAIL_LINES = 25

# Reads "+pid" and "-pid" lines; end of file means that the parent is gone, however it died.
_REAPER = """
import os, shutil, signal, sys
signal.signal(signal.SIGINT, signal.SIG_IGN)
pids = set()
for line in sys.stdin:
    if line.startswith("+"):
        pids.add(int(line[1:]))
    else:
        pids.discard(int(line[1:]))
for pid in pids:
    try:
        os.kill(pid, signal.SIGKILL)
    except ProcessLookupError:
        pass
if pids:
    shutil.rmtree(sys.argv[1], ignore_errors=True)
"""


class StartError(Exception):
    """A component did not come up; the message ends with the last lines of its log."""


class Reaper:
    """Kills the children, and removes their directory, if this process dies without stopping them."""

    def __init__(self, directory: Path) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-c", _REAPER, str(directory)],
            stdin=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )

    def watch(self, pid: int) -> None:
        self._tell(f"+{pid}\n")

    def forget(self, pid: int) -> None:
        self._tell(f"-{pid}\n")

    def close(self) -> None:
        if self._process.stdin is not None:
            self._process.stdin.close()
        self._process.wait()

    def _tell(self, line: str) -> None:
        stdin = self._process.stdin
        assert stdin is not None
        stdin.write(line)
        stdin.flush()


class Component:
    """One process of the control plane and its log file."""

    def __init__(
        self,
        name: str,
        command: Sequence[str],
        log_path: Path,
        reaper: Reaper,
        environment: Mapping[str, str],
    ) -> None:
        self.name = name
        self.log_path = log_path
        self._reaper = reaper
        with log_path.open("ab") as log:
            # Its own session: a Ctrl-C in the terminal must reach only the process that tears down.
            self.process = subprocess.Popen(
                list(command),
                env={**os.environ, **environment},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        reaper.watch(self.process.pid)

    @property
    def pid(self) -> int:
        return self.process.pid

    def check_alive(self) -> None:
        code = self.process.poll()
        if code is not None:
            raise StartError(f"{self.name} ended with exit code {code}; its log ends:\n{self.log_tail()}")

    def log_tail(self) -> str:
        with self.log_path.open("rb") as log:
            log.seek(0, 2)
            log.seek(max(0, log.tell() - 32_768))
            text = log.read().decode(errors="replace")
        return "\n".join(text.splitlines()[-_LOG_TAIL_LINES:])

    def kill(self) -> None:
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        self._reaper.forget(self.process.pid)


def stop_all(components: Iterable[Component], grace: float) -> None:
    """Terminate all together, then kill those that are still there after the grace period.

    An API server waits for its watchers, for up to a minute, so the grace period is expected to run out.
    """
    running = list(components)
    for component in running:
        if component.process.poll() is None:
            component.process.terminate()
    deadline = time.monotonic() + grace
    for component in running:
        with suppress(subprocess.TimeoutExpired):
            component.process.wait(max(0.0, deadline - time.monotonic()))
        component.kill()


def free_ports(count: int) -> list[int]:
    """Free ports below the ephemeral range, so that no outgoing connection takes one before its listener."""
    ports: list[int] = []
    candidates = random.SystemRandom().sample(range(20_000, 32_000), k=1_000)
    for port in candidates:
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
        ports.append(port)
        if len(ports) == count:
            return ports
    raise StartError(f"no {count} free ports on 127.0.0.1")
