"""Parts of a client's messages, read into neutral ones: what a part holds, and where it may be kept until."""

from __future__ import annotations

import re

from llmauth.chat.messages import Audio, Cache, Data, Document, Image, Link, Refusal, Text
from llmauth.codecs.reading import Node
from llmauth.errors import UnsupportedParameter

# RFC 2397, in its base64 form; parameters of the media type say nothing that anybody needs.
_DATA_URL = re.compile(r"data:([a-z0-9.+-]+/[a-z0-9.+-]+)((?:;[a-z0-9.+-]+=[^;,]*)*);base64,", re.IGNORECASE)
_BASE64 = re.compile(r"[A-Za-z0-9+/]+={0,2}")
_LINK = re.compile(r"https?://[^\s\x00-\x1f\x7f]+", re.IGNORECASE)
_SPEECH = {"wav": "audio/wav", "mp3": "audio/mpeg"}


def texts(content: Node) -> tuple[Text, ...]:
    """A string, or a list of text parts."""
    if isinstance(content.value, str):
        return (Text(content.value),)
    return tuple(_text(part) for part in _filled(content, "text"))


def texts_and_refusals(content: Node) -> tuple[Text | Refusal, ...]:
    """What an assistant said; an empty string is nothing said."""
    if isinstance(content.value, str):
        return (Text(content.value),) if content.value else ()
    return tuple(
        Refusal(part.need("refusal").text()) if part.value["type"] == "refusal" else _text(part)
        for part in _parts(content, "text", "refusal")
    )


def user_parts(content: Node) -> tuple[Text | Image | Document | Audio, ...]:
    """A string, or a list of parts of any kind that a user may send."""
    if isinstance(content.value, str):
        return (Text(content.value),)
    return tuple(
        speech_of(part) if part.value["type"] == "input_audio" else _shown(part)
        for part in _filled(content, "text", "image_url", "file", "input_audio")
    )


def result_parts(content: Node) -> tuple[Text | Image | Document, ...]:
    """What a tool gave: OpenAI knows texts; pictures and files are taken too, for models that can look at them."""
    if isinstance(content.value, str):
        return (Text(content.value),) if content.value else ()
    return tuple(_shown(part) for part in _parts(content, "text", "image_url", "file"))


def cache_of(node: Node) -> Cache | None:
    """The mark of a cache: Anthropic's, which many clients send in this format too, or OpenAI's own."""
    control = node.get("cache_control")
    if control is not None:
        control.need("type").one_of("ephemeral")
    else:
        control = node.get("prompt_cache_breakpoint")
    return None if control is None else Cache(control.text_of("ttl") or None)


def data_of(url: Node) -> Data | None:
    """What a data URL holds, None where it is another URL. The base64 is looked at, and not decoded."""
    text = url.text()
    if text[:5].lower() != "data:":
        return None
    head = _DATA_URL.match(text)
    if head is None:
        url.fail("is a data URL of another form than data:<type>/<subtype>;base64,<content>")
    return Data(head[1].lower(), base64_of(url, text[head.end() :]))


def base64_of(node: Node, text: str) -> str:
    """The text, which must be base64; `node` is what holds it."""
    if len(text) % 4 or not _BASE64.fullmatch(text):
        node.fail("is not base64")
    return text


def _parts(content: Node, *kinds: str) -> list[Node]:
    """The parts of a list, each with a type that is one of these."""
    parts = list(content.items())
    for part in parts:
        part.need("type").one_of(*kinds)
    return parts


def _filled(content: Node, *kinds: str) -> list[Node]:
    return _parts(content, *kinds) or content.fail("is empty")


def _text(part: Node) -> Text:
    return Text(part.need("text").text(), cache=cache_of(part))


def _shown(part: Node) -> Text | Image | Document:
    kind = part.value["type"]
    return _text(part) if kind == "text" else _image(part) if kind == "image_url" else _file(part)


def _image(part: Node) -> Image:
    picture = part.need("image_url")
    url = picture.need("url")
    source = picture_of(url)
    detail = picture.get("detail")
    return Image(source, None if detail is None else detail.one_of("auto", "low", "high"), cache_of(part))


def picture_of(url: Node) -> Data | Link:
    """An image as a data URL or a link."""
    source = data_of(url) or link_of(url)
    if isinstance(source, Data) and not source.media_type.startswith("image/"):
        url.fail(f"holds '{source.media_type[:50]}', which is no image")
    return source


def link_of(url: Node) -> Link:
    """Only what anybody could fetch: a bucket's name would be looked up with the credentials of this gateway."""
    if not _LINK.fullmatch(url.text()):
        url.fail("is neither an https URL nor a data URL")
    return Link(url.text())


def _file(part: Node) -> Document:
    file = part.need("file")
    if file.get("file_id") is not None:
        raise UnsupportedParameter(
            "A file that was uploaded to OpenAI ('file_id') cannot be read by another provider.",
            hint="Send the file itself as a data URL in 'file_data'.",
            param=f"{file.place}.file_id",
        )
    url = file.need("file_data")
    data = data_of(url)
    if data is None:
        url.fail("is not a data URL")
    return Document(data, file.text_of("filename") or None, cache_of(part))


def speech_of(part: Node) -> Audio:
    """What `input_audio` holds."""
    audio = part.need("input_audio")
    form = audio.need("format").one_of(*_SPEECH)
    data = audio.need("data")
    return Audio(Data(_SPEECH[form], base64_of(data, data.text())))
