"""The cast of the demo: who calls, with what in the shell, and what must come of each call."""

from __future__ import annotations

from collections.abc import Mapping

from llmauth.demo.walk import protocol
from llmauth.demo.walk.shells import (
    BASE_URL,
    PROXY,
    Place,
    Shell,
    Step,
    behind_proxy,
    by_base_url,
    saying,
    transparent,
)

USERS = ("alice", "bob", "carol")

# The calls of every SDK in its own protocol, and which model is to be heard in the answer.
SDK_CALLS = {
    "openai.chat": "OpenAI",
    "openai.chat_stream": "OpenAI",
    "openai.responses": "OpenAI",
    "anthropic.messages": "Claude",
    "anthropic.messages_stream": "Claude",
    "bedrock.converse": "Bedrock",
    "bedrock.converse_stream": "Bedrock",
    "bedrock.invoke_model": "Claude",
    "bedrock.invoke_model_with_response_stream": "Claude",
    "bedrock.list_foundation_models": "",
}
_CURL_CALL = {"curl.chat": "OpenAI"}


def cast(place: Place, *, curl: bool) -> tuple[Shell, ...]:
    """Two users who call with every SDK, first its own provider and then others, and four who are refused.

    `curl` tells whether there is one.
    """
    said = SDK_CALLS | (_CURL_CALL if curl else {})
    calls = tuple(Step(call=name, answer=speaker and saying(speaker)) for name, speaker in said.items())
    alice = behind_proxy(place, "alice", place.keys["alice"])
    bob = by_base_url(place, place.keys["bob"])
    return (
        Shell(caller="alice", way=PROXY, variables=alice, steps=(*calls, protocol.rerouted())),
        Shell(caller="bob", way=BASE_URL, variables=bob, steps=(*calls, *protocol.spoken(place, curl=curl))),
        *_refused(place, alice),
    )


def _refused(place: Place, alice: Mapping[str, str]) -> tuple[Shell, ...]:
    chat = "openai.chat"
    keyless = {"OPENAI_BASE_URL": transparent(place, "openai/v1"), "OPENAI_API_KEY": "sk-placeholder"}
    guessed = behind_proxy(place, "eve", _guess(place.keys["alice"]))
    elsewhere = {**alice, "OPENAI_BASE_URL": "https://models.example/v1"}
    carol = behind_proxy(place, "carol", place.keys["carol"])
    before_and_after = (
        Step(call=chat, answer=saying("OpenAI")),
        Step(call=chat, status=401, note="key revoked", revoke=True),
    )
    return (
        Shell(caller="no one", way=BASE_URL, variables=keyless, steps=(Step(call=chat, status=401, note="no key"),)),
        Shell(caller="eve", way=PROXY, variables=guessed, steps=(Step(call=chat, status=407, note="wrong key"),)),
        Shell(
            caller="alice", way=PROXY, variables=elsewhere, steps=(Step(call=chat, status=403, note="unknown host"),)
        ),
        Shell(caller="carol", way=PROXY, variables=carol, steps=before_and_after),
    )


def _guess(key: str) -> str:
    """A key that is not the one: the public id is right, the secret is turned round."""
    start = key.rindex("_") + 1
    return key[:start] + key[start:][::-1]
