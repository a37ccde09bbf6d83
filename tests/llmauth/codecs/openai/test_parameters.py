"""Each member of a body: its word, its type, its range, and the values that say nothing."""

import pytest

from llmauth.chat.words import PARAMETERS as WORDS
from llmauth.chat.words import Word
from llmauth.codecs.openai.parameters import MEMBERS, PARAMETERS
from tests.llmauth.codecs.openai.samples import parsed, refused

TOOLS = [{"type": "function", "function": {"name": "f"}}]


@pytest.mark.parametrize(
    ("members", "said"),
    [
        ({"max_tokens": 5}, {Word.MAX_TOKENS: 5}),
        ({"max_completion_tokens": 5.0}, {Word.MAX_TOKENS: 5}),
        ({"temperature": 0}, {Word.TEMPERATURE: 0}),
        ({"top_p": 1}, {Word.TOP_P: 1}),
        ({"top_k": 40}, {Word.TOP_K: 40}),
        ({"stop": "END"}, {Word.STOP: ("END",)}),
        ({"stop": ["a", "b"]}, {Word.STOP: ("a", "b")}),
        ({"seed": -1}, {Word.SEED: -1}),
        ({"n": 2}, {Word.N: 2}),
        ({"presence_penalty": 0.5, "frequency_penalty": -2}, {Word.PRESENCE_PENALTY: 0.5, Word.FREQUENCY_PENALTY: -2}),
        ({"logit_bias": {"50256": -100}}, {Word.LOGIT_BIAS: {"50256": -100}}),
        ({"logprobs": True, "top_logprobs": 3}, {Word.LOGPROBS: True, Word.TOP_LOGPROBS: 3}),
        ({"user": "u"}, {Word.USER: "u"}),
        ({"safety_identifier": "s"}, {Word.USER: "s"}),
        ({"metadata": {"a": "b"}}, {Word.METADATA: {"a": "b"}}),
        ({"service_tier": "flex"}, {Word.SERVICE_TIER: "flex"}),
        ({"verbosity": "low"}, {Word.VERBOSITY: "low"}),
        ({"parallel_tool_calls": False, "tools": TOOLS}, {Word.PARALLEL_TOOL_CALLS: False}),
        ({"prediction": {"type": "content", "content": "x"}}, {Word.PREDICTION: {"type": "content", "content": "x"}}),
        ({"modalities": ["text", "audio"], "audio": {}}, {Word.MODALITIES: ("text", "audio"), Word.AUDIO: {}}),
        ({"web_search_options": {}}, {Word.WEB_SEARCH: {}}),
        ({"store": True}, {Word.STORE: True}),
        ({"prompt_cache_key": "k"}, {Word.PROMPT_CACHE_KEY: "k"}),
        ({"prompt_cache_retention": "24h"}, {Word.PROMPT_CACHE_RETENTION: "24h"}),
    ],
)
def test_what_is_said(members, said):
    assert parsed(**members).parameters == said


@pytest.mark.parametrize(
    "members",
    [
        dict.fromkeys(PARAMETERS),
        {"n": 1},
        {"logprobs": False, "top_logprobs": 0},
        {"store": False},
        {"stop": []},
        {"stop": ""},
        {"presence_penalty": 0, "frequency_penalty": 0.0},
        {"logit_bias": {}, "metadata": {}},
        {"service_tier": "auto"},
        {"parallel_tool_calls": True, "tools": TOOLS},
        {"parallel_tool_calls": False},
        {"modalities": ["text"]},
        {"top_k": -1},
    ],
    ids=str,
)
def test_what_changes_nothing_is_not_said(members):
    assert parsed(**members).parameters == {}


@pytest.mark.parametrize(
    ("members", "param"),
    [
        ({"max_tokens": 0}, "max_tokens"),
        ({"max_tokens": 1.5}, "max_tokens"),
        ({"max_tokens": True}, "max_tokens"),
        ({"max_tokens": 1, "max_completion_tokens": 2}, "max_completion_tokens"),
        ({"temperature": 2.1}, "temperature"),
        ({"temperature": "hot"}, "temperature"),
        ({"top_p": -0.1}, "top_p"),
        ({"stop": ["a", ""]}, "stop"),
        ({"stop": [3]}, "stop[0]"),
        ({"n": 0}, "n"),
        ({"presence_penalty": 3}, "presence_penalty"),
        ({"logit_bias": {"1": 101}}, "logit_bias.1"),
        ({"logit_bias": {"1": None}}, "logit_bias"),
        ({"top_logprobs": 3}, "top_logprobs"),
        ({"logprobs": True, "top_logprobs": 21}, "top_logprobs"),
        ({"metadata": {"a": 1}}, "metadata.a"),
        ({"service_tier": "gold"}, "service_tier"),
        ({"verbosity": "chatty"}, "verbosity"),
        ({"modalities": "audio"}, "modalities"),
        ({"store": "yes"}, "store"),
    ],
    ids=str,
)
def test_a_wrong_value_is_refused_by_its_place(members, param):
    assert refused(**members).param == param


def test_the_client_s_own_names_are_kept():
    request = parsed(max_completion_tokens=5, safety_identifier="s", seed=1)
    assert request.spelling == {Word.MAX_TOKENS: "max_completion_tokens", Word.USER: "safety_identifier"}


def test_the_table_of_members_holds_every_parameter_once():
    told = {word for word, _ in PARAMETERS.values()}
    assert set(WORDS) - told == {Word.TRUNCATION}  # only OpenAI's Responses have it
    assert set(PARAMETERS) <= set(MEMBERS)
