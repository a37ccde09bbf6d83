"""Machines of tests: pods, tokens and firmware, out of which each test makes the one it needs."""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping
from typing import Any

from llmauth.platform import SimulatedMachine
from llmauth.platform.firmware import AZURE_TAG, FOLDER, ORACLE_TAG

EKS = "https://oidc.eks.eu-west-1.amazonaws.com/id/0123456789ABCDEF"
AKS = "https://westeurope.oic.prod-aks.azure.com/1111/2222/"
GKE = "https://container.googleapis.com/v1/projects/p/locations/l/clusters/c"
OWN = "https://kubernetes.default.svc.cluster.local"

SERVICE_ACCOUNT = "/var/run/secrets/kubernetes.io/serviceaccount"
HOST = {"KUBERNETES_SERVICE_HOST": "10.0.0.1", "KUBERNETES_SERVICE_PORT": "443"}


def token(issuer: object = OWN, **more: Any) -> str:
    """A token with these claims, signed by nobody."""
    parts = ({"alg": "RS256", "kid": "1"}, {"iss": issuer, **more})
    encoded = [base64.urlsafe_b64encode(json.dumps(part).encode()).rstrip(b"=").decode() for part in parts]
    return ".".join((*encoded, "c2ln"))


def dmi(
    vendor: str | None = None, product: str | None = None, tag: str | None = None, bios: str | None = None
) -> dict[str, str]:
    """The firmware's strings; one that is `None` cannot be read."""
    said = {"sys_vendor": vendor, "product_name": product, "chassis_asset_tag": tag, "bios_vendor": bios}
    return {f"{FOLDER}/{name}": text for name, text in said.items() if text is not None}


NITRO = dmi("Amazon EC2", "m7i.large", "Amazon EC2", "Amazon EC2")
AZURE = dmi("Microsoft Corporation", "Virtual Machine", AZURE_TAG, "Microsoft Corporation")
GOOGLE = dmi("Google", "Google Compute Engine", "", "Google")
ORACLE = dmi("QEMU", "Standard PC (i440FX + PIIX, 1996)", ORACLE_TAG, "SeaBIOS")
HYPER_V = dmi("Microsoft Corporation", "Virtual Machine", "4832-3829-2938-2938", "American Megatrends Inc.")
LAPTOP = dmi("LENOVO", "21CBCTO1WW", "No Asset Information", "LENOVO")


def searching(*domains: str) -> dict[str, str]:
    """A resolver that looks for names in these domains."""
    return {"/etc/resolv.conf": f"nameserver 10.0.0.10\nsearch {' '.join(domains)}\noptions ndots:5\n"}


def machine(*parts: Mapping[str, str], **variables: str) -> SimulatedMachine:
    """A machine of these variables, and of parts in which a path is a file and any other name a variable."""
    environ: dict[str, str] = dict(variables)
    files: dict[str, str] = {}
    for part in parts:
        for name, value in part.items():
            (files if name.startswith("/") else environ)[name] = value
    return SimulatedMachine(environ, files)


def pod(issuer: str | None = None) -> dict[str, str]:
    """What a pod has; without an issuer its token is not mounted."""
    return HOST if issuer is None else {**HOST, f"{SERVICE_ACCOUNT}/token": token(issuer)}


IRSA_TOKEN = "/var/run/secrets/eks.amazonaws.com/serviceaccount/token"
IRSA = {"AWS_ROLE_ARN": "arn:aws:iam::123456789012:role/r", "AWS_WEB_IDENTITY_TOKEN_FILE": IRSA_TOKEN}
POD_IDENTITY = {
    "AWS_CONTAINER_CREDENTIALS_FULL_URI": "http://169.254.170.23/v1/credentials",
    "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE": (
        "/var/run/secrets/pods.eks.amazonaws.com/serviceaccount/eks-pod-identity-token"
    ),
}
AZURE_TOKEN = "/var/run/secrets/azure/tokens/azure-identity-token"
AZURE_FEDERATION = {
    "AZURE_CLIENT_ID": "c",
    "AZURE_TENANT_ID": "t",
    "AZURE_AUTHORITY_HOST": "https://login.microsoftonline.com/",
    "AZURE_FEDERATED_TOKEN_FILE": AZURE_TOKEN,
}
EXTERNAL_ACCOUNT = {"GOOGLE_APPLICATION_CREDENTIALS": "/etc/wif.json", "/etc/wif.json": '{"type": "external_account"}'}
OKE_PRINCIPAL = {"OCI_RESOURCE_PRINCIPAL_VERSION": "2.2", "OCI_RESOURCE_PRINCIPAL_REGION": "eu-frankfurt-1"}
OCI_PRINCIPAL = {
    **OKE_PRINCIPAL,
    "OCI_RESOURCE_PRINCIPAL_RPST": "/etc/rpst",
    "OCI_RESOURCE_PRINCIPAL_PRIVATE_PEM": "/etc/key.pem",
}
IBM_TOKEN = {"/var/run/secrets/tokens/sa-token": token(aud=["iam"])}
CODE_ENGINE = {"CE_APP": "a", "CE_SUBDOMAIN": "s"}
CODE_ENGINE_TOKEN = {"/var/run/secrets/codeengine.cloud.ibm.com/compute-resource-token/token": token()}
KNATIVE = {"K_SERVICE": "s", "K_REVISION": "s-1", "K_CONFIGURATION": "s"}
