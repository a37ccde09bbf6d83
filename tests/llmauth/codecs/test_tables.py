"""The one list of formats: every table is in it once, and each client is listed with its own names."""

import pytest

from llmauth.chat.words import PARAMETERS, Word
from llmauth.codecs.converse.families import family_of
from llmauth.codecs.converse.table import TABLES, table_for
from llmauth.codecs.tables import CLIENTS, FORMATS

CHAT, RESPONSES, MESSAGES = CLIENTS


@pytest.mark.parametrize(
    ("client", "word", "names"),
    [
        (CHAT, Word.MAX_TOKENS, {"max_tokens", "max_completion_tokens"}),
        (RESPONSES, Word.MAX_TOKENS, {"max_output_tokens"}),
        (MESSAGES, Word.STOP, {"stop_sequences"}),
        (MESSAGES, Word.TOP_K, {"top_k"}),
        (MESSAGES, Word.SEED, set()),
        (CHAT, Word.TOOL_ERROR, {"error in a tool's result"}),
        (MESSAGES, Word.TOOL_ERROR, {"tool_result.is_error"}),
    ],
)
def test_each_client_has_its_names(client, word, names):
    assert set(client.names(word)) == names


def test_every_parameter_can_be_said_by_somebody():
    assert [word for word in PARAMETERS if not any(list(client.names(word)) for client in CLIENTS)] == []


def test_titles_are_not_used_twice():
    assert len({one.title for one in FORMATS}) == len({one.short for one in FORMATS}) == len(FORMATS)


def test_every_kind_of_model_on_bedrock_is_in_the_list():
    listed = [table for one in FORMATS if "Bedrock" in one.title for table in one.tables.values()]
    assert [name for name, table in TABLES.items() if table not in listed] == []


@pytest.mark.parametrize(
    "model",
    [
        "claude-3-haiku-20240307",
        "claude-3-7-sonnet-20250219",
        "claude-sonnet-4-6",
        "claude-sonnet-5",
        "claude-fable-5-2",
    ],
)
def test_the_ages_of_claude_leave_no_gap(model):
    (claude,) = (one for one in FORMATS if one.title == "Claude on Bedrock")
    assert table_for(family_of(f"us.anthropic.{model}-v1:0")) in claude.tables.values()
