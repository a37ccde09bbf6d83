"""What a provider's format of embeddings is: texts to bodies, and bodies to vectors."""

from __future__ import annotations

from array import array
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from math import isfinite
from typing import Protocol

from llmauth.codecs.embeddings.request import EmbeddingRequest
from llmauth.codecs.reading import Node
from llmauth.codecs.whole import about_tokens
from llmauth.errors import UnsupportedParameter
from llmauth.http import Headers

# The largest number that a client can hold which asked for 32 bits.
_LARGEST = 3.4028234e38


@dataclass(frozen=True, slots=True)
class Piece:
    """One call of the provider's API: its body, and how many vectors it must answer with."""

    body: bytes
    count: int


@dataclass(frozen=True, slots=True)
class Vectors:
    """The vectors of one call, in the order of its texts; `tokens` is None where the provider told none."""

    vectors: tuple[array[float], ...]
    tokens: int | None


class EmbeddingFormat(Protocol):
    """How one family of models is asked for embeddings. It knows the model, and nothing of the place."""

    @property
    def takes_input_type(self) -> bool:
        """Whether a text for a search and one that is searched are asked for differently."""
        ...

    def render(self, request: EmbeddingRequest) -> tuple[Piece, ...]:
        """The calls that together hold all texts. UnsupportedParameter for dimensions that the model has not."""
        ...

    def parse(self, body: bytes, headers: Headers) -> Vectors:
        """Malformed for what is no answer of this format."""
        ...


def batches(inputs: Sequence[str], most: int, tokens: int | None = None) -> Iterator[tuple[str, ...]]:
    """The texts in order, so many to a batch, and of about so many tokens where the API counts those as well."""
    batch: list[str] = []
    weight = 0
    for text in inputs:
        weighs = about_tokens(text) if tokens is not None else 0
        if batch and (len(batch) == most or (tokens is not None and weight + weighs > tokens)):
            yield tuple(batch)
            batch, weight = [], 0
        batch.append(text)
        weight += weighs
    yield tuple(batch)


def one_of(request: EmbeddingRequest, sizes: Sequence[int], model: str) -> int | None:
    """The dimensions that are asked for, which must be among these."""
    if request.dimensions is None or request.dimensions in sizes:
        return request.dimensions
    if not sizes:
        raise _unsupported(f"The model '{model[:100]}' has vectors of one length, and takes no 'dimensions'.")
    listed = ", ".join(map(str, sizes))
    raise _unsupported(f"The model '{model[:100]}' has vectors of {listed} dimensions, not of {request.dimensions}.")


def at_most(request: EmbeddingRequest, size: int, model: str) -> int | None:
    """The dimensions that are asked for, which must not be more than this."""
    if request.dimensions is None or request.dimensions <= size:
        return request.dimensions
    raise _unsupported(f"The model '{model[:100]}' has at most {size} dimensions, not {request.dimensions}.")


def _unsupported(sentence: str) -> UnsupportedParameter:
    return UnsupportedParameter(sentence, hint="Leave it out, or ask for another.", param="dimensions")


def vector(node: Node) -> array[float]:
    """A list of numbers. Malformed for anything else, and for a number that is none in 32 bits."""
    if not isinstance(node.value, list) or not node.value:
        node.fail("expected a list of numbers")
    try:
        numbers = array("d", node.value)
    except (TypeError, OverflowError):
        node.fail("holds what is no number")
    if not all(map(isfinite, numbers)) or max(map(abs, numbers)) > _LARGEST:
        node.fail("holds a number that is too large")
    return numbers
