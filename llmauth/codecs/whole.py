"""An answer that is read whole and told in the client's words, where it is no chat."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from llmauth.chat.messages import Choice, Usage
from llmauth.http import Field, Headers

# Says that what was counted is an estimate of ours, and no provider's word.
ESTIMATED: Field = (b"x-llmauth-estimate", b"true")


def about_tokens(text: str) -> int:
    """An estimate: four characters of ASCII to a token, and one of any other script."""
    plain = len(text.encode("ascii", "ignore"))
    return -(-plain // 4) + len(text) - plain


@dataclass(frozen=True, slots=True, kw_only=True)
class Said:
    """What the client gets; `usage` is None where the provider told none, `choices` are those of a chat."""

    body: bytes
    usage: Usage | None = None
    headers: tuple[Field, ...] = ()
    choices: Sequence[Choice] = ()


class Whole(Protocol):
    """What becomes of one answer. It may hang on the request, and is made for each."""

    @property
    def dropped(self) -> tuple[str, ...]:
        """The client's names of what was left out of the request."""
        ...

    def said(self, status: int, headers: Headers, body: bytes, beside: Sequence[Any] = ()) -> Said:
        """The answer in the client's words; `beside` is what was read of requests that were sent with this one.

        UpstreamError for a refusal of the provider's, BrokenAnswer for what is no answer.
        """
        ...
