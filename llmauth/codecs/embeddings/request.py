"""A request for embeddings as OpenAI's clients write it, checked member by member."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal, NoReturn

from llmauth.codecs.reading import Malformed, Node, parse, tellable
from llmauth.errors import BadRequest, UnsupportedParameter

Encoding = Literal["float", "base64"]
InputType = Literal["search_document", "search_query", "classification", "clustering"]

# "If an array, it must be 2048 dimensions or less" (OpenAI's reference, of `input`).
MOST_INPUTS = 2048
_MEMBERS = frozenset({"model", "input", "dimensions", "encoding_format", "user", "input_type"})
# Names of members are told in a header, which is not endless.
_LONGEST, _MOST_NAMES = 64, 32
_INPUT_TYPES: dict[str, InputType] = {
    "search_document": "search_document",
    "search_query": "search_query",
    "classification": "classification",
    "clustering": "clustering",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class EmbeddingRequest:
    """Texts to embed. `input_type` is no member of OpenAI's; clients of Cohere's models send it as one beside them."""

    model: str
    inputs: tuple[str, ...]
    dimensions: int | None = None
    encoding: Encoding = "float"
    user: str | None = None
    input_type: InputType | None = None
    unknown: tuple[str, ...] = ()


def parse_request(body: bytes) -> EmbeddingRequest:
    """BadRequest names the member at fault; UnsupportedParameter is for arrays of tokens, which only OpenAI reads."""
    try:
        return _request(Node(parse(body)))
    except Malformed as fault:
        raise BadRequest(f"The request is malformed: {fault}.", code="invalid_request", param=fault.place) from None


def _request(top: Node) -> EmbeddingRequest:
    dimensions, user = top.get("dimensions"), top.get("user")
    encoding, kind = top.get("encoding_format"), top.get("input_type")
    return EmbeddingRequest(
        model=top.need("model").text(),
        inputs=_inputs(top.need("input")),
        dimensions=None if dimensions is None else dimensions.integer(1),
        encoding="base64" if encoding is not None and encoding.one_of("float", "base64") == "base64" else "float",
        user=None if user is None else user.text(),
        input_type=None if kind is None else _INPUT_TYPES[kind.one_of(*_INPUT_TYPES)],
        unknown=tuple(_unknown(top.object())),
    )


def _unknown(members: dict[str, Any]) -> list[str]:
    names = [name for name, value in members.items() if name not in _MEMBERS and value is not None]
    return [tellable(name, _LONGEST) for name in names[:_MOST_NAMES]]


def _inputs(given: Node) -> tuple[str, ...]:
    if isinstance(given.value, str):
        return (_text(given),)
    items = list(given.items())
    if not 1 <= len(items) <= MOST_INPUTS:
        given.fail(f"must hold 1 to {MOST_INPUTS} texts, holds {len(items)}")
    if isinstance(items[0].value, int | list):
        _refuse_tokens()
    return tuple(_text(item) for item in items)


def _text(item: Node) -> str:
    text = item.text()
    if not text:
        item.fail("must not be empty")
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        item.fail("holds half of a surrogate pair, which is no text")
    return text


def _refuse_tokens() -> NoReturn:
    raise UnsupportedParameter(
        "'input' holds tokens of OpenAI's, which the provider of this model does not know.",
        hint="Send texts; of LangChain's OpenAIEmbeddings that is check_embedding_ctx_length=False.",
        param="input",
    )
