"""``%k8sgpt watch`` on the screen, of a real control plane."""

from __future__ import annotations

from playwright.sync_api import expect

from tests.test_watch import BROKEN, OTHER


def test_what_breaks_and_is_repaired_shows_without_a_new_run_until_stopped(notebook, control_plane, namespace):
    api = control_plane.api
    api.apply(OTHER, namespace)
    options = f"--kubeconfig {control_plane.kubeconfig('admin')} -n {namespace} --interval 0.3"
    nb = notebook("%load_ext k8sgpt_magic", f"w = %k8sgpt watch {options} -q\nw").run()
    page = nb.page
    row = page.locator(".k8sgpt tr", has_text="PodImagePullBackOff")
    expect(row.filter(has_text=f"{namespace}/other")).to_have_count(1)

    api.apply(BROKEN, namespace)
    broken = row.filter(has_text=f"{namespace}/checkout")
    expect(broken.first).to_contain_text("new ", timeout=20_000)
    nb.picture("watch")
    # The kernel is free meanwhile.
    assert nb.python("print(1 + 1)") == "2"

    api.delete("Pod", "checkout", namespace, grace_seconds=0)
    expect(broken.first).to_contain_text("resolved ", timeout=20_000)
    page.get_by_role("button", name="Stop watching").click()
    expect(page.get_by_role("button", name="Stop watching")).to_have_count(0)
    assert nb.python("print(w.is_running)") == "False"
    expect(page.locator(".k8sgpt-head")).to_contain_text("stopped")
