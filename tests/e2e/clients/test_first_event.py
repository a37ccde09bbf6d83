"""Each SDK has the first event of a stream in its hands before the provider has sent its last."""

from __future__ import annotations

import pytest

from llmauth.demo.behaviour import Behaviour
from llmauth.demo.emulators import Emulators
from tests.e2e.clients import ways
from tests.e2e.clients.sdks import Sdks
from tests.e2e.clients.test_bedrock import DUMMY, RUNTIME
from tests.fixtures.serving import Serving

TOKENS, PAUSE = 10, 0.03
# Each has the times at which its events came, by the machine's monotonic clock.
OPENAI = """
import time
client = openai.OpenAI(api_key="sk-placeholder")
stream = client.chat.completions.create(model="gpt-4o", messages=[{"role": "user", "content": "a"}], stream=True)
result = [time.monotonic() for _ in stream]
"""
ASYNC_OPENAI = """
import asyncio, time

async def call():
    async with openai.AsyncOpenAI(api_key="sk-placeholder") as client:
        asked = {"model": "gpt-4o", "messages": [{"role": "user", "content": "a"}], "stream": True}
        return [time.monotonic() async for _ in await client.chat.completions.create(**asked)]

result = asyncio.run(call())
"""
ANTHROPIC = """
import time
client = anthropic.Anthropic(api_key="sk-ant-placeholder")
asked = {"model": "claude-sonnet-4-5", "max_tokens": 99, "messages": [{"role": "user", "content": "a"}]}
result = [time.monotonic() for _ in client.messages.create(**asked, stream=True)]
"""
CONVERSE = """
import time
client = boto3.client("bedrock-runtime", region_name="us-east-1")
turns = [{"role": "user", "content": [{"text": "a"}]}]
stream = client.converse_stream(modelId="anthropic.claude-3-sonnet-20240229-v1:0", messages=turns)["stream"]
result = [time.monotonic() for _ in stream]
"""
INVOKE = """
import json, time
client = boto3.client("bedrock-runtime", region_name="us-east-1")
asked = {"max_tokens": 99, "messages": [{"role": "user", "content": "a"}], "anthropic_version": "bedrock-2023-05-31"}
stream = client.invoke_model_with_response_stream(
    modelId="anthropic.claude-3-sonnet-20240229-v1:0", body=json.dumps(asked)
)["body"]
result = [time.monotonic() for _ in stream]
"""
STREAMS = {
    "openai": ("api.openai.com", OPENAI),
    "async openai": ("api.openai.com", ASYNC_OPENAI),
    "anthropic": ("api.anthropic.com", ANTHROPIC),
    "converse_stream": (RUNTIME, CONVERSE),
    "invoke_model_with_response_stream": (RUNTIME, INVOKE),
}


@pytest.mark.parametrize(("host", "code"), STREAMS.values(), ids=STREAMS)
def test_the_first_event_is_there_before_the_last_is_sent(
    gateway: Serving, emulators: Emulators, sdks: Sdks, host: str, code: str
) -> None:
    emulators.behave(host, Behaviour(tokens=TOKENS, chunk_delay=PAUSE))
    times = sdks.run(code, {**ways.key_in_the_proxy(gateway), **DUMMY})
    (sent,) = emulators.wait(lambda seen: bool(seen) and seen[-1].answered_at is not None)
    assert len(times) >= TOKENS
    assert sent.answered_at is not None
    assert sent.answered_at - times[0] > (TOKENS - 3) * PAUSE
