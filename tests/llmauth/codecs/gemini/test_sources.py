"""Citations and grounds, whose places are counted in bytes."""

import time

import pytest

from llmauth.chat.messages import Citation
from llmauth.codecs.gemini.sources import Spoken, sources
from llmauth.codecs.reading import Node

SAID = "Größe: 18 m."
WEB = {"web": {"uri": "https://e.com", "title": "E"}}


def found(candidate):
    return list(sources(Node(candidate), Spoken(SAID)))


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


def test_many_places_in_a_long_text_cost_what_they_are():
    said = Spoken("ä" * 500_000)
    said.say("ö" * 500_000)
    places = [{"uri": f"https://e.com/{n}", "startIndex": 1_999_000, "endIndex": 1_999_002} for n in range(5_000)]
    began = time.process_time()
    told = list(sources(Node({"citationMetadata": {"citations": places}}), said))
    assert (told[0].start, told[0].end, len(told)) == (999_500, 999_501, 5_000)
    assert time.process_time() - began < 2


def test_a_text_that_grows_is_read_once():
    said = Spoken()
    citation = {"citationMetadata": {"citations": [{"uri": "https://e.com", "endIndex": 3}]}}
    began = time.process_time()
    for _ in range(4_000):
        said.say("aä" * 200)
        (told,) = sources(Node(citation), said)
        assert (told.start, told.end) == (0, 2)
    assert time.process_time() - began < 2
    whole = "aä" * 800_000
    assert said.bytes == whole.encode()
    assert [said.character(place) for place in (0, 1, 3, 1_500, len(said.bytes))] == [0, 1, 2, 1_000, len(whole)]
