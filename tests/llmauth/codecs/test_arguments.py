"""Arguments as text and as object."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmauth.codecs.arguments import from_input, to_input


@pytest.mark.parametrize("text", ["", "  ", "{}"])
def test_no_arguments_are_an_empty_object(text):
    assert to_input(text) == {}
    assert from_input({}) == "{}"


@pytest.mark.parametrize("text", ['{"a":', "[1]", '"x"', "null", '{"a":NaN}', '{"a":1,"a":2}', "[" * 9999])
def test_what_is_no_object_is_wrapped_and_comes_back_as_it_was(text):
    assert to_input(text) == {"INVALID_JSON": text}
    assert from_input(to_input(text)) == text


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)


@given(st.dictionaries(st.text(max_size=5), VALUES, max_size=3))
def test_objects_come_back(value):
    assert to_input(from_input(value)) == value
