"""Where an answer took something from, in Gemini's two forms: citations, and what it was grounded on."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator

from llmauth.chat.messages import Citation
from llmauth.codecs.reading import Node

_KINDS = ("web", "retrievedContext", "maps", "image")


class Spoken:
    """A text while it grows, and which character of it a place in its bytes is.

    Each piece is read once, when the first places after it are told, and a place is looked up near it: a stream may
    tell many, of a long text.
    """

    _STEP = 1024

    __slots__ = ("_begins", "_characters", "_new", "bytes")

    def __init__(self, said: str = "") -> None:
        self.bytes = bytearray()
        self._new = [said]
        self._begins: list[int] = [0]  # places in the bytes, and which characters these are
        self._characters: list[int] = [0]

    def say(self, text: str) -> None:
        """The text goes on."""
        self._new.append(text)

    def settle(self) -> None:
        """What was said since is counted."""
        said = "".join(self._new)
        self._new.clear()
        for at in range(0, len(said), self._STEP):
            piece = said[at : at + self._STEP]
            self.bytes += piece.encode("utf-8", "surrogatepass")
            self._begins.append(len(self.bytes))
            self._characters.append(self._characters[-1] + len(piece))

    def character(self, place: int) -> int:
        """The number of the character that a byte of the settled text begins, or is in."""
        near = bisect_right(self._begins, place) - 1
        return self._characters[near] + len(self.bytes[self._begins[near] : place].decode("utf-8", "ignore"))


def sources(candidate: Node, said: Spoken) -> Iterator[Citation]:
    """Those of a candidate whose text so far is `said`; places in it are counted in bytes there, in characters here."""
    said.settle()
    metadata = candidate.get("citationMetadata")
    for citation in metadata.list_of("citations") if metadata else ():
        if uri := citation.text_of("uri"):
            yield Citation(uri, citation.text_of("title"), *_span(citation, said))
    grounding = candidate.get("groundingMetadata")
    if grounding is not None:
        yield from _grounds(grounding, said)


def _grounds(grounding: Node, said: Spoken) -> Iterator[Citation]:
    chunks = [_chunk(chunk) for chunk in grounding.list_of("groundingChunks")]
    supports = grounding.list_of("groundingSupports")
    for support in supports:
        segment = support.get("segment")
        span = (None, None) if segment is None else _span(segment, said)
        for number in support.list_of("groundingChunkIndices"):
            uri, title = chunks[number.integer()] if 0 <= number.integer() < len(chunks) else ("", "")
            if uri:
                yield Citation(uri, title, *span)
    if not supports:
        yield from (Citation(uri, title) for uri, title in chunks if uri)


def _chunk(chunk: Node) -> tuple[str, str]:
    source = next((source for kind in _KINDS if (source := chunk.get(kind))), None)
    return ("", "") if source is None else (source.text_of("uri"), source.text_of("title"))


def _span(node: Node, spoken: Spoken) -> tuple[int | None, int | None]:
    """`startIndex` is left out where it is 0, as every 0 is."""
    text, end = spoken.bytes, node.count_of("endIndex")
    start = node.count_of("startIndex")
    segment = node.text_of("text").encode("utf-8", "surrogatepass")
    if not start <= end <= len(text) or end == 0 or (segment and segment != text[start:end]):
        return None, None
    return spoken.character(start), spoken.character(end)
