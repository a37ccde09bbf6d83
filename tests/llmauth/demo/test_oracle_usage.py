"""What Oracle counts: thoughts among the tokens of the answer, and by themselves."""

from __future__ import annotations

from llmauth.demo.behaviour import ORDINARY
from llmauth.demo.emulator import Call
from llmauth.demo.http1 import Request, parse_head
from llmauth.demo.oracle_usage import usage
from llmauth.demo.spoken import Spoken

CALL = Call("h", Request(parse_head(b"POST /x HTTP/1.1\r\nHost: h\r\n\r\n"), b"x" * 400), ORDINARY, 5)


def test_the_sum_is_right() -> None:
    plain = usage(CALL, Spoken(said=5))
    assert plain == {"promptTokens": 100, "completionTokens": 5, "totalTokens": 105}
    thoughtful = usage(CALL, Spoken(said=5, thought=("a", "b")))
    assert (thoughtful["completionTokens"], thoughtful["totalTokens"]) == (7, 107)
    assert thoughtful["completionTokensDetails"] == {"reasoningTokens": 2}
