from __future__ import annotations

from tests.analyzers.test_pod import LONG_AGO
from tests.analyzers.test_service import FAILING, HEALTHY, deployment, endpoints, service
from tests.views import codes, diagnose_all, findings

CLASS = "\n---\n{apiVersion: networking.k8s.io/v1, kind: IngressClass, metadata: {name: nginx, annotations: {ingressclass.kubernetes.io/is-default-class: 'true'}}}"
WEB = HEALTHY + service("selector: {app: web}, ports: [{name: http, port: 80, targetPort: 8080}]") + endpoints()


def ingress(
    backend: str = "{name: web, port: {number: 80}}",
    *,
    spec: str = "",
    metadata: str = "",
    name: str = "front",
    path: str = "/",
    status: str = "",
) -> str:
    return f"""
---
apiVersion: networking.k8s.io/v1
kind: Ingress
metadata: {{name: {name}, namespace: shop, creationTimestamp: '{LONG_AGO}'{", " + metadata if metadata else ""}}}
spec: {{{spec + ", " if spec else ""}rules: [{{host: shop.example.com, http: {{paths: [{{path: {path}, pathType: Prefix, backend: {{service: {backend}}}}}]}}}}]}}
status: {{{status}}}
"""


def test_an_ingress_that_leads_to_a_ready_service_is_no_problem():
    assert codes("Ingress", WEB + CLASS + ingress()) == []
    assert codes("Ingress", WEB + CLASS + ingress("{name: web, port: {name: http}}")) == []


def test_no_class_is_a_problem_only_where_there_is_no_default():
    other = CLASS.replace("'true'", "'false'")
    assert codes("Ingress", WEB + other + ingress()) == ["IngressNoClass"]
    assert codes("Ingress", WEB + other + ingress(metadata="annotations: {kubernetes.io/ingress.class: nginx}")) == []
    assert codes("Ingress", WEB + ingress(), forbidden=["IngressClass"]) == []


def test_a_class_that_does_not_exist_is_named_except_those_that_need_no_object():
    [finding] = findings("Ingress", WEB + CLASS + ingress(spec="ingressClassName: traefik"))
    assert (finding.code, finding.severity) == ("IngressClassMissing", "critical")
    assert "traefik" in finding.message
    assert "nginx" in finding.message
    assert codes("Ingress", WEB + CLASS + ingress(spec="ingressClassName: gce")) == []


def test_a_service_that_does_not_exist_is_reported_once_with_all_its_paths():
    paths = "{path: /a, pathType: Prefix, backend: {service: {name: gone, port: {number: 80}}}}, {path: /b, pathType: Prefix, backend: {service: {name: gone, port: {number: 80}}}}"
    manifest = WEB + CLASS + ingress().replace("paths: [", f"paths: [{paths}, ")
    [finding] = findings("Ingress", manifest)
    assert finding.code == "IngressServiceMissing"
    assert "shop.example.com/a" in finding.message
    assert "shop.example.com/b" in finding.message
    assert codes("Ingress", manifest, forbidden=["Service"]) == []


def test_the_default_backend_is_looked_at_and_a_resource_backend_left_alone():
    gone = ingress(spec="defaultBackend: {service: {name: gone, port: {number: 80}}}")
    assert codes("Ingress", WEB + CLASS + gone) == ["IngressServiceMissing"]
    bucket = ingress(spec="defaultBackend: {resource: {kind: Bucket, name: b}}")
    assert codes("Ingress", WEB + CLASS + bucket) == []


def test_a_port_that_the_service_does_not_have_is_reported():
    [finding] = findings("Ingress", WEB + CLASS + ingress("{name: web, port: {number: 8081}}"))
    assert finding.code == "IngressServicePortMissing"
    assert "8081" in finding.message
    assert codes("Ingress", WEB + CLASS + ingress("{name: web, port: {name: https}}")) == [
        "IngressServicePortMissing"
    ]


def test_an_ingress_on_a_service_without_ready_endpoints_points_at_what_broke_the_pods():
    broken = FAILING + service("selector: {app: web}, ports: [{port: 80}]") + endpoints("false")
    found = {finding.kind: finding for finding in diagnose_all(broken + CLASS + ingress())}
    assert found["Ingress"].code == "IngressNoReadyEndpoints"
    assert found["Ingress"].cause == found["Service"].cause == found["Pod"].id
    assert found["Ingress"].since == found["Service"].since is not None


TLS = "tls: [{hosts: [shop.example.com], secretName: cert}]"


def test_the_secret_with_the_certificate_must_exist_and_be_of_its_type():
    secret = "\n---\n{apiVersion: v1, kind: Secret, metadata: {name: cert, namespace: shop}, type: %s}"
    assert codes("Ingress", WEB + CLASS + ingress(spec=TLS)) == ["IngressTLSSecretMissing"]
    assert codes("Ingress", WEB + CLASS + ingress(spec=TLS), forbidden=["Secret"]) == []
    assert codes("Ingress", WEB + CLASS + ingress(spec=TLS) + secret % "Opaque") == ["IngressTLSSecretWrongType"]
    assert codes("Ingress", WEB + CLASS + ingress(spec=TLS) + secret % "kubernetes.io/tls") == []


def test_two_ingresses_of_one_class_on_one_path_conflict_and_a_canary_does_not():
    [finding] = findings("Ingress", WEB + CLASS + ingress() + ingress(name="later"))
    assert (finding.code, finding.name) == ("IngressPathConflict", "later")
    assert "shop/front" in finding.message
    assert codes("Ingress", WEB + CLASS + ingress() + ingress(name="later", path="/other")) == []
    canary = ingress(name="later", metadata="annotations: {nginx.ingress.kubernetes.io/canary: 'true'}")
    assert codes("Ingress", WEB + CLASS + ingress() + canary) == []


def test_no_address_is_a_problem_where_others_of_the_class_have_one():
    served = ingress(name="served", path="/served", status="loadBalancer: {ingress: [{ip: 1.2.3.4}]}")
    assert codes("Ingress", WEB + CLASS + ingress() + served) == ["IngressNoAddress"]
    assert codes("Ingress", WEB + CLASS + ingress()) == []


def test_a_missing_service_is_reported_once_with_the_paths_of_all_its_ports():
    paths = "{path: /a, pathType: Prefix, backend: {service: {name: gone, port: {number: 80}}}}, {path: /b, pathType: Prefix, backend: {service: {name: gone, port: {number: 81}}}}"
    [finding] = findings("Ingress", WEB + CLASS + ingress().replace("paths: [", f"paths: [{paths}, "))
    assert "shop.example.com/a and shop.example.com/b" in finding.message


def test_an_action_of_the_aws_controller_is_no_service():
    assert codes("Ingress", WEB + CLASS + ingress("{name: ssl-redirect, port: {name: use-annotation}}")) == []


def test_an_alias_has_every_port_by_number():
    alias = service("type: ExternalName, externalName: db.example.com")
    assert codes("Ingress", CLASS + alias + ingress()) == []
    assert codes("Ingress", CLASS + alias + ingress("{name: web, port: {name: http}}")) == [
        "IngressServicePortMissing"
    ]


def test_an_ingress_without_class_is_of_the_default_class():
    later = ingress(name="later", spec="ingressClassName: nginx")
    assert codes("Ingress", WEB + CLASS + ingress() + later) == ["IngressPathConflict"]
    other = ingress(name="later", spec="ingressClassName: gce")
    assert codes("Ingress", WEB + CLASS + ingress() + other) == []


def test_a_path_to_what_is_scaled_to_zero_on_purpose_is_worth_knowing():
    [finding] = findings("Ingress", service() + CLASS + deployment(0) + ingress())
    assert (finding.code, finding.severity) == ("IngressNoReadyEndpoints", "info")
    assert "scaled to zero" in finding.message
    assert finding.since is None


def test_endpoints_that_have_just_gone_are_given_time_as_the_service_gives_it():
    lost = FAILING.replace(LONG_AGO, "2026-11-02T08:59:30Z") + service() + endpoints("false")
    assert codes("Service", lost) == []
    assert codes("Ingress", lost + CLASS + ingress()) == []


def test_hosts_that_only_tls_names_can_be_masked():
    for finding in findings(
        "Ingress", WEB + CLASS + ingress(spec="tls: [{hosts: [only.example.com], secretName: c}]")
    ):
        assert "only.example.com" in finding.message
        assert "only.example.com" in finding.masked


ADDRESS = "loadBalancer: {ingress: [{hostname: %s}]}"
ALB = CLASS.replace("nginx", "alb").replace("}}}", "}}, spec: {controller: ingress.k8s.aws/alb}}")


def test_ingresses_at_different_load_balancers_do_not_conflict_and_at_the_same_they_do():
    apart = ingress(status=ADDRESS % "a.example.com") + ingress(name="later", status=ADDRESS % "b.example.com")
    assert codes("Ingress", WEB + CLASS + apart) == []
    together = ingress(status=ADDRESS % "a.example.com") + ingress(name="later", status=ADDRESS % "a.example.com")
    assert codes("Ingress", WEB + ALB + together) == ["IngressPathConflict"]


def test_ingresses_that_get_a_load_balancer_each_do_not_conflict_before_they_have_it():
    assert codes("Ingress", WEB + ALB + ingress() + ingress(name="later")) == []
    gce = "ingressClassName: gce"
    assert codes("Ingress", WEB + CLASS + ingress(spec=gce) + ingress(name="later", spec=gce)) == []


def test_of_three_ingresses_at_one_address_both_later_ones_conflict_with_the_first():
    found = findings("Ingress", WEB + CLASS + ingress(name="a") + ingress(name="b") + ingress(name="c"))
    assert [(finding.name, finding.key) for finding in found] == [("b", "shop/a"), ("c", "shop/a")]


def test_what_has_an_address_is_served_whatever_its_class():
    assert codes("Ingress", WEB + ingress(status=ADDRESS % "a.example.com")) == []
    named = ingress(spec="ingressClassName: contour", status=ADDRESS % "a.example.com")
    [finding] = findings("Ingress", WEB + CLASS + named)
    assert (finding.code, finding.severity) == ("IngressClassMissing", "warning")


def test_an_ingress_without_a_class_that_gets_no_address_is_one_problem():
    served = ingress(name="served", path="/served", status=ADDRESS % "a.example.com")
    assert codes("Ingress", WEB + served + ingress()) == ["IngressNoAddress"]
    assert codes("Ingress", WEB + ingress()) == ["IngressNoClass"]


def test_a_controllers_own_words_tell_why_there_is_no_address():
    event = """
---
{apiVersion: v1, kind: Event, metadata: {name: e, namespace: shop}, type: Warning, reason: FailedBuildModel,
  involvedObject: {kind: Ingress, namespace: shop, name: front}, message: no subnet found}
"""
    [finding] = findings("Ingress", WEB + CLASS + ingress() + event)
    assert (finding.code, finding.severity) == ("IngressNoAddress", "warning")
    assert "no subnet found" in finding.message
    served = ingress(status=ADDRESS % "a.example.com")
    assert codes("Ingress", WEB + CLASS + served + event) == []


def test_a_certificate_that_cert_manager_is_to_make_is_given_time():
    requested = ingress(spec=TLS, metadata="annotations: {cert-manager.io/cluster-issuer: letsencrypt}")
    assert codes("Ingress", WEB + CLASS + requested.replace(LONG_AGO, "2026-11-02T08:55:00Z")) == []
    [finding] = findings("Ingress", WEB + CLASS + requested)
    assert finding.code == "IngressTLSSecretMissing"
    assert "cert-manager" in finding.message
    assert "letsencrypt" in finding.masked
    switched_on = ingress(spec=TLS, metadata="annotations: {kubernetes.io/tls-acme: 'true'}")
    [finding] = findings("Ingress", WEB + CLASS + switched_on)
    assert "true" not in finding.masked
    plain = ingress(spec=TLS).replace(LONG_AGO, "2026-11-02T08:55:00Z")
    assert codes("Ingress", WEB + CLASS + plain) == ["IngressTLSSecretMissing"]


def test_a_service_that_is_applied_right_after_the_ingress_is_not_missing_yet():
    gone = ingress("{name: gone, port: {number: 80}}")
    assert codes("Ingress", WEB + CLASS + gone.replace(LONG_AGO, "2026-11-02T08:59:50Z")) == []
    assert codes("Ingress", WEB + CLASS + gone) == ["IngressServiceMissing"]


def test_an_opaque_secret_may_hold_a_certificate_and_a_pull_secret_never_does():
    secret = "\n---\n{apiVersion: v1, kind: Secret, metadata: {name: cert, namespace: shop}, type: %s}"
    for secret_type, severity in (("Opaque", "info"), ("kubernetes.io/dockerconfigjson", "warning")):
        [finding] = findings("Ingress", WEB + CLASS + ingress(spec=TLS) + secret % secret_type)
        assert (finding.code, finding.severity) == ("IngressTLSSecretWrongType", severity)


def test_a_host_that_no_certificate_is_for_is_worth_knowing():
    secret = "\n---\n{apiVersion: v1, kind: Secret, metadata: {name: cert, namespace: shop}, type: kubernetes.io/tls}"
    other = "tls: [{hosts: [other.example.com], secretName: cert}]"
    [finding] = findings("Ingress", WEB + CLASS + secret + ingress(spec=other))
    assert (finding.code, finding.severity) == ("IngressHostWithoutTLS", "info")
    assert "shop.example.com" in finding.message
    for covered in ("tls: [{hosts: ['*.example.com'], secretName: cert}]", "tls: [{secretName: cert}]", TLS):
        assert codes("Ingress", WEB + CLASS + secret + ingress(spec=covered)) == []
