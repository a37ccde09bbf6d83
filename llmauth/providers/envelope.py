"""Bedrock's InvokeModel asked for by an envelope: the model, the body and its type in one JSON object."""

from __future__ import annotations

import base64
import binascii
import json
from dataclasses import dataclass, field
from typing import Any

from llmauth.codecs.reading import Malformed, Node, parse
from llmauth.errors import BadRequest
from llmauth.providers.speaking import is_name

_JSON = "application/json"
_EXAMPLE = (
    'Send for example {"modelId": "anthropic.claude-3-haiku-20240307-v1:0", "contentType": "application/json", '
    '"accept": "application/json", "body": {"anthropic_version": "bedrock-2023-05-31", "max_tokens": 100, "messages": '
    '[{"role": "user", "content": "Hello"}]}}.'
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Envelope:
    """What InvokeModel is to be asked. `body` is the model's own, byte for byte where it came as text or base64."""

    model: str
    content_type: str
    accept: str
    body: bytes = field(repr=False)


def unpack(body: bytes) -> Envelope:
    """The call in an envelope. BadRequest, with an example, for what is none.

    `body` is a JSON object, or text that is the body itself; where `contentType` is another than JSON, base64.
    """
    try:
        node = Node(parse(body))
        node.object()
        model = node.need("modelId")
        if not is_name(model.text()):
            model.fail("is no id of a model")
        content_type = _media_type(node, "contentType")
        return Envelope(
            model=model.text(),
            content_type=content_type,
            accept=_media_type(node, "accept"),
            body=_body(node.need("body"), content_type),
        )
    except Malformed as fault:
        raise BadRequest(f"This is no envelope of InvokeModel: {fault}.", hint=_EXAMPLE, param=fault.place) from None


def _media_type(node: Node, name: str) -> str:
    member = node.get(name)
    if member is None:
        return _JSON
    text = member.text()
    if not text.isascii() or not text.isprintable() or len(text) > 200:
        member.fail("is no media type")
    return text or _JSON


def _body(node: Node, content_type: str) -> bytes:
    value: Any = node.value
    if isinstance(value, dict):
        return json.dumps(value, separators=(",", ":"), ensure_ascii=False).encode("utf-8", "surrogatepass")
    text = node.text()
    if content_type.partition(";")[0].strip().lower() == _JSON:
        return text.encode("utf-8", "surrogatepass")
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        node.fail(f"is not base64, which a body of type {content_type[:50]} has to be")
