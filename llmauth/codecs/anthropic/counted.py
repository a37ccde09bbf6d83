"""A count of tokens that Bedrock is asked for, and what is told where it cannot count for a model."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from llmauth.chat.messages import Usage
from llmauth.codecs.anthropic.counting import estimate_tokens, parse_count, render_count
from llmauth.codecs.anthropic.parsing import parse_request
from llmauth.codecs.aws_exceptions import of_answer
from llmauth.codecs.whole import ESTIMATED, Said
from llmauth.http import Headers

_REFUSALS = 400
# "The provided model doesn't support counting tokens", "… with on-demand throughput isn't supported": what CountTokens
# says of models that it will not count for, though they answer.
_CANNOT = ("counting tokens", "on-demand throughput")


class Counted:
    """Reads the answer to one question, for which no model worked. `asked` is the client's own body."""

    dropped: tuple[str, ...] = ()

    def __init__(self, asked: bytes) -> None:
        self._asked = asked

    def said(self, status: int, headers: Headers, body: bytes, beside: Sequence[Any] = ()) -> Said:
        """The count; an estimate, which says that it is one, where the host has none for this model."""
        if status < _REFUSALS:
            return Said(body=render_count(parse_count(body)), usage=Usage())
        refusal = of_answer(status, headers, body)
        if any(words in refusal.message for words in _CANNOT):
            return estimated(self._asked)
        raise refusal


def estimated(body: bytes) -> Said:
    """An answer of ours to a request of `count_tokens`. BadRequest for a body that is none."""
    tokens = estimate_tokens(parse_request(body, counting=True))
    return Said(body=render_count(tokens), usage=Usage(), headers=(ESTIMATED,))
