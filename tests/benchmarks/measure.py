"""What the benchmarks share: medians, memory, fresh processes, one table."""

from __future__ import annotations

import inspect
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import msgspec

_REPOSITORY = Path(__file__).resolve().parents[2]
_STATUS = Path("/proc/self/status")

_CHILD = """
import sys
from importlib import import_module
import msgspec
module, function, arguments = sys.argv[1:]
result = getattr(import_module(module), function)(*msgspec.json.decode(arguments))
sys.stdout.buffer.write(b"\\n" + msgspec.json.encode(result))
"""


class Row(msgspec.Struct):
    """A line of the table: what was measured, the figure, and what it should be at most (or "")."""

    what: str
    figure: str
    target: str = ""
    met: bool = True


def table(title: str, rows: Iterable[Row]) -> str:
    lines = [(row.what, row.figure, row.target, "" if row.met else "MISSED") for row in rows]
    widths = [max(len(line[column]) for line in lines) for column in range(3)]
    text = "\n".join(
        f"  {what:<{widths[0]}}  {figure:>{widths[1]}}  {target:<{widths[2]}}  {missed}".rstrip()
        for what, figure, target, missed in lines
    )
    return f"{title}\n{text}\n"


def at_most(what: str, value: float, limit: float, unit: str = "", digits: int = 2) -> Row:
    """A figure with its target."""
    return Row(what, f"{value:.{digits}f}{unit}", f"<= {limit:g}{unit}", value <= limit)


def exactly(what: str, value: object, wanted: object) -> Row:
    return Row(what, str(value), f"= {wanted}", value == wanted)


def mebibytes(size: float) -> str:
    return f"{size / 2**20:.1f} MiB"


def milliseconds(seconds: float) -> str:
    return f"{seconds * 1000:.0f} ms"


def median(values: Sequence[float]) -> float:
    return statistics.median(values)


def timed(function: Callable[[], Any]) -> tuple[float, Any]:
    began = time.perf_counter()
    result = function()
    return time.perf_counter() - began, result


def in_fresh_process(function: Callable[..., Any], *arguments: Any) -> Any:
    """Call a module's function in a new interpreter. Arguments and result travel as JSON."""
    # The module that was started with -m goes by another name there.
    specification = inspect.getmodule(function).__spec__  # type: ignore[union-attr]
    module = specification.name if specification else function.__module__
    encoded = msgspec.json.encode(arguments).decode()
    command = [sys.executable, "-c", _CHILD, module, function.__name__, encoded]
    environment = {**os.environ, "PYTHONPATH": str(_REPOSITORY)}
    # What is installed has its bytecode.
    environment.pop("PYTHONDONTWRITEBYTECODE", None)
    done = subprocess.run(command, cwd=_REPOSITORY, env=environment, stdout=subprocess.PIPE, check=True)
    return msgspec.json.decode(done.stdout.rpartition(b"\n")[2])


@contextmanager
def one_core() -> Iterator[None]:
    """Keep this process on a single core, as long as it starts no other."""
    allowed = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {max(allowed)})
    try:
        yield
    finally:
        os.sched_setaffinity(0, allowed)


def resident() -> int:
    """The bytes of memory that this process holds now."""
    return _status("VmRSS")


def peak_resident() -> int:
    """The most that it has held since it started or since ``forget_peak``.

    Not ``ru_maxrss``: a child's starts at what its parent held when it was made.
    """
    return _status("VmHWM")


def forget_peak() -> None:
    Path("/proc/self/clear_refs").write_text("5")


def _status(field: str) -> int:
    for line in _STATUS.read_text().splitlines():
        if line.startswith(f"{field}:"):
            return int(line.split()[1]) * 1024
    raise LookupError(f"{_STATUS} has no {field}")
