"""Building and running processes, without Go and without a control plane."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from . import build as build_module
from .build import BuildError, build
from .process import Component, Reaper, StartError, free_ports

REPOSITORY = Path(__file__).resolve().parents[2]

FAKE_GO = """#!/bin/sh
echo "$3" >> "$GO_CALLS"
sleep 0.3
touch "$3"
"""

ORPHAN = """
import os, signal, sys
from pathlib import Path
from tests.controlplane.process import Component, Reaper
directory = Path(sys.argv[1])
child = Component("sleep", ["sleep", "300"], directory / "log", Reaper(directory), {})
print(child.pid, flush=True)
os.kill(os.getpid(), signal.SIGKILL)
"""


def test_missing_go_is_one_clear_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(BuildError, match=r"\Athe test control plane is built with Go .*\Z"):
        build()


def test_failed_build_leaves_nothing_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    go = tmp_path / "go"
    go.write_text("#!/bin/sh\necho main.go:1: no good\nexit 1\n")
    go.chmod(0o755)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
    with pytest.raises(BuildError, match=r"main\.go:1: no good"):
        build()
    assert not [path for path in build_module.cache_dir().iterdir() if path.is_dir()]


def test_two_processes_build_once(tmp_path: Path) -> None:
    go = tmp_path / "go"
    go.write_text(FAKE_GO)
    go.chmod(0o755)
    calls = tmp_path / "calls"
    environment = {
        **os.environ,
        "PATH": f"{tmp_path}{os.pathsep}{os.environ['PATH']}",
        "XDG_CACHE_HOME": str(tmp_path / "cache"),
        "GO_CALLS": str(calls),
    }
    command = [sys.executable, build_module.__file__]
    builds = [subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True) for _ in range(2)]
    outputs = {process.communicate(timeout=60)[0] for process in builds}
    assert [process.returncode for process in builds] == [0, 0]
    assert len(outputs) == 1
    assert len(calls.read_text().splitlines()) == 2  # the two binaries, once each
    assert all(Path(line).is_file() for line in outputs.pop().splitlines())


def test_component_that_dies_is_reported_with_its_log(tmp_path: Path) -> None:
    reaper = Reaper(tmp_path)
    command = ["sh", "-c", "echo bind: address already in use; exit 3"]
    component = Component("etcd", command, tmp_path / "log", reaper, {})
    component.process.wait(10)
    with pytest.raises(StartError, match=r"(?s)etcd ended with exit code 3.*bind: address already in use"):
        component.check_alive()
    component.kill()
    reaper.close()
    assert tmp_path.is_dir()


def test_children_do_not_outlive_a_killed_parent(tmp_path: Path) -> None:
    directory = tmp_path / "plane"
    directory.mkdir()
    parent = subprocess.run(
        [sys.executable, "-c", ORPHAN, str(directory)],
        cwd=REPOSITORY,
        stdout=subprocess.PIPE,
        text=True,
        check=False,
        timeout=60,
    )
    child = int(parent.stdout)
    deadline = time.monotonic() + 10
    while _runs(child) or directory.exists():
        assert time.monotonic() < deadline, "the child is still there"
        time.sleep(0.05)


def test_free_ports_are_distinct() -> None:
    ports = free_ports(5)
    assert len(set(ports)) == 5


def _runs(pid: int) -> bool:
    try:
        return bool(psutil.Process(pid).status() != psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False
