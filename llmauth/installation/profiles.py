"""The configuration that `llmauth init` writes: commented text, one for each way in which the proxy is run."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.resources import files
from typing import Literal, get_args

from llmauth.context import ProviderType
from llmauth.installation.found import Found

Profile = Literal["laptop", "server", "pod"]
PROFILES: tuple[Profile, ...] = get_args(Profile)

PRICES = "prices.yaml"
"""The price table, beside the configuration of a laptop."""
MARK = "# Written by `llmauth init`"
"""How such a file begins, by which `llmauth uninstall` knows it."""

USUAL: tuple[ProviderType, ...] = ("openai", "anthropic", "bedrock")
OFFERED: tuple[ProviderType, ...] = (*USUAL, "azure", "vertex", "ibm", "oracle")

# Where the manifests of deployments/kubernetes mount what a pod is given.
POD_CA_FOLDER, POD_SECRETS_FOLDER = "/etc/llmauth/ca", "/etc/llmauth/secrets"
NAMESPACE, NAME = "bedrock-system", "bedrock-proxy"

_PLAIN = re.compile(r"[a-zA-Z/][\w./-]*|127\.0\.0\.1|0\.0\.0\.0", re.ASCII)

# What an instance needs beside its type, with an example for whoever has to fill it in.
_WANTED: dict[ProviderType, tuple[str, str]] = {
    "azure": ("base_url", "https://NAME.openai.azure.com"),
    "vertex": ("project", "PROJECT"),
    "ibm": ("project_id", "00000000-0000-0000-0000-000000000000"),
    "oracle": ("compartment", "ocid1.compartment.oc1..NAME"),
}
_CLOUDS: dict[ProviderType, str] = {
    "bedrock": "aws",
    "azure": "azure",
    "vertex": "gcp",
    "ibm": "ibm",
    "oracle": "oci",
}
_VARIABLES: dict[ProviderType, str] = {
    "openai": "OPENAI_API_KEY",
    "anthropic": "ANTHROPIC_API_KEY",
    "bedrock": "AWS_ACCESS_KEY_ID and the others of AWS",
    "azure": "AZURE_OPENAI_API_KEY",
    "vertex": "GOOGLE_API_KEY",
    "ibm": "WATSONX_APIKEY",
    "oracle": "the variables OCI_CLI_*",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Choices:
    """What a configuration is written from; `tls` are the files of a certificate and its key."""

    profile: Profile
    providers: tuple[ProviderType, ...]
    host: str
    port: int
    tls: tuple[str, str] | None
    found: Found


def instance_name(provider: ProviderType, region: str) -> str:
    """`openai`; for Bedrock with its region: `bedrock_us1`."""
    return f"bedrock_{region.split('-')[0]}{region[-1]}" if provider == "bedrock" else provider


def price_table() -> str:
    """The table that comes with this version, as a file of ours."""
    table = files("llmauth.installation").joinpath(PRICES).read_text(encoding="utf-8")
    return f"{MARK} (prices).\n#\n{table}"


def text(choices: Choices) -> str:
    """The whole file."""
    parts = [_head(choices), _server(choices), *_EXTRA[choices.profile], _instances(choices)]
    return "\n\n".join(parts) + "\n"


def _head(choices: Choices) -> str:
    return (
        f"{MARK} (profile {choices.profile}). `llmauth config check` judges it after a change;\n"
        "# every key has its line in docs/CONFIGURATION.md."
    )


def _server(choices: Choices) -> str:
    reach = {"laptop": "this machine alone", "server": "who can reach this address may knock"}
    lines = [
        "server:",
        f"  host: {_quoted(choices.host)}  # {reach.get(choices.profile, 'the whole pod; the network policy decides')}",
        f"  port: {choices.port}",
    ]
    if choices.tls is not None:
        lines += ["  tls_port: 8443"]
        lines += [
            f"  tls_{kind}_file: {_quoted(file)}" for kind, file in zip(("cert", "key"), choices.tls, strict=True)
        ]
    elif choices.profile == "server":
        lines += [
            "  # tls_cert_file: tls.crt  # opens 8443 as well; other machines should come there",
            "  # tls_key_file: tls.key",
        ]
    if choices.profile == "pod":
        names = ", ".join((NAME, f"{NAME}.{NAMESPACE}", f"{NAME}.{NAMESPACE}.svc"))
        lines.append(f"  gateway_hosts: [{names}]")
    return "\n".join(lines)


_LAPTOP = """\
egress:
  default: tunnel  # hosts that are no provider below pass unread; `deny` refuses them"""
_PRICES = f"""\
prices: {PRICES}  # what tokens cost, for `llmauth last`; an example, so check the lines that you rely on"""
_KEYS = """\
auth:
  methods: [api_key]  # llmauth keys create NAME"""
_DENY = """\
egress:
  default: deny  # hosts that are no provider below are refused; `allow: [github.com]` names exceptions"""
_AUDIT = """\
audit:
  enabled: true  # a record of every decision: llmauth audit verify"""
_METRICS = """\
metrics:
  port: 9090  # /metrics alone, without a key, on loopback"""
_POD_CA = f"""\
ca:
  create: false  # all replicas share the one of the Secret {NAME}-ca
  folder: {POD_CA_FOLDER}"""
_POD_STORAGE = """\
storage:  # one replica: a file on its volume; several share a server, see docs/STORAGE.md
  url: ${STORAGE_URL:-sqlite:////var/lib/llmauth/state/keys.db}
  limits_url: ${LIMITS_URL:-memory}"""
_POD_METRICS = """\
metrics:
  port: 9090  # /metrics alone, for a Prometheus in the cluster
  host: 0.0.0.0"""

_EXTRA: dict[Profile, tuple[str, ...]] = {
    "laptop": (_LAPTOP, _PRICES),
    "server": (_KEYS, _DENY, _AUDIT, _METRICS),
    "pod": (_POD_CA, _POD_STORAGE, _DENY, _POD_METRICS),
}


def _instances(choices: Choices) -> str:
    blocks = [_instance(choices, provider) for provider in choices.providers]
    # Those that lack a value are written as comments, so that the file is valid as it stands.
    return "\n".join(["instances:" + (" {}" if all(block.startswith("  #") for block in blocks) else ""), *blocks])


def _instance(choices: Choices, provider: ProviderType) -> str:
    name = instance_name(provider, choices.found.region)
    lines, whole = [f"{name}:", f"  type: {provider}"], True
    if provider == "bedrock":
        lines += [f"  region: {choices.found.region}", "  default: true  # the one that /transparent/bedrock means"]
    if provider in _WANTED:
        option, example = _WANTED[provider]
        value = choices.found.options.get(provider, {}).get(option)
        whole = value is not None
        lines.append(f"  {option}: {_quoted(value or example)}" + ("" if whole else "  # yours"))
    lines += ["  authentication:", "    strategies:  # the first that has a credential is used"]
    lines += [f"      - {one}" for one in _strategies(choices, provider, name)]
    return "\n".join(f"  {'' if whole else '# '}{line}" for line in lines)


def _strategies(choices: Choices, provider: ProviderType, name: str) -> Sequence[str]:
    environment = f"{{type: environment}}  # {_VARIABLES[provider]}"
    keyring = f"{{type: keyring}}  # llmauth secret set {name}"
    cloud = _CLOUDS.get(provider)
    own = [f"{{type: workload_identity, provider: {cloud}}}"] if cloud is not None else []
    if choices.profile == "pod":
        secret = f"secret_name: {provider}-credentials"
        place = f", mount_path: {POD_SECRETS_FOLDER}/bedrock-credentials" if provider == "bedrock" else ""
        return [*own, f"{{type: kubernetes_secret, {secret}{place}}}"]
    if provider == "bedrock":
        profile = "{type: aws_profile}  # ~/.aws: aws configure, aws sso login"
        keys = any(
            place.startswith("AWS_") and place != "AWS_PROFILE" for place in choices.found.sources.get(provider, ())
        )
        return [environment, *own, profile] if keys else [*own, profile, environment]
    if choices.profile == "server":
        return [environment, *own]
    return [keyring, environment, *own]


def _quoted(value: str) -> str:
    """As YAML reads it as this very text, whatever the environment put into it; and no variable of its own expands."""
    return value if _PLAIN.fullmatch(value) else json.dumps(value.replace("${", "$${"))
