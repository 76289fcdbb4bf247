"""StorageClass: is there one for claims that name none, and somebody to provision for each?

Source: https://kubernetes.io/docs/concepts/storage/storage-classes/
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime

from k8sgpt_magic.analyzers import analyzer
from k8sgpt_magic.cluster.resources import CSIDriver, ObjectRef, StorageClass
from k8sgpt_magic.cluster.view import ClusterView
from k8sgpt_magic.findings import Code, Finding
from k8sgpt_magic.wording import joined

_DOCS = "https://kubernetes.io/docs/concepts/storage/storage-classes/"
_DEFAULT = "https://kubernetes.io/docs/tasks/administer-cluster/change-default-storage-class/"

NO_DEFAULT = Code(
    "StorageClassNoDefault",
    "info",
    "No class is the default one, so a claim that names none stays pending unless a volume was made for it.",
    _DEFAULT,
)
SEVERAL_DEFAULTS = Code(
    "StorageClassSeveralDefaults",
    "warning",
    "More than one class is marked as the default one; the newest of them is used, which may surprise.",
    _DEFAULT,
)
PROVISIONER_REMOVED = Code(
    "StorageClassProvisionerRemoved",
    "warning",
    "The class asks for a volume plugin that was removed from Kubernetes and that no CSI driver stands in for.",
    f"{_DOCS}#provisioner",
)
DRIVER_MISSING = Code(
    "StorageClassDriverMissing",
    "warning",
    "The CSI driver that would provision for this class is not installed, so its claims stay pending.",
    "https://kubernetes.io/docs/concepts/storage/volumes/#csi",
)

ANNOTATION = "storageclass.kubernetes.io/is-default-class"
_OLD_ANNOTATION = "storageclass.beta.kubernetes.io/is-default-class"
# https://kubernetes.io/docs/concepts/storage/volumes/#migrating-to-csi-drivers-from-in-tree-plugins
_MIGRATED = {
    "kubernetes.io/aws-ebs": "ebs.csi.aws.com",
    "kubernetes.io/gce-pd": "pd.csi.storage.gke.io",
    "kubernetes.io/azure-disk": "disk.csi.azure.com",
    "kubernetes.io/azure-file": "file.csi.azure.com",
    "kubernetes.io/cinder": "cinder.csi.openstack.org",
    "kubernetes.io/vsphere-volume": "csi.vsphere.vmware.com",
    "kubernetes.io/portworx-volume": "pxd.portworx.com",
}
_REMOVED = {
    f"kubernetes.io/{name}" for name in ("glusterfs", "rbd", "cephfs", "flocker", "quobyte", "storageos", "scaleio")
}


@analyzer(
    StorageClass,
    reads=[CSIDriver],
    codes=[NO_DEFAULT, SEVERAL_DEFAULTS, PROVISIONER_REMOVED, DRIVER_MISSING],
    default=False,
    group="Storage",
)
def analyze(view: ClusterView) -> Iterator[Finding]:
    """StorageClasses: the default one, and whether somebody provisions for each."""
    classes = list(view.all(StorageClass))
    defaults = [
        each for each in classes if "true" in map(each.metadata.annotations.get, (ANNOTATION, _OLD_ANNOTATION))
    ]
    if not defaults and view.readable(StorageClass):
        yield NO_DEFAULT.finding(
            ObjectRef("StorageClass", "", "default"),
            f"None of the classes {joined(each.name for each in classes)} is marked as the default one."
            if classes
            else "There is no StorageClass at all, so no volume is provisioned for any claim.",
            evidence=[(f"metadata.annotations[{ANNOTATION}]", "true on no class")],
            masked=[each.name for each in classes],
        )
    if len(defaults) > 1:
        newest = max(defaults, key=lambda each: (each.metadata.creation_timestamp or _LONG_AGO, each.name))
        others = sorted(each.name for each in defaults if each is not newest)
        yield SEVERAL_DEFAULTS.finding(
            newest,
            f"It is the newest of {len(defaults)} default classes, so claims without a class get this one and not "
            f"{joined(others)}.",
            evidence=[(f"metadata.annotations[{ANNOTATION}]", f"true on {joined(sorted([newest.name, *others]))}")],
            masked=others,
        )
    for each in classes:
        yield from _without_driver(view, each)


_LONG_AGO = datetime.min.replace(tzinfo=UTC)


def _without_driver(view: ClusterView, each: StorageClass) -> Iterator[Finding]:
    if each.provisioner in _REMOVED:
        yield PROVISIONER_REMOVED.finding(
            each,
            f"The plugin {each.provisioner} was removed from Kubernetes; a CSI driver and a class for it are needed.",
            evidence=[("provisioner", each.provisioner)],
        )
        return
    driver = _MIGRATED.get(each.provisioner) or (each.provisioner if "csi" in each.provisioner.split(".") else "")
    if driver and view.missing(CSIDriver, "", driver):
        through = f" ({each.provisioner} is served by it)" if driver != each.provisioner else ""
        yield DRIVER_MISSING.finding(
            each,
            f"The CSI driver {driver}{through} is not installed: no CSIDriver has that name.",
            evidence=[("provisioner", each.provisioner)],
        )
