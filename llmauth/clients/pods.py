"""What a pod needs to call through the gateway as its service account: a token for it, roots, and variables."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from llmauth.clients.exempt import no_proxy
from llmauth.clients.served import ServedProxy
from llmauth.clients.trust import ADDING, REPLACING
from llmauth.clients.values import AWS_ID, AWS_SECRET

TOKEN_FOLDER, ROOTS_FOLDER = "/var/run/secrets/llmauth", "/var/run/llmauth-ca"
TOKEN, BUNDLE = "token", "bundle.pem"
CA_CONFIGMAP = "llmauth-ca"
# In AWS's own form, since some SDKs know no bearer token; what they sign the gateway signs anew.
_AWS = {"AWS_ACCESS_KEY_ID": AWS_ID, "AWS_SECRET_ACCESS_KEY": AWS_SECRET, "AWS_EC2_METADATA_DISABLED": "true"}
_SLOTS = ("OPENAI_API_KEY", "ANTHROPIC_API_KEY", "AWS_BEARER_TOKEN_BEDROCK")
_WAYS = ("HTTPS_PROXY", "https_proxy")


@dataclass(frozen=True, slots=True, kw_only=True)
class Workload:
    """A pod's container and its service account; `proxy` is the gateway's URL as the pod reaches it.

    `seconds` is how long its token is asked for. `region` is where AWS's SDKs look for Bedrock.
    """

    service_account: str
    container: str
    proxy: ServedProxy
    audience: str
    ca_configmap: str
    seconds: int
    region: str

    @property
    def environ(self) -> Mapping[str, str]:
        """What is known of its surroundings, which is nothing."""
        return {}


def overrides(workload: Workload) -> dict[str, Any]:
    """What is merged into such a pod, strategically: lists by their names, as Kubernetes does it."""
    mounts = [
        {"name": "llmauth-token", "mountPath": TOKEN_FOLDER, "readOnly": True},
        {"name": "llmauth-ca", "mountPath": ROOTS_FOLDER, "readOnly": True},
    ]
    container = {
        "name": workload.container,
        "command": ["sh", "-c", script(workload), "llmauth"],
        "env": [{"name": name, "value": value} for name, value in _variables(workload)],
        "volumeMounts": mounts,
    }
    spec = {"serviceAccountName": workload.service_account, "containers": [container], "volumes": _volumes(workload)}
    return {"apiVersion": "v1", "kind": "Pod", "spec": spec}


def script(workload: Workload) -> str:
    """Reads the token once, puts it where programs look, and becomes the container's command.

    A projected token is a JWT, whose signs need no encoding in a URL.
    """
    scheme, _, authority = workload.proxy.url.partition("://")
    way = f"{scheme}://{workload.proxy.user}:$T@{authority}"
    given = [f'{name}="{way}"' for name in _WAYS] + [f'{name}="$T"' for name in _SLOTS]
    return f'T=$(cat {TOKEN_FOLDER}/{TOKEN}) || exit 1; export {" ".join(given)}; unset T; exec "$@"'


def _variables(workload: Workload) -> Iterator[tuple[str, str]]:
    """Those that are the same for each start, and no secret."""
    yield from (("NO_PROXY", no_proxy(workload)), ("no_proxy", no_proxy(workload)), ("NODE_USE_ENV_PROXY", "1"))
    # The bundle holds the public roots too, so it serves those that add as well as those that replace.
    yield from ((name, f"{ROOTS_FOLDER}/{BUNDLE}") for name in (*REPLACING, *ADDING))
    yield from (*_AWS.items(), ("AWS_REGION", workload.region), ("AWS_DEFAULT_REGION", workload.region))


def _volumes(workload: Workload) -> list[dict[str, Any]]:
    token = {"audience": workload.audience, "path": TOKEN, "expirationSeconds": workload.seconds}
    return [
        {"name": "llmauth-token", "projected": {"sources": [{"serviceAccountToken": token}]}},
        {"name": "llmauth-ca", "configMap": {"name": workload.ca_configmap}},
    ]
