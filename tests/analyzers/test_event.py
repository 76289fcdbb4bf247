from tests.analyzers.test_pod import event, pod
from tests.views import diagnose_all, findings


def test_a_warning_that_nothing_else_explains_is_on_its_object_with_count_and_words():
    [finding] = findings("Event", event("VolumeResizeFailed", "no space left", kind="Widget", name="w", count=7))
    assert (finding.code, finding.kind, finding.name, finding.severity) == ("EventWarning", "Widget", "w", "warning")
    assert "7 times" in finding.message
    assert "no space left" in finding.message


def test_old_warnings_and_normal_events_are_no_problem():
    assert findings("Event", event("Odd", "m", last="2026-11-02T07:00:00Z")) == []
    assert findings("Event", event("Scheduled", "m").replace("type: Warning", "type: Normal")) == []


def test_events_of_one_reason_on_one_object_are_one_finding():
    first, second = (
        event("Odd", "m", kind="Widget", name="w"),
        event("Odd", "n", kind="Widget", name="w", last="2026-11-02T08:59:00Z"),
    )
    [finding] = findings("Event", first + second.replace("e-Odd", "e-2"))
    assert "6 times" in finding.message
    assert "n." in finding.message


def test_a_warning_about_something_that_is_gone_is_only_worth_knowing():
    [finding] = findings("Event", event("Odd", "m"))
    assert finding.severity == "info"
    assert "no longer exists" in finding.message


def test_a_warning_about_an_object_with_a_finding_of_its_own_is_evidence_there():
    manifest = pod("phase: Failed, reason: NodeLost") + event("Odd", "telling words")
    [finding] = diagnose_all(manifest)
    assert finding.code == "PodFailed"
    assert any("telling words" in fact.value for fact in finding.evidence)


def test_a_warning_that_a_finding_quotes_already_is_not_quoted_twice():
    manifest = pod("phase: Failed, reason: NodeLost") + event("Odd", "telling words")
    [finding] = diagnose_all(manifest)
    assert [fact.value for fact in finding.evidence].count("telling words") == 1


def test_a_warning_about_an_object_of_which_only_something_minor_is_said_stays_a_row():
    unused = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: old, namespace: shop, creationTimestamp: '2026-01-01T00:00:00Z'}\n"
    rows = diagnose_all(unused + event("Odd", "telling words", kind="ConfigMap", name="old"))
    assert [(row.code, row.severity) for row in rows] == [("EventWarning", "warning"), ("ConfigMapUnused", "info")]
