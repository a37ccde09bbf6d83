"""ibm-watsonx-ai puts together what it would send for the same call: it must be what we send."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from llmauth.chat.messages import JsonObject, Reasoning
from llmauth.chat.words import PARAMETERS, Word
from llmauth.codecs.mapping import Sent
from tests.e2e.clients.sdks import Sdks
from tests.golden.cases import asked, user
from tests.llmauth.codecs.watsonx.goldens import ALL, CASES, provider
from tests.llmauth.demo.clients import cloud_interpreter

# The SDK leaves out parameters that its schema does not know; it does not look at their values, which we do for it
# where the schema has a closed set.
BUILD = """
import types, typing, warnings
warnings.simplefilter("ignore")
known = typing.get_type_hints(schema.TextChatParameters)

def closed(name):
    inner = [one for one in typing.get_args(known[name]) if typing.get_origin(one) is typing.Literal]
    return typing.get_args(inner[0]) if inner else None

result = []
for body in bodies:
    own = ("messages", "tools", "tool_choice", "tool_choice_option")
    given = {name: body[name] for name in own if name in body}
    model = fm_model_inference.FMModelInference.__new__(fm_model_inference.FMModelInference)
    model.model_id = body["model_id"]
    model._client = types.SimpleNamespace(default_project_id=body.get("project_id"), default_space_id=None)
    model.params = {name: value for name, value in body.items() if name not in (*own, "model_id", "project_id")}
    bad = [n for n, v in model.params.items() if n in known and closed(n) is not None and v not in closed(n)]
    result.append([model._prepare_chat_payload(**given), bad])
"""
EVERYTHING: dict[Word, Any] = {
    Word.MAX_TOKENS: 10,
    Word.TEMPERATURE: 0.5,
    Word.TOP_P: 0.5,
    Word.STOP: ("END",),
    Word.SEED: 7,
    Word.N: 2,
    Word.PRESENCE_PENALTY: 0.5,
    Word.FREQUENCY_PENALTY: 0.5,
    Word.LOGIT_BIAS: {"1": 2},
    Word.LOGPROBS: True,
    Word.TOP_LOGPROBS: 2,
}


@pytest.fixture(scope="module")
def sdk() -> Iterator[Sdks]:
    inference = "ibm_watsonx_ai.foundation_models.inference.fm_model_inference"
    sdks = Sdks(cloud_interpreter(), inference, "ibm_watsonx_ai.foundation_models.schema")
    yield sdks
    sdks.close()


def built(sdk: Sdks, *bodies: dict[str, Any]) -> list[tuple[dict[str, Any], list[str]]]:
    """What the SDK would send for each, and the parameters whose value it does not know."""
    return [(told, bad) for told, bad in sdk.run(BUILD, {}, bodies=list(bodies))]


def test_every_request_is_what_the_sdk_would_send(sdk: Sdks) -> None:
    bodies = [json.loads(provider().render_request(ALL[case].request).body) for case in CASES]
    for case, body, (told, bad) in zip(CASES, bodies, built(sdk, *bodies), strict=True):
        assert told == body, case
        assert bad == [], case


@pytest.mark.parametrize("effort", ["none", "minimal", "low", "medium", "high", "xhigh", "max"])
def test_all_that_can_be_said_is_known_to_the_sdk(sdk: Sdks, effort: str) -> None:
    said = {word: EVERYTHING[word] for word in PARAMETERS if isinstance(provider().table[word], Sent)}
    request = asked(user("Hi"), parameters=said, output=JsonObject(), reasoning=Reasoning(effort, shown=False))
    body = json.loads(provider().render_request(request).body)
    assert built(sdk, body) == [(body, [])]


def test_the_judge_sees_what_is_wrong(sdk: Sdks) -> None:
    good = json.loads(provider().render_request(ALL["text"].request).body)
    lost, (_, bad) = built(sdk, {**good, "user": "u1"}, {**good, "reasoning_effort": "minimal"})
    assert lost[0] == good
    assert bad == ["reasoning_effort"]
