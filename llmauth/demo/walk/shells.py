"""Who calls, set up in which way, and what must come of it: the cast of the demo and their shells' variables."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

USERS = ("alice", "bob", "carol")

SDK_CALLS = (
    "openai.chat",
    "openai.chat_stream",
    "openai.responses",
    "anthropic.messages",
    "anthropic.messages_stream",
    "bedrock.converse",
    "bedrock.converse_stream",
    "bedrock.invoke_model",
    "bedrock.invoke_model_with_response_stream",
    "bedrock.list_foundation_models",
)
PROXY, BASE_URL = "HTTPS_PROXY", "base URL"


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One call, by its name in calls.py, and the status that it must have. `note` says what is odd about it.

    `revoke` ends the caller's key just before.
    """

    call: str
    status: int = 200
    note: str = ""
    revoke: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Shell:
    """A caller's shell: its variables are all that the SDKs are told. `shown` are those that hold a credential."""

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


def cast(place: Place, *, curl: bool) -> tuple[Shell, ...]:
    """Two users who call with every SDK, and four who are refused; `curl` tells whether there is one."""
    calls = tuple(Step(call=name) for name in (*SDK_CALLS, *(["curl.chat"] if curl else [])))
    alice = behind_proxy(place, "alice", place.keys["alice"])
    return (
        Shell(caller="alice", way=PROXY, variables=alice, steps=calls),
        Shell(caller="bob", way=BASE_URL, variables=by_base_url(place, place.keys["bob"]), steps=calls),
        *_refused(place, alice),
    )


def _refused(place: Place, alice: Mapping[str, str]) -> tuple[Shell, ...]:
    chat = "openai.chat"
    keyless = {"OPENAI_BASE_URL": _base(place, "openai/v1"), "OPENAI_API_KEY": "sk-placeholder"}
    guessed = behind_proxy(place, "eve", _guess(place.keys["alice"]))
    elsewhere = {**alice, "OPENAI_BASE_URL": "https://models.example/v1"}
    carol = behind_proxy(place, "carol", place.keys["carol"])
    before_and_after = (Step(call=chat), Step(call=chat, status=401, note="key revoked", revoke=True))
    return (
        Shell(caller="no one", way=BASE_URL, variables=keyless, steps=(Step(call=chat, status=401, note="no key"),)),
        Shell(caller="eve", way=PROXY, variables=guessed, steps=(Step(call=chat, status=407, note="wrong key"),)),
        Shell(
            caller="alice", way=PROXY, variables=elsewhere, steps=(Step(call=chat, status=403, note="unknown host"),)
        ),
        Shell(caller="carol", way=PROXY, variables=carol, steps=before_and_after),
    )


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
        "OPENAI_BASE_URL": _base(place, "openai/v1"),
        "OPENAI_API_KEY": key,
        "ANTHROPIC_BASE_URL": _base(place, "anthropic"),
        "ANTHROPIC_API_KEY": key,
        "AWS_ENDPOINT_URL_BEDROCK_RUNTIME": _base(place, "bedrock_eu1"),
        "AWS_ENDPOINT_URL_BEDROCK": _base(place, "bedrock_eu1"),
        "LLMAUTH_KEY": key,
        "AWS_ACCESS_KEY_ID": "placeholder",
        "AWS_SECRET_ACCESS_KEY": "placeholder",
        "AWS_DEFAULT_REGION": "eu-west-1",
    }


def _base(place: Place, path: str) -> str:
    return f"http://127.0.0.1:{place.port}/transparent/{path}"


def _guess(key: str) -> str:
    """A key that is not the one: the public id is right, the secret is turned round."""
    start = key.rindex("_") + 1
    return key[:start] + key[start:][::-1]
