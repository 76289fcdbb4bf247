from __future__ import annotations

import pytest

from tests.views import codes, diagnose_all, findings

LONG_AGO = "2026-11-02T07:00:00Z"
A_MOMENT_AGO = "2026-11-02T08:59:50Z"


def pod(status: str, *, spec: str = "", metadata: str = "", node: str = "node-a") -> str:
    """A pod whose one container is ``app``; the arguments are YAML in flow style."""
    return f"""
apiVersion: v1
kind: Pod
metadata: {{name: web-1, namespace: shop, uid: u1, creationTimestamp: '{LONG_AGO}'{", " + metadata if metadata else ""}}}
spec: {{{f"nodeName: {node}, " if node else ""}containers: [{{name: app, image: 'r.example.com/web:1', resources: {{limits: {{memory: 64Mi}}}}}}]{", " + spec if spec else ""}}}
status: {{startTime: '{LONG_AGO}', {status}}}
"""


UNREADY = f"conditions: [{{type: Ready, status: 'False', lastTransitionTime: '{LONG_AGO}', reason: ContainersNotReady, message: 'containers with unready status: [app]'}}]"
READY = f"conditions: [{{type: Ready, status: 'True', lastTransitionTime: '{LONG_AGO}'}}]"


def container(
    state: str,
    *,
    ready: str = "false",
    restarts: int = 0,
    last: str = "",
    phase: str = "Running",
    conditions: str = UNREADY,
) -> str:
    last_state = f", lastState: {{{last}}}" if last else ""
    return f"phase: {phase}, {conditions}, containerStatuses: [{{name: app, ready: {ready}, restartCount: {restarts}, state: {{{state}}}{last_state}}}]"


def event(
    reason: str,
    message: str,
    *,
    last: str = "2026-11-02T08:58:00Z",
    kind: str = "Pod",
    name: str = "web-1",
    field_path: str = "",
    count: int = 3,
) -> str:
    return f"""
---
apiVersion: v1
kind: Event
metadata: {{name: e-{reason}, namespace: shop}}
type: Warning
reason: {reason}
message: '{message}'
count: {count}
firstTimestamp: '2026-11-02T04:30:00Z'
lastTimestamp: '{last}'
involvedObject: {{kind: {kind}, namespace: shop, name: {name}, uid: u1, fieldPath: '{field_path}'}}
"""


NODE_DOWN = f"""
---
apiVersion: v1
kind: Node
metadata: {{name: node-a, creationTimestamp: '2026-01-01T00:00:00Z'}}
status: {{conditions: [{{type: Ready, status: Unknown, reason: NodeStatusUnknown, message: 'Kubelet stopped posting node status.', lastTransitionTime: '{LONG_AGO}'}}]}}
"""


def only(manifests: str):
    [finding] = findings("Pod", manifests)
    return finding


@pytest.mark.parametrize(
    "manifest",
    [
        pod(container(f"running: {{startedAt: '{LONG_AGO}'}}", ready="true", conditions=READY)),
        pod(container("terminated: {exitCode: 0, reason: Completed}", phase="Succeeded")),
        # A finished pod whose sidecar was killed has done its work.
        pod("phase: Succeeded, containerStatuses: [{name: app, state: {terminated: {exitCode: 0}}}, {name: sidecar, state: {terminated: {exitCode: 255, reason: Error}}}]"),
        pod(container("waiting: {reason: ContainerCreating}", phase="Pending")).replace(LONG_AGO, A_MOMENT_AGO),
        pod(container("waiting: {reason: PodInitializing}", phase="Pending")).replace(LONG_AGO, A_MOMENT_AGO),
        pod(container(f"running: {{startedAt: '{A_MOMENT_AGO}'}}").replace(f"lastTransitionTime: '{LONG_AGO}'", f"lastTransitionTime: '{A_MOMENT_AGO}'")),
    ],
)  # fmt: skip
def test_pods_that_run_have_finished_or_are_just_starting_are_no_problem(manifest):
    assert codes("Pod", manifest) == []


# --- scheduling ------------------------------------------------------------------------------------------

UNSCHEDULABLE = f"phase: Pending, conditions: [{{type: PodScheduled, status: 'False', reason: Unschedulable, message: '0/3 nodes are available: 3 Insufficient cpu.', lastTransitionTime: '{LONG_AGO}'}}]"


def test_a_pod_that_fits_no_node_is_reported_with_the_schedulers_words():
    finding = only(pod(UNSCHEDULABLE, node=""))
    assert (finding.code, finding.severity) == ("PodUnschedulable", "critical")
    assert "3 Insufficient cpu" in finding.message
    assert finding.since is not None


def scheduled(reason: str, message: str) -> str:
    return f"phase: Pending, conditions: [{{type: PodScheduled, status: 'False', reason: {reason}, message: '{message}', lastTransitionTime: '{LONG_AGO}'}}]"


def test_a_scheduler_that_fails_on_a_pod_is_reported_after_a_while():
    manifest = pod(scheduled("SchedulerError", "binding volumes: timed out waiting for the condition"), node="")
    finding = only(manifest)
    assert (finding.code, finding.severity) == ("PodNotScheduled", "warning")
    assert "timed out" in finding.message
    assert codes("Pod", manifest.replace(LONG_AGO, A_MOMENT_AGO)) == []


@pytest.mark.parametrize(
    ("said", "severity"),
    [
        ([("TriggeredScaleUp", "08:58:00")], "warning"),
        ([("Nominated", "08:58:00")], "warning"),
        # Long ago, or taken back since then.
        ([("TriggeredScaleUp", "08:30:00")], "critical"),
        ([("TriggeredScaleUp", "08:54:00"), ("NotTriggerScaleUp", "08:58:00")], "critical"),
    ],
)
def test_a_pod_that_a_node_is_being_made_for_matters_less(said, severity):
    manifest = pod(scheduled("Unschedulable", "0/3 nodes are available: 3 Insufficient cpu."), node="")
    for reason, time in said:
        manifest += event(reason, "about nodes", last=f"2026-11-02T{time}Z").replace("Warning", "Normal")
    finding = only(manifest)
    assert (finding.code, finding.severity) == ("PodUnschedulable", severity)
    assert ("adding a node" in finding.message) == (severity == "warning")


def test_the_claim_that_a_pod_waits_for_is_its_cause():
    claim = """
---
apiVersion: v1
kind: PersistentVolumeClaim
metadata: {name: data, namespace: shop, creationTimestamp: '2026-11-02T06:00:00Z'}
spec: {storageClassName: nowhere}
status: {phase: Pending}
"""
    manifest = (
        pod(UNSCHEDULABLE, node="", spec="volumes: [{name: v, persistentVolumeClaim: {claimName: data}}]") + claim
    )
    found = {finding.kind: finding for finding in diagnose_all(manifest)}
    assert found["Pod"].cause == found["PersistentVolumeClaim"].id


def test_a_gated_pod_is_worth_knowing_and_names_the_gate():
    finding = only(
        pod(
            "phase: Pending, conditions: [{type: PodScheduled, status: 'False', reason: SchedulingGated}]",
            node="",
            spec="schedulingGates: [{name: example.com/quota}]",
        )
    )
    assert (finding.code, finding.severity) == ("PodSchedulingGated", "info")
    assert "example.com/quota" in finding.message


def test_a_pod_that_no_scheduler_looks_at_is_reported_after_a_while_only():
    assert codes("Pod", pod("phase: Pending", node="")) == ["PodNotScheduled"]
    assert codes("Pod", pod("phase: Pending", node="").replace(LONG_AGO, A_MOMENT_AGO)) == []


# --- images, configuration, crashes ----------------------------------------------------------------------


@pytest.mark.parametrize(
    "reason", ["ImagePullBackOff", "ErrImagePull", "ErrImageNeverPull", "InvalidImageName", "ImageInspectError"]
)
def test_an_image_that_cannot_be_pulled(reason):
    finding = only(pod(container(f"waiting: {{reason: {reason}, message: Back-off pulling image}}", phase="Pending")))
    assert (finding.code, finding.severity, finding.container) == ("PodImagePullBackOff", "critical", "app")
    assert "r.example.com/web:1" in finding.message
    assert "r.example.com/web:1" in finding.masked


@pytest.mark.parametrize(
    ("said", "told"),
    [
        ("pull access denied, unauthorized: authentication required", "pull secret"),
        ("manifest unknown: manifest unknown", "no such image"),
        ("dial tcp: lookup r.example.com: no such host", "cannot be reached"),
        ("toomanyrequests: You have reached your pull rate limit", "limits the rate"),
    ],
)
def test_the_reason_is_found_behind_a_newer_back_off_event(said, told):
    manifest = pod(container("waiting: {reason: ImagePullBackOff, message: Back-off pulling image}", phase="Pending"))
    manifest += event("BackOff", "Back-off pulling image", last="2026-11-02T08:59:00Z") + event("Failed", said)
    finding = only(manifest)
    assert told in finding.message
    assert said in finding.message
    assert any(said in fact.value for fact in finding.evidence)


def test_a_crash_loop_says_how_the_container_ended():
    last = f"terminated: {{exitCode: 139, reason: Error, message: 'segfault in worker', finishedAt: '2026-11-02T08:58:00Z', startedAt: '{LONG_AGO}'}}"
    finding = only(
        pod(container("waiting: {reason: CrashLoopBackOff, message: back-off 5m0s}", restarts=12, last=last))
    )
    assert (finding.code, finding.severity) == ("PodCrashLoopBackOff", "critical")
    for fact in ("12 restarts", "exit code 139", "SIGSEGV", "segfault in worker"):
        assert fact in finding.message


def test_a_crash_loop_for_memory_names_the_limit():
    last = "terminated: {exitCode: 137, reason: OOMKilled, finishedAt: '2026-11-02T08:58:00Z'}"
    finding = only(pod(container("waiting: {reason: CrashLoopBackOff}", restarts=4, last=last)))
    assert "OOMKilled" in finding.message
    assert "64Mi" in finding.message


def test_a_missing_secret_is_the_cause_of_the_pods_that_need_it():
    manifest = pod(
        container(
            "waiting: {reason: CreateContainerConfigError, message: 'secret \"api-key\" not found'}", phase="Pending"
        ),
        spec="volumes: [{name: v, secret: {secretName: api-key}}]",
    )
    found = {finding.code: finding for finding in diagnose_all(manifest)}
    assert found["PodConfigError"].cause == found["SecretMissing"].id
    assert found["SecretMissing"].consequences == 1


def test_nothing_is_called_missing_where_secrets_could_not_be_read():
    manifest = pod(
        container(
            "waiting: {reason: CreateContainerConfigError, message: 'secret \"api-key\" not found'}", phase="Pending"
        ),
        spec="volumes: [{name: v, secret: {secretName: api-key}}]",
    )
    assert [finding.code for finding in diagnose_all(manifest, forbidden=["Secret"])] == ["PodConfigError"]


@pytest.mark.parametrize(
    "reason", ["CreateContainerError", "RunContainerError", "PreCreateHookError", "PreStartHookError", "SomeNewError"]
)
def test_a_container_that_the_runtime_cannot_start(reason):
    finding = only(pod(container(f"waiting: {{reason: {reason}, message: no such file}}", phase="Pending")))
    assert finding.code == "PodContainerError"
    assert reason in finding.message


def test_each_container_in_trouble_has_a_finding_of_its_own():
    status = "phase: Pending, containerStatuses: [{name: a, state: {waiting: {reason: ErrImagePull}}}, {name: b, state: {waiting: {reason: ErrImagePull}}}], initContainerStatuses: [{name: c, state: {terminated: {exitCode: 0}}}]"
    assert [finding.container for finding in findings("Pod", pod(status))] == ["a", "b"]


def test_a_failing_init_container_and_a_failing_native_sidecar_are_looked_at():
    status = "phase: Pending, initContainerStatuses: [{name: i, restartCount: 3, state: {waiting: {reason: CrashLoopBackOff}}}, {name: s, state: {waiting: {reason: ErrImagePull}}}], containerStatuses: [{name: app, state: {waiting: {reason: PodInitializing}}}]"
    manifest = pod(status, spec="initContainers: [{name: i}, {name: s, restartPolicy: Always}]")
    assert [(finding.code, finding.container) for finding in findings("Pod", manifest)] == [
        ("PodCrashLoopBackOff", "i"),
        ("PodImagePullBackOff", "s"),
    ]
    paths = [finding.evidence[0].source for finding in findings("Pod", manifest)]
    assert paths == [f"status.initContainerStatuses[{name}].state.waiting.reason" for name in "is"]


@pytest.mark.parametrize("conditions", [READY, UNREADY])
def test_an_ephemeral_container_that_does_not_start_is_reported_and_one_that_ended_is_not(conditions):
    running = container(f"running: {{startedAt: '{LONG_AGO}'}}", ready="true", conditions=conditions)
    ephemeral = ", ephemeralContainerStatuses: [{name: debugger, state: {%s}}]"
    manifest = pod(running + ephemeral % "waiting: {reason: ErrImagePull}")
    assert ("PodImagePullBackOff", "debugger", "warning") in [
        (finding.code, finding.container, finding.severity) for finding in findings("Pod", manifest)
    ]
    # Who leaves a debugging session with Ctrl-C has broken nothing.
    manifest = pod(running + ephemeral % "terminated: {exitCode: 130, reason: Error}")
    assert "debugger" not in [finding.container for finding in findings("Pod", manifest)]


# --- pods that have ended --------------------------------------------------------------------------------

ENDED = "terminated: {exitCode: 1, reason: Error, message: 'boom', finishedAt: '2026-11-02T08:00:00Z'}"


def test_a_failed_pod_of_nobody_is_found():
    finding = only(pod(container(ENDED, phase="Failed"), spec="restartPolicy: Never"))
    assert (finding.code, finding.severity) == ("PodContainerFailed", "critical")
    assert "exit code 1" in finding.message
    assert "boom" in finding.message


JOB_POD = "ownerReferences: [{kind: Job, name: nightly, controller: true}]"


def job(condition: str) -> str:
    return f"""
---
apiVersion: batch/v1
kind: Job
metadata: {{name: nightly, namespace: shop}}
status: {{conditions: [{condition}]}}
"""


@pytest.mark.parametrize(
    ("condition", "severity"),
    [("{type: Complete, status: 'True'}", None), ("{type: Failed, status: 'True'}", "warning"), ("", "info")],
)
def test_a_failed_pod_of_a_job_matters_as_much_as_the_job_says(condition, severity):
    manifest = pod(container(ENDED, phase="Failed"), spec="restartPolicy: Never", metadata=JOB_POD) + job(condition)
    assert [finding.severity for finding in findings("Pod", manifest)] == ([severity] if severity else [])


@pytest.mark.parametrize(
    "reason", ["NodeLost", "OutOfcpu", "NodeAffinity", "UnexpectedAdmissionError", "Preempting", "DeadlineExceeded"]
)
def test_a_pod_that_failed_before_any_container_ran_is_found(reason):
    finding = only(pod(f"phase: Failed, reason: {reason}, message: 'it was so'"))
    assert finding.code == "PodFailed"
    assert reason in finding.message
    assert "it was so" in finding.message


def test_an_evicted_pod_says_why():
    finding = only(pod("phase: Failed, reason: Evicted, message: 'The node was low on resource: memory.'"))
    assert finding.code == "PodEvicted"
    assert "low on resource" in finding.message


def test_what_a_controller_has_replaced_is_only_worth_knowing():
    owned = "ownerReferences: [{kind: ReplicaSet, name: web, controller: true}]"
    assert only(pod("phase: Failed, reason: Evicted, message: m", metadata=owned)).severity == "info"


@pytest.mark.parametrize(
    ("kind", "policy", "ended", "severity"),
    [
        ("Workflow", "Never", "2026-11-02T08:00:00Z", "warning"),
        ("TaskRun", "OnFailure", "2026-11-02T08:00:00Z", "warning"),
        ("Workflow", "Never", "2026-10-20T08:00:00Z", "info"),
        ("CloneSet", "Always", "2026-11-02T08:00:00Z", "info"),
    ],
)
def test_a_failed_step_of_a_workflow_is_not_replaced_so_it_matters_while_it_is_news(kind, policy, ended, severity):
    failed = container(ENDED.replace("2026-11-02T08:00:00Z", ended), phase="Failed")
    owner = f"ownerReferences: [{{kind: {kind}, name: etl, controller: true}}]"
    finding = only(pod(failed, spec=f"restartPolicy: {policy}", metadata=owner))
    assert (finding.code, finding.severity) == ("PodContainerFailed", severity)


def rejected(number: int, time: str) -> str:
    owner = "ownerReferences: [{kind: ReplicaSet, name: web-7d, controller: true}]"
    manifest = pod("phase: Failed, reason: UnexpectedAdmissionError, message: no healthy devices", metadata=owner)
    return "\n---\n" + manifest.replace("web-1", f"web-7d-{number}").replace(LONG_AGO, f"2026-11-02T{time}Z")


def test_pods_that_a_node_rejects_again_and_again_explain_their_deployment():
    deployment = f"""
---
apiVersion: apps/v1
kind: Deployment
metadata: {{name: web, namespace: shop, creationTimestamp: '{LONG_AGO}'}}
spec: {{replicas: 1}}
status: {{replicas: 1, conditions: [{{type: Available, status: 'False', lastTransitionTime: '{LONG_AGO}'}}]}}
---
apiVersion: apps/v1
kind: ReplicaSet
metadata: {{name: web-7d, namespace: shop, ownerReferences: [{{apiVersion: apps/v1, kind: Deployment, name: web, controller: true}}]}}
spec: {{replicas: 1}}
status: {{replicas: 1}}
"""
    storm = "".join(rejected(number, f"08:5{number}:00") for number in range(4))
    found = diagnose_all(deployment + storm)
    [newest] = [finding for finding in found if finding.kind == "Pod" and finding.severity == "warning"]
    assert (newest.code, newest.name) == ("PodFailed", "web-7d-3")
    [down] = [finding for finding in found if finding.kind == "Deployment"]
    assert down.cause == newest.id
    # Two such pods, or many of some time ago, are traces.
    for few in (rejected(0, "08:50:00") + rejected(1, "08:51:00"), storm.replace("T08:", "T03:")):
        assert {finding.severity for finding in findings("Pod", few)} == {"info"}


def test_a_pod_of_a_lost_node_points_at_the_node():
    found = {finding.kind: finding for finding in diagnose_all(pod("phase: Unknown, reason: NodeLost") + NODE_DOWN)}
    assert found["Pod"].code == "PodUnknown"
    assert found["Pod"].cause == found["Node"].id


@pytest.mark.parametrize(
    ("deleted", "expected"), [("2026-11-02T08:30:00Z", ["PodTerminatingStuck"]), ("2026-11-02T08:59:40Z", [])]
)
def test_a_pod_that_does_not_go_away_is_reported_once_its_grace_is_over(deleted, expected):
    manifest = pod(
        container(f"running: {{startedAt: '{LONG_AGO}'}}"),
        metadata=f"deletionTimestamp: '{deleted}', finalizers: [example.com/hold]",
    )
    assert codes("Pod", manifest) == expected
    if expected:
        assert "example.com/hold" in only(manifest).message


# --- pods that run ---------------------------------------------------------------------------------------


def test_a_container_killed_for_memory_lately_is_reported_while_it_runs():
    last = "terminated: {exitCode: 137, reason: OOMKilled, finishedAt: '2026-11-02T08:40:00Z'}"
    running = container(
        f"running: {{startedAt: '{LONG_AGO}'}}", ready="true", restarts=1, last=last, conditions=READY
    )
    finding = only(pod(running))
    assert (finding.code, finding.severity) == ("PodOOMKilled", "warning")
    assert "64Mi" in finding.message
    assert codes("Pod", pod(running.replace("2026-11-02T08:40:00Z", "2026-11-01T08:40:00Z"))) == []


@pytest.mark.parametrize(("restarts", "exit_code", "expected"), [(5, 1, ["PodRestarting"]), (1, 1, []), (5, 0, [])])
def test_repeated_restarts_are_reported_while_the_container_runs(restarts, exit_code, expected):
    last = f"terminated: {{exitCode: {exit_code}, reason: Error, finishedAt: '2026-11-02T08:40:00Z'}}"
    manifest = pod(
        container(
            f"running: {{startedAt: '{LONG_AGO}'}}", ready="true", restarts=restarts, last=last, conditions=READY
        )
    )
    assert codes("Pod", manifest) == expected


@pytest.mark.parametrize("kind", ["liveness", "startup"])
def test_a_probe_that_has_a_container_restarted_is_named_whatever_the_exit_code(kind):
    kill = event(
        "Killing", f"Container app failed {kind} probe, will be restarted", field_path="spec.containers{app}"
    )
    kill = kill.replace("Warning", "Normal") + event(
        "Unhealthy", f"{kind.capitalize()} probe failed: statuscode: 503"
    )
    # Programs that heed SIGTERM end with 0.
    last = "terminated: {exitCode: 0, reason: Completed, finishedAt: '2026-11-02T08:40:00Z'}"
    running = container("running: {}", ready="true", restarts=9, last=last, conditions=READY)
    finding = only(pod(running) + kill)
    assert finding.code == "PodRestarting"
    assert f"Its {kind} probe fails" in finding.message
    assert "503" in finding.message
    waiting = container("waiting: {reason: CrashLoopBackOff, message: back-off}", restarts=9, last=last)
    finding = only(pod(waiting) + kill)
    assert finding.code == "PodCrashLoopBackOff"
    assert f"Its {kind} probe fails" in finding.message
    # Killed for another reason, or another container.
    assert codes("Pod", pod(running) + kill.replace("failed", "passed")) == []
    assert codes("Pod", pod(running) + kill.replace("containers{app}", "containers{other}")) == []


@pytest.mark.parametrize("policy", ["Never", "OnFailure"])
def test_a_pod_is_no_problem_while_only_some_of_its_containers_have_done_their_work(policy):
    done = "{name: helper, state: {terminated: {exitCode: 0, reason: Completed}}}"
    works = f"{{name: app, ready: true, state: {{running: {{startedAt: '{LONG_AGO}'}}}}}}"
    status = f"phase: Running, {UNREADY}, containerStatuses: [{done}, {works}]"
    node = NODE_DOWN.replace("Unknown", "'True'")
    assert codes("Pod", pod(status, spec=f"restartPolicy: {policy}") + node) == []
    unready = pod(status.replace("ready: true", "ready: false"), spec=f"restartPolicy: {policy}")
    assert codes("Pod", unready + node) == ["PodNotReady"]
    assert codes("Pod", pod(status, spec=f"restartPolicy: {policy}") + NODE_DOWN) == ["PodNotReady"]


@pytest.mark.parametrize("kind", ["Readiness", "Liveness", "Startup"])
def test_the_probe_that_fails_is_named_with_its_settings(kind):
    manifest = pod(container(f"running: {{startedAt: '{LONG_AGO}'}}"))
    manifest = manifest.replace(
        "resources:", f"{kind.lower()}Probe: {{periodSeconds: 7, failureThreshold: 2}}, resources:"
    )
    manifest += event(
        "Unhealthy", f"{kind} probe failed: HTTP probe failed with statuscode: 503", field_path="spec.containers{app}"
    )
    finding = only(manifest)
    assert finding.code == "PodProbeFailing"
    assert f"{kind.lower()} probe" in finding.message
    assert "503" in finding.message
    assert any("period 7s" in fact.value for fact in finding.evidence)


def test_a_container_has_the_time_to_come_up_that_its_probes_give_it():
    refused = event("Unhealthy", "Readiness probe failed: connection refused", field_path="spec.containers{app}")

    def started(time: str, probe: str, restarts: int = 0) -> str:
        running = container(f"running: {{startedAt: '2026-11-02T{time}Z'}}", restarts=restarts)
        return pod(running).replace("resources:", f"readinessProbe: {{{probe}}}, resources:") + node

    node = NODE_DOWN.replace("Unknown", "'True'")
    usual, slow = "periodSeconds: 10, failureThreshold: 3", "initialDelaySeconds: 300, periodSeconds: 10"
    assert codes("Pod", started("08:58:30", usual) + refused) == codes("Pod", started("08:58:30", usual)) == []
    assert codes("Pod", started("08:56:00", slow) + refused) == codes("Pod", started("08:56:00", slow)) == []
    assert codes("Pod", started("08:50:00", slow) + refused) == ["PodProbeFailing"]
    assert codes("Pod", started("08:50:00", slow)) == ["PodNotReady"]
    # One that was restarted is not coming up for the first time.
    assert codes("Pod", started("08:58:30", usual, restarts=2) + refused) == ["PodProbeFailing"]


def test_a_probe_event_of_another_container_or_of_long_ago_is_not_this_ones():
    running = pod(container(f"running: {{startedAt: '{LONG_AGO}'}}"))
    other = event("Unhealthy", "Readiness probe failed", field_path="spec.containers{other}")
    old = event("Unhealthy", "Readiness probe failed", last="2026-11-02T05:00:00Z")
    assert codes("Pod", running + other) == codes("Pod", running + old) == ["PodNotReady"]


def test_a_pod_that_is_not_ready_points_at_its_node_that_is_not():
    found = {
        finding.kind: finding
        for finding in diagnose_all(pod(container(f"running: {{startedAt: '{LONG_AGO}'}}")) + NODE_DOWN)
    }
    assert found["Pod"].code == "PodNotReady"
    assert found["Pod"].cause == found["Node"].id


# --- pods that do not start ------------------------------------------------------------------------------

CREATING = pod(container("waiting: {reason: ContainerCreating}", phase="Pending"))


def test_the_sandbox_the_volume_and_neither_are_told_apart():
    assert codes("Pod", CREATING + event("FailedCreatePodSandBox", "plugin type=calico failed")) == [
        "PodSandboxFailed"
    ]
    assert codes("Pod", CREATING + event("FailedMount", "MountVolume.SetUp failed")) == ["PodMountFailed"]
    assert codes("Pod", CREATING + event("FailedAttachVolume", "Multi-Attach error")) == ["PodMountFailed"]
    assert codes("Pod", CREATING) == ["PodCreationStuck"]


@pytest.mark.parametrize("reason", ["FailedMount", "FailedCreatePodSandBox"])
def test_what_failed_at_first_and_has_worked_since_is_no_problem(reason):
    manifest = CREATING.replace(LONG_AGO, "2026-11-02T08:55:00Z") + event(reason, "timed out")
    first_try = manifest.replace("2026-11-02T04:30:00Z", "2026-11-02T08:59:30Z")
    pulls = event("Pulling", "Pulling image", last="2026-11-02T08:58:30Z").replace("Warning", "Normal")
    assert len(codes("Pod", manifest)) == 1
    assert codes("Pod", first_try) == codes("Pod", manifest + pulls) == []


def test_an_event_about_an_earlier_pod_of_the_same_name_is_not_about_this_one():
    assert codes("Pod", CREATING + event("FailedMount", "m").replace("uid: u1", "uid: earlier")) == [
        "PodCreationStuck"
    ]


def test_an_init_container_that_runs_for_long_is_reported():
    status = f"phase: Pending, initContainerStatuses: [{{name: i, state: {{running: {{startedAt: '{LONG_AGO}'}}}}}}], containerStatuses: [{{name: app, state: {{waiting: {{reason: PodInitializing}}}}}}]"
    manifest = pod(status, spec="initContainers: [{name: i}]")
    assert codes("Pod", manifest) == ["PodInitStuck"]
    # Shortly after its start, an init container that runs is what should be.
    assert codes("Pod", manifest.replace(LONG_AGO, "2026-11-02T08:55:00Z")) == []


def test_a_service_account_that_is_gone_is_reported_and_one_that_is_there_is_not():
    running = pod(
        container(f"running: {{startedAt: '{LONG_AGO}'}}", ready="true", conditions=READY),
        spec="serviceAccountName: robot",
    )
    there = "\n---\n{apiVersion: v1, kind: ServiceAccount, metadata: {name: robot, namespace: shop}}"
    assert codes("Pod", running) == ["PodServiceAccountMissing"]
    assert codes("Pod", running + there) == []
    assert codes("Pod", running, forbidden=["ServiceAccount"]) == []


def test_a_pull_secret_that_does_not_exist_is_named():
    manifests = """
apiVersion: v1
kind: Pod
metadata: {name: web-1, namespace: shop}
spec:
  nodeName: n1
  containers: [{name: app, image: 'registry.example.com/app:1'}]
  imagePullSecrets: [{name: registry}]
status:
  phase: Pending
  conditions: [{type: PodScheduled, status: 'True'}]
  containerStatuses: [{name: app, state: {waiting: {reason: ImagePullBackOff, message: unauthorized}}}]
"""
    [finding] = [each for each in findings("Pod", manifests) if each.code == "PodImagePullBackOff"]
    assert "Its pull secret registry does not exist" in finding.message
    assert "registry" in finding.masked
    there = "---\n{apiVersion: v1, kind: Secret, metadata: {name: registry, namespace: shop}}"
    assert not any("secret registry does not exist" in each.message for each in findings("Pod", manifests + there))
    assert not any(
        "secret registry does not exist" in each.message for each in findings("Pod", manifests, forbidden=["Secret"])
    )
