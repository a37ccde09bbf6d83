"""What a provider is asked in protocol mode, and the ways in which it already speaks a client's protocol."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from urllib.parse import quote, unquote

from llmauth.codecs.embeddings.base import EmbeddingFormat
from llmauth.codecs.splice import model_replaced
from llmauth.codecs.whole import Whole
from llmauth.context import Operation
from llmauth.errors import GatewayError, InstanceIncomplete, NotFound
from llmauth.http import Headers

# Where each operation of OpenAI's and Anthropic's own APIs stands.
OPENAI_PATHS: dict[Operation, str] = {
    "chat": "/v1/chat/completions",
    "responses": "/v1/responses",
    "embeddings": "/v1/embeddings",
}
ANTHROPIC_PATHS: dict[Operation, str] = {"messages": "/v1/messages", "count_tokens": "/v1/messages/count_tokens"}

Rewrite = Callable[[bytes, Headers], bytes]
"""A client's body (and its headers) to the one that is sent."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Native:
    """The way to an endpoint that speaks the client's own protocol: nothing is translated.

    `path` is for the handler's `forward`. `rewrite` makes the body what the host wants of it, which is mostly another
    name of the model. `unwraps` says that its stream comes in frames that the client does not know; `reads` makes, of
    the client's body, what reads an answer that comes in other words; `refused` reads the refusals of a host that
    answers in the client's protocol and refuses in its own.
    """

    path: str
    rewrite: Rewrite
    unwraps: bool = False
    reads: Callable[[bytes], Whole] | None = None
    refused: Callable[[int, Headers, bytes], GatewayError] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Embeddings:
    """Where a model is asked for embeddings, as a path for the handler's `forward`, and in what format."""

    path: str
    format: EmbeddingFormat


def under_its_name(model: str) -> Rewrite:
    """A body that names this model; every other byte is as it was."""
    return lambda body, _: model_replaced(body, model)


# As long as AWS lets an ARN be.
_LONGEST_NAME = 2048
_DOTS = re.compile(r"(?:\A|[/\\])\.{1,2}(?:[/\\]|\Z)")


def is_name(model: str) -> bool:
    """Whether this may be a model's name, before it becomes a part of a path.

    Dots that stand alone are refused, plain or encoded: no encoding keeps `..` from leading out of a path.
    """
    return 0 < len(model) <= _LONGEST_NAME and model.isprintable() and _DOTS.search(unquote(model)) is None


def quoted(model: str) -> str:
    """A model's id as one segment of a path: ARNs hold slashes, and versions colons."""
    return quote(model, safe="")


def not_offered(operation: Operation, instance: str) -> GatewayError:
    """The refusal of an operation that this instance has no way to do."""
    return NotFound(
        f"'{operation}' is not served by instance '{instance}'.",
        hint="Chat is; for other operations call the provider's own API under /transparent/.",
    )


def unset(instance: str, option: str) -> InstanceIncomplete:
    """The refusal where the configuration lacks what only protocol mode needs."""
    return InstanceIncomplete(
        f"Instance '{instance}' cannot be called in protocol mode: its option '{option}' is not set.",
        hint="Tell whoever runs this gateway.",
    )
