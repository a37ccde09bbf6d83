"""Bedrock's count in Anthropic's words, and an estimate that says so where Bedrock has none."""

import json

import pytest

from llmauth.chat.messages import Usage
from llmauth.codecs.anthropic.counted import Counted, estimated
from llmauth.errors import BadRequest, BrokenAnswer, UpstreamError
from llmauth.http import Headers

ASKED = json.dumps({"model": "claude", "messages": [{"role": "user", "content": "Hello there"}]}).encode()
REFUSED = Headers([(b"x-amzn-errortype", b"ValidationException")])


def test_bedrocks_count_is_anthropics():
    said = Counted(ASKED).said(200, Headers(), b'{"inputTokens":47}')
    assert (said.body, said.headers, said.usage) == (b'{"input_tokens":47}', (), Usage())


@pytest.mark.parametrize(
    "message",
    [
        "The provided model doesn't support counting tokens.",
        "Invocation of model ID anthropic.claude-x with on-demand throughput isn't supported.",
    ],
)
def test_a_model_that_bedrock_does_not_count_for_is_estimated(message):
    said = Counted(ASKED).said(400, REFUSED, json.dumps({"message": message}).encode())
    assert json.loads(said.body)["input_tokens"] > 0
    assert said.headers == ((b"x-llmauth-estimate", b"true"),)


def test_every_other_refusal_is_one():
    with pytest.raises(UpstreamError) as refused:
        Counted(ASKED).said(400, REFUSED, b'{"message":"messages: too long"}')
    assert refused.value.cause == "invalid_request"
    with pytest.raises(BrokenAnswer):
        Counted(ASKED).said(200, Headers(), b"[]")


def test_an_estimate_is_of_a_prompt():
    assert json.loads(estimated(ASKED).body)["input_tokens"] > 0
    with pytest.raises(BadRequest) as refused:
        estimated(b'{"model":"m","messages":[{"role":"nobody","content":"x"}]}')
    assert refused.value.param == "messages[0].role"
