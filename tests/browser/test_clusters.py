"""Several clusters in one view."""

from __future__ import annotations

from playwright.sync_api import expect

from .axe import violations
from .test_view import in_python

LOAD = "%load_ext k8sgpt_magic"
SAVE = "for name in ('berlin', 'tokyo', 'lima'):\n    %k8sgpt snapshot save {name}.tar.gz --source demo"
ANALYZE = "df = %k8sgpt analyze --source '*.tar.gz' -q\ndf"


def test_the_rows_of_one_cluster_are_picked_and_opened(notebook):
    nb = notebook(LOAD, SAVE, ANALYZE).run()
    expect(nb.page.locator("[data-row='0']")).to_be_visible()
    of_one = int(nb.python("print((df.context == df.context.unique()[1]).sum())"))
    chosen = nb.python("print(df.context.unique()[1])")
    nb.picture("clusters-light")
    nb.page.locator("[data-filter=context]").select_option(f"={chosen}")
    expect(nb.page.locator(".kg-number")).to_contain_text(f"{of_one} of {3 * of_one}")
    nb.page.locator(".kg-body [role=row]").first.click()
    expect(nb.page.locator(".kg-pane")).to_contain_text(chosen)
    in_python(nb, "set(df.shown.context)", str({chosen}))
    nb.theme("JupyterLab Dark")
    assert violations(nb.page, ".kg") == []
    nb.picture("clusters-dark-open")
    nb.theme("JupyterLab Light")
