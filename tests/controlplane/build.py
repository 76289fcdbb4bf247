"""Builds the control plane's two Go binaries, once per version of their sources."""

from __future__ import annotations

import fcntl
import hashlib
import os
import platform
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

SOURCE_DIR = Path(__file__).resolve().parent
SOURCES = ("go.mod", "go.sum", "main.go", "kwok/main.go")
KUBERNETES_VERSION = "v1.36.3"

# Without the version a server reports one that clients cannot parse. VCS stamping would relink at
# every commit, and fails in checkouts that git does not trust.
_COMMON_FLAGS = ("-trimpath", "-buildvcs=false")
_TARGETS: dict[str, tuple[str, ...]] = {
    "controlplane": (
        *_COMMON_FLAGS,
        f"-ldflags=-s -w -X k8s.io/component-base/version.gitVersion={KUBERNETES_VERSION}",
        ".",
    ),
    "kwok-controller": (*_COMMON_FLAGS, "-ldflags=-s -w", "./kwok"),
}


class BuildError(Exception):
    """The binaries cannot be built here; the message is one line unless it quotes the compiler."""


@dataclass(frozen=True)
class Binaries:
    controlplane: Path
    kwok: Path


def cache_dir() -> Path:
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base) / "k8sgpt-magic" / "controlplane"


def source_key() -> str:
    """What the binaries depend on: sources, pinned modules, flags and the platform."""
    digest = hashlib.sha256()
    for name in SOURCES:
        content = (SOURCE_DIR / name).read_bytes()
        digest.update(f"{name} {len(content)}\n".encode())
        digest.update(content)
    digest.update(repr((_TARGETS, platform.system(), platform.machine())).encode())
    return digest.hexdigest()


def build() -> Binaries:
    """The cached binaries, built first if need be; Go is only needed in that case."""
    target = cache_dir() / source_key()
    binaries = Binaries(target / "controlplane", target / "kwok-controller")
    if target.is_dir():
        return binaries
    go = shutil.which("go")
    if go is None:
        raise BuildError("the test control plane is built with Go 1.26 or newer, and no `go` is on the PATH")
    target.parent.mkdir(parents=True, exist_ok=True)
    with _locked(target.with_suffix(".lock")):
        if target.is_dir():  # another process built it while this one waited
            return binaries
        staging = Path(tempfile.mkdtemp(prefix="building-", dir=target.parent))
        try:
            for name, flags in _TARGETS.items():
                _go_build(go, staging / name, flags)
            staging.chmod(0o755)
            staging.rename(target)
        finally:
            shutil.rmtree(staging, ignore_errors=True)
    return binaries


def _go_build(go: str, output: Path, flags: tuple[str, ...]) -> None:
    result = subprocess.run(
        [go, "build", "-o", str(output), *flags],
        cwd=SOURCE_DIR,
        env={**os.environ, "CGO_ENABLED": "0"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    if result.returncode != 0:
        tail = "\n".join(result.stdout.splitlines()[-20:])
        raise BuildError(f"go build of {output.name} failed with exit code {result.returncode}:\n{tail}")


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    with path.open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def main() -> int:
    try:
        binaries = build()
    except BuildError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    print(binaries.controlplane)
    print(binaries.kwok)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
