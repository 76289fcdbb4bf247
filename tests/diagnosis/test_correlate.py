from hypothesis import given
from hypothesis import strategies as st

from k8sgpt_magic.cluster.resources import ObjectRef
from k8sgpt_magic.diagnosis.correlate import correlate
from k8sgpt_magic.findings import Finding


def _finding(kind, name, code="Code", severity="critical", because=(), **fields):
    refs = tuple(ObjectRef(each.partition("/")[0], "shop", each.partition("/")[2]) for each in because)
    return Finding(
        code=code, severity=severity, kind=kind, namespace="shop", name=name, message="", because=refs, **fields
    )


def _causes(*findings):
    return {f"{finding.kind}/{finding.name}": finding.cause for finding in correlate(findings)}


def test_a_chain_points_at_its_root():
    causes = _causes(
        _finding("Ingress", "front", because=["Service/web"]),
        _finding("Service", "web", because=["Pod/web-1"]),
        _finding("Deployment", "web", because=["ReplicaSet/web-5", "Pod/web-1"]),
        _finding("Pod", "web-1", code="Pull"),
    )
    root = "Pod/shop/web-1/Pull"
    assert causes == {"Ingress/front": root, "Service/web": root, "Deployment/web": root, "Pod/web-1": ""}


def test_a_root_counts_its_consequences():
    [root, *rest] = correlate([_finding("Deployment", "web", because=["Pod/web-1"]), _finding("Pod", "web-1")])
    assert (root.kind, root.consequences) == ("Pod", 1)
    assert [finding.consequences for finding in rest] == [0]


def test_the_worst_candidate_explains_and_among_equals_the_first_by_name():
    causes = _causes(
        _finding("Deployment", "web", because=["Pod/a", "Pod/c", "Pod/b"]),
        _finding("Pod", "a", severity="warning"),
        _finding("Pod", "b"),
        _finding("Pod", "c"),
    )
    assert causes["Deployment/web"] == "Pod/shop/b/Code"


def test_what_is_only_worth_knowing_causes_nothing():
    causes = _causes(_finding("Pod", "a", because=["ConfigMap/c"]), _finding("ConfigMap", "c", severity="info"))
    assert causes["Pod/a"] == ""


def test_two_that_blame_each_other_do_not_go_round_for_ever():
    causes = _causes(_finding("Pod", "a", because=["Pod/b"]), _finding("Pod", "b", because=["Pod/a"]))
    assert causes == {"Pod/a": "Pod/shop/b/Code", "Pod/b": "Pod/shop/a/Code"}


def test_a_finding_that_comes_twice_is_kept_once():
    assert len(correlate([_finding("Pod", "a"), _finding("Pod", "a")])) == 1


kinds = st.sampled_from(["Pod", "Deployment", "Service"])
names = st.sampled_from(["a", "b", "c"])
random_findings = st.lists(
    st.builds(
        _finding, kinds, names, severity=st.sampled_from(["critical", "warning", "info"]), code=st.sampled_from(["X", "Y"]),
        because=st.lists(st.builds("{}/{}".format, kinds, names), max_size=3),
    ),
    max_size=12,
)  # fmt: skip


@given(random_findings, st.randoms())
def test_order_and_causes_do_not_depend_on_the_order_of_discovery(findings, random):
    distinct = list({finding.id: finding for finding in findings}.values())
    shuffled = distinct.copy()
    random.shuffle(shuffled)
    first, second = correlate(distinct), correlate(shuffled)
    assert [finding.id for finding in first] == [finding.id for finding in second]


@given(random_findings)
def test_nothing_is_lost_and_every_cause_is_a_finding(findings):
    correlated = correlate(findings)
    ids = {finding.id for finding in correlated}
    assert ids == {finding.id for finding in findings}
    assert all(not finding.cause or finding.cause in ids for finding in correlated)
    assert sum(finding.consequences for finding in correlated) == sum(bool(finding.cause) for finding in correlated)
