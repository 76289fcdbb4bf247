"""CatalogSource: does the registry of a catalog answer?

Source: https://olm.operatorframework.io/docs/concepts/crds/catalogsource/
"""

from __future__ import annotations

from collections.abc import Iterator

from k8sgpt_magic.analyzers import analyzer
from k8sgpt_magic.cluster.olm import CatalogSource
from k8sgpt_magic.cluster.resources import Pod
from k8sgpt_magic.cluster.view import ClusterView
from k8sgpt_magic.diagnosis.conditions import GRACE, changed, names_in
from k8sgpt_magic.diagnosis.workloads import for_long, is_ready
from k8sgpt_magic.findings import Code, Finding
from k8sgpt_magic.wording import sentence

_DOCS = "https://olm.operatorframework.io/docs/concepts/crds/catalogsource/"

NOT_READY = Code(
    "CatalogSourceNotReady",
    "critical",
    "OLM is not connected to the catalog, which also blocks the subscriptions to others in its reach.",
    _DOCS,
)
NEVER_CONNECTED = Code("CatalogSourceNeverConnected", "critical", "OLM has never connected to the catalog.", _DOCS)
INVALID = Code("CatalogSourceInvalid", "critical", "The spec of the catalog is not one that OLM can use.", _DOCS)
NEVER_POLLED = Code(
    "CatalogSourceNeverPolled",
    "info",
    "The catalog's image is named by a tag, and without polling new content is never noticed.",
    f"{_DOCS}#image-catalogs",
)

# A connection goes to sleep and comes back, all by itself.
CONNECTING_GRACE = 900


@analyzer(
    CatalogSource,
    reads=[Pod],
    codes=[NOT_READY, NEVER_CONNECTED, INVALID, NEVER_POLLED],
    default=False,
    group="OLM",
)
def analyze(view: ClusterView) -> Iterator[Finding]:
    """CatalogSources that OLM is not connected to."""
    for each in view.all(CatalogSource):
        if each.metadata.deletion_timestamp:
            continue
        status = each.status
        connection = status.connection_state
        state = connection.last_observed_state.upper() if connection else ""
        if status.reason in ("SpecInvalidError", "InvalidSpec"):
            yield INVALID.finding(
                each,
                f"The spec is invalid: {sentence(status.message or status.reason)}",
                evidence=[("status.message", f"{status.reason}: {status.message}")],
                masked=names_in(status.message),
            )
        elif not state:
            if view.older_than(changed(each), GRACE):
                yield _not_connected(view, each, NEVER_CONNECTED, "has never been connected to")
        elif state not in ("READY", "IDLE"):
            since = connection.last_connect if connection else None
            grace = CONNECTING_GRACE if state == "CONNECTING" else GRACE
            if view.older_than(max(filter(None, (since, changed(each))), default=None), grace):
                yield _not_connected(view, each, NOT_READY, f"is in state {state}")
        spec = each.spec
        if (
            spec.image
            and "@sha256:" not in spec.image
            and not (spec.update_strategy and spec.update_strategy.registry_poll)
        ):
            yield NEVER_POLLED.finding(
                each,
                f"Image {spec.image} is named by tag, and spec.updateStrategy has no registryPoll.",
                evidence=[("spec.image", spec.image), ("spec.updateStrategy.registryPoll", "none")],
                masked=(spec.image,),
            )


def _not_connected(view: ClusterView, each: CatalogSource, code: Code, what: str) -> Finding:
    connection = each.status.connection_state
    since = (connection.last_connect if connection else None) or changed(each)
    pods = view.pods_matching(each.namespace, {"olm.catalogSource": each.name})
    down = [pod for pod in pods if not is_ready(pod)]
    if down:
        why = f"; its pod {down[0].name} is not ready"
    elif not pods and each.spec.image and view.readable(Pod, each.namespace):
        why = "; it has no pod"
    else:
        why = ""
    return code.finding(
        each,
        f"The catalog {what}{for_long(view, since)}{why}.",
        since=since,
        evidence=[
            ("status.connectionState.lastObservedState", connection.last_observed_state if connection else "none"),
            ("status.connectionState.address", connection.address if connection else "none"),
        ],
        because=down,
        masked=(connection.address if connection else "",),
    )
