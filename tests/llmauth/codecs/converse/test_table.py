"""The table of each family: what is said, left out and refused."""

import pytest

from llmauth.chat.words import Word
from llmauth.codecs.converse.families import family_of
from llmauth.codecs.converse.table import TABLES, table_for
from llmauth.codecs.mapping import Dropped, Refused, Sent, complete
from llmauth.errors import UnsupportedParameter

OLD, NEW, NEWEST = "anthropic.claude-3-haiku-20240307-v1:0", "anthropic.claude-opus-4-8", "anthropic.claude-fable-5-2"
NOVA, NOVA_2, OSS, LLAMA = (
    "amazon.nova-pro-v1:0",
    "us.amazon.nova-2-lite-v1:0",
    "openai.gpt-oss-20b-1:0",
    "meta.llama3-1",
)


def rule(model, word):
    return table_for(family_of(model))[word]


@pytest.mark.parametrize("model", [OLD, NEW, NEWEST, NOVA, NOVA_2, OSS, LLAMA])
def test_what_no_family_has(model):
    for word in (Word.N, Word.LOGPROBS, Word.TOP_LOGPROBS, Word.IMAGE_URL, Word.DOCUMENT_URL, Word.AUDIO):
        assert isinstance(rule(model, word), Refused)
    for word in (Word.SEED, Word.LOGIT_BIAS, Word.PRESENCE_PENALTY, Word.FREQUENCY_PENALTY):
        assert isinstance(rule(model, word), Dropped)


@pytest.mark.parametrize(
    ("model", "word", "kind"),
    [
        (OLD, Word.TOP_K, Sent),
        (NEW, Word.TOP_K, Dropped),
        (NEW, Word.TEMPERATURE, Dropped),
        (NOVA, Word.TOP_K, Sent),
        (LLAMA, Word.TOP_K, Dropped),
        (OLD, Word.REASONING, Dropped),
        (NEW, Word.REASONING, Sent),
        (NOVA, Word.REASONING, Dropped),
        (NOVA_2, Word.REASONING, Sent),
        (OSS, Word.REASONING, Sent),
        (LLAMA, Word.REASONING, Dropped),
        (NEW, Word.TOOL_CHOICE_REQUIRED, Sent),
        (NEWEST, Word.TOOL_CHOICE_REQUIRED, Refused),
        (NEWEST, Word.TOOL_CHOICE_NAMED, Refused),
        (NEW, Word.CACHE, Sent),
        (NOVA, Word.CACHE, Sent),
        (LLAMA, Word.CACHE, Dropped),
        (LLAMA, Word.TOOL_ERROR, Dropped),
        (OLD, Word.STRICT_TOOLS, Dropped),
        (NEW, Word.PARALLEL_TOOL_CALLS, Sent),
        (NOVA, Word.PARALLEL_TOOL_CALLS, Dropped),
    ],
)
def test_what_families_differ_in(model, word, kind):
    assert isinstance(rule(model, word), kind)


@pytest.mark.parametrize(("asked", "told"), [(0.5, 0.5), (1.7, 1.0), (-1, 0.0), (1, 1)])
def test_temperature_ends_at_one(asked, told):
    assert rule(OLD, Word.TEMPERATURE).convert(asked) == told


def test_an_empty_stop_sequence_stops_nothing_and_too_many_are_refused():
    convert = rule(OLD, Word.STOP).convert
    assert convert(("END", "")) == ["END"]
    with pytest.raises(UnsupportedParameter, match="2500") as caught:
        convert(tuple(map(str, range(2501))))
    assert caught.value.param == "stop"


def test_a_service_tier_that_bedrock_has_not_is_refused():
    convert = rule(OLD, Word.SERVICE_TIER).convert
    assert [convert(tier) for tier in ("auto", "default", "flex", "priority")] == [
        "default",
        "default",
        "flex",
        "priority",
    ]
    with pytest.raises(UnsupportedParameter, match="scale"):
        convert("scale")


@pytest.mark.parametrize("table", TABLES.values(), ids=TABLES)
def test_every_table_is_complete_and_like_no_other(table):
    assert complete(table)
    assert sum(table == other for other in TABLES.values()) == 1
