"""Analyze, filter, select and explain, as a user does."""

from __future__ import annotations

import csv
import re
from pathlib import Path

from playwright.sync_api import Locator, Page, expect

from .lab import Notebook


def rows(page: Page) -> Locator:
    return page.locator(".kg-body [role=row]")


def in_python(nb: Notebook, expression: str, expected: str) -> None:
    """Wait until the kernel has heard of what was done in the browser."""
    for _ in range(50):
        if (printed := nb.python(f"print({expression})")) == expected:
            return
        nb.page.wait_for_timeout(100)
    assert printed == expected


def test_the_view_shows_the_findings_and_the_static_table_hides(demo):
    page = demo.page
    expect(page.locator(".kg-headline")).to_contain_text("objects of")
    assert page.locator(".k8sgpt").count() == 1
    expect(page.locator(".k8sgpt")).to_be_hidden()
    in_python(demo, "len(df.shown) == len(df), len(df.selected), type(df.shown).__name__", "True 0 DataFrame")
    demo.picture("light")


def test_filters_by_chip_list_and_text_are_those_of_shown_in_python(demo):
    page = demo.page
    chip = page.locator(".kg-chip[data-severity=critical]")
    chip.click()
    expect(chip).to_have_attribute("aria-pressed", "true")
    in_python(
        demo,
        "set(df.shown.severity) == {'critical'}, len(df.shown) == (df.severity == 'critical').sum()",
        "True True",
    )
    page.locator("[data-filter=namespace]").select_option("=shop")
    in_python(demo, "set(df.shown.namespace), set(df.shown.severity)", "{'shop'} {'critical'}")
    page.locator(".kg-search").fill("IMAGE pull")
    in_python(demo, "df.widget.filters['text']", "IMAGE pull")
    number = demo.python("print(len(df.shown))")
    expect(page.locator(".kg-number")).to_contain_text(f"{number} of ")
    expect(page.locator(".kg-grid")).to_have_attribute("aria-rowcount", str(int(number) + 1))
    page.get_by_role("button", name="Clear filters").click()
    in_python(demo, "len(df.shown) == len(df)", "True")
    page.get_by_label("Root causes only").check()
    in_python(demo, "(df.shown.consequences > 0).all(), len(df.shown) == (df.consequences > 0).sum()", "True True")
    page.locator(".kg-search").fill("nothing has this in it")
    expect(page.locator(".kg-nothing")).to_be_visible()
    in_python(demo, "len(df.shown)", "0")


def test_the_filters_are_set_from_python_too_and_work_while_the_kernel_is_busy(demo):
    page = demo.page
    demo.python("df.widget.filters = {**df.widget.filters, 'kind': 'Pod'}")
    expect(page.locator("[data-filter=kind]")).to_have_value("=Pod")
    page.evaluate(
        "void jupyterapp.shell.currentWidget.context.sessionContext.session.kernel"
        ".requestExecute({ code: 'import time; time.sleep(60)' })"
    )
    before = page.locator(".kg-number").inner_text()
    page.locator(".kg-search").fill("pull")
    expect(page.locator(".kg-number")).not_to_have_text(before)
    demo.command("notebook:interrupt-kernel")
    in_python(demo, "set(df.shown.kind), df.widget.filters['text']", "{'Pod'} pull")


def test_rows_are_selected_by_keyboard_and_mouse(demo):
    page = demo.page
    page.locator(".kg-grid").focus()
    page.keyboard.press("ArrowDown")
    in_python(demo, "list(df.selected.id) == [df.id[0]]", "True")
    page.keyboard.press("ArrowDown")
    page.keyboard.press("Shift+ArrowDown")
    in_python(demo, "list(df.selected.id) == list(df.id[1:3])", "True")
    page.keyboard.press("End")
    in_python(demo, "list(df.selected.id) == [df.id.iloc[-1]]", "True")
    active = page.locator(".kg-grid").get_attribute("aria-activedescendant")
    expect(page.locator(f"#{active}")).to_be_in_viewport()
    page.keyboard.press("PageUp")
    page.keyboard.press("Home")
    page.keyboard.press("Enter")
    expect(page.locator(".kg-pane")).to_be_focused()
    expect(page.locator(".kg-pane .kg-title")).to_contain_text(demo.python("print(df.code[0])"))
    page.keyboard.press("Escape")
    expect(page.locator(".kg-pane")).to_be_hidden()
    expect(page.locator(".kg-grid")).to_be_focused()
    rows(page).nth(2).click()
    rows(page).nth(4).click(modifiers=["Control"])
    in_python(demo, "list(df.selected.id) == [df.id[2], df.id[4]]", "True")
    # Keys that mean something to a notebook have not reached it.
    assert page.evaluate("jupyterapp.shell.currentWidget.content.widgets.length") == 2


def test_columns_sort(demo):
    page = demo.page
    header = page.get_by_role("columnheader", name="Leads to")
    header.get_by_role("button").click()
    expect(header).to_have_attribute("aria-sort", "descending")
    most = demo.python("print(df.consequences.max())")
    expect(page.locator("[aria-rowindex='2'] .kg-consequences")).to_have_text(most)
    header.get_by_role("button").click()
    expect(header).to_have_attribute("aria-sort", "ascending")
    header.get_by_role("button").click()
    expect(header).to_have_attribute("aria-sort", "none")
    expect(page.locator("[aria-rowindex='2']")).to_have_attribute("data-row", "0")


def test_the_pane_leads_from_a_cause_to_its_consequences_and_back(demo):
    page = demo.page
    page.locator(".kg-search").fill("ConfigMapMissing")
    rows(page).first.click()
    pane = page.locator(".kg-pane")
    pane.locator(".kg-link").first.click()
    expect(pane).to_contain_text("Caused by")
    in_python(demo, "df.selected.cause.iloc[0] in set(df.id)", "True")
    pane.locator(".kg-link").first.click()
    expect(pane.locator(".kg-title")).to_contain_text("ConfigMapMissing")
    page.locator(".kg-search").fill("checkout PodImagePullBackOff")
    rows(page).first.click()
    expect(pane).to_contain_text(re.compile("Belongs to.*ReplicaSet/checkout-.* → Deployment/checkout"))
    page.locator(".kg-search").fill("ConfigMapMissing")
    rows(page).first.click()
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    command = pane.locator(".kg-command").first
    command.get_by_role("button").click()
    assert page.evaluate("navigator.clipboard.readText()") == command.locator("code").inner_text()
    assert command.locator("code").inner_text().startswith("kubectl describe configmap/")


def test_explain_a_finding_ask_about_it_and_explain_all_shown(demo):
    page = demo.page
    rows(page).first.click()
    pane = page.locator(".kg-pane")
    pane.get_by_role("button", name="Explain", exact=True).click()
    expect(pane.locator(".kg-answer")).to_contain_text("packaged")
    demo.picture("explained")
    pane.get_by_label("Question about this finding").fill("Is it new?")
    pane.get_by_role("button", name="Ask").click()
    expect(pane.locator(".kg-answer")).to_have_count(2)
    expect(pane.locator(".kg-question")).to_have_text("Is it new?")
    page.locator(".kg-chip[data-severity=info]").click()
    page.get_by_role("button", name="Explain all").click()
    expect(page.locator(".kg-status")).to_contain_text("findings explained")
    rows(page).nth(1).click()
    expect(pane.locator(".kg-answer")).to_have_count(1)


def test_the_object_is_shown_as_yaml(demo):
    page = demo.page
    page.locator("[data-filter=kind]").select_option("=Deployment")
    rows(page).first.click()
    page.get_by_role("button", name="Show what was read of it").click()
    expect(page.locator(".kg-pane pre")).to_contain_text("kind: Deployment")
    assert len(page.locator(".kg-pane pre").inner_text().splitlines()) <= 102


def test_the_rows_shown_are_exported(demo, tmp_path):
    page = demo.page
    page.locator("[data-filter=namespace]").select_option("=shop")
    in_python(demo, "set(df.shown.namespace)", "{'shop'}")
    page.get_by_role("button", name="to a variable").click()
    expect(page.locator(".kg-status")).to_contain_text("k8sgpt_shown is a DataFrame")
    in_python(demo, "k8sgpt_shown.equals(df.shown)", "True")
    with page.expect_download() as download:
        page.get_by_role("button", name="CSV").click()
    download.value.save_as(tmp_path / "findings.csv")
    with Path(tmp_path / "findings.csv").open(newline="") as file:
        found = list(csv.DictReader(file))
    assert [row["name"] for row in found] == demo.python("print(*df.shown.name)").split()
    with page.expect_download() as download:
        page.get_by_role("button", name="Markdown").click()
    download.value.save_as(tmp_path / "findings.md")
    assert len((tmp_path / "findings.md").read_text().splitlines()) == 2 + len(found)
