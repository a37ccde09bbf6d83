"""What a Claude takes, told by its name in every spelling."""

import pytest

from llmauth.chat.messages import Reasoning
from llmauth.codecs.claude_models import LEAST_BUDGET, claude_traits, is_claude, thinking_fields

OLD = claude_traits("claude-sonnet-4-5")
MIDDLE = claude_traits("claude-opus-4-6")
NEW = claude_traits("claude-opus-4-8")


@pytest.mark.parametrize(
    "names",
    [
        [
            "claude-sonnet-4-5",
            "claude-sonnet-4-5-20250929",
            "claude-sonnet-4-5@20250929",
            "anthropic.claude-sonnet-4-5-20250929-v1:0",
            "us.anthropic.claude-sonnet-4-5-20250929-v1:0",
            "arn:aws:bedrock:us-east-1:123456789012:inference-profile/us.anthropic.claude-sonnet-4-5-20250929-v1:0",
            "arn%3Aaws%3Abedrock%3Aus-east-1%3A123456789012%3Ainference-profile%2Fus.anthropic.claude-sonnet-4-5",
            "Claude-Sonnet-4.5",
        ],
        ["claude-opus-4-20250514", "claude-opus-4@20250514", "claude-4-opus-20250514", "claude-opus-4-0"],
        ["claude-3-5-sonnet-20241022", "claude-3-5-sonnet-v2@20241022", "anthropic.claude-3-5-sonnet-20241022-v2:0"],
        ["claude-3-haiku-20240307", "anthropic.claude-3-haiku-20240307-v1:0:200k", "claude-3", "anthropic.claude-v2:1"],
        ["claude-opus-4-6", "eu.anthropic.claude-opus-4-6-v1"],
        ["claude-opus-4-8", "global.anthropic.claude-opus-4-8"],
    ],
)
def test_every_spelling_of_a_model_has_the_same_traits(names):
    assert len({claude_traits(name) for name in names}) == 1
    assert all(is_claude(name) for name in names)


@pytest.mark.parametrize(
    ("model", "sampling", "thinking", "adaptive", "structured"),
    [
        ("claude-instant-v1", True, False, False, False),
        ("claude-3-5-haiku-20241022", True, False, False, False),
        ("claude-3-7-sonnet-20250219", True, True, False, False),
        ("claude-opus-4-1-20250805", True, True, False, False),
        ("claude-haiku-4-5-20251001", True, True, False, True),
        ("claude-sonnet-4-6", True, True, True, True),
        ("claude-opus-4-7", False, True, True, True),
        ("claude-sonnet-5", False, True, True, True),
        ("claude-mythos-preview", False, True, True, True),
        ("claude-somebody-9-1", False, True, True, True),
        ("arn:aws:bedrock:us-east-1:123456789012:application-inference-profile/a1b2c3", False, True, True, True),
    ],
)
def test_thresholds(model, sampling, thinking, adaptive, structured):
    traits = claude_traits(model)
    assert (traits.sampling, traits.thinking, traits.adaptive, traits.structured) == (
        sampling,
        thinking,
        adaptive,
        structured,
    )


@pytest.mark.parametrize(
    ("model", "forced"),
    [
        ("claude-3-opus-20240229", True),
        ("claude-opus-5-5", True),
        ("claude-fable-5", True),
        ("claude-fable-5-1", False),
        ("claude-mythos-5-2", False),
        ("claude-opus-6", False),
        ("claude-somebody-7", False),
    ],
)
def test_the_newest_refuse_a_forced_tool(model, forced):
    assert claude_traits(model).forced_tools is forced


def test_thresholds_of_one_trait():
    names = ["claude-opus-4-0", "claude-opus-4-1", "claude-opus-4-7", "claude-opus-4-8"]
    assert [claude_traits(name).one_sampling for name in names] == [False, True, True, True]
    assert [claude_traits(name).later_system for name in names] == [False, False, False, True]


def test_the_default_limit_is_one_that_every_model_of_the_version_takes():
    names = ["claude-3-opus-20240229", "claude-3-5-sonnet-20241022", "claude-opus-4-1", "claude-sonnet-4", "claude-x-9"]
    assert [claude_traits(name).default_max_tokens for name in names] == [4096, 8192, 8192, 16384, 16384]


def test_what_is_no_claude():
    assert not is_claude("amazon.nova-pro-v1:0")


@pytest.mark.parametrize(
    ("effort", "budget"),
    [("minimal", 1024), ("low", 1024), ("medium", 2048), ("high", 4096), ("xhigh", 16384), ("max", 19999)],
)
def test_an_effort_as_a_budget(effort, budget):
    assert thinking_fields(Reasoning(effort), OLD, 20000) == {"thinking": {"type": "enabled", "budget_tokens": budget}}


@pytest.mark.parametrize(
    ("effort", "middle", "new"),
    [
        ("minimal", "low", "low"),
        ("medium", "medium", "medium"),
        ("xhigh", "high", "xhigh"),
        ("max", "max", "max"),
    ],
)
def test_an_effort_as_an_effort(effort, middle, new):
    for traits, said in ((MIDDLE, middle), (NEW, new)):
        fields = thinking_fields(Reasoning(effort), traits, 8000)
        assert fields == {"thinking": {"type": "adaptive"}, "output_config": {"effort": said}}


@pytest.mark.parametrize(("budget", "effort"), [(1, "low"), (1024, "low"), (2000, "medium"), (31999, "high")])
def test_a_budget_as_an_effort(budget, effort):
    assert thinking_fields(Reasoning(budget=budget), NEW, 64000)["output_config"] == {"effort": effort}


@pytest.mark.parametrize(("budget", "limit", "sent"), [(500, 8000, 1024), (9000, 8000, 7999), (2000, 1025, 1024)])
def test_a_budget_is_at_least_1024_and_below_the_limit(budget, limit, sent):
    assert thinking_fields(Reasoning(budget=budget), OLD, limit)["thinking"]["budget_tokens"] == sent


def test_no_room_for_the_least_budget_is_no_thinking():
    assert thinking_fields(Reasoning("high"), OLD, LEAST_BUDGET) == {}
    assert thinking_fields(Reasoning("high"), NEW, LEAST_BUDGET) != {}


def test_none_is_disabled_and_nothing_said_is_nothing():
    assert thinking_fields(Reasoning("none"), OLD, 100) == {"thinking": {"type": "disabled"}}
    assert thinking_fields(None, NEW, 8000) == {}
    assert thinking_fields(Reasoning("none"), claude_traits("claude-3-haiku-20240307"), 100) == {}


def test_as_the_model_likes():
    assert thinking_fields(Reasoning(), NEW, 8000) == {"thinking": {"type": "adaptive"}}
    assert thinking_fields(Reasoning(), OLD, 8000)["thinking"]["budget_tokens"] == 2048


@pytest.mark.parametrize(("shown", "display"), [(True, "summarized"), (False, "omitted")])
def test_whether_thinking_is_shown(shown, display):
    assert thinking_fields(Reasoning(shown=shown), NEW, 8000)["thinking"]["display"] == display
    assert thinking_fields(Reasoning(shown=shown), OLD, 8000)["thinking"]["display"] == display
