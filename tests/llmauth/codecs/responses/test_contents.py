"""Parts of a message's content, and what is no such part."""

import pytest

from llmauth.chat.messages import Audio, Cache, Data, Document, Image, Link, Refusal, Text
from llmauth.codecs.reading import Malformed, Node
from llmauth.codecs.responses import contents
from llmauth.errors import UnsupportedParameter


def read(*parts, readers=contents.OF_USER):
    return contents.parts(Node(list(parts), "content"), readers)


def test_a_string_is_one_text():
    assert contents.parts(Node("hi", "content"), contents.OF_USER) == (Text("hi"),)


@pytest.mark.parametrize(
    ("part", "expected"),
    [
        ({"type": "input_text", "text": "hi"}, Text("hi")),
        ({"type": "input_image", "image_url": "data:image/PNG;base64,QQ=="}, Image(Data("image/png", "QQ=="))),
        (
            {"type": "input_image", "image_url": "data:image/png;charset=x;base64,QQ=="},
            Image(Data("image/png", "QQ==")),
        ),
        (
            {"type": "input_image", "image_url": "https://e.com/a.png", "detail": "high", "file_id": None},
            Image(Link("https://e.com/a.png"), "high"),
        ),
        (
            {"type": "input_image", "image_url": "https://e.com/a.png", "detail": "original"},
            Image(Link("https://e.com/a.png"), "high"),
        ),
        ({"type": "input_image", "image_url": "https://e.com/", "detail": "auto"}, Image(Link("https://e.com/"))),
        (
            {"type": "input_file", "file_data": "data:application/pdf;base64,QQ=="},
            Document(Data("application/pdf", "QQ==")),
        ),
        (
            {"type": "input_file", "file_data": "QQ==", "filename": "a.PDF"},
            Document(Data("application/pdf", "QQ=="), "a.PDF"),
        ),
        ({"type": "input_file", "file_url": "https://e.com/a.pdf"}, Document(Link("https://e.com/a.pdf"))),
        (
            {"type": "input_audio", "input_audio": {"data": "QQ==", "format": "mp3"}},
            Audio(Data("audio/mpeg", "QQ==")),
        ),
        (
            {"type": "input_text", "text": "hi", "prompt_cache_breakpoint": {"mode": "explicit"}},
            Text("hi", Cache()),
        ),
        (
            {"type": "input_text", "text": "hi", "prompt_cache_breakpoint": {"mode": "explicit", "ttl": "30m"}},
            Text("hi", Cache("1h")),
        ),
    ],
)
def test_parts(part, expected):
    assert read(part) == (expected,)


@pytest.mark.parametrize(
    ("part", "place"),
    [
        ({"type": "text", "text": "hi"}, "content[0].type"),
        ({"type": "output_text", "text": "hi"}, "content[0].type"),
        ({"type": None}, "content[0].type"),
        ({"text": "hi"}, "content[0].type"),
        ({"type": "input_text"}, "content[0].text"),
        ({"type": "input_text", "text": 5}, "content[0].text"),
        (
            {"type": "input_text", "text": "hi", "prompt_cache_breakpoint": {}},
            "content[0].prompt_cache_breakpoint.mode",
        ),
        ({"type": "input_image"}, "content[0].image_url"),
        ({"type": "input_image", "image_url": "file:///etc/passwd"}, "content[0].image_url"),
        ({"type": "input_image", "image_url": "data:image/png,raw"}, "content[0].image_url"),
        ({"type": "input_image", "image_url": "data:image/png;base64,"}, "content[0].image_url"),
        ({"type": "input_image", "image_url": "data:image/png;base64,Q Q="}, "content[0].image_url"),
        ({"type": "input_audio", "input_audio": {"data": "QQ", "format": "mp3"}}, "content[0].input_audio.data"),
        ({"type": "input_image", "image_url": "https://e.com/", "detail": "huge"}, "content[0].detail"),
        ({"type": "input_file"}, "content[0]"),
        ({"type": "input_file", "file_data": "QQ==", "filename": "a.exe"}, "content[0].file_data"),
        ({"type": "input_file", "file_data": "QQ=="}, "content[0].file_data"),
        ({"type": "input_file", "file_url": "gs://bucket/a"}, "content[0].file_url"),
        ({"type": "input_audio", "input_audio": {"data": "QQ==", "format": "ogg"}}, "content[0].input_audio.format"),
        ("hi", "content[0]"),
    ],
)
def test_what_is_no_part_is_named(part, place):
    with pytest.raises(Malformed) as caught:
        read(part)
    assert caught.value.place == place


@pytest.mark.parametrize("kind", ["input_image", "input_file"])
def test_a_file_that_only_openai_keeps_is_refused(kind):
    with pytest.raises(UnsupportedParameter, match="only OpenAI keeps") as caught:
        read({"type": kind, "file_id": "file_1"})
    assert caught.value.param == "content[0].file_id"


def test_what_the_model_said():
    said = read(
        {"type": "output_text", "text": "hi", "annotations": [{"anything": 1}]},
        {"type": "refusal", "refusal": "no"},
        readers=contents.OF_ASSISTANT,
    )
    assert said == (Text("hi"), Refusal("no"))


@pytest.mark.parametrize("readers", [contents.OF_SYSTEM, contents.OF_ASSISTANT])
def test_pictures_are_for_users(readers):
    with pytest.raises(Malformed, match="input_image"):
        read({"type": "input_image", "image_url": "https://e.com/"}, readers=readers)
