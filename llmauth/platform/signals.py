"""Everything that tells where this process runs, under one name each: out of the environment and small files."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from enum import StrEnum

from llmauth.platform import Cloud, tokens
from llmauth.platform.firmware import owner
from llmauth.platform.machine import Machine

SERVICE_ACCOUNT = "/var/run/secrets/kubernetes.io/serviceaccount"
HOSTS, RESOLVER = "/etc/hosts", "/etc/resolv.conf"
# The kubelet writes this line above the hosts of every pod, whatever else the pod was given.
MANAGED_HOSTS = "# Kubernetes-managed hosts file"

# The order of IBM's own library.
IBM_TOKENS = ("/var/run/secrets/tokens/vault-token", "/var/run/secrets/tokens/sa-token")
CODE_ENGINE_TOKEN = "/var/run/secrets/codeengine.cloud.ibm.com/compute-resource-token/token"
# What the agent of EKS Pod Identity listens on, and where its token is mounted.
POD_IDENTITY = ("//169.254.170.23/", "//[fd00:ec2::23]/")
POD_IDENTITY_TOKENS = "/pods.eks.amazonaws.com/"


class Signal(StrEnum):
    """The names that the log shows. What each of them is made of is told in docs/credentials/platform.md."""

    KUBERNETES = "kubernetes"
    SERVICE_ACCOUNT = "service_account_token"
    ISSUER_EKS = "issuer_eks"
    ISSUER_AKS = "issuer_aks"
    ISSUER_GKE = "issuer_gke"
    ISSUER_OTHER = "issuer_other"
    AKS_API = "aks_api_server"
    IRSA = "irsa"
    POD_IDENTITY = "eks_pod_identity"
    CONTAINER_CREDENTIALS = "aws_container_credentials"
    ECS = "ecs_task"
    ECS_CREDENTIALS = "ecs_credentials"
    LAMBDA = "lambda_function"
    LAMBDA_KEYS = "lambda_credentials"
    AZURE_FEDERATION = "azure_federated_token"
    AZURE_IDENTITY = "azure_managed_identity"
    APP_SERVICE = "app_service"
    CONTAINER_APP = "container_app"
    SERVICE_FABRIC = "service_fabric"
    ARC = "azure_arc"
    GOOGLE_FEDERATION = "google_external_account"
    KNATIVE = "knative_service"
    CLOUD_RUN_JOB = "cloud_run_job"
    OCI_PRINCIPAL = "oci_resource_principal"
    OCI_PRINCIPAL_OTHER = "oci_resource_principal_other"
    OKE_PRINCIPAL = "oke_resource_principal"
    IBM_TOKEN = "ibm_compute_token"
    CODE_ENGINE = "code_engine"
    CODE_ENGINE_TOKEN = "code_engine_token"
    IBM_KEY = "ibm_api_key"
    DMI_AWS = "dmi_aws"
    DMI_AZURE = "dmi_azure"
    DMI_GCP = "dmi_gcp"
    DMI_OCI = "dmi_oci"
    DMI_OTHER = "dmi_other"
    SEARCH_AWS = "search_aws"
    SEARCH_AZURE = "search_azure"
    SEARCH_GCP = "search_gcp"
    SEARCH_OCI = "search_oci"


_DOMAINS: Mapping[str, Cloud] = {
    "google.internal": "gcp",
    "ec2.internal": "aws",
    "compute.internal": "aws",
    "internal.cloudapp.net": "azure",
    "oraclevcn.com": "oci",
}
_OCI_VERSION = "OCI_RESOURCE_PRINCIPAL_VERSION"
_OCI_TOKEN, _OCI_KEY = "OCI_RESOURCE_PRINCIPAL_RPST", "OCI_RESOURCE_PRINCIPAL_PRIVATE_PEM"
_OCI_ELSEWHERE = ("OCI_RESOURCE_PRINCIPAL_RPT_ENDPOINT", "OCI_RESOURCE_PRINCIPAL_RPST_ENDPOINT")


def look(machine: Machine) -> frozenset[Signal]:
    """All signals that this machine gives. Reads a dozen small files, asks nobody, and never raises."""
    variables = _Variables(machine.environ)
    seen = {
        *_kubernetes(machine, variables),
        *_aws(variables),
        *_azure(variables),
        *_google(machine, variables),
        *_oracle(variables),
        *_ibm(machine, variables),
        *_search(machine),
    }
    whose = owner(machine, in_pod=Signal.KUBERNETES in seen)
    return frozenset(seen | ({Signal(f"dmi_{whose}")} if whose is not None else set()))


class _Variables:
    """The environment, in which an empty variable is none: manifests and shells unset them that way."""

    def __init__(self, environ: Mapping[str, str]) -> None:
        self._environ = environ

    def __call__(self, name: str) -> str:
        return self._environ.get(name, "").strip()

    def all(self, *names: str) -> bool:
        return all(map(self, names))

    def any(self, *names: str) -> bool:
        return any(map(self, names))


def _kubernetes(machine: Machine, variables: _Variables) -> Iterator[Signal]:
    token = machine.read(f"{SERVICE_ACCOUNT}/token") or ""
    # A process that was started with an emptied environment is in its pod still, and must not pass for the node's own.
    managed = (machine.read(HOSTS) or "").startswith(MANAGED_HOSTS)
    if variables.any("KUBERNETES_SERVICE_HOST") or token or machine.read(f"{SERVICE_ACCOUNT}/namespace") or managed:
        yield Signal.KUBERNETES
    if token:
        yield Signal.SERVICE_ACCOUNT
    if variables("KUBERNETES_SERVICE_HOST").lower().endswith((".azmk8s.io", ".azmk8s.us")):
        yield Signal.AKS_API
    yield from _issuer(machine, variables, token)


def _issuer(machine: Machine, variables: _Variables, token: str) -> Iterator[Signal]:
    """Of the pod's own token; else of those that it shows to clouds, which are of the same cluster.

    Only the pod's own can tell that the cluster is none of the three: a file that a variable names may be anybody's.
    """
    files = map(variables, ("AWS_WEB_IDENTITY_TOKEN_FILE", "AZURE_FEDERATED_TOKEN_FILE"))
    shown = [token, *(machine.read(file) or "" for file in files if file)]
    hosts = [host for host in map(tokens.issuer, shown) if host is not None]
    found = next(filter(None, map(tokens.cluster, hosts)), None)
    if found is not None:
        yield Signal(f"issuer_{found}")
    elif tokens.issuer(token) is not None:
        yield Signal.ISSUER_OTHER


def _aws(variables: _Variables) -> Iterator[Signal]:
    if variables.all("AWS_ROLE_ARN", "AWS_WEB_IDENTITY_TOKEN_FILE"):
        yield Signal.IRSA
    if endpoint := variables("AWS_CONTAINER_CREDENTIALS_FULL_URI"):
        token_file = variables("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE")
        is_agents = any(place in endpoint for place in POD_IDENTITY) or POD_IDENTITY_TOKENS in token_file
        yield Signal.POD_IDENTITY if is_agents else Signal.CONTAINER_CREDENTIALS
    if variables.any("AWS_CONTAINER_CREDENTIALS_RELATIVE_URI"):
        yield Signal.ECS_CREDENTIALS
    runs_on_ecs = variables("AWS_EXECUTION_ENV").startswith("AWS_ECS_")
    if runs_on_ecs or variables.any("ECS_CONTAINER_METADATA_URI_V4", "ECS_CONTAINER_METADATA_URI"):
        yield Signal.ECS
    if variables.any("AWS_LAMBDA_FUNCTION_NAME"):
        yield Signal.LAMBDA
        if variables.all("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN"):
            yield Signal.LAMBDA_KEYS


def _azure(variables: _Variables) -> Iterator[Signal]:
    if variables.all("AZURE_FEDERATED_TOKEN_FILE", "AZURE_CLIENT_ID", "AZURE_TENANT_ID"):
        yield Signal.AZURE_FEDERATION
    header = variables.all("IDENTITY_ENDPOINT", "IDENTITY_HEADER")
    if header and variables.any("IDENTITY_SERVER_THUMBPRINT"):
        yield Signal.SERVICE_FABRIC
    elif header or variables.all("MSI_ENDPOINT", "MSI_SECRET"):
        yield Signal.AZURE_IDENTITY
    elif variables.all("IDENTITY_ENDPOINT", "IMDS_ENDPOINT"):
        yield Signal.ARC
    if variables.any("WEBSITE_SITE_NAME"):
        yield Signal.APP_SERVICE
    if variables.any("CONTAINER_APP_NAME"):
        yield Signal.CONTAINER_APP


def _google(machine: Machine, variables: _Variables) -> Iterator[Signal]:
    file = variables("GOOGLE_APPLICATION_CREDENTIALS")
    if file and _type_of(machine.read(file) or "") == "external_account":
        yield Signal.GOOGLE_FEDERATION
    if variables.all("K_SERVICE", "K_REVISION", "K_CONFIGURATION"):
        yield Signal.KNATIVE
    if variables.all("CLOUD_RUN_JOB", "CLOUD_RUN_EXECUTION"):
        yield Signal.CLOUD_RUN_JOB


def _type_of(text: str) -> object:
    try:
        content = json.loads(text)
    except (ValueError, RecursionError):
        return None
    return content.get("type") if isinstance(content, dict) else None


def _oracle(variables: _Variables) -> Iterator[Signal]:
    version = variables(_OCI_VERSION)
    if version == "2.2" and variables.all(_OCI_TOKEN, _OCI_KEY):
        yield Signal.OCI_PRINCIPAL
    # A pod of OKE has the version and no token: it gets one from its cluster.
    elif version in ("1.1", "2.2") and not variables.any(_OCI_TOKEN, _OCI_KEY, *_OCI_ELSEWHERE):
        yield Signal.OKE_PRINCIPAL
    elif version:
        yield Signal.OCI_PRINCIPAL_OTHER


def _ibm(machine: Machine, variables: _Variables) -> Iterator[Signal]:
    # Other tokens lie in the same places: Kubernetes' own documentation mounts one for a vault at the first.
    lying = (machine.read(path) or "" for path in IBM_TOKENS)
    if variables.any("IBMCLOUD_CR_TOKEN") or any("iam" in tokens.audiences(token) for token in lying):
        yield Signal.IBM_TOKEN
    if variables.any("CE_APP", "CE_JOB", "CE_FUNCTION", "CE_SUBDOMAIN"):
        yield Signal.CODE_ENGINE
    if machine.read(CODE_ENGINE_TOKEN):
        yield Signal.CODE_ENGINE_TOKEN
    if variables.any("IBM_CLOUD_API_KEY"):
        yield Signal.IBM_KEY


def _search(machine: Machine) -> Iterator[Signal]:
    """By the domains in which names are looked for: a cloud gives its own to every machine, and so to every pod."""
    lines = [line.split() for line in (machine.read(RESOLVER) or "").splitlines()]
    # resolv.conf(5): "If more than one instance of these keywords is present, the last instance wins."
    listed = next((words[1:] for words in reversed(lines) if words and words[0] in ("search", "domain")), [])
    for name in listed:
        for domain, cloud in _DOMAINS.items():
            if f".{name.rstrip('.').lower()}".endswith(f".{domain}"):
                yield Signal(f"search_{cloud}")
