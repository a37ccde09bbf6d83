"""Parts of a turn as blocks of Converse."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from llmauth.chat.messages import (
    Audio,
    Cache,
    Data,
    Document,
    Image,
    Part,
    Redacted,
    Refusal,
    Text,
    Thinking,
    ToolCall,
    ToolResult,
)
from llmauth.chat.words import Word
from llmauth.codecs.arguments import to_input
from llmauth.codecs.converse.families import Family, Kind
from llmauth.codecs.converse.names import DocumentNames, ToolNames, call_id
from llmauth.errors import UnsupportedParameter

Block = dict[str, Any]

_IMAGES = {"image/png": "png", "image/jpeg": "jpeg", "image/jpg": "jpeg", "image/gif": "gif", "image/webp": "webp"}
_OFFICE = "application/vnd.openxmlformats-officedocument"
_DOCUMENTS = {
    "application/pdf": "pdf",
    "text/plain": "txt",
    "text/csv": "csv",
    "text/html": "html",
    "text/markdown": "md",
    "application/msword": "doc",
    f"{_OFFICE}.wordprocessingml.document": "docx",
    "application/vnd.ms-excel": "xls",
    f"{_OFFICE}.spreadsheetml.sheet": "xlsx",
}
_AUDIO = {
    "audio/wav": "wav",
    "audio/x-wav": "wav",
    "audio/mpeg": "mp3",
    "audio/mp3": "mp3",
    "audio/ogg": "ogg",
    "audio/flac": "flac",
    "audio/aac": "aac",
    "audio/mp4": "mp4",
    "audio/webm": "webm",
    "audio/opus": "opus",
}


def says_something(part: Part, family: Family) -> bool:
    """Whether a part is sent: a blank text is refused, and thinking of another family means nothing.

    Thinking without a signature is no family's: whose it was cannot be told any more.
    """
    match part:
        case Text(text=text) | Refusal(text=text):
            return bool(text.strip())
        case Thinking(signature=signature) | Redacted(data=signature):
            return family.knows_thinking and signature is not None and signature.origin == family.origin
        case _:
            return True


class Blocks:
    """Writes the blocks of one request; documents get names that no other has."""

    def __init__(self, family: Family, features: frozenset[Word]) -> None:
        self._family = family
        self._features = features
        self._documents = DocumentNames()
        self._writers: dict[type, Callable[[Any], Block]] = {
            Text: lambda part: {"text": part.text},
            Refusal: lambda part: {"text": part.text},
            Image: _image,
            Document: self._document,
            Audio: _audio,
            Thinking: _thinking,
            Redacted: lambda part: {"reasoningContent": {"redactedContent": part.data.value}},
            ToolCall: _tool_use,
            ToolResult: self._tool_result,
        }

    def of(self, part: Part) -> Iterator[Block]:
        """The block of a part, and the cache point after it where one is asked for."""
        yield self._writers[type(part)](part)
        yield from self.cache_point(_mark_of(part))

    def cache_point(self, mark: Cache | None) -> Iterator[Block]:
        """`5m` is what a point without a time means; only Claude knows another."""
        if mark is None or Word.CACHE not in self._features:
            return
        lasting = mark.ttl == "1h" and self._family.kind is Kind.CLAUDE
        yield {"cachePoint": {"type": "default", "ttl": "1h"} if lasting else {"type": "default"}}

    def _document(self, document: Document) -> Block:
        source = _data(document.source, Word.DOCUMENT_URL)
        written = _format(source, _DOCUMENTS, Word.DOCUMENT_DATA)
        name = self._documents.take(document.name)
        return {"document": {"name": name, "format": written, "source": {"bytes": source.base64}}}

    def _tool_result(self, result: ToolResult) -> Block:
        content = [self._writers[type(part)](part) for part in result.content if says_something(part, self._family)]
        told: Block = {"toolUseId": call_id(result.call_id), "content": content or [{"text": "(empty)"}]}
        if result.error and Word.TOOL_ERROR in self._features:
            told["status"] = "error"
        return {"toolResult": told}


def _mark_of(part: Part) -> Cache | None:
    """A cache point stands beside a tool's result and never in it."""
    mark: Cache | None = getattr(part, "cache", None)
    if mark is None and isinstance(part, ToolResult):
        return next((inner.cache for inner in part.content if inner.cache is not None), None)
    return mark


def _image(image: Image) -> Block:
    source = _data(image.source, Word.IMAGE_URL)
    return {"image": {"format": _format(source, _IMAGES, Word.IMAGE_DATA), "source": {"bytes": source.base64}}}


def _audio(audio: Audio) -> Block:
    source = audio.source
    return {"audio": {"format": _format(source, _AUDIO, Word.AUDIO_INPUT), "source": {"bytes": source.base64}}}


def _data(source: object, word: Word) -> Data:
    # The table refuses links before anything is written: this holds the two together.
    if not isinstance(source, Data):
        raise UnsupportedParameter("Bedrock takes content as data only.", param=word.value)
    return source


def _format(source: Data, known: dict[str, str], word: Word) -> str:
    found = known.get(source.media_type.partition(";")[0].strip().lower())
    if found is None:
        raise UnsupportedParameter(
            f"Bedrock takes no {word.value} of type '{source.media_type[:50]}'.",
            hint=f"It takes {', '.join(dict.fromkeys(known.values()))}.",
            param=word.value,
        )
    return found


def _thinking(thinking: Thinking) -> Block:
    assert thinking.signature is not None
    return {"reasoningContent": {"reasoningText": {"text": thinking.text, "signature": thinking.signature.value}}}


def _tool_use(call: ToolCall) -> Block:
    told = {"toolUseId": call_id(call.id), "name": ToolNames.sent(call.name), "input": to_input(call.arguments)}
    return {"toolUse": told}
