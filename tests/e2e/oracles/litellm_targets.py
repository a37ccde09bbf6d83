"""What is translated for the comparison with LiteLLM: by whom to whom, by us, and with what made alike."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from llmauth.chat.messages import ChatRequest
from llmauth.codecs.anthropic.codec import MESSAGES, AnthropicProvider
from llmauth.codecs.base import Answering, ClientCodec, ProviderCodec
from llmauth.codecs.converse.codec import ConverseProvider
from llmauth.codecs.gemini.codec import GeminiProvider
from llmauth.codecs.openai.codec import CHAT
from llmauth.codecs.openai.provider import OpenAIProvider
from llmauth.codecs.openai.table import OPENAI
from llmauth.codecs.oracle.codec import OracleProvider
from llmauth.codecs.watsonx.codec import WatsonxProvider
from llmauth.errors import GatewayError
from tests.e2e.oracles.comparing import Difference, camel, differences, listed, parsed
from tests.golden import odd

GOLDEN = Path(__file__).parents[2] / "golden"
COMPARTMENT = "ocid1.compartment.oc1..golden"
Alike = Callable[[Any], Any]

_JSON_TEXTS = parsed("arguments", "schema")


def _same(value: Any) -> Any:
    return value


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """A model of a provider. `theirs` is LiteLLM's name of the provider, `answers` the folder of golden answers."""

    theirs: str
    model: str
    codec: Callable[[str], ProviderCodec]
    alike: Alike = _same
    answers: str = ""


def _oracle(model: str) -> ProviderCodec:
    return OracleProvider(model, COMPARTMENT)


def _watsonx(model: str) -> ProviderCodec:
    return WatsonxProvider(model, project_id="golden-project")


def _blocks(value: Any) -> Any:
    return listed("content", "system")(value)


TARGETS: Mapping[str, Target] = {
    "anthropic 4.5": Target(
        theirs="anthropic",
        model="claude-sonnet-4-5-20250929",
        codec=AnthropicProvider,
        alike=_blocks,
        answers="anthropic",
    ),
    "anthropic 4.8": Target(theirs="anthropic", model="claude-opus-4-8", codec=AnthropicProvider, alike=_blocks),
    "converse claude 4.5": Target(
        theirs="bedrock",
        model="anthropic.claude-sonnet-4-5-20250929-v1:0",
        codec=ConverseProvider,
        alike=_JSON_TEXTS,
        answers="converse",
    ),
    "converse claude 4.8": Target(
        theirs="bedrock", model="anthropic.claude-opus-4-8", codec=ConverseProvider, alike=_JSON_TEXTS
    ),
    "converse nova": Target(theirs="bedrock", model="amazon.nova-pro-v1:0", codec=ConverseProvider),
    "converse nova 2": Target(theirs="bedrock", model="amazon.nova-2-lite-v1:0", codec=ConverseProvider),
    "gemini 2.5": Target(
        theirs="vertex_ai", model="gemini-2.5-flash", codec=GeminiProvider, alike=camel, answers="gemini"
    ),
    "gemini 3": Target(theirs="vertex_ai", model="gemini-3-flash-preview", codec=GeminiProvider, alike=camel),
    "watsonx": Target(
        theirs="watsonx",
        model="ibm/granite-3-3-8b-instruct",
        codec=_watsonx,
        alike=lambda body: _JSON_TEXTS(_blocks(body)),
        answers="watsonx",
    ),
    "oracle llama": Target(
        theirs="oci",
        model="meta.llama-3.3-70b-instruct",
        codec=_oracle,
        alike=_JSON_TEXTS,
        answers="oracle/generic",
    ),
    "oracle command-r": Target(theirs="oci", model="cohere.command-r-08-2024", codec=_oracle, answers="oracle/cohere"),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """One body that both translate: `kind` is the worker's name of what to do."""

    target: str
    case: str
    kind: str
    theirs: str
    model: str
    body: dict[str, Any]
    ours: Callable[[dict[str, Any]], Any]
    alike: Alike

    @property
    def job(self) -> dict[str, Any]:
        """What the worker is told."""
        return {"kind": self.kind, "provider": self.theirs, "model": self.model, "body": self.body}

    def differences(self, told: Mapping[str, Any]) -> list[Difference]:
        """Both in the same words. A refusal is one difference, and where both refuse there is none."""
        ours = _asked(lambda: self.ours(self.body))
        if "problem" in ours or "problem" in told:
            refused = (ours.get("problem", "translated"), told.get("problem", "translated"))
            both = "problem" in ours and "problem" in told
            return [] if both else [Difference(self.target, self.case, "refused", *refused)]
        return differences(self.target, self.case, self.alike(ours["body"]), self.alike(told["body"]))


def _asked(translate: Callable[[], Any]) -> dict[str, Any]:
    try:
        return {"body": translate()}
    except GatewayError as refusal:
        return {"problem": f"{type(refusal).__name__}: {refusal}"}


def comparisons() -> dict[str, Comparison]:
    """All, by a name."""
    every = [*_requests(), *_answers(), *_of_messages(), *_to_messages()]
    return {f"{one.kind}, {one.target}, {one.case}": one for one in every}


def _golden(folder: str, kind: str) -> dict[str, dict[str, Any]]:
    files = sorted((GOLDEN / folder).glob(f"*.{kind}.json"))
    return {file.name.removesuffix(f".{kind}.json"): json.loads(file.read_bytes()) for file in files}


def _requests() -> list[Comparison]:
    bodies = {**_golden("openai", "request"), **odd.CHATS}
    return [
        Comparison(
            target=name,
            case=case,
            kind="request",
            theirs=target.theirs,
            model=target.model,
            body=body,
            ours=_rendered(CHAT, target),
            alike=target.alike,
        )
        for name, target in TARGETS.items()
        for case, body in bodies.items()
    ]


def _rendered(client: ClientCodec, target: Target) -> Callable[[dict[str, Any]], Any]:
    def translate(body: dict[str, Any]) -> Any:
        request = client.parse_request(json.dumps(body).encode())
        return json.loads(target.codec(target.model).render_request(request).body)

    return translate


def _answers() -> list[Comparison]:
    return [
        Comparison(
            target=f"answer of {target.answers}",
            case=case,
            kind="answer",
            theirs=target.theirs,
            model=target.model,
            body=body,
            ours=_answered(target),
            alike=_answer_alike,
        )
        for target in TARGETS.values()
        if target.answers
        for case, body in {**_golden(target.answers, "response"), **_odd_answers(target.answers)}.items()
    ]


def _odd_answers(folder: str) -> dict[str, dict[str, Any]]:
    return odd.ANSWERS.get("oracle" if folder == "oracle/generic" else folder, {})


def _answered(target: Target, client: ClientCodec = CHAT) -> Callable[[dict[str, Any]], Any]:
    asked = ChatRequest(model=target.model, messages=())
    answering = Answering(id="golden", created=0, model=target.model, request=asked)

    def translate(body: dict[str, Any]) -> Any:
        answer = target.codec(target.model).parse_response(json.dumps(body).encode())
        return json.loads(client.render_response(answer, answering))

    return translate


# What a whole answer says of itself, and is another thing each time.
_OF_ITSELF = ("id", "created", "object", "system_fingerprint", "model")


def _answer_alike(body: Any) -> Any:
    told = {name: value for name, value in body.items() if name not in _OF_ITSELF}
    return _JSON_TEXTS(told)


_OPENAI = Target(theirs="openai", model="gpt-5", codec=lambda model: OpenAIProvider(model, OPENAI))


def _of_messages() -> list[Comparison]:
    return [
        Comparison(
            target="messages to openai",
            case=case,
            kind="messages",
            theirs=_OPENAI.theirs,
            model=_OPENAI.model,
            body={**body, "model": _OPENAI.model},
            ours=_rendered(MESSAGES, _OPENAI),
            alike=lambda told: _JSON_TEXTS(_blocks(told)),
        )
        for case, body in {**_golden("anthropic", "request"), **odd.MESSAGES}.items()
    ]


def _to_messages() -> list[Comparison]:
    return [
        Comparison(
            target="openai to messages",
            case=case,
            kind="messages_answer",
            theirs=_OPENAI.theirs,
            model=_OPENAI.model,
            body=body,
            ours=_answered(_OPENAI, MESSAGES),
            alike=lambda told: {name: value for name, value in told.items() if name not in _OF_ITSELF},
        )
        for case, body in _golden("openai", "response").items()
    ]
