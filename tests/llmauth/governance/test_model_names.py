"""What a rule means by a model."""

import time

import pytest

from llmauth.governance.model_names import Globs, names_of


@pytest.mark.parametrize(
    ("model", "names"),
    [
        ("gpt-5.1", ("gpt-5.1",)),
        (
            "us.anthropic.claude-haiku-4-5-20251001-v1:0",
            ("us.anthropic.claude-haiku-4-5-20251001-v1:0", "claude-haiku-4-5-20251001-v1:0"),
        ),
        ("amazon.nova-lite-v1:0", ("amazon.nova-lite-v1:0", "nova-lite-v1:0")),
        ("ibm/granite-3-8b", ("ibm/granite-3-8b", "granite-3-8b")),
        ("claude-sonnet-4@20250514", ("claude-sonnet-4@20250514",)),
        ("ft:gpt-4o:corp::x", ("ft:gpt-4o:corp::x",)),
        ("", ()),
    ],
)
def test_a_model_has_its_id_and_that_without_place_and_maker(model, names):
    assert names_of(model) == names


def test_an_arn_means_what_it_ends_with():
    arn = "arn:aws:bedrock:us-east-1::foundation-model/anthropic.claude-3-haiku-20240307-v1:0"
    assert names_of(arn)[1:] == ("anthropic.claude-3-haiku-20240307-v1:0", "claude-3-haiku-20240307-v1:0")


@pytest.mark.parametrize(
    ("glob", "name", "means"),
    [
        ("claude-*", "claude-haiku", True),
        ("claude-*", "xclaude-haiku", False),
        ("claude-*", "Claude-haiku", False),
        ("claude-haiku", "claude-haiku-4", False),
        ("gpt-?", "gpt-5", True),
        ("gpt-[45]", "gpt-6", False),
        ("gpt-5.1", "gpt-5x1", False),
        ("*", "anything", True),
        ("claude-*", "claude-team/gpt-5", False),
        ("*", "claude-team/gpt-5", False),
        ("claude-team/*", "claude-team/gpt-5", True),
        ("*/gpt-?", "claude-team/gpt-5", True),
        ("claude-*", "claude-haiku\n", True),
    ],
)
def test_globs(glob, name, means):
    assert Globs([glob]).match(name) is means
    assert Globs(["nothing", glob]).match_any([name]) is means


def test_no_globs_mean_nothing():
    assert not Globs([]).match("")
    assert not Globs([]).match_any(["a", "a/b"])


def test_a_hostile_name_costs_no_time():
    globs = Globs(["*a*a*a*a*a*a*a*a*b"])
    began = time.perf_counter()
    assert not globs.match("a" * 200)
    assert time.perf_counter() - began < 0.5
