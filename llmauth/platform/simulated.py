"""Machines that are described instead of found, to tell beforehand what would happen on a platform."""

from __future__ import annotations

import base64
import json
import os.path
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from llmauth.platform import PLATFORMS, PlatformName
from llmauth.platform.firmware import AMAZON, AZURE_TAG, FOLDER, ORACLE_TAG
from llmauth.platform.machine import SimulatedMachine
from llmauth.platform.signals import CODE_ENGINE_TOKEN, HOSTS, IBM_TOKENS, MANAGED_HOSTS, RESOLVER, SERVICE_ACCOUNT

LAPTOP = "laptop"
SIMULATED: tuple[str, ...] = (*PLATFORMS, LAPTOP)

# What tells a platform, or names a metadata service or a file of the machine on which this is asked.
_TELLING = re.compile(
    r"KUBERNETES_.*|KUBECONFIG|K_(SERVICE|REVISION|CONFIGURATION)|CLOUD_RUN_.*|CE_.*"
    r"|AWS_(ROLE_ARN|WEB_IDENTITY_TOKEN_FILE|CONTAINER_.*|EXECUTION_ENV|LAMBDA_.*)|ECS_.*"
    r"|AWS_EC2_METADATA_SERVICE_.*|AZURE_(FEDERATED_TOKEN_FILE|KUBERNETES_.*|POD_IDENTITY_.*)"
    r"|IDENTITY_.*|MSI_(ENDPOINT|SECRET)|IMDS_ENDPOINT|WEBSITE_.*|CONTAINER_APP_.*"
    r"|GOOGLE_APPLICATION_CREDENTIALS|GCE_METADATA_.*|OCI_(RESOURCE_PRINCIPAL|KUBERNETES|METADATA)_.*"
    r"|IBMCLOUD_CR_(TOKEN|VPC_URL)"
)

_AWS_TOKEN = "/var/run/secrets/eks.amazonaws.com/serviceaccount/token"
_AZURE_TOKEN = "/var/run/secrets/azure/tokens/azure-identity-token"
_NOBODY = "00000000-0000-0000-0000-000000000000"


@dataclass(frozen=True, slots=True)
class _Described:
    variables: Mapping[str, str] = field(default_factory=dict)
    files: Mapping[str, str] = field(default_factory=dict)


def simulated(name: str, environ: Mapping[str, str]) -> SimulatedMachine:
    """A machine of that platform, with the environment's other variables (VAULT_ADDR, keys) kept as they are.

    `laptop` is `generic` with a minikube that kubectl knows of. ValueError for a name that is none of SIMULATED.
    """
    describe = _MACHINES.get(name)
    if describe is None:
        raise ValueError(f"no platform is called {name[:20]!r}; wanted one of {', '.join(SIMULATED)}")
    kept = {variable: value for variable, value in environ.items() if not _TELLING.fullmatch(variable)}
    described = describe(kept)
    return SimulatedMachine({**kept, **described.variables}, dict(described.files))


def _eks(environ: Mapping[str, str]) -> _Described:
    issuer = "https://oidc.eks.us-east-1.amazonaws.com/id/SIMULATED"
    variables = {
        "AWS_ROLE_ARN": "arn:aws:iam::123456789012:role/simulated",
        "AWS_WEB_IDENTITY_TOKEN_FILE": _AWS_TOKEN,
        "AWS_REGION": environ.get("AWS_REGION") or "us-east-1",
    }
    files = {_AWS_TOKEN: _token(issuer, "sts.amazonaws.com"), **_AMAZON}
    return _pod(variables, files, issuer=issuer)


def _aks(_: Mapping[str, str]) -> _Described:
    issuer = f"https://westeurope.oic.prod-aks.azure.com/{_NOBODY}/{_NOBODY}/"
    variables = {
        "AZURE_CLIENT_ID": _NOBODY,
        "AZURE_TENANT_ID": _NOBODY,
        "AZURE_FEDERATED_TOKEN_FILE": _AZURE_TOKEN,
        "AZURE_AUTHORITY_HOST": "https://login.microsoftonline.com/",
    }
    return _pod(variables, {_AZURE_TOKEN: _token(issuer, "api://AzureADTokenExchange"), **_MICROSOFT}, issuer=issuer)


def _gke(_: Mapping[str, str]) -> _Described:
    issuer = "https://container.googleapis.com/v1/projects/simulated/locations/europe-west4/clusters/simulated"
    return _pod({}, _GOOGLE, issuer=issuer, domains="c.simulated.internal google.internal")


def _oke(_: Mapping[str, str]) -> _Described:
    variables = {"OCI_RESOURCE_PRINCIPAL_VERSION": "2.2", "OCI_RESOURCE_PRINCIPAL_REGION": "eu-frankfurt-1"}
    return _pod(variables, _ORACLE)


def _iks(_: Mapping[str, str]) -> _Described:
    return _pod({}, {IBM_TOKENS[1]: _token(_OWN_ISSUER, "iam"), **_dmi("QEMU", "Standard PC (Q35 + ICH9, 2009)")})


def _code_engine(_: Mapping[str, str]) -> _Described:
    variables = {"CE_APP": "simulated", "CE_SUBDOMAIN": "simulated", "K_SERVICE": "simulated"}
    return _pod(variables, {CODE_ENGINE_TOKEN: _token(_OWN_ISSUER, "iam")})


def _kubernetes(_: Mapping[str, str]) -> _Described:
    return _pod({}, _COMPUTER)


def _lambda(_: Mapping[str, str]) -> _Described:
    keys = dict.fromkeys(("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN"), "simulated")
    return _Described({"AWS_LAMBDA_FUNCTION_NAME": "simulated", "AWS_EXECUTION_ENV": "AWS_Lambda_python3.13", **keys})


def _laptop(environ: Mapping[str, str]) -> _Described:
    home = environ.get("HOME") or environ.get("USERPROFILE") or "/home/simulated"
    return _Described({"HOME": home}, {**_COMPUTER, os.path.join(home, ".kube", "config"): _MINIKUBE})


def _plain(variables: Mapping[str, str], files: Mapping[str, str]) -> Callable[[Mapping[str, str]], _Described]:
    return lambda _: _Described(variables, files)


# ---- files -------------------------------------------------------------------------------------------------------

_OWN_ISSUER = "https://kubernetes.default.svc.cluster.local"


def _pod(
    variables: Mapping[str, str], files: Mapping[str, str], issuer: str = _OWN_ISSUER, domains: str = ""
) -> _Described:
    """What every pod has, and what this one has beside it."""
    own = {
        f"{SERVICE_ACCOUNT}/token": _token(issuer, issuer),
        f"{SERVICE_ACCOUNT}/ca.crt": "simulated",
        f"{SERVICE_ACCOUNT}/namespace": "default",
        HOSTS: f"{MANAGED_HOSTS}.\n127.0.0.1 localhost",
        RESOLVER: f"search default.svc.cluster.local svc.cluster.local cluster.local {domains}",
    }
    service = {"KUBERNETES_SERVICE_HOST": "10.0.0.1", "KUBERNETES_SERVICE_PORT": "443"}
    return _Described({**service, **variables}, {**own, **files})


def _token(issuer: str, audience: str) -> str:
    """A token as a cluster makes them, but for its signature, which says that it is none."""
    parts = ({"alg": "RS256"}, {"iss": issuer, "aud": [audience], "sub": "system:serviceaccount:default:simulated"})
    encoded = (base64.urlsafe_b64encode(json.dumps(part).encode()).rstrip(b"=").decode() for part in parts)
    return ".".join((*encoded, "simulated"))


def _dmi(vendor: str, product: str, tag: str = "", bios: str = "") -> Mapping[str, str]:
    said = {"sys_vendor": vendor, "product_name": product, "chassis_asset_tag": tag, "bios_vendor": bios}
    return {f"{FOLDER}/{name}": text for name, text in said.items()}


_AMAZON = _dmi(AMAZON, "m7i.large", AMAZON, AMAZON)
_MICROSOFT = _dmi("Microsoft Corporation", "Virtual Machine", AZURE_TAG)
_GOOGLE = _dmi("Google", "Google Compute Engine")
_ORACLE = _dmi("QEMU", "Standard PC (i440FX + PIIX, 1996)", ORACLE_TAG)
_COMPUTER = _dmi("Dell Inc.", "Latitude 7440")

_MINIKUBE = """\
apiVersion: v1
kind: Config
current-context: minikube
clusters: [{name: minikube, cluster: {server: 'https://192.168.49.2:8443', certificate-authority: ca.crt}}]
users: [{name: minikube, user: {client-certificate: client.crt, client-key: client.key}}]
contexts: [{name: minikube, context: {cluster: minikube, user: minikube, namespace: default}}]
"""

_CLOUD_RUN = {"K_SERVICE": "simulated", "K_REVISION": "simulated-00001", "K_CONFIGURATION": "simulated"}
_ECS = {
    "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI": "/v2/credentials/simulated",
    "ECS_CONTAINER_METADATA_URI_V4": "http://169.254.170.2/v4/simulated",
    "AWS_EXECUTION_ENV": "AWS_ECS_EC2",
}
_APP_SERVICE = {
    "IDENTITY_ENDPOINT": "http://127.0.0.1:41741/msi/token",
    "IDENTITY_HEADER": "simulated",
    "WEBSITE_SITE_NAME": "simulated",
}

_MACHINES: Mapping[PlatformName | str, Callable[[Mapping[str, str]], _Described]] = {
    "eks": _eks,
    "ecs": _plain(_ECS, _AMAZON),
    "lambda": _lambda,
    "ec2": _plain({}, _AMAZON),
    "aks": _aks,
    "azure": _plain(_APP_SERVICE, {}),
    "gke": _gke,
    "cloudrun": _plain(_CLOUD_RUN, _GOOGLE),
    "gce": _plain({}, _GOOGLE),
    "oke": _oke,
    "oci": _plain({}, _ORACLE),
    "iks": _iks,
    "codeengine": _code_engine,
    "kubernetes": _kubernetes,
    "generic": _plain({}, _COMPUTER),
    LAPTOP: _laptop,
}
