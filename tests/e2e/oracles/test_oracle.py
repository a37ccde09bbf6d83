"""The oci SDK's own models judge what we say to Oracle, and whether our golden answers are of Oracle's shape."""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from llmauth.chat.messages import Audio, Data, Document, Image, JsonSchema, Link, Reasoning, Thinking
from llmauth.chat.words import PARAMETERS, Word
from llmauth.codecs.mapping import Sent
from tests.e2e.clients.sdks import Sdks
from tests.golden.cases import asked, assistant, user
from tests.llmauth.codecs.oracle.goldens import CASES, GOLDENS, Golden, each, ids
from tests.llmauth.demo.clients import cloud_interpreter

# Through the models and back: a misspelt member is lost, and a word that is none of an enumeration's is refused or
# replaced. What must be there is told by the models' documentation alone.
JUDGE = """
client = generative_ai_inference.GenerativeAiInferenceClient(config).base_client

def missing(model, place):
    for name, wire in getattr(model, "attribute_map", {}).items():
        value = getattr(model, name)
        required = "**[Required]**" in (getattr(type(model), name).__doc__ or "")
        if value is None and required:
            yield f"{place}.{wire}"
        for inner in value if isinstance(value, list) else [value]:
            yield from missing(inner, f"{place}.{wire}")

result = []
for kind, body in bodies:
    try:
        model = client.deserialize_response_data(body.encode(), kind)
        result.append([client.sanitize_for_serialization(model), list(missing(model, kind))])
    except Exception as problem:
        result.append([f"{type(problem).__name__}: {problem}", []])
"""
# The SDK makes no client without a key; this one signs nothing.
_KEY = rsa.generate_private_key(public_exponent=65537, key_size=2048)
CONFIG = {
    "tenancy": "ocid1.tenancy.oc1..aaaa",
    "user": "ocid1.user.oc1..aaaa",
    "fingerprint": ":".join(["aa"] * 16),
    "key_content": _KEY.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode(),
    "region": "us-chicago-1",
}
EVERYTHING: dict[Word, Any] = {
    Word.MAX_TOKENS: 10,
    Word.TEMPERATURE: 0.5,
    Word.TOP_P: 0.5,
    Word.TOP_K: 5,
    Word.STOP: ("END",),
    Word.SEED: 7,
    Word.N: 2,
    Word.PRESENCE_PENALTY: 0.5,
    Word.FREQUENCY_PENALTY: 0.5,
    Word.LOGIT_BIAS: {"1": 2},
    Word.LOGPROBS: True,
    Word.TOP_LOGPROBS: 2,
    Word.METADATA: {"a": "b"},
    Word.SERVICE_TIER: "priority",
    Word.VERBOSITY: "low",
    Word.PARALLEL_TOOL_CALLS: False,
    Word.PREDICTION: {"type": "content", "content": "x"},
    Word.WEB_SEARCH: {"search_context_size": "low", "user_location": {"approximate": {"city": "Bern"}}},
}


@pytest.fixture(scope="module")
def sdk() -> Iterator[Sdks]:
    sdks = Sdks(cloud_interpreter(), "oci.generative_ai_inference")
    yield sdks
    sdks.close()


def judged(sdk: Sdks, *bodies: tuple[str, bytes]) -> list[tuple[Any, list[str]]]:
    """What each body comes back as, and which required members it lacks."""
    found = sdk.run(JUDGE, {}, config=CONFIG, bodies=[(kind, body.decode()) for kind, body in bodies])
    return [(with_kinds(told), missing) for told, missing in found]


# The SDK has classes for these contents, which write the words on the right, and forgot them in its enumeration.
KINDS = {"documentUrl": "DOCUMENT", "audioUrl": "AUDIO"}


def with_kinds(told: Any) -> Any:
    """As the SDK's own classes write what its reader does not know."""
    if isinstance(told, list):
        return [with_kinds(value) for value in told]
    if not isinstance(told, dict):
        return told
    told = {name: with_kinds(value) for name, value in told.items()}
    kind = next((kind for name, kind in KINDS.items() if name in told), None)
    return {**told, "type": kind} if kind and told.get("type") == "UNKNOWN_ENUM_VALUE" else told


def with_everything(golden: Golden) -> bytes:
    """A request with all that the format can say."""
    table = golden.provider.table
    said = {word: EVERYTHING[word] for word in PARAMETERS if isinstance(table[word], Sent)}
    parts: list[Any] = ["Hi"]
    for word, part in (
        (Word.IMAGE_DATA, Image(Data("image/png", "QUJD"), "high")),
        (Word.IMAGE_URL, Image(Link("https://a.example/b.png"))),
        (Word.DOCUMENT_DATA, Document(Data("application/pdf", "QUJD"))),
        (Word.DOCUMENT_URL, Document(Link("https://a.example/b.pdf"))),
        (Word.AUDIO_INPUT, Audio(Data("audio/wav", "QUJD"))),
    ):
        if isinstance(table[word], Sent):
            parts.append(part)
    turns = (replace(user("Hello"), name="ada"), assistant(Thinking("Hm."), "Hi."), user(*parts))
    output = JsonSchema({"type": "object"}, "answer", "An answer.", strict=True)
    request = asked(*turns, parameters=said, output=output, reasoning=Reasoning("high"), stream=True)
    return golden.provider.render_request(request).body


def test_every_request_is_one_to_the_sdk(sdk: Sdks) -> None:
    pairs = [(golden, case, golden.provider.render_request(CASES[case].streamed).body) for golden, case in each()]
    verdicts = judged(sdk, *(("ChatDetails", body) for *_, body in pairs))
    for (golden, case, body), (told, missing) in zip(pairs, verdicts, strict=True):
        assert told == json.loads(body), f"{golden.folder}, {case}"
        assert missing == [], f"{golden.folder}, {case}"


@pytest.mark.parametrize("golden", GOLDENS, ids=ids)
def test_all_that_a_format_can_say_is_known_to_the_sdk(sdk: Sdks, golden: Golden) -> None:
    body = with_everything(golden)
    ((told, missing),) = judged(sdk, ("ChatDetails", body))
    assert told == json.loads(body)
    assert missing == []


def test_every_golden_answer_is_one_to_the_sdk(sdk: Sdks) -> None:
    pairs = [(golden, case, golden.text_of(case, "response.json")) for golden, case in each(answered=True)]
    verdicts = judged(sdk, *(("ChatResult", body) for *_, body in pairs))
    for (golden, case, body), (told, missing) in zip(pairs, verdicts, strict=True):
        assert without_time(told) == without_time(json.loads(body)), f"{golden.folder}, {case}"
        assert missing == [], f"{golden.folder}, {case}"


def without_time(told: Any) -> Any:
    """Without what the SDK writes in another form than it read, and what is null."""
    if isinstance(told, dict):
        skipped = ("timeCreated",)
        return {name: without_time(value) for name, value in told.items() if name not in skipped and value is not None}
    return [without_time(value) for value in told] if isinstance(told, list) else told


def spoiled(golden: Golden, case: str, **changes: Any) -> bytes:
    body = copy.deepcopy(json.loads(golden.text_of(case, "request.json")))
    body["chatRequest"] |= changes
    return json.dumps(body).encode()


def test_the_judge_sees_what_is_wrong(sdk: Sdks) -> None:
    generic, cohere, v2 = GOLDENS
    lower = [{"role": "user", "content": [{"type": "TEXT", "text": "Hi"}]}]
    bad = [
        spoiled(generic, "text", max_tokens=5),
        spoiled(generic, "text", messages=lower),
        spoiled(generic, "text", reasoningEffort="medium"),
        spoiled(generic, "text", toolChoice={"type": "auto"}),
        spoiled(cohere, "text", chatHistory=[{"role": "ASSISTANT", "message": "Hi"}]),
        spoiled(v2, "text", toolsChoice="AUTO"),
        spoiled(cohere, "text", message=None),
    ]
    for body, (told, missing) in zip(bad, judged(sdk, *(("ChatDetails", body) for body in bad)), strict=True):
        assert told != json.loads(body) or missing, body
