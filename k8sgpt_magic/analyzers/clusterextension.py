"""ClusterExtension: is it installed, and does it get on?

Source: https://operator-framework.github.io/operator-controller/
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from k8sgpt_magic.analyzers import analyzer
from k8sgpt_magic.cluster.olm import ClusterExtension
from k8sgpt_magic.cluster.resources import Namespace, ServiceAccount
from k8sgpt_magic.cluster.view import ClusterView, condition
from k8sgpt_magic.diagnosis.conditions import GRACE, changed, is_current, lasting, reported, unreconciled
from k8sgpt_magic.findings import Code, Finding

_DOCS = "https://operator-framework.github.io/operator-controller/api-reference/olmv1-api-reference/"
_PROJECT = "https://operator-framework.github.io/operator-controller/"

NOT_INSTALLED = Code(
    "ClusterExtensionNotInstalled",
    "critical",
    "The extension is not installed.",
    f"{_PROJECT}tutorials/install-extension/",
)
NOT_PROGRESSING = Code(
    "ClusterExtensionNotProgressing",
    "warning",
    "The extension does not come to the state that its spec asks for.",
    f"{_PROJECT}tutorials/install-extension/",
)
NOT_RECONCILED = Code(
    "ClusterExtensionNotReconciled", "warning", "No controller has judged the extension or its last change.", _DOCS
)
DEPRECATED = Code(
    "ClusterExtensionDeprecated",
    "warning",
    "What is installed is deprecated: its package, its channel or its bundle.",
    _DOCS,
)
SERVICE_ACCOUNT_MISSING = Code(
    "ClusterExtensionServiceAccountMissing",
    "critical",
    "The ServiceAccount that the extension is installed with does not exist.",
    f"{_PROJECT}howto/derive-service-account/",
)
SOURCE_INVALID = Code(
    "ClusterExtensionSourceInvalid",
    "critical",
    "The extension's source is not one that can be installed from.",
    _DOCS,
)
VERSION_DIFFERS = Code(
    "ClusterExtensionVersionDiffers",
    "warning",
    "The spec asks for one exact version, and another is installed.",
    f"{_PROJECT}howto/how-to-pin-version/",
)

_EXACT = re.compile(r"^[=v]*(\d+\.\d+\.\d+(?:[-+][\w.+-]+)?)$")
_POLICIES = ("", "CatalogProvided", "SelfCertified")


@analyzer(
    ClusterExtension,
    reads=[ServiceAccount, Namespace],
    codes=[
        NOT_INSTALLED, NOT_PROGRESSING, NOT_RECONCILED, DEPRECATED, SERVICE_ACCOUNT_MISSING, SOURCE_INVALID,
        VERSION_DIFFERS,
    ],
    default=False,
    group="OLM",
)  # fmt: skip
def analyze(view: ClusterView) -> Iterator[Finding]:
    """ClusterExtensions that are not installed, or not as their spec says."""
    for each in view.all(ClusterExtension):
        if each.metadata.deletion_timestamp:
            continue
        conditions = each.status.conditions
        yield from unreconciled(view, NOT_RECONCILED, each, conditions, "Progressing")
        yield from _source(each)
        yield from _service_account(view, each)
        if absent := lasting(view, each, conditions, "Installed", "False", "Unknown"):
            yield reported(NOT_INSTALLED, each, absent, "The extension is not installed")
        stuck = lasting(view, each, conditions, "Progressing", "True", "False")
        if stuck and stuck.reason not in ("Succeeded", "RollingOut"):
            yield reported(
                NOT_PROGRESSING,
                each,
                stuck,
                f"The extension {'cannot get on' if stuck.reason == 'Blocked' else 'does not get on'}",
                severity="critical" if stuck.reason == "Blocked" else None,
            )
        yield from _deprecated(each)
        yield from _version(view, each)


def _source(each: ClusterExtension) -> Iterator[Finding]:
    source = each.spec.source
    if source.source_type != "Catalog":
        yield SOURCE_INVALID.finding(
            each,
            f"The source is of type {source.source_type or '(none)'}; only Catalog is known.",
            evidence=[("spec.source.sourceType", source.source_type or "none")],
        )
    elif source.catalog and source.catalog.upgrade_constraint_policy not in _POLICIES:
        policy = source.catalog.upgrade_constraint_policy
        yield SOURCE_INVALID.finding(
            each,
            f"The upgrade policy {policy} is neither CatalogProvided nor SelfCertified.",
            evidence=[("spec.source.catalog.upgradeConstraintPolicy", policy)],
        )


def _service_account(view: ClusterView, each: ClusterExtension) -> Iterator[Finding]:
    namespace, name = each.spec.namespace, each.spec.service_account.name
    if name and view.missing(ServiceAccount, namespace, name) and view.older_than(changed(each), GRACE):
        gone = view.missing(Namespace, "", namespace)
        yield SERVICE_ACCOUNT_MISSING.finding(
            each,
            f"ServiceAccount {namespace}/{name} does not exist{f', nor does namespace {namespace}' if gone else ''}.",
            evidence=[("spec.namespace", namespace), ("spec.serviceAccount.name", name)],
            masked=(namespace, name),
        )


def _deprecated(each: ClusterExtension) -> Iterator[Finding]:
    # The plain one sums up the other three, whose words say more.
    for named in ("PackageDeprecated", "ChannelDeprecated", "BundleDeprecated", "Deprecated"):
        found = condition(each.status.conditions, named)
        if found and found.status == "True" and is_current(each, found):
            yield reported(DEPRECATED, each, found, "What is installed is deprecated")
            return


def _version(view: ClusterView, each: ClusterExtension) -> Iterator[Finding]:
    catalog, install = each.spec.source.catalog, each.status.install
    exact = _EXACT.match(catalog.version.strip()) if catalog else None
    if exact and install and install.bundle.version not in ("", exact[1]) and view.older_than(changed(each), GRACE):
        yield VERSION_DIFFERS.finding(
            each,
            f"Version {exact[1]} is asked for, and {install.bundle.version} is installed.",
            evidence=[
                ("spec.source.catalog.version", catalog.version if catalog else ""),
                ("status.install.bundle.version", install.bundle.version),
            ],
        )
