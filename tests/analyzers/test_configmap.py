import pytest

from tests.views import codes, findings, view_of

OLD = 'creationTimestamp: "2026-06-01T00:00:00Z"'


def config(data: str = '{MODE: "fast"}', name: str = "settings", namespace: str = "shop", metadata: str = OLD) -> str:
    return f"apiVersion: v1\nkind: ConfigMap\nmetadata: {{name: {name}, namespace: {namespace}, {metadata}}}\ndata: {data}\n---\n"


def pod(use: str, *, name: str = "web-1", phase: str = "Running", waiting: str = "") -> str:
    state = f"waiting: {{reason: CreateContainerConfigError, message: '{waiting}'}}" if waiting else "running: {}"
    return f"""
apiVersion: v1
kind: Pod
metadata: {{name: {name}, namespace: shop, creationTimestamp: "2026-11-02T08:00:00Z"}}
spec:
  containers:
  - name: web
    {use if use.startswith("env") else ""}
  {use if use.startswith("volumes") else ""}
status:
  phase: {phase}
  startTime: "2026-11-02T08:00:01Z"
  containerStatuses: [{{name: web, state: {{{state}}}}}]
---
"""


ALL_KEYS = "envFrom: [{configMapRef: {name: settings}}]"
ONE_KEY = "env: [{name: HOST, valueFrom: {configMapKeyRef: {name: settings, key: HOST}}}]"
OPTIONAL_KEY = "env: [{name: HOST, valueFrom: {configMapKeyRef: {name: settings, key: HOST, optional: true}}}]"
VOLUME = "volumes: [{name: files, configMap: {name: settings}}]"
VOLUME_ITEM = "volumes: [{name: files, configMap: {name: settings, items: [{key: HOST, path: host}]}}]"
PROJECTED = "volumes: [{name: files, projected: {sources: [{configMap: {name: settings}}]}}]"


@pytest.mark.parametrize("use", [ALL_KEYS, ONE_KEY, VOLUME, PROJECTED])
def test_a_missing_config_map_that_a_pod_waits_for_is_critical(use):
    [finding] = findings("ConfigMap", pod(use, phase="Pending", waiting='configmap "settings" not found'))
    assert (finding.code, finding.severity) == ("ConfigMapMissing", "critical")
    assert "web-1" in finding.message
    assert any("not found" in fact.value for fact in finding.evidence)


def test_pods_that_wait_and_pods_that_only_would_are_told_apart():
    pods = pod(VOLUME, name="web-1") + pod(VOLUME, name="web-2", phase="Pending")
    [finding] = findings("ConfigMap", pods)
    assert finding.severity == "critical"
    assert "1 pod cannot start without it: web-2" in finding.message
    assert "1 other pod" in finding.message


def test_a_config_map_deleted_under_a_running_pod_is_a_warning():
    [finding] = findings("ConfigMap", pod(VOLUME))
    assert (finding.code, finding.severity) == ("ConfigMapMissing", "warning")


def test_config_maps_of_other_namespaces_do_not_count():
    assert codes("ConfigMap", pod(ALL_KEYS) + config(namespace="data", metadata="uid: a")) == ["ConfigMapMissing"]


@pytest.mark.parametrize(
    "manifests",
    [
        pod(ALL_KEYS) + config(),
        pod(OPTIONAL_KEY),
        pod(ALL_KEYS, phase="Succeeded"),
        pod(ALL_KEYS, phase="Failed"),
    ],
    ids=["exists", "optional", "completed", "evicted"],
)
def test_references_that_hold_or_need_not_hold_are_fine(manifests):
    assert codes("ConfigMap", manifests) == []


def test_config_maps_that_could_not_be_read_are_not_missing():
    assert codes("ConfigMap", view_of(pod(ALL_KEYS), forbidden=["ConfigMap"])) == []


def test_a_workload_without_pods_that_needs_a_missing_config_map_is_a_warning():
    def deployment(replicas: int) -> str:
        return f"""
apiVersion: apps/v1
kind: Deployment
metadata: {{name: web, namespace: shop}}
spec: {{replicas: {replicas}, template: {{spec: {{volumes: [{{name: files, configMap: {{name: settings}}}}], containers: [{{name: web}}]}}}}}}
"""

    [finding] = findings("ConfigMap", deployment(2))
    assert (finding.code, finding.severity) == ("ConfigMapMissing", "warning")
    assert "Deployment web" in finding.message
    assert codes("ConfigMap", deployment(0)) == []


@pytest.mark.parametrize("use", [ONE_KEY, VOLUME_ITEM])
def test_a_key_that_a_pod_waits_for_is_critical(use):
    [finding] = findings("ConfigMap", config() + pod(use, phase="Pending"))
    assert (finding.code, finding.severity, finding.key) == ("ConfigMapKeyMissing", "critical", "HOST")
    assert "web-1" in finding.message
    assert any(fact.value == "MODE" for fact in finding.evidence)


def test_one_missing_key_of_many_pods_is_one_finding():
    pods = "".join(pod(ONE_KEY, name=f"web-{number}") for number in range(3))
    [finding] = findings("ConfigMap", config() + pods)
    assert (finding.code, finding.severity) == ("ConfigMapKeyMissing", "warning")
    assert "3 pods" in finding.message


@pytest.mark.parametrize(
    ("data", "use"), [('{HOST: "a"}', ONE_KEY), ('{MODE: "fast"}', OPTIONAL_KEY), ('{MODE: "fast"}', ALL_KEYS)]
)
def test_keys_that_are_there_or_optional_are_fine(data, use):
    assert codes("ConfigMap", config(data) + pod(use)) == []


def test_a_key_in_binary_data_is_there():
    manifest = config().replace('data: {MODE: "fast"}', "binaryData: {HOST: aGk=}")
    assert codes("ConfigMap", manifest + pod(ONE_KEY)) == []


def test_a_config_map_close_to_its_limit_is_a_warning():
    [finding] = findings("ConfigMap", config(f'{{big.json: "{"x" * 950 * 1024}", small: "y"}}') + pod(VOLUME))
    assert (finding.code, finding.severity) == ("ConfigMapNearLimit", "warning")
    assert "950 KiB" in finding.message
    assert "big.json" in finding.message
    assert codes("ConfigMap", config(f'{{big.json: "{"x" * 800 * 1024}"}}') + pod(VOLUME)) == []


def test_an_empty_config_map_that_pods_take_their_settings_from_is_worth_knowing():
    [finding] = findings("ConfigMap", config("{}") + pod(ALL_KEYS))
    assert (finding.code, finding.severity) == ("ConfigMapEmpty", "info")


def test_an_empty_config_map_with_a_missing_key_is_one_finding():
    assert codes("ConfigMap", config("{}") + pod(ONE_KEY)) == ["ConfigMapKeyMissing"]


def test_an_unused_config_map_is_worth_knowing():
    [finding] = findings("ConfigMap", config())
    assert (finding.code, finding.severity) == ("ConfigMapUnused", "info")


@pytest.mark.parametrize(
    ("name", "namespace", "metadata"),
    [
        ("settings", "kube-system", OLD),
        ("kube-root-ca.crt", "shop", OLD),
        ("web-leader-election", "shop", OLD),
        ("settings", "shop", 'creationTimestamp: "2026-11-02T08:00:00Z"'),
        ("settings", "shop", OLD + ', labels: {grafana_dashboard: "1"}'),
        ("settings", "shop", OLD + ', labels: {k8sgpt.ai/dynamically-loaded: "true"}'),
        ("settings", "shop", OLD + ', annotations: {k8sgpt.ai/skip-usage-check: "true"}'),
        ("settings", "shop", OLD + ", annotations: {control-plane.alpha.kubernetes.io/leader: x}"),
        ("settings", "shop", OLD + ", ownerReferences: [{kind: Prometheus, name: main, controller: true}]"),
    ],
)
def test_config_maps_that_are_new_or_used_in_other_ways_are_not_unused(name, namespace, metadata):
    assert codes("ConfigMap", config(name=name, namespace=namespace, metadata=metadata)) == []


@pytest.mark.parametrize("kind", ["Pod", "CronJob", "Deployment"])
def test_no_config_map_is_unused_where_its_users_cannot_be_read(kind):
    assert codes("ConfigMap", view_of(config(), forbidden=[kind])) == []


def test_a_config_map_of_a_cron_job_between_its_runs_is_used():
    cron_job = """
apiVersion: batch/v1
kind: CronJob
metadata: {name: report, namespace: shop}
spec:
  jobTemplate: {spec: {template: {spec: {containers: [{name: report, envFrom: [{configMapRef: {name: settings}}]}]}}}}
"""
    assert codes("ConfigMap", config() + cron_job) == []


@pytest.mark.parametrize(
    ("written", "uses", "found"),
    [
        ("2026-11-02T08:00:00Z", "envFrom: [{configMapRef: {name: settings}}]", True),
        ("2026-11-02T08:00:00Z", "env: [{name: A, valueFrom: {configMapKeyRef: {name: settings, key: A}}}]", True),
        # Before the pod started, or with it.
        ("2026-10-01T00:00:00Z", "envFrom: [{configMapRef: {name: settings}}]", False),
        ("2026-11-01T00:00:30Z", "envFrom: [{configMapRef: {name: settings}}]", False),
        ("2026-11-02T08:00:00Z", "volumeMounts: [{name: files, mountPath: /etc/a, subPath: A}]", True),
        ("2026-10-01T00:00:00Z", "volumeMounts: [{name: files, mountPath: /etc/a, subPath: A}]", False),
        # What is mounted as a whole follows by itself.
        ("2026-11-02T08:00:00Z", "volumeMounts: [{name: files, mountPath: /etc/a}]", False),
        ("2026-11-02T08:00:00Z", "volumeMounts: [{name: other, mountPath: /etc/a, subPath: A}]", False),
    ],
)
def test_pods_that_go_on_with_old_values(written, uses, found):
    manifests = f"""
apiVersion: v1
kind: ConfigMap
metadata:
  name: settings
  namespace: shop
  creationTimestamp: '2026-01-01T00:00:00Z'
  managedFields: [{{manager: kubectl, time: '{written}'}}]
data: {{A: b}}
---
apiVersion: v1
kind: Pod
metadata: {{name: web-1, namespace: shop}}
spec:
  containers: [{{name: app, {uses}}}]
  volumes: [{{name: files, configMap: {{name: settings}}}}]
status: {{phase: Running, startTime: '2026-11-01T00:00:00Z'}}
"""
    assert codes("ConfigMap", manifests) == (["ConfigMapChangedSinceStart"] if found else [])
    # A container that was restarted since then has read it anew.
    restarted = manifests.replace(
        "startTime:",
        "containerStatuses: [{name: app, state: {running: {startedAt: '2026-11-02T08:30:00Z'}}}], startTime:",
    )
    assert codes("ConfigMap", restarted) == []
