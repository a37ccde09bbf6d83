"""What a caller's shell holds, which calls are made in it, and what must come of each."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from llmauth.demo import words
from llmauth.demo.walk.formats import Wanted

PROXY, BASE_URL = "HTTPS_PROXY", "base URL"
TOKENS = 16  # of an emulated model's answer


@dataclass(frozen=True, slots=True, kw_only=True)
class Spoken:
    """A call of protocol mode: the door that the SDK is pointed at, and what a provider must receive.

    `wanted` is `None` for what the gateway answers itself; `model` is the name that was asked for, where the gateway
    gave it that.
    """

    door: str
    wanted: Wanted | None
    model: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One call, by its name in calls.py, and the status that it must have. `note` says what is odd about it.

    `answer` is what must be heard, where that is known; `exports` are variables that are set before, and stay;
    `revoke` ends the caller's key just before.
    """

    call: str
    status: int = 200
    answer: str = ""
    note: str = ""
    revoke: bool = False
    exports: Mapping[str, str] = field(default_factory=dict)
    spoken: Spoken | None = None

    @property
    def ours(self) -> bool:
        """Whether the gateway answers this call itself."""
        return self.spoken is not None and self.spoken.wanted is None


@dataclass(frozen=True, slots=True, kw_only=True)
class Shell:
    """A caller's shell: its variables, and the steps' exports, are all that the SDKs are told."""

    caller: str
    way: str
    variables: Mapping[str, str]
    steps: tuple[Step, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where the callers find the gateway, what they trust, and the keys that they were given, by user."""

    port: int
    bundle: Path
    keys: Mapping[str, str]

    @property
    def url(self) -> str:
        """The gateway's base URL."""
        return f"http://127.0.0.1:{self.port}"


def saying(speaker: str) -> str:
    """What an emulated model answers, whole."""
    return words.text(speaker, TOKENS)


def behind_proxy(place: Place, user: str, key: str) -> dict[str, str]:
    """SDKs as they are, with their own addresses; placeholders, since they refuse to start without any key."""
    return {
        "HTTPS_PROXY": f"http://{user}:{key}@127.0.0.1:{place.port}",
        "SSL_CERT_FILE": str(place.bundle),
        "AWS_CA_BUNDLE": str(place.bundle),
        "OPENAI_API_KEY": "sk-placeholder",
        "ANTHROPIC_API_KEY": "sk-placeholder",
        "AWS_ACCESS_KEY_ID": "placeholder",
        "AWS_SECRET_ACCESS_KEY": "placeholder",
        "AWS_DEFAULT_REGION": "us-east-1",
    }


def by_base_url(place: Place, key: str) -> dict[str, str]:
    """The gateway's key where each SDK keeps its own; boto3 has no place for one, so a hook sends it as X-API-Key."""
    return {
        "OPENAI_BASE_URL": transparent(place, "openai/v1"),
        "OPENAI_API_KEY": key,
        "ANTHROPIC_BASE_URL": transparent(place, "anthropic"),
        "ANTHROPIC_API_KEY": key,
        "AWS_ENDPOINT_URL_BEDROCK_RUNTIME": transparent(place, "bedrock_eu1"),
        "AWS_ENDPOINT_URL_BEDROCK": transparent(place, "bedrock_eu1"),
        "LLMAUTH_KEY": key,
        "AWS_ACCESS_KEY_ID": "placeholder",
        "AWS_SECRET_ACCESS_KEY": "placeholder",
        "AWS_DEFAULT_REGION": "eu-west-1",
    }


def transparent(place: Place, path: str) -> str:
    """The base URL of a provider's own API behind the gateway."""
    return f"{place.url}/transparent/{path}"
