"""Log probabilities of Gemini in the form that OpenAI gave them."""

from __future__ import annotations

import math
from typing import Any

from llmauth.codecs.reading import Node


def content(result: Node) -> tuple[object, ...]:
    """One entry for each token that was chosen, with those that were likely there too."""
    tops = result.list_of("topCandidates")
    return tuple(
        {**_entry(chosen), "top_logprobs": [_entry(one) for one in tops[step].list_of("candidates")]}
        if step < len(tops)
        else {**_entry(chosen), "top_logprobs": []}
        for step, chosen in enumerate(result.list_of("chosenCandidates"))
    )


def _entry(candidate: Node) -> dict[str, Any]:
    token = candidate.text_of("token")
    return {
        "token": token,
        "logprob": _probability(candidate.get("logProbability")),
        "bytes": list(token.encode("utf-8", "replace")),
    }


def _probability(told: Node | None) -> float:
    """Left out where it is 0; what is impossible is -9999.0 in OpenAI's form, since JSON has no infinity."""
    value = 0.0 if told is None else told.number()
    if told is not None and (math.isnan(value) or value == math.inf):
        told.fail("no probability")
    return max(value, -9999.0)
