"""Neutral turns, tools and output formats in the words of OpenAI's chat: for OpenAI and all who speak like it."""

from __future__ import annotations

import base64
from collections.abc import Collection, Iterable, Iterator, Sequence
from typing import Any

from llmauth.chat.messages import (
    Audio,
    Cache,
    Choose,
    Data,
    Document,
    Image,
    JsonObject,
    JsonSchema,
    Message,
    Named,
    Origin,
    Part,
    Redacted,
    Refusal,
    Signature,
    Text,
    Thinking,
    Tool,
    ToolCall,
    ToolResult,
)
from llmauth.chat.words import FEATURES, Word
from llmauth.errors import UnsupportedParameter

_FORMATS = {"audio/wav": "wav", "audio/x-wav": "wav", "audio/mpeg": "mp3", "audio/mp3": "mp3"}
_ATTACHED = "The result follows in the next message."


def render_messages(
    messages: Iterable[Message],
    *,
    features: Collection[Word] = FEATURES,
    family: Origin = "openai",
    developer: str = "developer",
    joined: bool = False,
) -> list[dict[str, Any]]:
    """The `messages` of a request; of `features`, what is not there is left out.

    `family` is whose signatures may be sent, `developer` the role that developers speak in, and `joined` makes one
    string of several texts, for providers that know lists of parts in the user's turns only.
    """
    writer = _Writer(frozenset(features), family, developer, joined)
    return [rendered for message in messages for rendered in writer.message(message)]


def render_tool(tool: Tool, *, features: Collection[Word] = FEATURES, strict: bool = True) -> dict[str, Any]:
    """One of `tools`; without `strict` that member is left out."""
    function: dict[str, Any] = {"name": tool.name}
    if tool.description:
        function["description"] = tool.description
    function["parameters"] = dict(tool.schema) or {"type": "object", "properties": {}}
    if strict and tool.strict is not None:
        function["strict"] = tool.strict
    return _marked({"type": "function", "function": function}, tool.cache if Word.CACHE in features else None)


def render_tool_choice(choice: Choose | Named) -> str | dict[str, Any]:
    """The `tool_choice`: a word, or the object that names a function."""
    if isinstance(choice, Named):
        return {"type": "function", "function": {"name": choice.name}}
    return choice.value


def render_output(output: JsonObject | JsonSchema) -> dict[str, Any]:
    """The `response_format`."""
    if isinstance(output, JsonObject):
        return {"type": "json_object"}
    schema: dict[str, Any] = {"name": output.name, "schema": dict(output.schema)}
    if output.description:
        schema["description"] = output.description
    if output.strict is not None:
        schema["strict"] = output.strict
    return {"type": "json_schema", "json_schema": schema}


def data_url(data: Data) -> str:
    """Content that came along, as a URL that holds it (RFC 2397)."""
    return f"data:{data.media_type};base64,{data.base64}"


def cache_control(cache: Cache) -> dict[str, Any]:
    """The mark as Anthropic writes it, which many speakers of OpenAI's format take over."""
    return {"type": "ephemeral"} if cache.ttl is None else {"type": "ephemeral", "ttl": cache.ttl}


def thinking_blocks(parts: Sequence[Thinking | Redacted], family: Origin) -> list[dict[str, Any]]:
    """Thinking as the extension that keeps its signatures: for a speaker of `family`, to whom no other is sent."""
    blocks: list[dict[str, Any]] = []
    for part in parts:
        if isinstance(part, Redacted):
            if part.data.origin == family:
                blocks.append({"type": "redacted_thinking", "data": part.data.value})
        elif part.signature is None:
            blocks.append({"type": "thinking", "thinking": part.text})
        elif part.signature.origin == family:
            blocks.append({"type": "thinking", "thinking": part.text, "signature": part.signature.value})
    return blocks


def _marked(rendered: dict[str, Any], cache: Cache | None) -> dict[str, Any]:
    if cache is not None:
        rendered["cache_control"] = cache_control(cache)
    return rendered


class _Writer:
    """One request's messages, under the rules of one provider."""

    def __init__(self, features: frozenset[Word], family: Origin, developer: str, joined: bool) -> None:
        self._caches = Word.CACHE in features
        self._thinks = Word.THINKING_BACK in features
        self._family = family
        self._developer = developer
        self._joined = joined

    def message(self, message: Message) -> Iterator[dict[str, Any]]:
        if message.role == "tool":
            yield from self._results([part for part in message.parts if isinstance(part, ToolResult)])
        elif message.role == "assistant":
            yield self._named(message, self._assistant(message.parts))
        else:
            role = self._developer if message.role == "developer" else message.role
            yield self._named(message, {"role": role, "content": self._content(message.parts, role != "user")})

    def _named(self, message: Message, rendered: dict[str, Any]) -> dict[str, Any]:
        if message.name is not None:
            rendered["name"] = message.name
        return rendered

    def _content(self, parts: Sequence[Part], joins: bool) -> str | list[dict[str, Any]]:
        """A string where a string says it all: every speaker of this format knows that one."""
        texts = [part for part in parts if isinstance(part, Text)]
        if len(texts) == len(parts) and ((joins and self._joined) or self._says_all(texts)):
            return "\n\n".join(text.text for text in texts)
        return [self._part(part) for part in parts]

    def _says_all(self, texts: Sequence[Text]) -> bool:
        return not texts or (len(texts) == 1 and not (self._caches and texts[0].cache))

    def _part(self, part: Part) -> dict[str, Any]:
        cache = getattr(part, "cache", None) if self._caches else None
        if isinstance(part, Text):
            return _marked({"type": "text", "text": part.text}, cache)
        if isinstance(part, Image):
            return _marked(_image(part), cache)
        if isinstance(part, Document):
            return _marked(_file(part), cache)
        if isinstance(part, Refusal):
            return {"type": "refusal", "refusal": part.text}
        assert isinstance(part, Audio)
        return _speech(part)

    def _assistant(self, parts: Sequence[Part]) -> dict[str, Any]:
        said = [part for part in parts if isinstance(part, Text | Refusal)]
        calls = [self._call(part) for part in parts if isinstance(part, ToolCall)]
        rendered: dict[str, Any] = {"role": "assistant"}
        if said and all(isinstance(part, Refusal) for part in said):
            rendered |= {"content": None, "refusal": "".join(part.text for part in said)}
        else:
            # "Required unless tool_calls or function_call is specified."
            rendered["content"] = None if calls and not said else self._content(said, joins=True)
        if self._thinks:
            rendered |= self._thought([part for part in parts if isinstance(part, Thinking | Redacted)])
        if calls:
            rendered["tool_calls"] = calls
        return rendered

    def _thought(self, parts: Sequence[Thinking | Redacted]) -> dict[str, Any]:
        blocks = thinking_blocks(parts, self._family)
        text = "".join(block.get("thinking", "") for block in blocks)
        told: dict[str, Any] = {"reasoning_content": text} if text else {}
        if any("thinking" not in block or "signature" in block for block in blocks):
            told["thinking_blocks"] = blocks
        return told

    def _call(self, call: ToolCall) -> dict[str, Any]:
        function = {"name": call.name, "arguments": call.arguments or "{}"}
        rendered: dict[str, Any] = {"id": call.id, "type": "function", "function": function}
        signature = self._own(call.signature)
        if signature is not None:
            rendered["extra_content"] = {"google": {"thought_signature": signature}}
        return _marked(rendered, call.cache if self._caches else None)

    def _own(self, signature: Signature | None) -> str | None:
        return signature.value if signature is not None and signature.origin == self._family else None

    def _results(self, results: Sequence[ToolResult]) -> Iterator[dict[str, Any]]:
        """One message for each; what the role cannot hold comes after them, since they must follow the calls."""
        attached: list[dict[str, Any]] = []
        for result in results:
            texts = [part for part in result.content if isinstance(part, Text)]
            others = [part for part in result.content if not isinstance(part, Text)]
            content = self._content(texts, joins=True) if texts or not others else _ATTACHED
            rendered = {"role": "tool", "tool_call_id": result.call_id, "content": content}
            yield _marked(rendered, result.cache if self._caches else None)
            if others:
                attached.append({"type": "text", "text": f"From the result of the tool call {result.call_id}:"})
                attached += [self._part(part) for part in others]
        if attached:
            yield {"role": "user", "content": attached}


def _image(image: Image) -> dict[str, Any]:
    url = image.source.url if not isinstance(image.source, Data) else data_url(image.source)
    where = {"url": url} if image.detail is None else {"url": url, "detail": image.detail}
    return {"type": "image_url", "image_url": where}


def _file(document: Document) -> dict[str, Any]:
    if not isinstance(document.source, Data):
        raise UnsupportedParameter(
            "A document by URL cannot be sent in OpenAI's chat format.",
            hint="Send the document itself, as a data URL.",
            param=Word.DOCUMENT_URL.value,
        )
    if document.source.media_type == "text/plain":
        return {"type": "text", "text": _plain(document.source)}
    file = {"file_data": data_url(document.source)}
    return {"type": "file", "file": file if document.name is None else {**file, "filename": document.name}}


def _plain(data: Data) -> str:
    """Files are PDF, and a document that is text already is said as such: any model can read it."""
    try:
        return base64.b64decode(data.base64, validate=True).decode("utf-8")
    except ValueError:
        raise UnsupportedParameter(
            "A document of the type 'text/plain' is not text in UTF-8, written in base64.",
            param=Word.DOCUMENT_DATA.value,
        ) from None


def _speech(audio: Audio) -> dict[str, Any]:
    form = _FORMATS.get(audio.source.media_type)
    if form is None:
        raise UnsupportedParameter(
            f"Speech of the type '{audio.source.media_type[:50]}' cannot be sent in OpenAI's chat format.",
            hint="It takes wav and mp3.",
            param=Word.AUDIO_INPUT.value,
        )
    return {"type": "input_audio", "input_audio": {"data": audio.source.base64, "format": form}}
