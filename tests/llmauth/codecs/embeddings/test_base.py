"""What the formats share: batches, dimensions, and numbers that are some."""

from array import array

import pytest

from llmauth.codecs.embeddings.base import at_most, batches, one_of, vector
from llmauth.codecs.reading import Malformed, Node
from llmauth.errors import UnsupportedParameter
from tests.llmauth.codecs.embeddings.goldens import asked


def test_batches_keep_the_order_and_are_full():
    assert list(batches("abcde", 2)) == [("a", "b"), ("c", "d"), ("e",)]
    assert list(batches("abcd", 2)) == [("a", "b"), ("c", "d")]
    assert list(batches("a", 96)) == [("a",)]


def test_batches_are_closed_by_tokens_too_and_one_long_text_stands_alone():
    texts = ["x" * 40, "y" * 40, "z" * 4000, "w" * 4]
    assert [len(batch) for batch in batches(texts, 250, tokens=20)] == [2, 1, 1]
    assert [text for batch in batches(texts, 250, tokens=20) for text in batch] == texts


def test_dimensions_are_among_those_of_the_model_or_refused_by_name():
    assert one_of(asked(), (256,), "m") is None
    assert one_of(asked(dimensions=256), (256, 512), "m") == 256
    assert at_most(asked(dimensions=768), 768, "m") == 768
    refusals = (
        lambda: one_of(asked(dimensions=3), (256, 512), "m"),
        lambda: one_of(asked(dimensions=3), (), "m"),
        lambda: at_most(asked(dimensions=769), 768, "m"),
    )
    said = []
    for refuse in refusals:
        with pytest.raises(UnsupportedParameter) as refused:
            refuse()
        assert refused.value.param == "dimensions"
        said.append(refused.value.message)
    assert "256, 512" in said[0]
    assert "takes no 'dimensions'" in said[1]
    assert "at most 768" in said[2]


def test_numbers_are_read_as_they_are():
    assert vector(Node([1, -0.5, 3e38])) == array("d", [1.0, -0.5, 3e38])


@pytest.mark.parametrize("wrong", [None, [], {}, "x", ["1"], [None], [float("nan")], [1e39], [10**400], [[1.0]]])
def test_what_is_no_vector_is_malformed(wrong):
    with pytest.raises(Malformed):
        vector(Node(wrong, "embedding"))
