"""The parts of a message's content, as a Responses client writes them, to neutral parts."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import NoReturn

from llmauth.chat.messages import Cache, Data, Document, Image, Part, Refusal, Text
from llmauth.codecs.openai.content import base64_of, data_of, link_of, picture_of, speech_of
from llmauth.codecs.reading import Node
from llmauth.errors import UnsupportedParameter

Reader = Callable[[Node], Part]

# Data that comes without a data URL says what it is by its name alone.
_BY_SUFFIX = {"pdf": "application/pdf", "txt": "text/plain", "md": "text/plain"}
# OpenAI promises a least time ("30m", "12h"); the longest time that others offer comes nearest to both.
_LASTING = "1h"


def refused(node: Node, message: str, hint: str) -> NoReturn:
    """400 for what is understood and cannot be done."""
    raise UnsupportedParameter(message, hint=hint, param=node.place)


def parts(content: Node, readers: Mapping[str, Reader]) -> tuple[Part, ...]:
    """A string, or a list of the parts that are allowed at this place."""
    if isinstance(content.value, str):
        return (Text(content.value),)
    return tuple(_read(content, readers))


def _read(content: Node, readers: Mapping[str, Reader]) -> Iterator[Part]:
    for part in content.items():
        kind = part.need("type").one_of(*readers)
        yield readers[kind](part)


def _cache(part: Node) -> Cache | None:
    mark = part.get("prompt_cache_breakpoint")
    if mark is None:
        return None
    mark.need("mode").one_of("explicit")
    ttl = mark.get("ttl")
    if ttl is None:
        return Cache()
    ttl.one_of("30m", "12h")
    return Cache(_LASTING)


def _text(part: Node) -> Text:
    return Text(part.need("text").text(), _cache(part))


def _refusal(part: Node) -> Refusal:
    return Refusal(part.need("refusal").text())


def _image(part: Node) -> Image:
    _refuse_file_id(part)
    url = part.need("image_url")
    detail = part.get("detail")
    wanted = "auto" if detail is None else detail.one_of("auto", "low", "high", "original")
    # "auto" is what happens unasked; "original" is more than "high", which is the most that others have a word for.
    shown = {"auto": None, "original": "high"}.get(wanted, wanted)
    return Image(picture_of(url), shown, _cache(part))


def _file(part: Node) -> Document:
    _refuse_file_id(part)
    name = part.text_of("filename") or None
    data, url = part.get("file_data"), part.get("file_url")
    if data is not None:
        return Document(_file_data(data, name or ""), name, _cache(part))
    if url is None:
        part.fail("needs file_data or file_url")
    return Document(link_of(url), name, _cache(part))


def _refuse_file_id(part: Node) -> None:
    kept = part.get("file_id")
    if kept is not None:
        refused(kept, "'file_id' names a file that only OpenAI keeps.", "Send the content itself.")


def _file_data(data: Node, name: str) -> Data:
    if (told := data_of(data)) is not None:
        return told
    media_type = _BY_SUFFIX.get(name.rpartition(".")[2].lower())
    if media_type is None:
        data.fail("must be a data URL such as 'data:application/pdf;base64,…'")
    return Data(media_type, base64_of(data, data.text()))


OF_SYSTEM: Mapping[str, Reader] = {"input_text": _text}
OF_USER: Mapping[str, Reader] = {
    "input_text": _text,
    "input_image": _image,
    "input_file": _file,
    "input_audio": speech_of,
}
OF_ASSISTANT: Mapping[str, Reader] = {"output_text": _text, "input_text": _text, "refusal": _refusal}
OF_RESULT: Mapping[str, Reader] = {"input_text": _text, "input_image": _image, "input_file": _file}
