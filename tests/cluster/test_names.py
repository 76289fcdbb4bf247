import pytest

from k8sgpt_magic.cluster.kinds import KINDS
from k8sgpt_magic.cluster.names import UnknownName, kind_named


@pytest.mark.parametrize(
    ("name", "kind"),
    [("po", "Pod"), ("pods", "Pod"), ("POD", "Pod"), ("deploy", "Deployment"), ("deployments.apps", "Deployment"),
     ("pvc", "PersistentVolumeClaim"), ("hpa", "HorizontalPodAutoscaler"), ("netpol", "NetworkPolicy"), ("ing", "Ingress")],
)  # fmt: skip
def test_kinds_are_known_by_the_names_that_kubectl_knows(name, kind):
    assert kind_named(name, KINDS) == kind


def test_an_unknown_kind_names_the_nearest():
    with pytest.raises(UnknownName, match=r"'Deploymnt'; did you mean 'Deployment'\?"):
        kind_named("Deploymnt", KINDS)


def test_a_kind_that_is_not_on_offer_is_unknown():
    with pytest.raises(UnknownName):
        kind_named("node", ["Pod"])
