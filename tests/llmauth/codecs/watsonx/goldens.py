"""watsonx's goldens, and what the cases come to there."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from llmauth.chat.messages import ChatResponse, Thinking, Usage
from llmauth.codecs.watsonx.codec import WatsonxProvider
from tests.golden.cases import cases

FOLDER = Path(__file__).parents[3] / "golden/watsonx"
MODEL = "openai/gpt-oss-120b"
REFUSED = {"document": "document"}
UNANSWERED = ("redacted thinking",)
ALL = cases("anthropic")
CASES = [case for case in ALL if case not in REFUSED]
ANSWERED = [case for case in CASES if case not in UNANSWERED]


def provider() -> WatsonxProvider:
    """The codec of the goldens."""
    return WatsonxProvider(MODEL, project_id="golden-project")


def text_of(case: str, kind: str) -> bytes:
    """A golden file."""
    return (FOLDER / f"{case.replace(' ', '_')}.{kind}").read_bytes()


def expected(case: str) -> ChatResponse:
    """What the codec makes of the golden answer: thinking is not signed, and nothing is written into a cache."""
    told = ALL[case].response
    choice, usage = told.choices[0], told.usage
    assert usage is not None
    parts = tuple(Thinking(part.text) if isinstance(part, Thinking) else part for part in choice.parts)
    if usage.cache_write:
        usage = Usage(input=usage.input, cache_read=usage.cache_read, output=usage.output)
    identity = "chatcmpl-5d8c131decbb6978cba5df10267aa3ff"
    return replace(told, id=identity, model=MODEL, choices=(replace(choice, parts=parts),), usage=usage)
