"""Answers of a model, as they come into the pane."""

from __future__ import annotations

import queue
import threading
from collections.abc import Iterator

import pytest
from playwright.sync_api import expect

from tests.explain.model_server import ANSWER, ModelServer, Reply, running

IMAGE = '<img src=x onerror="window.attacked=1">'


@pytest.fixture
def model() -> Iterator[ModelServer]:
    """A model server, begun in a thread of its own: Playwright has an event loop in this one."""
    servers: queue.SimpleQueue[ModelServer] = queue.SimpleQueue()
    done = threading.Event()

    def serve() -> None:
        with running() as server:
            servers.put(server)
            done.wait()

    thread = threading.Thread(target=serve)
    thread.start()
    try:
        yield servers.get(timeout=10)
    finally:
        done.set()
        thread.join(10)


def test_an_answer_streams_into_the_pane_is_stopped_and_fails_in_plain_words(notebook, model, tmp_path):
    model.default = Reply(pause=0.7)
    nb = notebook(
        f"import os\nos.environ['XDG_CONFIG_HOME'] = {str(tmp_path)!r}\n%load_ext k8sgpt_magic",
        f"%k8sgpt auth add customrest --model tiny --base-url {model.url}\n%k8sgpt auth default customrest",
        "df = %k8sgpt analyze --source demo -q\ndf",
    ).run()
    page = nb.page
    page.locator("[data-row='0']").click()
    answer = page.locator(".kg-answer")
    page.locator(".kg-main").click()
    expect(page.locator(".kg-main")).to_be_disabled()
    # The beginning of it, while the rest is still on its way.
    expect(answer).to_contain_text(f"{ANSWER['error'][:10]}")
    expect(answer).to_contain_text("…")
    nb.picture("streaming")
    expect(answer).to_contain_text("customrest tiny")
    expect(answer).to_contain_text(ANSWER["cause"])
    expect(page.locator(".kg-main")).to_be_enabled()

    model.default = Reply(delay=60)
    question = page.get_by_label("Question about this finding")
    question.fill("Since when?")
    question.press("Enter")
    page.get_by_role("button", name="Stop", exact=True).click()
    expect(page.locator(".kg-status")).to_contain_text("Stopped")
    expect(answer).to_have_count(1)
    assert b"Since when?" in model.received

    model.default = Reply(status=401, error={"message": f"no such key {IMAGE}"})
    question.fill("And now?")
    question.press("Enter")
    expect(answer).to_have_count(2)
    expect(answer.nth(1)).to_contain_text("Not explained")
    assert "Traceback" not in page.locator(".kg").inner_text()

    model.default = Reply(text=IMAGE + "\x1b[31m\u202e plain words")
    question.fill("In your own words?")
    question.press("Enter")
    expect(answer).to_have_count(3)
    expect(answer.nth(2)).to_contain_text(IMAGE)
    expect(answer.nth(2)).to_contain_text("\\x1b[31m\\u202e")
    assert page.evaluate("window.attacked") is None
    assert nb.python("print(len(df.widget.answers['0']))") == "3"
