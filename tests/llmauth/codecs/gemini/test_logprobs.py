"""Log probabilities in OpenAI's form."""

import pytest

from llmauth.codecs.gemini.logprobs import content
from llmauth.codecs.reading import Malformed, Node


def test_each_token_with_those_that_were_likely_too():
    yes, no = {"token": "é", "tokenId": 7, "logProbability": -0.25}, {"token": "n", "logProbability": -1.5}
    result = {"chosenCandidates": [yes, {"token": "!"}], "topCandidates": [{"candidates": [yes, no]}]}
    told = {"token": "é", "logprob": -0.25, "bytes": [195, 169]}
    assert content(Node(result)) == (
        {**told, "top_logprobs": [told, {"token": "n", "logprob": -1.5, "bytes": [110]}]},
        {"token": "!", "logprob": 0.0, "bytes": [33], "top_logprobs": []},
    )


def test_what_is_impossible_has_a_number_still():
    (entry,) = content(Node({"chosenCandidates": [{"token": "a", "logProbability": float("-inf")}]}))
    assert isinstance(entry, dict)
    assert entry["logprob"] == -9999.0


@pytest.mark.parametrize("bad", [float("nan"), float("inf"), "x", True])
def test_what_is_no_probability_is_malformed(bad):
    with pytest.raises(Malformed):
        content(Node({"chosenCandidates": [{"token": "a", "logProbability": bad}]}))
