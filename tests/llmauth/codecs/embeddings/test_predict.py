"""Google's older models: tasks by name, nothing cut in silence, batches by texts and by tokens."""

import pytest

from llmauth.codecs.embeddings.base import Vectors
from llmauth.codecs.embeddings.predict import PredictEmbeddings
from llmauth.errors import UnsupportedParameter
from llmauth.http import Headers
from tests.llmauth.codecs.embeddings.goldens import FIRST, SECOND, asked, bodies, read, request_of, survives

FORM = PredictEmbeddings("text-embedding-005")


def test_the_golden_call_and_answer():
    assert bodies(FORM, asked(input_type="search_query", dimensions=512)) == request_of("predict")
    assert read(FORM, "predict") == Vectors((FIRST, SECOND), 5)


def test_without_a_task_the_model_has_its_own():
    assert bodies(FORM, asked("a")) == [{"instances": [{"content": "a"}], "parameters": {"autoTruncate": False}}]


def test_no_call_has_more_texts_or_tokens_than_google_takes():
    assert [len(one["instances"]) for one in bodies(FORM, asked(*["a"] * 300))] == [250, 50]
    assert [len(one["instances"]) for one in bodies(FORM, asked(*["word " * 1000] * 30))] == [11, 11, 8]


def test_a_count_that_one_text_lacks_is_no_count():
    answer = (
        b'{"predictions":[{"embeddings":{"values":[1]}},{"embeddings":{"values":[1],"statistics":{"token_count":1}}}]}'
    )
    assert FORM.parse(answer, Headers()).tokens is None


def test_more_dimensions_than_it_has_are_refused():
    with pytest.raises(UnsupportedParameter):
        FORM.render(asked(dimensions=1024))


def test_hostile_answers():
    assert survives(FORM, "predict") > 20
