"""The README's pictures: ``cp tests/browser/pictures/readme/*.png notebooks/pictures/`` after a change of the view."""

from __future__ import annotations

from playwright.sync_api import Page, expect

from .lab import Lab, Notebook


def test_what_the_readme_shows_first_is_what_a_first_cell_gives(lab: Lab, page: Page) -> None:
    page.set_viewport_size({"width": 1360, "height": 860})
    nb = Notebook(lab, page, lab.write("incident", "%load_ext k8sgpt_magic", "%k8sgpt analyze")).run()
    expect(page.locator("[data-row='0']")).to_be_visible()
    expect(page.locator(".kg")).to_contain_text("This is the packaged demo cluster, not one of yours.")
    page.mouse.move(2, 400)
    nb.picture("readme/analyze")
    nb.theme("JupyterLab Dark")
    page.locator(".kg-search").fill("checkout")
    page.locator(".kg-body [role=row]").first.click()
    page.locator(".kg-main").click()
    expect(page.locator(".kg-answer code").first).to_be_visible()
    page.locator(".kg-grid").focus()
    page.mouse.move(2, 400)
    page.evaluate("document.querySelectorAll('.jp-WindowedPanel-outer, .jp-Notebook').forEach(e => e.scrollTop = 0)")
    expect(page.locator(".jp-Cell").first).to_be_in_viewport()
    nb.picture("readme/details")
    nb.theme("JupyterLab Light")
    nb.shut_down()
