"""Members one by one; their effects on a whole request are in test_request.py."""

import pytest

from llmauth.chat.words import Word
from llmauth.codecs.reading import Node
from llmauth.codecs.responses.members import MEMBERS, Draft, read
from llmauth.errors import UnsupportedParameter


def draft_of(name, value):
    draft = Draft()
    read(Node(value, name), draft)
    return draft


def test_a_parameter_is_taken_down():
    assert draft_of("top_p", 0.5).parameters == {Word.TOP_P: 0.5}


def test_what_is_not_known_is_told():
    assert draft_of("made_up", 0.5).unknown == ["made_up"]


def test_included_things_are_told_apart():
    draft = draft_of("include", ["message.output_text.logprobs", "file_search_call.results"])
    assert draft.included >= {"message.output_text.logprobs"}
    assert draft.unknown == ["include.file_search_call.results"]


@pytest.mark.parametrize("name", [name for name, purpose in MEMBERS.items() if purpose.startswith("refused")])
def test_what_is_called_refused_is(name):
    with pytest.raises(UnsupportedParameter, match=name):
        draft_of(name, True)


def test_every_member_says_what_it_is_for():
    assert all(MEMBERS.values())
