"""``%k8sgpt watch`` in a real kernel: updated in place, stopped by button, interrupt, unload and shutdown."""

from __future__ import annotations

import queue
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from jupyter_client.manager import start_new_kernel

from tests.cluster.servers import ScriptedServer, kubeconfig, page
from tests.notebook.test_kernel import run, text_of

PODS = "/api/v1/pods"
HTML = "text/html"
WIDGET = "application/vnd.jupyter.widget-view+json"
HOSTILE = "<img src=x onerror=alert(1)>\x1b[31m"


def waiting(name: str, image: str = "registry/shop:1") -> dict[str, Any]:
    state = {"waiting": {"reason": "ImagePullBackOff", "message": "not found"}}
    return {
        "metadata": {
            "name": name, "namespace": "shop", "resourceVersion": "2", "creationTimestamp": "2026-01-01T00:00:00Z",
        },
        "spec": {"nodeName": "n", "containers": [{"name": "app", "image": image}]},
        "status": {"phase": "Pending", "containerStatuses": [{"name": "app", "state": state}]},
    }  # fmt: skip


@pytest.fixture
def server() -> Iterator[ScriptedServer]:
    server = ScriptedServer()
    server.watches(PODS, lists=lambda: page(waiting("old", HOSTILE)))
    yield server
    server.stop()


class Front:
    """What a front end knows of a kernel: the outputs of each display id, the last answer, all texts."""

    def __init__(self) -> None:
        self.manager, self.client = start_new_kernel(kernel_name="python3")
        self.displays: dict[str, list[dict[str, Any]]] = {}
        self.texts: list[str] = []

    def run(self, code: str, timeout: float = 60) -> str:
        """Run a cell to its end and return what it printed or, in the worst case, its error."""
        return self.finish(self.client.execute(code), timeout)

    def finish(self, message: str, timeout: float = 60) -> str:
        begin = len(self.texts)
        self.until(lambda: self._idle == message, timeout)
        return "".join(self.texts[begin:])

    _idle = ""

    def until(self, condition: Callable[[], object], timeout: float = 20) -> None:
        """Take messages until something is true of them."""
        deadline = time.monotonic() + timeout
        while not condition():
            assert time.monotonic() < deadline, (self.texts, self.displays)
            try:
                self._take(self.client.get_iopub_msg(timeout=0.05))
            except queue.Empty:
                continue

    def _take(self, message: dict[str, Any]) -> None:
        content, kind = message["content"], message["msg_type"]
        if kind == "status" and content["execution_state"] == "idle":
            self._idle = message["parent_header"].get("msg_id", "")
        elif kind in ("display_data", "update_display_data"):
            found = self.displays.setdefault(content["transient"].get("display_id", ""), [])
            assert bool(found) == (kind == "update_display_data")
            found.append(content["data"])
        elif kind == "execute_result":
            self.texts.append(content["data"]["text/plain"])
        elif kind == "stream":
            self.texts.append(content["text"])
        elif kind == "error":
            self.texts.append("\n".join(content["traceback"]))

    @property
    def tables(self) -> list[list[dict[str, Any]]]:
        """The outputs, each with its updates, that show findings."""
        return [each for each in self.displays.values() if "k8sgpt-head" in each[0].get(HTML, "")]

    @property
    def table(self) -> str:
        """The newest state of the only one."""
        [states] = self.tables
        return str(states[-1][HTML])

    @property
    def buttons(self) -> list[list[dict[str, Any]]]:
        return [each for each in self.displays.values() if WIDGET in each[0]]

    def click(self) -> None:
        """Press the button, as its widget in the browser would tell."""
        [button] = self.buttons
        content = {
            "comm_id": button[0][WIDGET]["model_id"],
            "data": {"method": "custom", "content": {"event": "click"}},
        }
        self.client.shell_channel.send(self.client.session.msg("comm_msg", content))

    def close(self) -> None:
        self.client.stop_channels()
        self.manager.shutdown_kernel(now=True)


@pytest.fixture(scope="module")
def shared_front() -> Iterator[Front]:
    front = Front()
    yield front
    front.close()


@pytest.fixture
def front(shared_front: Front, server: ScriptedServer, tmp_path: Path) -> Iterator[Front]:
    """A kernel with the extension loaded, and with nothing that the tests before have left."""
    loaded(shared_front, server, tmp_path)
    yield shared_front
    shared_front.run("%unload_ext k8sgpt_magic")


def loaded(front: Front, server: ScriptedServer, directory: Path) -> None:
    front.displays.clear()
    front.texts.clear()
    front.run(f"%load_ext k8sgpt_magic\n%env KUBECONFIG={kubeconfig(directory, server.url)}")


def settled(server: ScriptedServer, seconds: float = 10) -> bool:
    deadline = time.monotonic() + seconds
    while server.open_connections and time.monotonic() < deadline:
        time.sleep(0.02)
    return not server.open_connections


LEFT = (
    "import threading\n"
    "print([t.name for t in threading.enumerate() if t.name.startswith('k8sgpt-magic')])"
)  # fmt: skip


def test_a_cell_returns_at_once_and_its_output_is_updated_in_place_until_the_button(front, server):
    feed: queue.SimpleQueue[bytes] = queue.SimpleQueue()
    _stream_of(server, feed, page(waiting("old", HOSTILE)))

    assert front.run("%k8sgpt watch -f po --interval 0.2") == ""
    assert "connected" in front.table
    assert ">new " not in front.table
    # Text of the cluster's is shown as text.
    assert "&lt;img src=x onerror=alert(1)&gt;\\x1b[31m" in front.table
    assert "<img" not in front.table
    assert "Watching test since" in front.tables[0][0]["text/plain"]

    _tell(feed, "ADDED", waiting("fresh"))
    front.until(lambda: ">new " in front.table)
    _tell(feed, "DELETED", waiting("old", HOSTILE))
    front.until(lambda: ">resolved " in front.table)
    assert "1 new, 1 resolved" in front.table

    front.click()
    front.until(lambda: "Watched test from" in front.table)
    # The table stays, for whoever opens the saved notebook; the button, of no use then, does not.
    assert "fresh" in front.table
    front.until(lambda: front.buttons[0][-1] == {HTML: "", "text/plain": ""})
    assert settled(server)


def test_the_result_is_a_watch_with_findings_changes_and_stop(front, server):
    feed: queue.SimpleQueue[bytes] = queue.SimpleQueue()
    _stream_of(server, feed, page(waiting("old")))
    assert front.run("w = %k8sgpt watch -f po --interval 0.2\nprint(list(w.findings.name))") == "['old']\n"
    assert front.tables == []
    _tell(feed, "ADDED", waiting("fresh"))
    wait = "import time\nwhile not len(w.changes): time.sleep(0.05)\n"
    assert front.run(wait + "print(w.changes[['change', 'name']].values.tolist())") == "[['new', 'fresh']]\n"
    front.run("w")
    assert ">new " in front.table
    front.run("w.stop()")
    front.until(lambda: "Watched test from" in front.table)
    assert front.run("print(w.is_running, len(w.findings))") == "False 2\n"


def test_watches_that_nobody_holds_are_stopped_by_a_line(front, server):
    front.run("%k8sgpt watch -f po")
    front.run("w = %k8sgpt watch -f svc")
    assert front.run("%k8sgpt watch --stop") == "Stopped 2 watches.\n"
    front.until(lambda: "Watched test from" in front.table)
    assert front.run("%k8sgpt watch --stop") == "Stopped 0 watches.\n"
    assert settled(server)


@pytest.mark.parametrize(
    "how", ["%unload_ext k8sgpt_magic", "import k8sgpt_magic; k8sgpt_magic.shared_session().close()"]
)
def test_unloading_leaves_no_thread_and_no_connection(front, server, how):
    front.run("%k8sgpt watch -f po")
    assert "'k8sgpt-magic'" in front.run(LEFT)
    assert server.open_connections
    front.run(how)
    front.until(lambda: "stopped with the session" in front.table)
    assert front.run(LEFT) == "[]\n"
    assert settled(server)


def test_a_kernel_that_is_shut_down_takes_its_watches_with_it(server, tmp_path):
    front = Front()
    try:
        loaded(front, server, tmp_path)
        front.run("%k8sgpt watch -f po")
        assert server.open_connections
        began = time.monotonic()
        front.client.shutdown()
        while front.manager.is_alive():
            assert time.monotonic() - began < 10
            time.sleep(0.05)
        assert settled(server)
    finally:
        front.close()


def test_an_interrupt_ends_a_cell_that_waits_within_a_second_and_shows_it_once(front, server):
    message = front.client.execute("%k8sgpt watch -f po --wait")
    front.until(lambda: front.tables)
    began = time.monotonic()
    front.manager.interrupt_kernel()
    assert front.finish(message) == ""
    # On a quiet machine it is well under a second.
    assert time.monotonic() - began < 3
    assert "Watched test from" in front.table
    assert len(front.tables) == 1
    assert settled(server)
    assert front.run("print(_.is_running)") in ("False\n",)


def test_a_notebook_that_is_run_from_top_to_bottom_goes_on_after_the_time(server, tmp_path, monkeypatch):
    monkeypatch.setenv("KUBECONFIG", str(kubeconfig(tmp_path, server.url)))
    _, watched, after, mistake, no_time = run(
        "%load_ext k8sgpt_magic",
        "w = %k8sgpt watch -f po --for 0.5",
        "print(w.is_running, list(w.findings.name))",
        "%k8sgpt watch --source demo",
        "%k8sgpt watch --for 0",
        allow_errors=True,
    )
    [table] = [output for output in watched if "k8sgpt-head" in output.get("data", {}).get(HTML, "")]
    # What is saved is how it ended.
    assert "Watched test from" in table["data"][HTML]
    assert "Watched test from" in table["data"]["text/plain"]
    assert "False ['old']" in text_of(after)
    assert "watch needs a live cluster: demo never changes" in text_of(mistake)
    assert len(text_of(mistake).strip().splitlines()) <= 2
    assert "--for must be more than 0 seconds" in text_of(no_time)


def _stream_of(server: ScriptedServer, feed: queue.SimpleQueue[bytes], listed: Any) -> None:
    """Have watches of pods bring what is put into the feed."""
    import asyncio

    from aiohttp import web

    async def handler(request: web.Request) -> web.StreamResponse:
        if "watch" not in request.query:
            return listed
        response = web.StreamResponse()
        await response.prepare(request)
        while True:
            while not feed.empty():
                await response.write(feed.get())
            await asyncio.sleep(0.02)

    server.on(PODS, handler)


def _tell(feed: queue.SimpleQueue[bytes], how: str, manifest: dict[str, Any]) -> None:
    import json

    feed.put(json.dumps({"type": how, "object": manifest}).encode() + b"\n")
