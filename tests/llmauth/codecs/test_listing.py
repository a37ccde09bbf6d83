"""Lists of models as the official SDKs of the two protocols read them."""

import json

import pytest

from llmauth.codecs.listing import Listed, render_list, render_one

FIRST = Listed(id="claude", owner="bedrock", since=1_700_000_000)
LAST = Listed(id="gpt-4o", owner="openai", since=1_700_000_000)
OPENAI = {"id": "claude", "object": "model", "created": 1_700_000_000, "owned_by": "bedrock"}
ANTHROPIC = {"type": "model", "id": "claude", "display_name": "claude", "created_at": "2023-11-14T22:13:20Z"}


def test_openai_s_list():
    told = json.loads(render_list("openai", [FIRST, LAST]))
    assert told["object"] == "list"
    assert told["data"][0] == OPENAI
    assert [one["id"] for one in told["data"]] == ["claude", "gpt-4o"]


def test_anthropic_s_list_is_one_page():
    """`has_more` of false ends the SDK's pages; the ids of both ends would be where the next one begins."""
    told = json.loads(render_list("anthropic", [FIRST, LAST]))
    assert told["data"][0] == ANTHROPIC
    assert (told["has_more"], told["first_id"], told["last_id"]) == (False, "claude", "gpt-4o")


@pytest.mark.parametrize(
    ("protocol", "told"),
    [
        ("openai", {"object": "list", "data": []}),
        ("anthropic", {"data": [], "has_more": False, "first_id": None, "last_id": None}),
    ],
)
def test_a_list_without_models_is_a_list(protocol, told):
    assert json.loads(render_list(protocol, [])) == told


@pytest.mark.parametrize(("protocol", "told"), [("openai", OPENAI), ("anthropic", ANTHROPIC)])
def test_one_model_is_as_it_stands_in_the_list(protocol, told):
    assert json.loads(render_one(protocol, FIRST)) == told
