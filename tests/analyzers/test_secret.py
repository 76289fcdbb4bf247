from tests.views import codes, findings, view_of


def gateway(*, optional: bool = False, phase: str = "Pending", created: str = "2026-11-02T08:00:00Z") -> str:
    return f"""
apiVersion: v1
kind: Pod
metadata: {{name: gateway-1, namespace: payments, creationTimestamp: "{created}"}}
spec:
  containers:
  - name: gateway
    env:
    - name: STRIPE_KEY
      valueFrom: {{secretKeyRef: {{name: stripe-api-key, key: token, optional: {str(optional).lower()}}}}}
status:
  phase: {phase}
  startTime: "2026-11-02T08:00:02Z"
  containerStatuses:
  - name: gateway
    state: {{waiting: {{reason: CreateContainerConfigError, message: 'secret "stripe-api-key" not found'}}}}
---
"""


SECRET = "apiVersion: v1\nkind: Secret\nmetadata: {name: stripe-api-key, namespace: payments}\ntype: Opaque\n---\n"


def test_a_missing_secret_that_a_pod_waits_for_is_critical_and_says_who_needs_it():
    [finding] = findings("Secret", gateway())
    assert (finding.code, finding.severity) == ("SecretMissing", "critical")
    assert (finding.namespace, finding.name) == ("payments", "stripe-api-key")
    assert "gateway-1" in finding.message
    assert finding.since.isoformat() == "2026-11-02T08:00:02+00:00"
    facts = {fact.source: fact.value for fact in finding.evidence}
    assert facts["Pod spec.containers[gateway].env[STRIPE_KEY]"] == "gateway-1"
    assert 'secret "stripe-api-key" not found' in facts.values()
    assert {"gateway", "gateway-1", "STRIPE_KEY"} <= set(finding.masked)


def test_a_missing_secret_of_a_running_pod_is_a_warning():
    pod = gateway(phase="Running").replace("CreateContainerConfigError", "CrashLoopBackOff")
    [finding] = findings("Secret", pod)
    assert finding.severity == "warning"
    assert "restart" in finding.message


def test_secrets_that_exist_or_are_optional_or_no_longer_needed_are_fine():
    assert codes("Secret", gateway() + SECRET) == []
    assert codes("Secret", gateway(optional=True)) == []
    assert codes("Secret", gateway(phase="Succeeded")) == []
    assert codes("Secret", gateway(created="2026-11-02T08:59:50Z")) == []


def test_a_secret_that_could_not_be_read_is_not_missing():
    assert codes("Secret", view_of(gateway(), forbidden=["Secret"])) == []


def test_a_missing_pull_secret_stops_no_pod():
    pod = """
apiVersion: v1
kind: Pod
metadata: {name: web, namespace: shop}
spec: {imagePullSecrets: [{name: registry}], containers: [{name: web}]}
status: {phase: Pending}
"""
    assert codes("Secret", pod) == []


def cron_job(suspend: bool) -> str:
    return f"""
apiVersion: batch/v1
kind: CronJob
metadata: {{name: settle, namespace: payments}}
spec:
  suspend: {str(suspend).lower()}
  jobTemplate:
    spec:
      template:
        spec:
          volumes: [{{name: keys, secret: {{secretName: settle-keys}}}}]
          containers: [{{name: settle}}]
"""


def test_a_cron_job_that_will_fail_at_its_next_run_is_a_warning():
    [finding] = findings("Secret", cron_job(suspend=False))
    assert (finding.code, finding.severity, finding.name) == ("SecretMissing", "warning", "settle-keys")
    assert "CronJob settle" in finding.message
    assert codes("Secret", cron_job(suspend=True)) == []
