"""The manifests of deployments/: valid as a whole, without contradictions, and no wider open than they have to be."""

from __future__ import annotations

import shutil
import subprocess
from collections import Counter
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

import llmauth
from llmauth.cli import main
from llmauth.config.settings import read_settings
from tests.sources import ROOT
from tests.test_manifests import told

FOLDER = ROOT / "deployments" / "kubernetes"
KUSTOMIZE = ROOT / "deployments" / "kustomize"
NAMED = (
    *("namespace", "configmap", "deployment", "deployment-with-auth", "aws-native-auth", "rbac", "service"),
    *("serviceaccount", "servicemonitor", "hpa", "pdb", "networkpolicy"),
)
NAMESPACE, NAME = "bedrock-system", "bedrock-proxy"
# Kinds that no cluster has by itself.
FOREIGN = {"ServiceMonitor", "Bundle", "Kustomization"}
# Secrets that somebody has to make; docs/KUBERNETES.md says how.
MADE = {"bedrock-proxy-ca", "bedrock-api-keys", "bedrock-proxy-tls", "bedrock-credentials"}
OVERLAYS = ("dev", "prod")
needs_kubectl = pytest.mark.skipif(shutil.which("kubectl") is None, reason="kubectl is not on the path")

Manifest = dict[str, Any]


def documents(text: str) -> list[Manifest]:
    return [one for one in YAML(typ="safe").load_all(text) if one is not None]


def in_folder() -> list[Manifest]:
    """What `kubectl apply -f deployments/kubernetes/` applies, in its order: no folder below it."""
    return [one for file in sorted(FOLDER.glob("*.yaml")) for one in documents(file.read_text(encoding="utf-8"))]


def the(kind: str, name: str = NAME, *, of: list[Manifest] | None = None) -> Manifest:
    found = [one for one in of or in_folder() if (one["kind"], one["metadata"]["name"]) == (kind, name)]
    assert found, f"no {kind} {name}"
    assert all(one == found[0] for one in found), f"{kind} {name} is told differently"
    return found[0]


def pod(of: list[Manifest] | None = None) -> Manifest:
    spec: Manifest = the("Deployment", of=of)["spec"]["template"]["spec"]
    return spec


def container(of: list[Manifest] | None = None) -> Manifest:
    (one,) = pod(of)["containers"]
    found: Manifest = one
    return found


@cache
def rendered(overlay: str) -> list[Manifest]:
    command = ["kubectl", "kustomize", str(FOLDER / "overlays" / overlay)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=30)
    assert done.returncode == 0, done.stderr
    return documents(done.stdout)


# ---- the folder as a whole -------------------------------------------------------------------------------------------


def test_defect_20_every_manifest_is_one_that_a_strict_server_takes() -> None:
    every = in_folder()
    if shutil.which("kubectl") is not None:  # to ask once for all takes seconds less
        every += [one for overlay in OVERLAYS for one in rendered(overlay)]
    faults = told([one for one in every if one["kind"] not in FOREIGN])
    assert [fault for each in faults for fault in each] == []


def test_the_files_are_those_of_the_pages_that_name_them() -> None:
    assert {f"{name}.yaml" for name in NAMED} <= {file.name for file in FOLDER.glob("*.yaml")}
    assert not list(FOLDER.glob("[Kk]ustomization*"))  # kubectl would apply it as an object, and fail


def test_no_two_files_say_different_things_and_there_is_one_deployment() -> None:
    """The namespace comes first as well, since kubectl goes by the names of files; the Deployment is in two of them."""
    keys = Counter((one["kind"], one["metadata"].get("namespace"), one["metadata"]["name"]) for one in in_folder())
    twice = {key for key, times in keys.items() if times > 1}
    assert twice == {("Namespace", None, NAMESPACE), ("Deployment", NAMESPACE, NAME)}
    for kind, _, name in twice:
        the(kind, name)
    assert in_folder()[0]["kind"] == "Namespace"
    assert [name for kind, _, name in keys if kind in ("Deployment", "StatefulSet", "DaemonSet")] == [NAME]


@pytest.mark.parametrize("name", ["deployment", "deployment-with-auth"])
def test_either_file_has_the_deployment(name: str) -> None:
    found = documents((FOLDER / f"{name}.yaml").read_text(encoding="utf-8"))
    assert the("Deployment", of=found) == the("Deployment")


def test_the_operator_is_given_the_very_same_alerts() -> None:
    (rule,) = documents((FOLDER / "variants" / "prometheusrule.yaml").read_text(encoding="utf-8"))
    (plain,) = documents((ROOT / "deployments" / "monitoring" / "alerts.yaml").read_text(encoding="utf-8"))
    assert (rule["kind"], rule["metadata"]["namespace"], rule["spec"]) == ("PrometheusRule", NAMESPACE, plain)
    assert the("ServiceMonitor")["spec"]["endpoints"][0]["honorLabels"] is True


def test_all_of_it_is_in_the_one_namespace() -> None:
    cluster = ("Namespace", "ClusterRole", "ClusterRoleBinding")
    wrong = [one for one in in_folder() if one["kind"] not in cluster and one["metadata"]["namespace"] != NAMESPACE]
    assert wrong == []


def test_links_and_kustomize_have_the_same_files() -> None:
    files = {file.name for file in KUSTOMIZE.rglob("*.yaml") if file.name != "kustomization.yaml"}
    whole = {"deployment-with-auth.yaml"}
    assert {file.resolve().name for file in FOLDER.glob("*.yaml")} - whole == files - {"auth.yaml"}
    base = documents((KUSTOMIZE / "base" / "auth.yaml").read_text(encoding="utf-8"))
    assert [one for one in documents((FOLDER / whole.pop()).read_text(encoding="utf-8")) if one in base] == base


# ---- the configuration -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("variables", [{}, "bedrock-proxy-alb"])
def test_defect_12_the_configuration_is_valid(
    tmp_path: Path, variables: Any, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    files = [tmp_path / "gateway.yaml", tmp_path / "auth.yaml"]
    files[0].write_text(the("ConfigMap", "bedrock-proxy-config")["data"]["gateway.yaml"])
    files[1].write_text(the("ConfigMap", "bedrock-proxy-auth")["data"]["auth.yaml"])
    environ = the("ConfigMap", variables)["data"] if variables else {}
    for name in ("AUTH_MODE", "STORAGE_URL", "LIMITS_URL", "AWS_REGION"):
        monkeypatch.delenv(name, raising=False)
    for name, value in environ.items():
        monkeypatch.setenv(name, value)
    assert main(["config", "check", *map(str, files)]) == 0, capsys.readouterr()
    given = {**the("ConfigMap", "bedrock-proxy-auth-mode")["data"], **environ, "LLMAUTH_HOME": str(tmp_path)}
    settings = read_settings(files, given)
    assert [one.type for one in settings.auth.methods] == given["AUTH_MODE"].split(",")
    assert settings.server.drain_timeout + _pause() < pod()["terminationGracePeriodSeconds"]
    ports = {one["name"]: one["containerPort"] for one in container()["ports"]}
    assert settings.metrics is not None
    listened = {"http": settings.server.port, "https": settings.server.tls_port, "metrics": settings.metrics.port}
    assert ports == listened


def _pause() -> float:
    script = container()["lifecycle"]["preStop"]["exec"]["command"][-1]
    return float(script.partition("sleep(")[2].partition(")")[0])


def test_mounts_and_files_are_there() -> None:
    mounts = {one["mountPath"]: one["name"] for one in container()["volumeMounts"]}
    volumes = {one["name"]: one for one in pod()["volumes"]}
    assert set(mounts.values()) == set(volumes)
    (files,) = [one["value"] for one in container()["env"] if one["name"] == "LLMAUTH_CONFIG"]
    assert container()["args"] == ["serve"]  # commands in the pod read the same files
    for path in files.split(":"):
        folder, _, file = path.rpartition("/")
        assert file in the("ConfigMap", volumes[mounts[folder]]["configMap"]["name"])["data"]


def test_defect_5_the_secret_of_the_script_is_the_one_that_is_read() -> None:
    script = (ROOT / "scripts" / "setup-auth.sh").read_text(encoding="utf-8")
    assert "secret=bedrock-api-keys" in script
    assert f"namespace={NAMESPACE}" in script
    assert {"secretRef": {"name": "bedrock-api-keys", "optional": True}} in container()["envFrom"]


def test_secrets_that_are_named_are_those_that_a_page_makes() -> None:
    page = (ROOT / "docs" / "KUBERNETES.md").read_text(encoding="utf-8")
    named = {one["secret"]["secretName"] for one in pod()["volumes"] if "secret" in one}
    named |= {one["secretRef"]["name"] for one in container()["envFrom"] if "secretRef" in one}
    assert named == MADE
    assert all(name in page for name in named)


# ---- the pod ---------------------------------------------------------------------------------------------------------


def _assert_hardened(spec: Manifest) -> None:
    of_pod = spec["securityContext"]
    assert (of_pod["runAsNonRoot"], of_pod["seccompProfile"]) == (True, {"type": "RuntimeDefault"})
    assert of_pod["runAsUser"] >= 10_000
    for one in (*spec["containers"], *spec.get("initContainers", ())):
        context = one["securityContext"]
        assert context["readOnlyRootFilesystem"] is True
        assert context["allowPrivilegeEscalation"] is False
        assert context["capabilities"] == {"drop": ["ALL"]}
        assert set(one["resources"]) == {"requests", "limits"}
        assert not {"/bin/sh", "sh", "bash"} & set(one.get("command", ()))
    assert not any(spec.get(name) for name in ("hostNetwork", "hostPID", "hostIPC"))
    assert not any("hostPath" in one for one in spec["volumes"])


def test_the_pod_is_one_that_the_namespace_takes() -> None:
    labels = the("Namespace", NAMESPACE, of=documents((FOLDER / "namespace.yaml").read_text()))["metadata"]["labels"]
    assert labels["pod-security.kubernetes.io/enforce"] == "restricted"
    _assert_hardened(pod())


def test_it_has_no_token_of_the_cluster_unless_it_asks_the_cluster() -> None:
    assert the("ServiceAccount")["automountServiceAccountToken"] is False
    assert pod()["automountServiceAccountToken"] is False


def test_the_image_is_of_this_version() -> None:
    assert container()["image"] == f"{NAME}:{llmauth.__version__}"


def test_probes_ask_what_each_is_for() -> None:
    """Defect 18: a provider's failure restarts nothing."""
    asked = {name: container()[name]["httpGet"]["path"] for name in ("startupProbe", "livenessProbe", "readinessProbe")}
    assert asked == {"startupProbe": "/health", "livenessProbe": "/health", "readinessProbe": "/ready"}


def test_keys_in_a_file_have_one_replica_and_one_writer() -> None:
    scaled = the("HorizontalPodAutoscaler")["spec"]
    assert (scaled["minReplicas"], scaled["maxReplicas"]) == (1, 1)
    assert the("Deployment")["spec"]["strategy"] == {"type": "Recreate"}
    assert the("PersistentVolumeClaim", "bedrock-proxy-state")["spec"]["accessModes"] == ["ReadWriteOnce"]


# ---- what finds it, and what reaches it ------------------------------------------------------------------------------


def test_everybody_means_the_same_pods_and_ports() -> None:
    deployment = the("Deployment")["spec"]
    labels = deployment["selector"]["matchLabels"]
    assert labels.items() <= deployment["template"]["metadata"]["labels"].items()
    assert the("Service")["spec"]["selector"] == labels
    assert the("PodDisruptionBudget")["spec"]["selector"]["matchLabels"] == labels
    assert the("HorizontalPodAutoscaler")["spec"]["scaleTargetRef"]["name"] == NAME
    names = {one["name"] for one in container()["ports"]}
    ports = {one["name"]: one["targetPort"] for one in the("Service")["spec"]["ports"]}
    assert set(ports.values()) == names
    (scraped,) = the("ServiceMonitor")["spec"]["endpoints"]
    assert scraped["port"] in ports
    (rule,) = the("Ingress")["spec"]["rules"]
    (path,) = rule["http"]["paths"]
    assert path["backend"]["service"] == {"name": NAME, "port": {"name": "http"}}


def test_nothing_may_speak_but_whoever_is_named() -> None:
    denied = the("NetworkPolicy", "default-deny")["spec"]
    assert denied == {"podSelector": {}, "policyTypes": ["Ingress", "Egress"]}
    policies = [one["spec"] for one in in_folder() if one["kind"] == "NetworkPolicy"]
    rules = [rule for spec in policies for rule in spec.get("ingress", ())]
    sources = [source for rule in rules for source in rule["from"]]
    assert all(rule["ports"] for rule in rules)
    assert all(source not in ({"namespaceSelector": {}}, {"podSelector": {}}) for source in sources)
    # A network of examples (RFC 5737) until somebody puts in their own.
    assert [source["ipBlock"]["cidr"] for source in sources if "ipBlock" in source] == ["192.0.2.0/24"]
    out = the("NetworkPolicy")["spec"]["egress"]
    assert [rule["to"][0]["ipBlock"]["except"] for rule in out if "ipBlock" in rule["to"][0]] == [["169.254.0.0/16"]]


def test_the_cluster_grants_two_verbs_on_two_things() -> None:
    granted = [rule for one in in_folder() if one["kind"] in ("Role", "ClusterRole") for rule in one["rules"]]
    assert granted == [
        {"apiGroups": ["authentication.k8s.io"], "resources": ["tokenreviews"], "verbs": ["create"]},
        {"apiGroups": [""], "resources": ["secrets"], "resourceNames": ["bedrock-credentials"], "verbs": ["get"]},
    ]


def test_nobody_comes_from_the_load_balancer_that_is_an_example() -> None:
    assert the("ConfigMap", "bedrock-proxy-alb")["data"]["ALB_NETWORK"] == "192.0.2.0/24"
    annotations = the("Ingress")["metadata"]["annotations"]
    assert annotations["alb.ingress.kubernetes.io/scheme"] == "internal"
    assert annotations["alb.ingress.kubernetes.io/auth-on-unauthenticated-request"] == "authenticate"


# ---- overlays --------------------------------------------------------------------------------------------------------


@needs_kubectl
@pytest.mark.parametrize("overlay", OVERLAYS)
def test_an_overlay_is_no_weaker(overlay: str) -> None:
    made = rendered(overlay)
    _assert_hardened(pod(made))
    assert len([one for one in made if one["kind"] == "Deployment"]) == 1
    assert {one["metadata"]["name"] for one in made if one["kind"] == "NetworkPolicy"} == {"default-deny", NAME}


@needs_kubectl
def test_several_replicas_share_what_they_must() -> None:
    made = rendered("prod")
    scaled = the("HorizontalPodAutoscaler", of=made)["spec"]
    assert scaled["minReplicas"] >= 2
    assert the("Deployment", of=made)["spec"]["strategy"]["type"] == "RollingUpdate"
    given = {one["name"]: one.get("valueFrom", {}).get("secretKeyRef", {}) for one in container(made)["env"]}
    assert {given[name]["name"] for name in ("STORAGE_URL", "LIMITS_URL")} == {"bedrock-proxy-storage"}
    # Each pod has a folder of its own for its audit record, on a volume that all mount.
    (mount,) = [one for one in container(made)["volumeMounts"] if one["mountPath"] == "/var/lib/llmauth"]
    assert mount["subPathExpr"] == "$(POD_NAME)"
    assert the("PersistentVolumeClaim", "bedrock-proxy-state", of=made)["spec"]["accessModes"] == ["ReadWriteMany"]
    # Who reviews tokens needs one itself.
    assert "service_account" in the("ConfigMap", "bedrock-proxy-auth-mode", of=made)["data"]["AUTH_MODE"]
    assert pod(made)["automountServiceAccountToken"] is True


@needs_kubectl
def test_the_key_of_placeholder_tokens_gets_where_it_is_looked_for(tmp_path: Path) -> None:
    """The script of the init container, run as it stands."""
    (init,) = pod(rendered("prod"))["initContainers"]
    shared, home = tmp_path / "shared", tmp_path / "volume" / "state"
    shared.mkdir()
    (shared / "token.key").write_bytes(b"k" * 32)
    (tmp_path / "volume").mkdir()
    script = init["command"][-1].replace("/etc/llmauth/shared", str(shared))
    for _ in range(2):  # a container may be started again
        subprocess.run(["python3", "-c", script], env={"LLMAUTH_HOME": str(home)}, check=True, timeout=20)
    assert (home / "token.key").read_bytes() == b"k" * 32
    assert ((home / "token.key").stat().st_mode & 0o777, home.stat().st_mode & 0o777) == (0o600, 0o700)
