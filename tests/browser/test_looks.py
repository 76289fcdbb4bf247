"""What it looks like: light, dark, narrow, to a screen reader, and without a kernel."""

from __future__ import annotations

import nbformat
import pytest
from playwright.sync_api import expect

from .axe import violations
from .lab import Notebook

LOAD = "%load_ext k8sgpt_magic"
ANALYZE = "df = %k8sgpt analyze --source demo -q\ndf"


def opened(nb: Notebook) -> None:
    expect(nb.page.locator("[data-row='0']")).to_be_visible()
    nb.page.locator(".kg-search").fill("recommendations")
    nb.page.locator(".kg-body [role=row]").first.click()
    nb.page.locator(".kg-main").click()
    expect(nb.page.locator(".kg-answer")).to_contain_text("packaged")
    nb.page.locator(".kg-search").fill("")
    expect(nb.page.locator("[data-row='0']")).to_be_visible()


@pytest.mark.parametrize("width", [900, 1400])
def test_axe_finds_nothing_serious_in_light_and_dark(notebook, width):
    nb = notebook(LOAD, ANALYZE).run()
    nb.page.set_viewport_size({"width": width, "height": 1000})
    expect(nb.page.locator("[data-row='0']")).to_be_visible()
    assert violations(nb.page, ".kg") == []
    nb.picture(f"{width}-light")
    opened(nb)
    assert violations(nb.page, ".kg") == []
    nb.picture(f"{width}-light-open")
    nb.theme("JupyterLab Dark")
    assert violations(nb.page, ".kg") == []
    nb.picture(f"{width}-dark-open")
    nb.page.keyboard.press("Escape")
    nb.theme("JupyterLab Light")
    wide = nb.page.evaluate("document.querySelector('.kg').scrollWidth - document.querySelector('.kg').clientWidth")
    assert wide <= 0


@pytest.mark.parametrize("with_state", [False, True])
def test_a_saved_notebook_opened_again_shows_every_finding_once(notebook, lab, page, with_state):
    nb = notebook(LOAD, ANALYZE).run()
    expect(page.locator("[data-row='0']")).to_be_visible()
    names = nb.python("print(*df.name.unique())").split()
    if with_state:
        nb.command("@jupyter-widgets/jupyterlab-manager:saveWidgetState")
    for _ in range(50):
        nb.command("docmanager:save")
        if ("widgets" in nbformat.read(nb.path, as_version=4).metadata) == with_state:
            break
        # The setting takes effect a little later.
        page.wait_for_timeout(100)
    nb.shut_down()
    again = Notebook(lab, page, nb.path).started()
    if with_state:
        # JupyterLab asks the new kernel first, and waits some seconds for it.
        expect(page.locator("[data-row='0']")).to_be_visible(timeout=20_000)
        expect(page.locator(".k8sgpt")).to_be_hidden()
        page.locator(".kg-chip[data-severity=info]").click()
        expect(page.locator(".kg-number")).to_contain_text(" of ")
        page.locator(".kg-body [role=row]").first.click()
        page.locator(".kg-main").click()
        expect(page.locator(".kg-status")).to_contain_text("No answer from the kernel")
    else:
        expect(page.locator(".k8sgpt table").first).to_be_visible()
        expect(page.locator(".kg")).to_have_count(0)
        # Nor does JupyterLab's complaint about the missing model.
        expect(page.get_by_text("Error displaying widget")).to_be_hidden()
        text = page.locator(".k8sgpt").text_content()
        assert all(name in text for name in names)
    again.picture(f"again-{'with' if with_state else 'without'}-state")


def test_the_view_goes_on_without_a_kernel_and_leaves_the_static_table_when_it_goes(notebook, page):
    nb = notebook(LOAD, ANALYZE).run()
    expect(page.locator("[data-row='0']")).to_be_visible()
    nb.shut_down()
    page.locator(".kg-chip[data-severity=info]").click()
    expect(page.locator(".kg-number")).to_contain_text(" of ")
    expect(page.locator(".k8sgpt")).to_be_hidden()
    page.locator(".kg").evaluate("view => view.remove()")
    expect(page.locator(".k8sgpt table").first).to_be_visible()


def test_an_interrupted_analysis_is_one_line_and_the_next_one_shows(notebook, page, hanging_server):
    nb = notebook(LOAD, f"%k8sgpt analyze --kubeconfig {hanging_server}", ANALYZE)
    nb.begin()
    assert hanging_server.asked.wait(60)
    bar = page.locator("progress")
    expect(bar).to_be_visible()
    expect(page.get_by_text("kinds read")).to_be_visible()
    nb.picture("progress")
    nb.command("notebook:interrupt-kernel")
    expect(page.get_by_text("KeyboardInterrupt").first).to_be_visible()
    expect(page.locator(".kg")).to_have_count(0)
    expect(bar).to_have_count(0)
    nb.run_last()
    expect(page.locator("[data-row='0']")).to_be_visible()
