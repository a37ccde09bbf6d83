"""The one name of a platform whose signals speak of several: each ambiguity, and how it is decided."""

from __future__ import annotations

import pytest

from llmauth.platform.detector import detect
from llmauth.platform.naming import machine_of, named
from llmauth.platform.signals import Signal
from tests.llmauth.platform.machines import (
    AKS,
    AZURE,
    AZURE_FEDERATION,
    AZURE_TOKEN,
    EKS,
    EXTERNAL_ACCOUNT,
    GKE,
    GOOGLE,
    HOST,
    HYPER_V,
    IBM_TOKEN,
    IRSA,
    IRSA_TOKEN,
    KNATIVE,
    LAPTOP,
    NITRO,
    OKE_PRINCIPAL,
    OWN,
    POD_IDENTITY,
    SERVICE_ACCOUNT,
    dmi,
    machine,
    pod,
    searching,
    token,
)

Parts = tuple[dict[str, str], ...]

# (parts of the machine, name, workload, machine)
AMBIGUOUS: dict[str, tuple[Parts, str, str, str | None]] = {
    # Federation is legal on any cluster: it adds an identity, and the cluster keeps its name.
    "IRSA on AKS, by the cluster's issuer": ((pod(AKS), IRSA, AZURE), "aks", "aws", "azure"),
    "IRSA on AKS beside its own identity": ((pod(AKS), IRSA, AZURE_FEDERATION), "aks", "aws azure", None),
    "IRSA on AKS, which only Azure's variables tell": ((pod(), IRSA, AZURE_FEDERATION), "aks", "aws azure", None),
    "IRSA on AKS, by the issuer of the token for AWS": ((pod(), IRSA, {IRSA_TOKEN: token(AKS)}), "aks", "aws", None),
    "IRSA on GKE": ((pod(GKE), IRSA, GOOGLE), "gke", "aws gcp", "gcp"),
    "IRSA on kind": ((pod("https://bucket.s3.amazonaws.com/keys"), IRSA, LAPTOP), "kubernetes", "aws", None),
    "IRSA on kind, on an EC2 machine": ((pod(OWN), IRSA, NITRO), "kubernetes", "aws", "aws"),
    "Azure's webhook on EKS": ((pod(EKS), AZURE_FEDERATION, NITRO), "eks", "azure", "aws"),
    "Azure's webhook on EKS, and IRSA": ((pod(EKS), AZURE_FEDERATION, IRSA), "eks", "aws azure", None),
    "both, and the machine tells": ((pod(), AZURE_FEDERATION, IRSA, NITRO), "eks", "aws azure", "aws"),
    "both, and the domain tells": (
        (pod(), AZURE_FEDERATION, IRSA, searching("ec2.internal")),
        "eks",
        "aws azure",
        None,
    ),
    "both, and the token for Azure tells": (
        (pod(), AZURE_FEDERATION, IRSA, {AZURE_TOKEN: token(EKS)}),
        "eks",
        "aws azure",
        None,
    ),
    "Azure's webhook on kind": ((pod(OWN), AZURE_FEDERATION), "kubernetes", "azure", None),
    "Azure's variables where Pod Identity's agent is": (
        (pod(), AZURE_FEDERATION, POD_IDENTITY),
        "eks",
        "aws azure",
        None,
    ),
    "Oracle's variables on EKS": ((pod(EKS), OKE_PRINCIPAL), "eks", "", None),
    "IBM's token on GKE": ((pod(GKE), IBM_TOKEN), "gke", "gcp ibm", None),
    "Google's federation on EKS": ((pod(EKS), EXTERNAL_ACCOUNT), "eks", "gcp", None),
    "IRSA and Pod Identity": ((pod(EKS), IRSA, POD_IDENTITY), "eks", "aws", None),
    "a token that is malformed": (({**HOST, f"{SERVICE_ACCOUNT}/token": "a.b.c"}, IRSA), "eks", "aws", None),
    "a token of before Kubernetes had issuers": ((pod("kubernetes/serviceaccount"), IRSA), "eks", "aws", None),
    "kind on a Google machine": ((pod(OWN), GOOGLE, searching("google.internal")), "kubernetes", "", "gcp"),
    # Several clouds at once on one machine.
    "a laptop of many clouds": (
        (
            {"AWS_PROFILE": "p", "AWS_ACCESS_KEY_ID": "k", "AZURE_CLIENT_ID": "c", "AZURE_TENANT_ID": "t"},
            {"AZURE_CLIENT_SECRET": "s", "IBM_CLOUD_API_KEY": "k", "GOOGLE_CLOUD_PROJECT": "p"},
            {"GOOGLE_APPLICATION_CREDENTIALS": "/adc.json", "/adc.json": '{"type": "authorized_user"}'},
            LAPTOP,
        ),
        "generic",
        "",
        None,
    ),
    "a key file is no workload identity": (
        ({"GOOGLE_APPLICATION_CREDENTIALS": "/key.json", "/key.json": '{"type": "service_account"}'}, LAPTOP),
        "generic",
        "",
        None,
    ),
    # Knative is in more places than Cloud Run.
    "plain Knative": ((KNATIVE, HOST), "kubernetes", "", None),
    "plain Knative on GKE": ((KNATIVE, pod(GKE), GOOGLE), "gke", "gcp", "gcp"),
    "Knative's variables on a laptop": ((KNATIVE, LAPTOP), "generic", "", None),
    "Knative's variables on EC2": ((KNATIVE, NITRO), "ec2", "", "aws"),
    "one of Knative's variables": (({"K_SERVICE": "s"}, GOOGLE), "gce", "", "gcp"),
    # A pod is a pod.
    "the environment is emptied, the token is there": (
        ({f"{SERVICE_ACCOUNT}/token": token(OWN)},),
        "kubernetes",
        "",
        None,
    ),
    "the environment is emptied, the kubelet's hosts are there": (
        ({"/etc/hosts": "# Kubernetes-managed hosts file (host network).\n127.0.0.1 localhost\n"}, NITRO),
        "eks",
        "",
        "aws",
    ),
    # Variables that are set to nothing.
    "empty variables": (
        (dict.fromkeys((*HOST, *IRSA, *AZURE_FEDERATION, *OKE_PRINCIPAL, *KNATIVE), ""), LAPTOP),
        "generic",
        "",
        None,
    ),
    "half of IRSA": (
        ({"AWS_ROLE_ARN": "arn:aws:iam::1:role/r", "AWS_WEB_IDENTITY_TOKEN_FILE": " "}, LAPTOP),
        "generic",
        "",
        None,
    ),
    "half of Azure's": (({**AZURE_FEDERATION, "AZURE_CLIENT_ID": ""}, LAPTOP), "generic", "", None),
    "an endpoint without its header": (({"IDENTITY_ENDPOINT": "http://127.0.0.1:4/"}, LAPTOP), "generic", "", None),
    # Firmware that speaks of nobody, or of too many.
    "Hyper-V is no Azure": ((HYPER_V,), "generic", "", None),
    "Kubernetes on Hyper-V": ((pod(OWN), HYPER_V), "kubernetes", "", None),
    "a machine of QEMU": ((dmi("QEMU", "Standard PC (Q35 + ICH9, 2009)", "", "SeaBIOS"),), "generic", "", None),
    "another vault's token in the place of IBM's": (
        (pod(OWN), {"/var/run/secrets/tokens/vault-token": token(aud=["vault"])}),
        "kubernetes",
        "",
        None,
    ),
    "IBM's key on a minikube": ((pod(OWN), LAPTOP, {"IBM_CLOUD_API_KEY": "k"}), "kubernetes", "", None),
}


@pytest.mark.parametrize(("parts", "name", "workload", "whose"), AMBIGUOUS.values(), ids=AMBIGUOUS)
def test_every_ambiguity_is_decided(parts: Parts, name: str, workload: str, whose: str | None) -> None:
    found = detect(machine(*parts))
    assert (found.name, sorted(found.workload), found.machine) == (name, workload.split(), whose)


def test_a_name_needs_nothing_but_signals() -> None:
    assert named({Signal.KUBERNETES, Signal.IRSA, Signal.DMI_GCP}) == "eks"
    assert named(frozenset()) == "generic"


def test_nobodys_machine_is_no_clouds() -> None:
    assert machine_of({Signal.DMI_OTHER}) is None
    assert machine_of({Signal.DMI_OCI, Signal.IRSA}) == "oci"
