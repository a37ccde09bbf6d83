"""Content blocks of clients, and the refusal of those that have no neutral form."""

from base64 import b64decode

import pytest

from llmauth.chat.messages import Cache, Data, Document, Image, Link, Redacted, Signature, Text, Thinking, ToolResult
from llmauth.codecs.anthropic.parts import ASSISTANT, USER, parts_of
from llmauth.codecs.reading import Malformed, Node
from llmauth.errors import UnsupportedParameter


def user(*blocks):
    return parts_of(Node(list(blocks), "messages[0].content"), USER)


def test_a_string_is_one_text():
    assert parts_of(Node("Hi"), USER) == [Text("Hi")]


@pytest.mark.parametrize(("control", "cache"), [({}, Cache()), ({"ttl": "1h"}, Cache("1h")), ({"ttl": None}, Cache())])
def test_breakpoints(control, cache):
    block = {"type": "text", "text": "a", "cache_control": {"type": "ephemeral", **control}}
    assert user(block) == [Text("a", cache)]


def test_images():
    data = {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "aa=="}}
    link = {"type": "image", "source": {"type": "url", "url": "https://a.example/b.png"}}
    assert user(data, link) == [Image(Data("image/png", "aa==")), Image(Link("https://a.example/b.png"))]


def test_documents():
    pdf = {
        "type": "document",
        "title": "t",
        "source": {"type": "base64", "media_type": "application/pdf", "data": "aa"},
    }
    link = {
        "type": "document",
        "source": {"type": "url", "url": "https://a.example/b"},
        "citations": {"enabled": False},
    }
    assert user(pdf, link) == [
        Document(Data("application/pdf", "aa"), "t"),
        Document(Link("https://a.example/b", "application/pdf")),
    ]


def test_a_document_of_text():
    (part,) = user({"type": "document", "source": {"type": "text", "media_type": "text/plain", "data": "Zoë\n"}})
    assert part.source.media_type == "text/plain"
    assert b64decode(part.source.base64).decode() == "Zoë\n"


def test_results():
    text = {"type": "text", "text": "a"}
    image = {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "aa=="}}
    found = user(
        {"type": "tool_result", "tool_use_id": "1"},
        {"type": "tool_result", "tool_use_id": "2", "content": "a", "is_error": True},
        {"type": "tool_result", "tool_use_id": "3", "content": [text, image], "cache_control": {"type": "ephemeral"}},
    )
    assert found == [
        ToolResult("1", ()),
        ToolResult("2", (Text("a"),), error=True),
        ToolResult("3", (Text("a"), Image(Data("image/png", "aa=="))), cache=Cache()),
    ]


def test_thinking_and_whose_it_is():
    blocks = [
        {"type": "thinking", "thinking": "a", "signature": "s"},
        {"type": "thinking", "thinking": "a", "signature": "llmauth.gemini.g"},
        {"type": "thinking", "thinking": "a", "signature": ""},
        {"type": "redacted_thinking", "data": "llmauth.openai.o"},
    ]
    assert parts_of(Node(blocks), ASSISTANT) == [
        Thinking("a", Signature("anthropic", "s")),
        Thinking("a", Signature("gemini", "g")),
        Thinking("a"),
        Redacted(Signature("openai", "o")),
    ]


@pytest.mark.parametrize(
    ("block", "place"),
    [
        ({"type": "search_result"}, "type"),
        ({"type": "server_tool_use"}, "type"),
        ({"type": "container_upload"}, "type"),
        ({"type": "tool_use", "id": "1", "name": "f", "input": {}}, "type"),
        ({"type": "image", "source": {"type": "file", "file_id": "f"}}, "source.type"),
        ({"type": "document", "source": {"type": "content", "content": "x"}}, "source.type"),
        (
            {"type": "document", "source": {"type": "text", "data": "x"}, "citations": {"enabled": True}},
            "citations.enabled",
        ),
        ({"type": "document", "source": {"type": "text", "data": "x"}, "context": "c"}, "context"),
        ({"type": "tool_result", "tool_use_id": "1", "content": [{"type": "tool_reference"}]}, "content[0].type"),
    ],
)
def test_what_has_no_neutral_form_is_refused_by_its_place(block, place):
    with pytest.raises(UnsupportedParameter, match="not supported here") as refused:
        user(block)
    assert refused.value.param == f"messages[0].content[0].{place}"


@pytest.mark.parametrize(
    "block",
    [
        {},
        {"type": 1},
        "text",
        {"type": "text"},
        {"type": "text", "text": 1},
        {"type": "text", "text": "a", "cache_control": {"type": "eternal"}},
        {"type": "image"},
        {"type": "image", "source": {"type": "base64", "data": "a"}},
        {"type": "tool_result", "tool_use_id": "1", "is_error": "yes"},
        {"type": "document", "source": {"type": "text", "data": "\ud800"}},
    ],
)
def test_what_is_malformed_names_its_place(block):
    with pytest.raises(Malformed) as fault:
        user(block)
    assert fault.value.place.startswith("messages[0].content[0]")
