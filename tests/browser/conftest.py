"""One server and one browser for all tests here."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import count
from pathlib import Path

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, expect, sync_playwright

from tests.notebook.hanging import HangingServer

from .lab import Lab, Notebook, chromium


@pytest.fixture(scope="package")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    lab = Lab(tmp_path_factory.mktemp("lab"))
    yield lab
    lab.close()


@pytest.fixture(scope="package")
def browser() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        browser = chromium(playwright)
        yield browser
        browser.close()


@pytest.fixture(scope="package")
def context(browser: Browser) -> Iterator[BrowserContext]:
    """One for all tests, so that JupyterLab's own files are fetched once."""
    context = browser.new_context(viewport={"width": 1400, "height": 1000})
    context.set_default_timeout(20_000)
    yield context
    context.close()


@pytest.fixture
def page(context: BrowserContext) -> Iterator[Page]:
    page = context.new_page()
    yield page
    page.close()


@pytest.fixture(scope="package", autouse=True)
def patience() -> None:
    """A busy machine is no failure."""
    expect.set_options(timeout=15_000)


_numbers = count()


@pytest.fixture
def notebook(lab: Lab, page: Page) -> Iterator[Callable[..., Notebook]]:
    """Opens a new notebook of some cells; its kernel ends with the test."""
    notebooks = []

    def opened(*cells: str) -> Notebook:
        notebooks.append(Notebook(lab, page, lab.write(f"notebook-{next(_numbers)}", *cells)))
        return notebooks[-1]

    yield opened
    for each in notebooks[-1:]:
        each.shut_down()


@pytest.fixture(scope="module")
def demo_notebook(lab: Lab, context: BrowserContext) -> Iterator[Notebook]:
    page = context.new_page()
    path = lab.write("demo", "%load_ext k8sgpt_magic", "df = %k8sgpt analyze --source demo -q\ndf")
    notebook = Notebook(lab, page, path).run()
    yield notebook
    notebook.shut_down()
    page.close()


@pytest.fixture
def demo(demo_notebook: Notebook) -> Notebook:
    """The findings of the demo, analyzed anew, on the screen and in ``df``."""
    demo_notebook.page.evaluate("document.querySelector('.kg')?.classList.add('old')")
    demo_notebook.run_last()
    demo_notebook.page.locator(".kg:not(.old) [data-row='0']").wait_for()
    demo_notebook.page.locator(".old").wait_for(state="detached")
    return demo_notebook


@pytest.fixture
def hanging_server(tmp_path: Path) -> Iterator[HangingServer]:
    server = HangingServer(tmp_path)
    yield server
    server.close()
