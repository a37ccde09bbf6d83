"""Each signal by itself: what it is made of, what is not quite it, and nothing that makes looking raise."""

from __future__ import annotations

import base64
import json
import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmauth.platform import CLOUDS, PLATFORMS, SimulatedMachine, ThisMachine
from llmauth.platform.detector import detect
from llmauth.platform.firmware import AZURE_TAG, FOLDER, XEN_UUID
from llmauth.platform.signals import Signal, look
from tests.llmauth.platform.machines import (
    AKS,
    AZURE_FEDERATION,
    AZURE_TOKEN,
    CODE_ENGINE,
    CODE_ENGINE_TOKEN,
    EKS,
    EXTERNAL_ACCOUNT,
    GKE,
    HOST,
    IBM_TOKEN,
    IRSA,
    IRSA_TOKEN,
    KNATIVE,
    NITRO,
    OCI_PRINCIPAL,
    OKE_PRINCIPAL,
    OWN,
    POD_IDENTITY,
    SERVICE_ACCOUNT,
    machine,
    pod,
    searching,
    token,
)
from tests.sources import ROOT

Parts = tuple[dict[str, str], ...]
PEM, RPT = "OCI_RESOURCE_PRINCIPAL_PRIVATE_PEM", "OCI_RESOURCE_PRINCIPAL_RPT_ENDPOINT"


@pytest.mark.parametrize(
    ("parts", "signals"),
    [
        ((), ""),
        ((HOST,), "kubernetes"),
        ((pod(EKS),), "kubernetes service_account_token issuer_eks"),
        ((pod(OWN),), "kubernetes service_account_token issuer_other"),
        ((pod("kubernetes/serviceaccount"),), "kubernetes service_account_token"),
        ((IRSA,), "irsa"),
        (({**IRSA, IRSA_TOKEN: token(EKS)},), "issuer_eks irsa"),
        # A file that a variable names may be anybody's, and tells of no cluster.
        (({**IRSA, IRSA_TOKEN: token("https://token.actions.githubusercontent.com")},), "irsa"),
        (({**AZURE_FEDERATION, AZURE_TOKEN: token(AKS)},), "issuer_aks azure_federated_token"),
        # The pod's own token comes first.
        (({**pod(GKE), **IRSA, IRSA_TOKEN: token(EKS)},), "kubernetes service_account_token issuer_gke irsa"),
        ((POD_IDENTITY,), "eks_pod_identity"),
        (({"AWS_CONTAINER_CREDENTIALS_FULL_URI": "http://127.0.0.1:9/c"},), "aws_container_credentials"),
        (({"AWS_CONTAINER_CREDENTIALS_RELATIVE_URI": "/v2/c"},), "ecs_credentials"),
        (({"AWS_EXECUTION_ENV": "AWS_ECS_EC2"},), "ecs_task"),
        (({"AWS_EXECUTION_ENV": "CloudShell"},), ""),
        (({"AWS_LAMBDA_FUNCTION_NAME": "f"},), "lambda_function"),
        (
            (dict.fromkeys(("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN"), "k"),),
            "",
        ),
        (({"IDENTITY_ENDPOINT": "e", "IDENTITY_HEADER": "h"},), "azure_managed_identity"),
        (
            ({"IDENTITY_ENDPOINT": "e", "IDENTITY_HEADER": "h", "IDENTITY_SERVER_THUMBPRINT": "t"},),
            "service_fabric",
        ),
        (({"IDENTITY_ENDPOINT": "e", "IMDS_ENDPOINT": "i"},), "azure_arc"),
        (({"MSI_ENDPOINT": "e"},), ""),
        ((EXTERNAL_ACCOUNT,), "google_external_account"),
        (({"GOOGLE_APPLICATION_CREDENTIALS": "/missing.json"},), ""),
        (({**EXTERNAL_ACCOUNT, "/etc/wif.json": '["external_account"]'},), ""),
        (({**EXTERNAL_ACCOUNT, "/etc/wif.json": '{"type": ["external_account"]}'},), ""),
        ((KNATIVE,), "knative_service"),
        (({"CLOUD_RUN_JOB": "j"},), ""),
        ((OCI_PRINCIPAL,), "oci_resource_principal"),
        ((OKE_PRINCIPAL,), "oke_resource_principal"),
        (({**OKE_PRINCIPAL, PEM: "/key.pem"},), "oci_resource_principal_other"),
        (({**OKE_PRINCIPAL, RPT: "https://x"},), "oci_resource_principal_other"),
        (({"OCI_RESOURCE_PRINCIPAL_VERSION": "9"},), "oci_resource_principal_other"),
        ((IBM_TOKEN,), "ibm_compute_token"),
        (({"IBMCLOUD_CR_TOKEN": "@/token"},), "ibm_compute_token"),
        (({"/var/run/secrets/tokens/vault-token": token(aud="iam")},), "ibm_compute_token"),
        (({"/var/run/secrets/tokens/sa-token": token(aud=["vault"])},), ""),
        (({"/var/run/secrets/tokens/sa-token": "no token"},), ""),
        ((CODE_ENGINE, CODE_ENGINE_TOKEN), "code_engine code_engine_token"),
        ((searching("a.internal", "GOOGLE.internal."),), "search_gcp"),
        ((searching("x.y.internal.cloudapp.net"),), "search_azure"),
        ((searching("notgoogle.internal", "google.internal.example"),), ""),
        # Of several lists the last one counts.
        (({"/etc/resolv.conf": "search google.internal\nsearch corp.example"},), ""),
        (({"/etc/resolv.conf": "domain eu-west-1.compute.internal"},), "search_aws"),
        ((NITRO,), "dmi_aws"),
    ],
)
def test_what_each_signal_is_made_of(parts: Parts, signals: str) -> None:
    assert " ".join(signal for signal in Signal if signal in look(machine(*parts))) == signals


@pytest.mark.parametrize(
    ("issuer", "signal"),
    [
        ("https://oidc.eks.cn-north-1.amazonaws.com.cn/id/X", "issuer_eks"),
        ("https://oidc-eks.eu-west-1.api.aws/id/X", "issuer_eks"),
        ("https://oidc.eks.eu-west-1.amazonaws.com.evil.example/id/X", "issuer_other"),
        ("https://container.googleapis.com.evil.example/", "issuer_other"),
        ("https://evil.example/oidc.eks.eu-west-1.amazonaws.com", "issuer_other"),
        ("https://oidc.prod-aks.azure.com/1/", "issuer_aks"),
        ("https://c-1.hcp.westeurope.azmk8s.io", "issuer_aks"),
    ],
)
def test_issuers_are_known_by_their_whole_host(issuer: str, signal: str) -> None:
    """S3: no suffix and no part of a name is taken for the name."""
    assert signal in look(machine(pod(issuer)))


def test_every_signal_is_explained() -> None:
    page = (ROOT / "docs" / "credentials" / "platform.md").read_text(encoding="utf-8")
    table = page.partition("\n## The signals\n")[2].partition("\n## ")[0]
    shown = re.findall(r"^\| `(\w+)` \|", table, re.MULTILINE)
    assert sorted(shown) == sorted(signal.value for signal in Signal)


def test_a_real_machine_is_looked_at_as_a_simulated_one_is(tmp_path: Path) -> None:
    parts = {**pod(EKS), **NITRO, IRSA_TOKEN: token(EKS)}
    for name, text in parts.items():
        if name.startswith("/"):
            file = tmp_path / name.lstrip("/")
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(f"{text}\n")
    assert look(ThisMachine({**HOST, **IRSA}, tmp_path)) == look(machine(parts, IRSA))


# ---- whatever it meets ---------------------------------------------------------------------------------------------

VARIABLES = sorted({*HOST, *IRSA, *POD_IDENTITY, *AZURE_FEDERATION, *OCI_PRINCIPAL, *CODE_ENGINE, *KNATIVE})
FILES = [
    *(f"{SERVICE_ACCOUNT}/{name}" for name in ("token", "namespace")),
    *(f"{FOLDER}/{name}" for name in ("sys_vendor", "product_name", "chassis_asset_tag", "bios_vendor")),
    *("/etc/hosts", "/etc/resolv.conf", "/wif.json", XEN_UUID, IRSA_TOKEN, AZURE_TOKEN),
    *(f"/var/run/secrets/tokens/{name}" for name in ("vault-token", "sa-token")),
]
anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=5,
)
issuers = anything | st.sampled_from([EKS, AKS, GKE, OWN, "https://[", "https://", "https://[::1"])
texts = st.one_of(
    st.text(),
    st.builds(token, issuers, aud=anything),
    st.builds(json.dumps, anything),
    st.sampled_from(["Amazon EC2", AZURE_TAG, "/wif.json", IRSA_TOKEN, "2.2", "ec2", "search google.internal"]),
)


@given(
    environ=st.dictionaries(
        st.sampled_from([*VARIABLES, "GOOGLE_APPLICATION_CREDENTIALS", "IBM_CLOUD_API_KEY"]), texts
    ),
    files=st.dictionaries(st.sampled_from(FILES), texts),
)
def test_nothing_that_it_meets_makes_it_raise(environ: dict[str, str], files: dict[str, str]) -> None:
    found = detect(SimulatedMachine(environ, files))
    assert found.name in PLATFORMS
    assert found.workload <= set(CLOUDS)
    assert set(found.signals) <= set(Signal)


@pytest.mark.parametrize("text", ["{" * 40_000, "[" * 40_000, '{"a":' * 10_000, "1" * 60_000])
def test_json_of_any_depth_makes_nothing_raise(text: str) -> None:
    deep = f"h.{base64.urlsafe_b64encode(text.encode()).decode()}.s"
    files = {f"{SERVICE_ACCOUNT}/token": deep, "/wif.json": text, "/var/run/secrets/tokens/sa-token": deep}
    assert detect(SimulatedMachine({"GOOGLE_APPLICATION_CREDENTIALS": "/wif.json"}, files)).name == "kubernetes"
