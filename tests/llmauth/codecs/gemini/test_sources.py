"""Citations and grounds, whose places are counted in bytes."""

import pytest

from llmauth.chat.messages import Citation
from llmauth.codecs.gemini.sources import sources
from llmauth.codecs.reading import Node

SAID = "Größe: 18 m."
WEB = {"web": {"uri": "https://e.com", "title": "E"}}


def found(candidate):
    return list(sources(Node(candidate), SAID))


def grounded(*supports, chunks=(WEB,)):
    return found({"groundingMetadata": {"groundingChunks": list(chunks), "groundingSupports": list(supports)}})


def test_places_count_characters():
    citation = {"uri": "https://e.com", "endIndex": 7}
    assert found({"citationMetadata": {"citations": [citation]}}) == [Citation("https://e.com", "", 0, 5)]
    support = {"segment": {"startIndex": 9, "endIndex": 14, "text": "18 m."}, "groundingChunkIndices": [0]}
    assert grounded(support) == [Citation("https://e.com", "E", 7, 12)]
    assert SAID[7:12] == "18 m."


@pytest.mark.parametrize(
    "segment",
    [{}, {"startIndex": 5, "endIndex": 3}, {"endIndex": 1000}, {"startIndex": 9, "endIndex": 14, "text": "other"}],
)
def test_places_that_are_not_in_the_text_are_left_out(segment):
    assert grounded({"segment": segment, "groundingChunkIndices": [0]}) == [Citation("https://e.com", "E")]


def test_chunks_that_support_nothing_in_particular():
    document = {"retrievedContext": {"uri": "gs://b/a.pdf"}}
    assert grounded(chunks=(WEB, document, {"web": {}}, {})) == [
        Citation("https://e.com", "E"),
        Citation("gs://b/a.pdf"),
    ]


def test_indices_out_of_range_and_sources_without_a_link():
    assert grounded({"groundingChunkIndices": [-1, 5, 0]}, chunks=({"web": {"title": "x"}},)) == []
    assert found({"citationMetadata": {"citations": [{"title": "A book"}]}}) == []
    assert found({"citationMetadata": None, "groundingMetadata": None}) == []
