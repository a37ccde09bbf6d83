"""How each family is told to think."""

import pytest

from llmauth.chat.messages import Message, Reasoning, Signature, Text, Thinking, ToolCall, ToolResult
from llmauth.chat.words import Word
from llmauth.codecs.claude_models import thinks
from llmauth.codecs.converse.families import family_of
from llmauth.codecs.converse.reasoning import has_budget, reasoning_fields
from tests.golden.cases import asked, user

OLD = family_of("anthropic.claude-sonnet-4-5-20250929-v1:0")
NEW = family_of("anthropic.claude-opus-4-8")
NOVA = family_of("us.amazon.nova-2-lite-v1:0")
OSS = family_of("openai.gpt-oss-120b-1:0")
LLAMA = family_of("meta.llama3-70b-instruct-v1:0")
LIMITED = {Word.MAX_TOKENS: 8000}


def fields(reasoning, family, parameters=None, *messages, forced=False):
    request = asked(*(messages or (user("a"),)), reasoning=reasoning, parameters=parameters or {})
    return reasoning_fields(request, family, forced=forced)


def test_claude_by_budget_or_by_effort():
    assert fields(Reasoning("medium"), OLD, LIMITED) == {"thinking": {"type": "enabled", "budget_tokens": 2048}}
    told = fields(Reasoning("high"), NEW)
    assert told["thinking"]["type"] == "adaptive"
    assert told["output_config"] == {"effort": "high"}
    assert fields(Reasoning("none"), OLD) == {"thinking": {"type": "disabled"}}


@pytest.mark.parametrize(
    ("reasoning", "level"),
    [
        (Reasoning("minimal"), "low"),
        (Reasoning("medium"), "medium"),
        (Reasoning("max"), "high"),
        (Reasoning(), "medium"),
        (Reasoning(budget=1000), "low"),
        (Reasoning(budget=2000), "medium"),
        (Reasoning(budget=9000), "high"),
    ],
)
def test_levels_of_nova_and_gpt_oss(reasoning, level):
    assert fields(reasoning, NOVA) == {"reasoningConfig": {"type": "enabled", "maxReasoningEffort": level}}
    assert fields(reasoning, OSS) == {"reasoning_effort": level}


def test_not_to_think():
    assert fields(Reasoning("none"), NOVA) == {"reasoningConfig": {"type": "disabled"}}
    assert fields(Reasoning("none"), OSS) == {}
    assert fields(Reasoning("high"), LLAMA) == {}
    assert fields(None, OLD) == {}


@pytest.mark.parametrize("word", [Word.MAX_TOKENS, Word.TEMPERATURE, Word.TOP_P])
def test_nova_thinks_hard_only_without_limits(word):
    assert fields(Reasoning("high"), NOVA, {word: 1})["reasoningConfig"]["maxReasoningEffort"] == "medium"


def test_no_thinking_before_a_forced_tool():
    assert fields(Reasoning("high"), OLD, LIMITED, forced=True) == {}
    assert fields(Reasoning("none"), OLD, LIMITED, forced=True) == {"thinking": {"type": "disabled"}}


@pytest.mark.parametrize(
    ("thinking", "told"),
    [
        ((), False),
        ((Thinking("Hm."),), False),
        ((Thinking("Hm.", Signature("gemini", "s")),), False),
        ((Thinking("Hm.", Signature("anthropic", "s")),), True),
    ],
)
def test_a_budget_wants_the_thinking_of_a_loop_back(thinking, told):
    loop = (
        user("a"),
        Message("assistant", (*thinking, ToolCall("c", "t", "{}"))),
        Message("tool", (ToolResult("c", (Text("b"),)),)),
    )
    assert thinks(fields(Reasoning("low"), OLD, LIMITED, *loop)) is told
    assert thinks(fields(Reasoning("low"), NEW, LIMITED, *loop))
    assert thinks(fields(Reasoning("low"), OLD, LIMITED, *loop, user("Anew."))) is told
    assert thinks(fields(Reasoning("low"), OLD, LIMITED, *loop, Message("assistant", (Text("b"),)), user("Anew.")))


def test_what_the_members_say():
    assert has_budget({"thinking": {"type": "enabled", "budget_tokens": 1024}})
    assert not has_budget({"thinking": {"type": "adaptive"}})
    assert thinks({"thinking": {"type": "adaptive"}})
    assert not thinks({"thinking": {"type": "disabled"}})
    assert not thinks({})
