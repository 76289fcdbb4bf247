"""Text of a hostile cluster is shown as text, everywhere, and looks like what it is."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest
import yaml
from playwright.sync_api import expect

IMAGE = "<img src=x onerror=\"window.attacked='image'\">"
SCRIPT = "</script></style></pre></textarea><script>window.attacked='script'</script>"
FORMULA = '=HYPERLINK("http://203.0.113.1","x")'
# Colours, a title, right-to-left, an invisible space, a line of its own.
CONTROL = "\x1b[31mred\x1b]0;owned\x07 \u202egnp.exe\u200b\u2028 \r\n"
PLACES = (
    IMAGE,
    SCRIPT,
    FORMULA,
    "+1",
    "-1+1",
    "@sum",
    "\tx",
    "; touch /tmp/x; '",
    CONTROL,
    "[link](javascript:attacked=1)",
)


@pytest.fixture
def snapshot(tmp_path: Path) -> Path:
    """Pods whose names, namespaces, containers and messages are attacks, and one with a message of a megabyte."""
    pods = [
        {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {
                "name": f"{attack}",
                "namespace": attack,
                "uid": f"u{number}",
                "creationTimestamp": "2026-11-01T00:00:00Z",
            },
            "spec": {"nodeName": "n", "containers": [{"name": attack, "image": attack}]},
            "status": {
                "phase": "Pending",
                "containerStatuses": [
                    {
                        "name": attack,
                        "image": attack,
                        "imageID": "",
                        "ready": False,
                        "restartCount": 0,
                        "state": {
                            "waiting": {
                                "reason": "ImagePullBackOff",
                                "message": attack + ("A" * 2**20 if number == 0 else ""),
                            }
                        },
                    }
                ],
            },
        }
        for number, attack in enumerate(PLACES)
    ]
    path = tmp_path / "hostile.yaml"
    path.write_text(yaml.safe_dump_all(pods), encoding="utf-8")
    return path


def test_nothing_of_it_runs_and_all_of_it_is_readable(notebook, snapshot, tmp_path):
    nb = notebook("%load_ext k8sgpt_magic", f"df = %k8sgpt analyze --source {snapshot} -q\ndf")
    page = nb.page
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    dialogs: list[str] = []
    page.on("dialog", lambda dialog: (dialogs.append(dialog.message), dialog.dismiss()))
    nb.run()
    expect(page.locator("[data-row='0']")).to_be_visible()
    total = int(nb.python("print(len(df))"))
    assert total >= len(PLACES)
    for row in range(total):
        page.locator(f"[data-row='{row}']").click()
        expect(page.locator(".kg-pane .kg-title")).to_be_visible()
        page.get_by_role("button", name="Show what was read of it").click()
        expect(page.locator(".kg-pane pre")).to_contain_text("kind: ")
        page.locator(".kg-main").click()
        expect(page.locator(".kg-answer")).to_have_count(1)
        expect(page.locator(".kg-main")).to_be_enabled()
    nb.picture("hostile")
    text = page.locator(".kg").inner_text()
    assert IMAGE in text
    assert "\\x1b[31mred" in text
    assert "\\u202e" in text
    assert not set(text) & set("\x1b\u202e\u200b\u2028\x07")
    assert page.locator(".kg img, .k8sgpt img, .kg script, .k8sgpt script, .kg a[href]").count() == 0
    # The static table is in the page too, if not on the screen.
    assert IMAGE in page.locator(".k8sgpt").text_content()
    assert page.evaluate("window.attacked") is None
    assert dialogs == []
    assert not [url for url in asked if "203.0.113.1" in url or url.endswith("/x")]

    with page.expect_download() as download:
        page.get_by_role("button", name="CSV").click()
    download.value.save_as(tmp_path / "findings.csv")
    with (tmp_path / "findings.csv").open(newline="") as file:
        cells = [cell for record in csv.reader(file) for cell in record]
    assert f"'{FORMULA}" in cells
    assert not [cell for cell in cells if cell[:1] in set("=+-@\t\r")]
    page.locator(".kg-search").fill("touch")
    page.locator(".kg-body [role=row]").first.click()
    commands = page.locator(".kg-command code").all_inner_texts()
    assert "kubectl describe 'pod/; touch /tmp/x; '\\'''" in " ".join(commands)
