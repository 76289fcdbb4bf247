"""The MCP server as a client meets it: the SDK's own client, which starts the server as a process of its own."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import anyio
import pytest
from mcp import ClientSession, StdioServerParameters, stdio_client

import k8sgpt_magic
from k8sgpt_magic.explain.anonymize import TOKEN
from k8sgpt_magic.session import Session
from tests.snapshots import changed, saved

CREDENTIAL = "hunter2-and-3"
ROOT = str(Path(k8sgpt_magic.__file__).parents[1])


def talk(
    conversation: Callable[[ClientSession], Awaitable[Any]], *options: str, directory: Path, source: str = "demo"
) -> Any:
    """Start a server, have a conversation with it, and return what came of that."""
    server = StdioServerParameters(
        command=sys.executable,
        args=["-m", "k8sgpt_magic", "mcp", "--source", source, "--directory", str(directory), *options],
        env={"PYTHONPATH": ROOT},
    )

    async def run() -> Any:
        with anyio.fail_after(60):
            async with stdio_client(server) as (read, write), ClientSession(read, write) as client:
                await client.initialize()
                return await conversation(client)

    return anyio.run(run)


async def call(client: ClientSession, tool: str, **arguments: Any) -> dict[str, Any]:
    result = await client.call_tool(tool, arguments)
    assert not result.is_error, result.content
    return result.structured_content


async def failure(client: ClientSession, tool: str, **arguments: Any) -> str:
    result = await client.call_tool(tool, arguments)
    assert result.is_error
    [content] = result.content
    return content.text


@pytest.fixture(scope="module")
def demo() -> Any:
    session = Session()
    yield session.analyze(source="demo")
    session.close()


def test_the_tools_say_that_they_only_read(tmp_path):
    async def conversation(client: ClientSession) -> Any:
        return (await client.list_tools()).tools

    tools = {each.name: each for each in talk(conversation, directory=tmp_path)}
    assert set(tools) == {"analyze", "explain", "list", "snapshot"}
    for name in ("analyze", "explain", "list"):
        assert tools[name].annotations.read_only_hint is True
    assert tools["snapshot"].annotations.read_only_hint is False
    assert tools["snapshot"].annotations.destructive_hint is False
    for tool in tools.values():
        assert tool.description
        assert tool.output_schema["properties"]


def test_a_client_finds_explains_and_lists_without_seeing_names(tmp_path, demo):
    async def conversation(client: ClientSession) -> Any:
        found = await call(client, "analyze", limit=5)
        explained = await call(client, "explain", ids=[each["id"] for each in found["findings"]])
        listed = await call(client, "list", what="findings", limit=100, kinds=["po"], severity="warning")
        spaces = await call(client, "list", what="namespaces", limit=100)
        token = next(each["namespace"] for each in found["findings"] if TOKEN.fullmatch(each["namespace"]))
        of_one = await call(client, "analyze", namespaces=[token], limit=100)
        codes = await call(client, "list", what="codes", limit=3)
        return found, explained, listed, spaces, token, of_one, codes

    found, explained, listed, spaces, token, of_one, codes = talk(conversation, directory=tmp_path)
    assert found["total"] == len(demo)
    assert sum(found["by_severity"].values()) == len(demo)
    assert [each["code"] for each in found["findings"]] == list(demo["code"][:5])
    assert "not returned" in found["left_out"]
    assert [each["id"] for each in explained["explanations"]] == [each["id"] for each in found["findings"]]
    assert all(each["solution"] and not each["failure"] for each in explained["explanations"])
    assert explained["backend"] == "offline"
    pods = demo[(demo["kind"] == "Pod") & (demo["severity"] >= "warning")]
    assert [each["code"] for each in listed["findings"]] == list(pods["code"])
    assert token in spaces["namespaces"]
    assert {each["namespace"] for each in of_one["findings"]} == {token, ""} or {
        each["namespace"] for each in of_one["findings"]
    } == {token}
    assert codes["total"] > 3
    assert codes["codes"][0]["meaning"]
    told = str((found, explained, listed, spaces, of_one))
    names = {name for name in demo["name"] if "-" in name and not name.startswith("kube-")}
    assert not [name for name in names if name in told]


def test_names_are_told_where_the_server_was_started_so(tmp_path, demo):
    async def conversation(client: ClientSession) -> Any:
        return await call(client, "analyze", limit=100)

    found = talk(conversation, "--no-anonymize", directory=tmp_path)
    assert [each["id"] for each in found["findings"]] == list(demo["id"][:100])


@pytest.mark.parametrize("options", [(), ("--no-anonymize",)])
def test_credentials_in_texts_of_the_cluster_are_never_told(tmp_path, options):
    def edit(plural: str, item: dict[str, Any]) -> dict[str, Any]:
        if plural == "events":
            item["message"] = f"password={CREDENTIAL} {item.get('message', '')}"
        return item

    session = Session()
    leaking = changed(saved(session, tmp_path / "cluster.tar.gz"), tmp_path / "leaking.tar.gz", edit)
    assert CREDENTIAL in str(session.analyze(source=str(leaking)).to_dict("records"))
    session.close()

    async def conversation(client: ClientSession) -> Any:
        found = await call(client, "analyze", limit=100)
        # A token of a credential is not turned back, so no error can quote it.
        token = TOKEN.search(str([each["evidence"] for each in found["findings"]]))
        error = await failure(client, "analyze", kinds=[f"po{token[0]}" if token else "pood"])
        ids = [each["id"] for each in found["findings"][:10]]
        return found, error, await call(client, "explain", ids=ids)

    told = talk(conversation, *options, directory=tmp_path, source=str(leaking))
    assert "__SECRET_" in str(told)
    assert CREDENTIAL not in str(told)


def test_a_snapshot_is_saved_once_and_only_where_it_may(tmp_path, demo):
    async def conversation(client: ClientSession) -> Any:
        saved = await call(client, "snapshot", file="now.tar.gz")
        again = await failure(client, "snapshot", file="now.tar.gz")
        elsewhere = [
            await failure(client, "snapshot", file=name)
            for name in ("../x.tar.gz", "/tmp/x.tar.gz", "x.txt", ".bashrc")
        ]
        return saved, again, elsewhere

    saved, again, elsewhere = talk(conversation, directory=tmp_path)
    assert saved["objects"] > 0
    assert [each.name for each in tmp_path.iterdir()] == ["now.tar.gz"]
    assert "there already" in again
    assert all("without a directory" in each for each in elsewhere)
    session = Session()
    assert len(session.analyze(source=str(tmp_path / "now.tar.gz"))) == len(demo)
    session.close()


def test_errors_are_a_line_or_two_and_the_server_goes_on(tmp_path):
    async def conversation(client: ClientSession) -> Any:
        errors = [
            await failure(client, "explain", ids=["Pod/x/y/Z"]),
            await failure(client, "list", what="findings"),
            await failure(client, "analyze", kinds=["pood"]),
            await failure(client, "analyze", selector="a in b"),
            await failure(client, "analyze", namespaces=["nothing-like-*"]),
        ]
        found = await call(client, "analyze", limit=1)
        errors.append(await failure(client, "explain", ids=["Pod/x/y/Z"]))
        return errors, found

    errors, found = talk(conversation, directory=tmp_path)
    for error in errors:
        assert len(error.splitlines()) <= 2
        assert "Traceback" not in error
    assert "analyze first" in errors[0]
    assert "analyze first" in errors[1]
    assert "'Pod'" in errors[2]
    assert "shop" not in errors[4]
    assert len(found["findings"]) == 1


def test_a_source_that_cannot_be_read_is_a_tools_error(tmp_path):
    async def conversation(client: ClientSession) -> Any:
        return await failure(client, "analyze")

    error = talk(conversation, directory=tmp_path, source=str(tmp_path / "nothing.tar.gz"))
    assert len(error.splitlines()) <= 2


def test_a_real_cluster_is_read_and_nothing_is_written_to_it(tmp_path, control_plane, namespace):
    mark = control_plane.audit.mark()

    async def conversation(client: ClientSession) -> Any:
        found = await call(client, "analyze", kinds=["node"])
        spaces = await call(client, "list", what="namespaces", limit=100)
        return found, spaces, await call(client, "snapshot", file="now.tar.gz")

    config = str(control_plane.kubeconfig("admin"))
    found, spaces, saved_file = talk(conversation, "--kubeconfig", config, directory=tmp_path, source="live")
    assert found["objects"] >= 3
    assert namespace not in str((found, spaces))
    assert "default" in spaces["namespaces"]
    assert saved_file["objects"] > 3
    assert not control_plane.writes("admin", since=mark)


def test_without_the_library_one_line_says_what_to_install():
    script = "import sys; sys.modules['mcp'] = None\nfrom k8sgpt_magic.__main__ import main\n"
    ran = subprocess.run(
        [sys.executable, "-c", script + "sys.exit(main(['mcp']))"], capture_output=True, text=True, check=False
    )
    assert ran.returncode == 3
    assert "pip install 'k8sgpt-magic[mcp]'" in ran.stderr
    assert len(ran.stderr.strip().splitlines()) == 1
    assert not ran.stdout
