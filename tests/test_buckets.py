"""Snapshots and explanations in a bucket, with what the extra ``s3`` installs and a server that speaks S3."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).parents[1]
Run = Callable[..., str]


def environment_with(folder: Path, package: str) -> Path:
    """An environment of its own: botocore and what the tests have do not go together."""
    subprocess.run([sys.executable, "-m", "venv", folder], check=True)
    # Little of what is installed is ever imported, and compiling it all takes longer than the rest.
    install = ["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-compile"]
    subprocess.run([folder / "bin" / "python", *install, package], cwd=REPOSITORY, check=True)
    return folder / "bin"


@pytest.fixture(scope="module")
def environments(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """The programs of each environment, by what is installed in it. They are made at the same time."""
    packages = ("moto[server]", ".[s3]")
    folders = [tmp_path_factory.mktemp("environment") for _ in packages]
    with ThreadPoolExecutor() as threads:
        return dict(zip(packages, threads.map(environment_with, folders, packages), strict=True))


@pytest.fixture(scope="module")
def server(environments: dict[str, Path]) -> Iterator[str]:
    tools = environments["moto[server]"]
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    url = f"http://127.0.0.1:{port}"
    process = subprocess.Popen(
        [tools / "moto_server", "-H", "127.0.0.1", "-p", str(port)],
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    deadline = time.monotonic() + 60
    while True:
        try:
            urllib.request.urlopen(f"{url}/moto-api/", timeout=2).close()
            break
        except OSError:
            assert process.poll() is None
            assert time.monotonic() < deadline
            time.sleep(0.1)
    yield url
    process.terminate()
    process.wait(20)


@pytest.fixture(scope="module")
def run(server: str, environments: dict[str, Path], tmp_path_factory: pytest.TempPathFactory) -> Run:
    """A command in the environment of the extra; what it prints, on either stream."""
    tools = environments[".[s3]"]
    home = tmp_path_factory.mktemp("home")
    keys = {"AWS_ACCESS_KEY_ID": "testing", "AWS_SECRET_ACCESS_KEY": "testing", "AWS_DEFAULT_REGION": "us-east-1"}
    inherited = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("AWS_", "KUBE", "PYTHON", "K8SGPT", "XDG_"))
    }
    environment = {**inherited, **keys, "AWS_ENDPOINT_URL": server, "HOME": str(home)}

    def run(*words: str, code: int = 0, **variables: str) -> str:
        ran = subprocess.run(
            [tools / "python", *words], cwd=home, env={**environment, **variables},
            capture_output=True, text=True, timeout=120, check=False,
        )  # fmt: skip
        assert ran.returncode == code, ran.stdout + ran.stderr
        return ran.stdout + ran.stderr

    run("-c", "import fsspec; fsspec.filesystem('s3').mkdir('dumps')")
    for name in ("berlin", "lima"):
        run("-m", "k8sgpt_magic", "snapshot", "save", f"{name}.tar.gz", "--source", "demo")
        put = f"import fsspec; fsspec.filesystem('s3').put('{name}.tar.gz', 'dumps/2026/{name}/dump.tar.gz')"
        run("-c", put)
    return run


def test_all_snapshots_of_a_bucket_are_one_analysis(run):
    said = run("-m", "k8sgpt_magic", "analyze", "--source", "s3://dumps/**/*.tar.gz", "-o", "markdown")
    assert "in 2 clusters" in said
    assert "berlin/dump.tar.gz" in said
    assert "lima/dump.tar.gz" in said
    assert "PodImagePullBackOff" in said


def test_what_is_wrong_is_said_in_a_line_or_two(run):
    analyze = ("-m", "k8sgpt_magic", "analyze", "--source")
    assert "no file" in run(*analyze, "s3://dumps/**/*.zip", code=2)
    assert "There is no file s3://dumps/nothing.tar.gz" in run(*analyze, "s3://dumps/nothing.tar.gz", code=3)
    down = run(*analyze, "s3://dumps/**/*.tar.gz", code=3, AWS_ENDPOINT_URL="http://127.0.0.1:1")
    assert "cannot be listed" in down
    assert len(down.strip().splitlines()) == 2


def test_explanations_are_kept_in_a_bucket(run):
    run("-m", "k8sgpt_magic", "cache", "add", "s3", "s3://dumps/explanations")
    run("-m", "k8sgpt_magic", "analyze", "--source", "demo", "-f", "po", "--explain", "-o", "json")
    stored = run("-c", "import fsspec; print(len(fsspec.filesystem('s3').find('dumps/explanations')))")
    assert int(stored) > 5
    again = run("-m", "k8sgpt_magic", "analyze", "--source", "demo", "-f", "po", "--explain", "-o", "json")
    assert '"cached": true' in again or '"cached":true' in again
