"""Parts as blocks: formats, thinking of one's own family, cache points."""

import pytest

from llmauth.chat.messages import (
    Audio,
    Cache,
    Data,
    Document,
    Image,
    Link,
    Redacted,
    Refusal,
    Signature,
    Text,
    Thinking,
    ToolCall,
    ToolResult,
)
from llmauth.chat.words import Word
from llmauth.codecs.converse.content import Blocks, says_something
from llmauth.codecs.converse.families import family_of
from llmauth.errors import UnsupportedParameter

CLAUDE = family_of("anthropic.claude-sonnet-4-5-20250929-v1:0")
NOVA = family_of("amazon.nova-pro-v1:0")
EVERYTHING = frozenset(Word)


def blocks(part, family=CLAUDE, features=EVERYTHING):
    return list(Blocks(family, features).of(part))


@pytest.mark.parametrize(
    ("media_type", "told"),
    [
        ("image/png", "png"),
        ("image/jpeg", "jpeg"),
        ("image/jpg", "jpeg"),
        ("IMAGE/WEBP; q=1", "webp"),
        ("image/gif", "gif"),
    ],
)
def test_images_by_their_word(media_type, told):
    assert blocks(Image(Data(media_type, "QQ=="))) == [{"image": {"format": told, "source": {"bytes": "QQ=="}}}]


@pytest.mark.parametrize(
    ("part", "said"),
    [
        (Image(Data("image/tiff", "QQ==")), "png, jpeg, gif, webp"),
        (Document(Data("application/zip", "QQ==")), "pdf, txt"),
        (Audio(Data("audio/midi", "QQ==")), "wav, mp3"),
        (Image(Link("https://example.com/a.png")), "data only"),
        (Document(Link("https://example.com/a.pdf")), "data only"),
    ],
)
def test_what_has_no_format_of_bedrocks_is_refused(part, said):
    with pytest.raises(UnsupportedParameter) as caught:
        blocks(part)
    assert said in caught.value.sentence


def test_documents_and_audio():
    [document] = blocks(Document(Data("text/plain", "QQ=="), "notes.txt"))
    assert document == {"document": {"format": "txt", "name": "notes", "source": {"bytes": "QQ=="}}}
    assert blocks(Audio(Data("audio/mpeg", "QQ=="))) == [{"audio": {"format": "mp3", "source": {"bytes": "QQ=="}}}]


def test_two_documents_of_one_request_have_two_names():
    writer = Blocks(CLAUDE, EVERYTHING)
    part = Document(Data("application/pdf", "QQ=="), "a.pdf")
    result = ToolResult("c", (part,))
    [first], [second], [inner] = writer.of(part), writer.of(part), writer.of(result)
    names = [first["document"]["name"], second["document"]["name"]]
    assert [*names, inner["toolResult"]["content"][0]["document"]["name"]] == ["a", "a 2", "a 3"]


@pytest.mark.parametrize(
    ("part", "of_claude", "of_nova"),
    [
        (Text(" \n"), False, False),
        (Refusal(""), False, False),
        (Refusal("No."), True, True),
        (Thinking("Hm."), False, False),
        (Thinking("Hm.", Signature("anthropic", "s")), True, False),
        (Thinking("", Signature("anthropic", "s")), True, False),
        (Thinking("Hm.", Signature("bedrock", "s")), False, True),
        (Thinking("Hm.", Signature("gemini", "s")), False, False),
        (Redacted(Signature("anthropic", "s")), True, False),
        (Redacted(Signature("openai", "s")), False, False),
        (ToolCall("c", "t", ""), True, True),
    ],
)
def test_what_is_sent_to_whom(part, of_claude, of_nova):
    assert (says_something(part, CLAUDE), says_something(part, NOVA)) == (of_claude, of_nova)


def test_a_claude_that_never_thought_is_not_told_of_thinking():
    old = family_of("anthropic.claude-3-haiku-20240307-v1:0")
    assert not says_something(Thinking("Hm.", Signature("anthropic", "s")), old)
    assert not says_something(Redacted(Signature("anthropic", "s")), old)


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        ("", {}),
        ("  ", {}),
        ('{"a": 1}', {"a": 1}),
        ("[1]", {"INVALID_JSON": "[1]"}),
        ('{"a": ', {"INVALID_JSON": '{"a": '}),
        ('{"a": NaN}', {"INVALID_JSON": '{"a": NaN}'}),
        ('{"a": 1, "a": 2}', {"INVALID_JSON": '{"a": 1, "a": 2}'}),
        ("[" * 100000, {"INVALID_JSON": "[" * 100000}),
    ],
    ids=range(8),
)
def test_arguments_are_an_object_whatever_the_model_wrote(arguments, told):
    assert blocks(ToolCall("c", "t", arguments)) == [{"toolUse": {"toolUseId": "c", "name": "t", "input": told}}]


def test_the_id_of_call_and_result_is_replaced_alike():
    odd = "call|" + "x" * 80
    [call], [result] = blocks(ToolCall(odd, "t", "{}")), blocks(ToolResult(odd, (Text("a"),)))
    assert call["toolUse"]["toolUseId"] == result["toolResult"]["toolUseId"] != odd


def test_a_result_says_that_it_is_an_error_where_that_can_be_said():
    result = ToolResult("c", (Text(""), Image(Data("image/png", "QQ=="))), error=True)
    [told] = blocks(result)
    assert told["toolResult"]["status"] == "error"
    assert [list(block) for block in told["toolResult"]["content"]] == [["image"]]
    [told] = blocks(result, features=EVERYTHING - {Word.TOOL_ERROR})
    assert "status" not in told["toolResult"]


def test_a_result_without_content_says_so():
    [told] = blocks(ToolResult("c", ()))
    assert told["toolResult"]["content"] == [{"text": "(empty)"}]


def test_a_cache_point_comes_after_its_part():
    hour, plain = {"cachePoint": {"type": "default", "ttl": "1h"}}, {"cachePoint": {"type": "default"}}
    assert blocks(Text("a", Cache("1h"))) == [{"text": "a"}, hour]
    assert blocks(Text("a", Cache("5m"))) == blocks(Text("a", Cache())) == [{"text": "a"}, plain]
    assert blocks(Text("a", Cache("1h")), NOVA) == [{"text": "a"}, plain]
    assert blocks(Text("a", Cache()), features=EVERYTHING - {Word.CACHE}) == [{"text": "a"}]


def test_a_cache_point_within_a_result_stands_once_behind_it():
    result = ToolResult("c", (Text("a", Cache()), Text("b", Cache())), cache=None)
    told = blocks(result)
    assert [next(iter(block)) for block in told] == ["toolResult", "cachePoint"]
    assert [list(block) for block in told[0]["toolResult"]["content"]] == [["text"], ["text"]]
