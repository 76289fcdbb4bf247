"""ServiceAccount: do pods share the namespace's default account, and does it have rights?

Source: https://kubernetes.io/docs/concepts/security/service-accounts/
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator

from k8sgpt_magic.analyzers import analyzer
from k8sgpt_magic.cluster.rbac import ClusterRoleBinding, RoleBinding
from k8sgpt_magic.cluster.resources import ObjectRef, Pod, ServiceAccount
from k8sgpt_magic.cluster.view import ClusterView
from k8sgpt_magic.diagnosis.rights import GUIDE
from k8sgpt_magic.findings import Code, Finding
from k8sgpt_magic.wording import count, joined

DEFAULT_HAS_RIGHTS = Code(
    "ServiceAccountDefaultHasRights",
    "warning",
    "Rights are bound to a namespace's default account, so every pod that names no other account has them.",
    "https://kubernetes.io/docs/concepts/security/service-accounts/#default-service-accounts",
)
UNUSED_TOKEN = Code(
    "ServiceAccountUnusedToken",
    "info",
    "Pods mount a token of the default account, which has no rights of its own, so they hardly need it.",
    f"{GUIDE}#hardening",
)


@analyzer(
    ServiceAccount,
    reads=[Pod, RoleBinding, ClusterRoleBinding],
    codes=[DEFAULT_HAS_RIGHTS, UNUSED_TOKEN],
    default=False,
    group="Security",
)
def analyze(view: ClusterView) -> Iterator[Finding]:
    """Default ServiceAccounts: with rights that all pods get, or tokens that none needs."""
    bound = _bound(view)
    mounting: defaultdict[ObjectRef, list[Pod]] = defaultdict(list)
    for pod in view.all(Pod):
        account = view.get(ServiceAccount, pod.namespace, pod.spec.service_account_name or "default")
        if account is not None and pod.status.phase in ("Pending", "Running") and _mounts(pod, account):
            mounting[account.ref].append(pod)
    for account in view.all(ServiceAccount):
        if account.name != "default" or not view.readable(RoleBinding, account.namespace):
            continue
        pods = sorted(each.name for each in mounting.get(account.ref, ()))
        if bindings := bound.get((account.namespace, account.name)):
            yield DEFAULT_HAS_RIGHTS.finding(
                account,
                f"{joined(map(str, bindings), 3)} give it rights: {count(len(pods), 'pod')} here and all to come "
                "have them.",
                evidence=[("bindings", joined(map(str, bindings), 10)), ("pods", joined(pods, 10))],
                because=bindings,
                masked=[*pods, *(each.name for each in bindings)],
            )
        elif pods and view.readable(ClusterRoleBinding):
            yield UNUSED_TOKEN.finding(
                account,
                f"{count(len(pods), 'pod')} mount its token, and it has no rights: automountServiceAccountToken: "
                f"false would do no harm ({joined(pods, 3)}).",
                evidence=[("automountServiceAccountToken", "not false"), ("pods", joined(pods, 10))],
                masked=pods,
            )


def _mounts(pod: Pod, account: ServiceAccount) -> bool:
    of_pod = pod.spec.automount_service_account_token
    return of_pod if of_pod is not None else account.automount_service_account_token is not False


def _bound(view: ClusterView) -> dict[tuple[str, str], list[ObjectRef]]:
    """The bindings of each account, by its namespace and name."""
    found: defaultdict[tuple[str, str], list[ObjectRef]] = defaultdict(list)
    bindings: tuple[RoleBinding | ClusterRoleBinding, ...] = (*view.all(RoleBinding), *view.all(ClusterRoleBinding))
    for binding in bindings:
        for each in binding.subjects:
            if each.kind == "ServiceAccount":
                found[each.namespace, each.name].append(binding.ref)
    return found
