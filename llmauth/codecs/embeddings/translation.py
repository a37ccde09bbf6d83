"""One request for embeddings between two formats: its calls over, their answers together back."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from llmauth.chat.messages import Usage
from llmauth.codecs.base import ProviderCodec
from llmauth.codecs.embeddings.base import EmbeddingFormat, Piece, Vectors
from llmauth.codecs.embeddings.request import EmbeddingRequest
from llmauth.codecs.embeddings.response import render
from llmauth.codecs.reading import Malformed
from llmauth.codecs.whole import ESTIMATED, Said, about_tokens
from llmauth.errors import BadRequest, BrokenAnswer, UnsupportedParameter
from llmauth.http import Headers

# How many calls of a provider one request may become.
MOST_PIECES = 256
_REFUSALS = 400


@dataclass(frozen=True, slots=True, kw_only=True)
class EmbeddingTranslation:
    """The calls that a request became, in order, and the way back. `codec` reads what the provider refuses."""

    request: EmbeddingRequest
    format: EmbeddingFormat
    codec: ProviderCodec
    pieces: tuple[Piece, ...]
    dropped: tuple[str, ...]

    def read(self, number: int, status: int, headers: Headers, body: bytes) -> Vectors:
        """The answer to one of the calls. UpstreamError for a refusal, BrokenAnswer for what is no answer to it."""
        if status >= _REFUSALS:
            raise self.codec.parse_error(status, headers, body)
        try:
            told = self.format.parse(body, headers)
        except Malformed as fault:
            raise BrokenAnswer(f"The provider's answer holds no embeddings: {str(fault)[:80]}.") from None
        wanted = self.pieces[number].count
        if len(told.vectors) != wanted:
            raise BrokenAnswer(f"The provider was sent {wanted} texts, and answered with {len(told.vectors)} vectors.")
        return told

    def said(self, status: int, headers: Headers, body: bytes, beside: Sequence[Vectors] = ()) -> Said:
        """All vectors in the order of their texts; `body` answers the first call, `beside` is read of the others."""
        told = (self.read(0, status, headers, body), *beside)
        if len(told) != len(self.pieces):
            raise BrokenAnswer("Not every part of the request was answered.")  # never a part of an answer
        counts = [one.tokens for one in told if one.tokens is not None]
        exact = len(counts) == len(told)
        tokens = sum(counts) if exact else sum(map(about_tokens, self.request.inputs))
        vectors = [vector for one in told for vector in one.vectors]
        return Said(
            body=render(vectors, model=self.request.model, tokens=tokens, encoding=self.request.encoding),
            usage=Usage(input=tokens) if exact else None,
            headers=() if exact else (ESTIMATED,),
        )


def begin(
    asked: EmbeddingRequest, form: EmbeddingFormat, codec: ProviderCodec, *, strict: bool
) -> EmbeddingTranslation:
    """The request's calls. UnsupportedParameter for dimensions that the model has not, and in strict mode for what
    would be left out; BadRequest where it would be too many calls."""
    dropped = _dropped(asked, form)
    if strict and dropped:
        raise UnsupportedParameter(
            f"The provider of this model does not know '{dropped[0][:100]}', and is configured as strict.",
            hint="Leave it out.",
            param=dropped[0],
        )
    pieces = form.render(asked)
    if len(pieces) > MOST_PIECES:
        raise BadRequest(
            f"The {len(asked.inputs)} texts would be {len(pieces)} calls of this model's API, and more than "
            f"{MOST_PIECES} are not made for one request.",
            hint="Send fewer texts at once.",
            code="invalid_request",
            param="input",
        )
    return EmbeddingTranslation(request=asked, format=form, codec=codec, pieces=pieces, dropped=dropped)


def _dropped(asked: EmbeddingRequest, form: EmbeddingFormat) -> tuple[str, ...]:
    names = list(asked.unknown)
    if asked.user is not None:
        names.append("user")
    if asked.input_type is not None and not form.takes_input_type:
        names.append("input_type")
    return tuple(names)
