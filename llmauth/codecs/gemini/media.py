"""Pictures, documents and sound as Gemini takes them: `inlineData` for what came along, `fileData` for links."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlsplit

from llmauth.chat.messages import Audio, Data, Document, Image, Link
from llmauth.errors import UnsupportedParameter

_SCHEMES = ("https", "http", "gs")
# A link's type has to be told, and nothing is fetched here to find out.
_TYPES = {
    "png": "image/png",
    "jpg": "image/jpeg",
    "jpeg": "image/jpeg",
    "webp": "image/webp",
    "gif": "image/gif",
    "heic": "image/heic",
    "heif": "image/heif",
    "bmp": "image/bmp",
    "pdf": "application/pdf",
    "txt": "text/plain",
    "md": "text/plain",
    "csv": "text/csv",
    "html": "text/html",
}


def media(part: Image | Document | Audio) -> dict[str, Any]:
    """The part of a message; UnsupportedParameter for a link whose type nobody told."""
    source = part.source
    if isinstance(source, Data):
        return {"inlineData": {"mimeType": source.media_type, "data": source.base64}}
    return {"fileData": {"mimeType": source.media_type or _guessed(source), "fileUri": _allowed(source)}}


def _allowed(link: Link) -> str:
    if _parsed(link)[0] not in _SCHEMES:
        raise UnsupportedParameter(
            f"Gemini does not fetch '{link.url[:80]}': it takes links that begin with {', '.join(_SCHEMES)}.",
            hint="Send the content itself as a data: URL.",
        )
    return link.url


def _guessed(link: Link) -> str:
    suffix = _parsed(link)[1].rpartition("/")[2].rpartition(".")[2].lower()
    if suffix not in _TYPES:
        raise UnsupportedParameter(
            f"Gemini wants to be told the media type of '{link.url[:80]}', and the link does not tell it.",
            hint=f"Use a link that ends in one of {', '.join(_TYPES)}, or send the content itself as a data: URL.",
        )
    return _TYPES[suffix]


def _parsed(link: Link) -> tuple[str, str]:
    try:
        url = urlsplit(link.url)
    except ValueError:
        return "", ""
    return url.scheme, url.path
