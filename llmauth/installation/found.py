"""Which providers a machine has credentials for, told by variables and files; nothing is read of any secret."""

from __future__ import annotations

import configparser
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from llmauth.context import ProviderType
from llmauth.credentials.entries import SERVICE, Entry

_VARIABLES: Mapping[ProviderType, tuple[str, ...]] = {
    "openai": ("OPENAI_API_KEY",),
    "anthropic": ("ANTHROPIC_API_KEY",),
    "bedrock": ("AWS_BEARER_TOKEN_BEDROCK", "AWS_ACCESS_KEY_ID", "AWS_PROFILE"),
    "azure": ("AZURE_OPENAI_API_KEY", "AZURE_OPENAI_AD_TOKEN"),
    "vertex": ("GOOGLE_APPLICATION_CREDENTIALS", "GOOGLE_API_KEY"),
    "ibm": ("WATSONX_APIKEY", "IBM_CLOUD_API_KEY"),
    "oracle": ("OCI_CLI_USER",),
}
_USUAL_REGION = "us-east-1"
_REGION = re.compile(r"[a-z]{2,3}(-[a-z]+){1,2}-\d{1,2}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """Where each provider's credential seems to be, in words, and what else a configuration asks for.

    `sources` has no entry for a provider of which nothing was seen. `options` are the values of its required options.
    """

    sources: Mapping[ProviderType, tuple[str, ...]] = field(default_factory=dict)
    options: Mapping[ProviderType, Mapping[str, str]] = field(default_factory=dict)
    region: str = _USUAL_REGION

    def has(self, provider: ProviderType) -> bool:
        """Whether something was seen of it."""
        return bool(self.sources.get(provider))


def look(environ: Mapping[str, str], entries: Iterable[Entry] = ()) -> Found:
    """What this environment, this home folder and these keyring entries tell."""
    home = Path(environ.get("HOME") or "~").expanduser()
    seen = {provider: tuple(_seen(provider, environ, home)) for provider in _VARIABLES}
    for service, username in entries:
        if service == SERVICE and username in seen:
            seen[username] = (*seen[username], f"keyring {service}/{username}")
    return Found(
        sources={provider: places for provider, places in seen.items() if places},
        options=_options(environ),
        region=_region(environ, home),
    )


def _seen(provider: ProviderType, environ: Mapping[str, str], home: Path) -> Iterable[str]:
    yield from (name for name in _VARIABLES[provider] if environ.get(name))
    if provider == "bedrock":
        yield from (_short(file, home) for file in _aws_files(environ, home) if file.is_file())
    if provider == "vertex" and (file := home / ".config/gcloud/application_default_credentials.json").is_file():
        yield _short(file, home)


def _options(environ: Mapping[str, str]) -> Mapping[ProviderType, Mapping[str, str]]:
    wanted: Mapping[ProviderType, tuple[str, str]] = {
        "azure": ("base_url", "AZURE_OPENAI_ENDPOINT"),
        "vertex": ("project", "GOOGLE_CLOUD_PROJECT"),
        "ibm": ("project_id", "WATSONX_PROJECT_ID"),
        "oracle": ("compartment", "OCI_COMPARTMENT_ID"),
    }
    return {
        provider: {option: environ[variable]}
        for provider, (option, variable) in wanted.items()
        if environ.get(variable)
    }


def _aws_files(environ: Mapping[str, str], home: Path) -> tuple[Path, Path]:
    return (
        Path(environ.get("AWS_CONFIG_FILE") or home / ".aws" / "config").expanduser(),
        Path(environ.get("AWS_SHARED_CREDENTIALS_FILE") or home / ".aws" / "credentials").expanduser(),
    )


def _region(environ: Mapping[str, str], home: Path) -> str:
    said = environ.get("AWS_REGION") or environ.get("AWS_DEFAULT_REGION") or _region_of_profile(environ, home)
    return said if said is not None and _REGION.fullmatch(said) else _USUAL_REGION


def _region_of_profile(environ: Mapping[str, str], home: Path) -> str | None:
    parser = configparser.ConfigParser(interpolation=None, strict=False)
    try:
        parser.read(_aws_files(environ, home)[0], encoding="utf-8")
    except (configparser.Error, OSError, ValueError):
        return None
    name = environ.get("AWS_PROFILE", "default")
    section = name if name == "default" else f"profile {name}"
    return parser.get(section, "region", fallback=None)


def _short(file: Path, home: Path) -> str:
    return f"~/{file.relative_to(home)}" if file.is_relative_to(home) else str(file)
