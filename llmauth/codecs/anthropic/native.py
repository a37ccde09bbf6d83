"""Messages on both sides: nothing is translated, only what a host of Claude wants otherwise is changed."""

from __future__ import annotations

import json
import re
from base64 import b64decode
from collections.abc import Iterable, Sequence
from typing import Any

from llmauth.codecs.anthropic.errors import error_fields
from llmauth.codecs.anthropic.threads import refuse_thread
from llmauth.codecs.aws_exceptions import of_stream
from llmauth.codecs.base import to_json
from llmauth.codecs.reading import Malformed, parse_fast
from llmauth.codecs.splice import Splice
from llmauth.errors import BrokenAnswer, GatewayError
from llmauth.framing.eventstream import Decoder, Message
from llmauth.framing.sse import encode
from llmauth.reflection import hide

BEDROCK_VERSION = "bedrock-2023-05-31"
VERTEX_VERSION = "vertex-2023-10-16"

# The betas that Bedrock knows; every other makes it refuse the whole request ("invalid beta flag"). From the page
# "Anthropic Claude Messages API" of AWS's guide, and from what other gateways found to be taken.
BEDROCK_BETAS = frozenset(
    {
        "compact-2026-01-12",
        "computer-use-2024-10-22",
        "computer-use-2025-01-24",
        "computer-use-2025-11-24",
        "context-1m-2025-08-07",
        "context-management-2025-06-27",
        "dev-full-thinking-2025-05-14",
        "effort-2025-11-24",
        "fine-grained-tool-streaming-2025-05-14",
        "interleaved-thinking-2025-05-14",
        "mid-conversation-output-config-2026-07-01",
        "mid-conversation-tool-changes-2026-07-01",
        "output-128k-2025-02-19",
        "thinking-binding-controls-2026-08-01",
        "thinking-display-updates-2026-08-18",
        "token-efficient-tools-2025-02-19",
        "tool-examples-2025-10-29",
        "tool-search-tool-2025-10-19",
    }
)
# One beta of Anthropic's own API is several there; the one that clients need it for has this name.
_BEDROCK_NAMES = {"advanced-tool-use-2025-11-20": "tool-search-tool-2025-10-19"}

_METRICS = "amazon-bedrock-invocationMetrics"
_NAME = re.compile(r"[a-z_]{1,64}")


def bedrock_betas(betas: Iterable[str]) -> list[str]:
    """Those of a client's betas that Bedrock knows, by Bedrock's names, each once."""
    named = (_BEDROCK_NAMES.get(beta.strip(), beta.strip()) for beta in betas)
    return [beta for beta in dict.fromkeys(named) if beta in BEDROCK_BETAS]


def for_bedrock(body: bytes, betas: tuple[str, ...] = (), *, limit: int | None = None) -> bytes:
    """The body for InvokeModel, where the path says model and stream, and the body what are headers elsewhere.

    `betas` are the values of the client's `anthropic-beta`. What the body itself says of version and betas stays.
    `limit` is the `max_tokens` of a body that names none.
    """
    splice = Splice(body)
    refuse_thread(splice.value("thread"))
    added = _version(splice, BEDROCK_VERSION)
    if limit is not None and "max_tokens" not in splice.members:
        added["max_tokens"] = limit
    known = bedrock_betas(betas)
    if known and "anthropic_beta" not in splice.members:
        added["anthropic_beta"] = known
    return splice.altered(without=("model", "stream"), added=added)


def for_vertex(body: bytes) -> bytes:
    """The body for rawPredict: the model stands in the path, the version in the body; betas remain a header."""
    splice = Splice(body)
    refuse_thread(splice.value("thread"))
    return splice.altered(without=("model",), added=_version(splice, VERTEX_VERSION))


def _version(splice: Splice, version: str) -> dict[str, Any]:
    return {} if "anthropic_version" in splice.members else {"anthropic_version": version}


def betas_in(values: Iterable[str]) -> tuple[str, ...]:
    """The betas that the values of `anthropic-beta` headers list."""
    return tuple(beta for value in values for beta in (part.strip() for part in value.split(",")) if beta)


class ChunkUnwrapper:
    """Bedrock's `chunk` frames as the SSE that a client of Messages expects.

    A stream that fails, or is cut before `message_stop`, ends with the protocol's `event: error`. `failure` says why.
    """

    def __init__(self, secrets: Sequence[bytes] = ()) -> None:
        self.failure: GatewayError | None = None
        self._secrets = secrets
        self._frames = Decoder()
        self._ended = False

    def feed(self, data: bytes) -> bytes:
        """The events that are complete with these bytes."""
        pieces = [self._take(message) for message in self._frames.feed(data)]
        if self._frames.fault:
            pieces.append(self._fail(_broken(self._frames.fault)))
        return b"".join(pieces)

    def close(self) -> bytes:
        """The body is over: an error where the answer was not."""
        return b"" if self._ended else self._fail(_broken("it ended before its end"))

    def cut(self, error: GatewayError) -> bytes:
        """The provider broke off: the client is told so, unless the answer was complete."""
        return self._fail(error)

    def _take(self, message: Message) -> bytes:
        if self.failure is not None or self._ended:
            return b""
        kind = message.headers.get(":message-type")
        if kind != "event":
            return self._fail(of_stream(message))
        if message.headers.get(":event-type") != "chunk":
            return b""
        try:
            return self._event(chunk(message.payload))
        except Malformed as fault:
            return self._fail(_broken(fault.fault))

    def _event(self, data: bytes) -> bytes:
        event = parse_fast(data)
        name = event.get("type") if isinstance(event, dict) else None
        if not isinstance(name, str) or not _NAME.fullmatch(name):
            return b""
        if name == "error":
            self.failure = _broken("the provider told of an error")
        self._ended = name in ("message_stop", "error")
        if event.pop(_METRICS, None) is not None or b"\n" in data or b"\r" in data:
            data = json.dumps(event, separators=(",", ":")).encode("ascii")
        return encode(data, name)

    def _fail(self, error: GatewayError) -> bytes:
        if self.failure is not None or self._ended:
            return b""
        self.failure = hide(self._secrets, error)
        self._ended = True
        return encode(to_json({"type": "error", "error": error_fields(error)}), "error")


def chunk(payload: bytes) -> bytes:
    """The event that a chunk's payload holds in base64. Malformed where it holds none."""
    value = parse_fast(payload)
    data = value.get("bytes") if isinstance(value, dict) else None
    if not isinstance(data, str):
        raise Malformed("", "a chunk holds no bytes")
    try:
        return b64decode(data, validate=True)
    except ValueError:
        raise Malformed("", "a chunk is not base64") from None


def _broken(fault: str) -> BrokenAnswer:
    return BrokenAnswer(f"The provider's stream is broken: {fault}.")
