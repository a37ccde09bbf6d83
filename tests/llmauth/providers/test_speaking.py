"""What a provider is asked in protocol mode: bodies under another name, and what is not offered."""

import pytest

from llmauth.errors import BadRequest, InstanceIncomplete, NotFound
from llmauth.http import Headers
from llmauth.providers.speaking import is_name, not_offered, quoted, under_its_name, unset

NONE = Headers([])


def test_only_the_name_of_the_model_changes():
    body = b'{ "stream":true,"model" : "fast",\n "seed": 1e3, "unheard_of": {"model": "mine"}, "user":"\\u00e9" }'
    assert under_its_name("gpt-4o")(body, NONE) == body.replace(b'"fast"', b'"gpt-4o"')


@pytest.mark.parametrize("body", [b"", b"[]", b'{"messages": []}', b'{"model": "a", "model": "b"}', b"\xff"])
def test_a_body_without_one_model_is_refused(body):
    """Of two models a provider may read the one that we did not judge."""
    with pytest.raises(BadRequest):
        under_its_name("gpt-4o")(body, NONE)


def test_a_name_cannot_break_out_of_the_body():
    rewritten = under_its_name('a", "store": true, "b": "')(b'{"model": "x"}', NONE)
    assert rewritten == rb'{"model": "a\", \"store\": true, \"b\": \""}'


@pytest.mark.parametrize(
    ("model", "segment"),
    [
        ("amazon.nova-pro-v1:0", "amazon.nova-pro-v1%3A0"),
        ("arn:aws:bedrock:us-east-1::p/x", "arn%3Aaws%3Abedrock%3Aus-east-1%3A%3Ap%2Fx"),
        ("../../converse?x=1#y", "..%2F..%2Fconverse%3Fx%3D1%23y"),
    ],
)
def test_a_model_is_one_segment_of_a_path(model, segment):
    """S7: a model's name leads to no other path."""
    assert quoted(model) == segment


def test_refusals_name_the_instance_and_what_to_do():
    lacking = not_offered("embeddings", "claude")
    assert isinstance(lacking, NotFound)
    assert "embeddings" in lacking.sentence
    assert "claude" in lacking.sentence
    assert "/transparent/" in lacking.hint
    incomplete = unset("watsonx", "project_id")
    assert isinstance(incomplete, InstanceIncomplete)
    assert incomplete.fault == "proxy"
    assert "project_id" in incomplete.sentence


@pytest.mark.parametrize(
    "name",
    [
        *("gpt-4o", "us.anthropic.claude-sonnet-4-5-20250929-v1:0", "ibm/granite-4-h-small", "a..b", "...", "é", "a b"),
        *("arn:aws:bedrock:us-east-1:1:inference-profile/us.x", "claude-sonnet-4-5@20250929", "x" * 2048),
    ],
)
def test_names(name):
    assert is_name(name)


@pytest.mark.parametrize(
    "name",
    [
        *("", ".", "..", "../x", "x/..", "a/./b", "a\\..\\b", "%2e%2e", "a%2f..%2Fb", "x" * 2049),
        *("a\nb", "a\r\nX: y", "\0", "\x7f", "\ud800", "\u2028"),
    ],
    ids=ascii,
)
def test_s7_what_leads_out_of_a_path_or_a_line_is_no_name(name):
    assert not is_name(name)
