"""Documentation of a field in the pane: as text, whatever the cluster put into it."""

from playwright.sync_api import expect

IMAGE = '<img src=x onerror="window.attacked=1">'


def test_the_pane_shows_documentation_as_text(notebook):
    nb = notebook(
        "%load_ext k8sgpt_magic",
        "from k8sgpt_magic import Findings, shared_session\n"
        "df = %k8sgpt analyze --source demo -q\n"
        "documented = Findings(df.copy())\n"
        f"documented['doc'] = [{IMAGE!r}] * len(df)\n"
        "documented.attrs = df.attrs\n"
        "documented.of_session(shared_session())",
    ).run()
    page = nb.page
    page.locator("[data-row='0']").click()
    expect(page.locator(".kg-doc")).to_have_text(IMAGE)
    expect(page.get_by_role("heading", name="Documentation")).to_be_visible()
    assert page.evaluate("window.attacked") is None
