"""Where an answer took something from, in Gemini's two forms: citations, and what it was grounded on."""

from __future__ import annotations

from collections.abc import Iterator

from llmauth.chat.messages import Citation
from llmauth.codecs.reading import Node

_KINDS = ("web", "retrievedContext", "maps", "image")


def sources(candidate: Node, said: str) -> Iterator[Citation]:
    """Those of a candidate whose text so far is `said`; places in it are counted in bytes there, in characters here."""
    text = said.encode("utf-8", "surrogatepass")
    metadata = candidate.get("citationMetadata")
    for citation in metadata.list_of("citations") if metadata else ():
        if uri := citation.text_of("uri"):
            yield Citation(uri, citation.text_of("title"), *_span(citation, text))
    grounding = candidate.get("groundingMetadata")
    if grounding is not None:
        yield from _grounds(grounding, text)


def _grounds(grounding: Node, text: bytes) -> Iterator[Citation]:
    chunks = [_chunk(chunk) for chunk in grounding.list_of("groundingChunks")]
    supports = grounding.list_of("groundingSupports")
    for support in supports:
        segment = support.get("segment")
        span = (None, None) if segment is None else _span(segment, text)
        for number in support.list_of("groundingChunkIndices"):
            uri, title = chunks[number.integer()] if 0 <= number.integer() < len(chunks) else ("", "")
            if uri:
                yield Citation(uri, title, *span)
    if not supports:
        yield from (Citation(uri, title) for uri, title in chunks if uri)


def _chunk(chunk: Node) -> tuple[str, str]:
    source = next((source for kind in _KINDS if (source := chunk.get(kind))), None)
    return ("", "") if source is None else (source.text_of("uri"), source.text_of("title"))


def _span(node: Node, text: bytes) -> tuple[int | None, int | None]:
    """`startIndex` is left out where it is 0, as every 0 is."""
    end = node.count_of("endIndex")
    start = node.count_of("startIndex")
    segment = node.text_of("text").encode("utf-8", "surrogatepass")
    if not start <= end <= len(text) or end == 0 or (segment and segment != text[start:end]):
        return None, None
    return len(text[:start].decode("utf-8", "ignore")), len(text[:end].decode("utf-8", "ignore"))
