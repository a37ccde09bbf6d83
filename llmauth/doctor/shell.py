"""The environment of this shell: variables that lead clients around the proxy, or that hold what they should not."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path

from llmauth.ca import CERTIFICATE_FILE
from llmauth.doctor.credentials import keep_key
from llmauth.doctor.findings import Finding, ok, warn
from llmauth.doctor.patient import Patient
from llmauth.storage.key_text import PREFIX

_RUN = "llmauth run -- YOUR COMMAND"
_BASES = ("OPENAI_BASE_URL", "ANTHROPIC_BASE_URL", "ANTHROPIC_BEDROCK_BASE_URL", "AWS_ENDPOINT_URL_BEDROCK_RUNTIME")
_REPLACE = ("SSL_CERT_FILE", "REQUESTS_CA_BUNDLE", "AWS_CA_BUNDLE", "CURL_CA_BUNDLE", "NODE_EXTRA_CA_CERTS")
# The form of a real key, by the variable that holds it; what `run` puts there is a placeholder of another form.
_KEYS: Mapping[str, re.Pattern[str]] = {
    "OPENAI_API_KEY": re.compile(r"sk-[A-Za-z0-9_-]{20,}"),
    "ANTHROPIC_API_KEY": re.compile(r"sk-ant-[A-Za-z0-9_-]{20,}"),
    "AWS_SECRET_ACCESS_KEY": re.compile(r"[A-Za-z0-9/+=]{40}"),
    "AWS_BEARER_TOKEN_BEDROCK": re.compile(r"(bedrock-api-key-|ABSK)[A-Za-z0-9+/=_-]{20,}"),
    "AZURE_OPENAI_API_KEY": re.compile(r"[A-Za-z0-9]{32,}"),
}


def examine(patient: Patient) -> Iterator[Finding]:
    """Values are never shown, but for hosts."""
    environ = patient.environ
    found = [*_around(patient), *_roots(patient), *_bases(environ), *_keys(patient)]
    yield from found or [ok("environment of this shell leads nowhere else")]


def _around(patient: Patient) -> Iterator[Finding]:
    """curl and Python read the small spelling first, others the large one."""
    hosts = sorted({handler.base.host for handler in patient.handlers.values()})
    for name in ("NO_PROXY", "no_proxy"):
        entries = [entry for entry in re.split(r"[,\s]+", patient.environ.get(name, "")) if entry]
        passed = [host for host in hosts if _covers(entries, host)]
        if passed:
            yield warn(f"{name} leads {', '.join(passed)} around the proxy", f"unset {name}, or {_RUN}")


def _covers(entries: list[str], host: str) -> bool:
    """As the most generous of clients reads it."""
    return any(entry == "*" or f".{host}".endswith(f".{entry.lstrip('*.').lower()}") for entry in entries)


def _roots(patient: Patient) -> Iterator[Finding]:
    """A client behind the proxy in this shell would not believe it; one that goes elsewhere needs none of ours."""
    if not any(patient.environ.get(name) for name in ("HTTPS_PROXY", "https_proxy")):
        return
    try:
        pem = (patient.settings.ca.folder / CERTIFICATE_FILE).read_text()
    except OSError:
        return
    ours = "".join(pem.split())
    for name in _REPLACE:
        file = patient.environ.get(name)
        if file and ours not in _text(file):
            fix = f"llmauth ca bundle > bundle.pem; export {name}=bundle.pem, or {_RUN}"
            yield warn(f"{name} names {file}, which lacks our CA", fix)


def _text(file: str) -> str:
    try:
        return "".join(Path(file).read_text(errors="replace").split())
    except OSError:
        return ""


def _bases(environ: Mapping[str, str]) -> Iterator[Finding]:
    for name in _BASES:
        value = environ.get(name, "")
        if value and not re.match(r"https?://(127\.0\.0\.1|localhost|\[::1\])(:|/|\Z)", value):
            host = re.sub(r"\A[a-z]+://([^/@]*@)?", "", value).partition("/")[0]
            shown = "".join(one for one in host if one.isprintable())[:80]
            yield warn(f"{name} leads to {shown}: Claude Code and others lose features by it", f"unset {name}")


def _keys(patient: Patient) -> Iterator[Finding]:
    """What the configuration reads is meant to be there, for the proxy; everything else has it as well."""
    read = _read_by_instances(patient)
    for name, form in _KEYS.items():
        value = patient.environ.get(name, "")
        if not form.fullmatch(value) or PREFIX in value:
            continue
        if name in read:
            fix = f"{keep_key(patient, read[name])}, then unset {name}"
            yield warn(f"{name} holds a real key, for every program of this shell", fix)
        else:
            yield warn(f"{name} holds what looks like a real key", f"unset {name}; {_RUN} sets a placeholder")


def _read_by_instances(patient: Patient) -> dict[str, str]:
    """Which instance would keep a key of this variable, by its type."""
    of_type = {"openai": "OPENAI_API_KEY", "anthropic": "ANTHROPIC_API_KEY", "azure": "AZURE_OPENAI_API_KEY"}
    return {of_type[h.provider]: name for name, h in patient.handlers.items() if h.provider in of_type}
