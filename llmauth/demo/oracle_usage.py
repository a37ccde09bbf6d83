"""What Oracle counts of a request and its answer, in every format of its chat."""

from __future__ import annotations

from typing import Any

from llmauth.demo import words
from llmauth.demo.emulator import Call
from llmauth.demo.spoken import Spoken


def usage(call: Call, spoken: Spoken) -> dict[str, Any]:
    """The bill; thoughts count among `completionTokens`."""
    prompt = words.estimate(call.request.body)
    told = {"promptTokens": prompt, "completionTokens": spoken.count, "totalTokens": prompt + spoken.count}
    return {**told, "completionTokensDetails": {"reasoningTokens": len(spoken.thought)}} if spoken.thought else told
