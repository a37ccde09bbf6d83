"""Parts of messages: pictures, files and speech, and what is refused of them."""

import pytest

from llmauth.chat.messages import Audio, Cache, Data, Document, Image, Link, Text
from llmauth.errors import UnsupportedParameter
from tests.golden.cases import PDF, PNG
from tests.llmauth.codecs.openai.samples import messages, parts, refused

DOT = f"data:image/png;base64,{PNG}"


def image(url, **more):
    return {"type": "image_url", "image_url": {"url": url}, **more}


def file(**members):
    return {"type": "file", "file": members}


def speech(data, form):
    return {"type": "input_audio", "input_audio": {"data": data, "format": form}}


def test_pictures():
    detailed = {"type": "image_url", "image_url": {"url": "https://example.com/a.png", "detail": "high"}}
    assert parts(image(DOT), detailed) == (
        Image(Data("image/png", PNG)),
        Image(Link("https://example.com/a.png"), "high"),
    )


@pytest.mark.parametrize("url", [f"DATA:Image/PNG;base64,{PNG}", f"data:image/png;charset=utf-8;base64,{PNG}"])
def test_a_data_url_may_be_written_otherwise(url):
    assert parts(image(url)) == (Image(Data("image/png", PNG)),)


@pytest.mark.parametrize(
    "url",
    [
        "",
        "data:",
        "data:image/png,abc",
        "data:image/png;base64,",
        "data:image/png;base64,abc",
        "data:image/png;base64,ab=c",
        "data:image/png;base64,ab%3D",
        "data:;base64,YWJj",
        "data:text/html;base64,YWJj",
        "file:///etc/passwd",
        "gs://bucket/object",
        "s3://bucket/object",
        "https://a b",
        "https://a\r\nx: y",
        "ftp://example.com/a.png",
    ],
)
def test_other_urls_of_pictures_are_refused(url):
    """S: no scheme that a provider would look up with the credentials of this gateway."""
    error = refused(messages=[{"role": "user", "content": [image(url)]}])
    assert error.param == "messages[0].content[0].image_url.url"


def test_files_and_speech():
    told = file(file_data=f"data:application/pdf;base64,{PDF}", filename="a.pdf")
    assert parts(told, speech("YWJj", "wav"), speech("YWJj", "mp3")) == (
        Document(Data("application/pdf", PDF), "a.pdf"),
        Audio(Data("audio/wav", "YWJj")),
        Audio(Data("audio/mpeg", "YWJj")),
    )


def test_an_uploaded_file_is_refused_by_name():
    error = refused(messages=[{"role": "user", "content": [file(file_id="file-1")]}])
    assert isinstance(error, UnsupportedParameter)
    assert error.param == "messages[0].content[0].file.file_id"


@pytest.mark.parametrize(
    ("content", "param"),
    [
        ([], "content"),
        (3, "content"),
        ([{"text": "Hi"}], "content[0].type"),
        ([{"type": "hologram"}], "content[0].type"),
        ([{"type": "refusal", "refusal": "No"}], "content[0].type"),
        ([{"type": "text"}], "content[0].text"),
        ([file()], "content[0].file.file_data"),
        ([file(file_data="https://example.com/a.pdf")], "content[0].file.file_data"),
        ([speech("YWJj", "flac")], "content[0].input_audio.format"),
        ([speech("?", "wav")], "content[0].input_audio.data"),
        ([{"type": "text", "text": "a", "cache_control": {"type": "forever"}}], "content[0].cache_control.type"),
    ],
    ids=str,
)
def test_other_content_is_refused_by_its_place(content, param):
    assert refused(messages=[{"role": "user", "content": content}]).param == f"messages[0].{param}"


def test_marks_of_a_cache():
    one = {"type": "text", "text": "a", "cache_control": {"type": "ephemeral", "ttl": "1h"}}
    two = {"type": "text", "text": "b", "prompt_cache_breakpoint": {"mode": "explicit", "ttl": "30m"}}
    assert parts(one, two, image(DOT, cache_control={"type": "ephemeral"})) == (
        Text("a", Cache("1h")),
        Text("b", Cache("30m")),
        Image(Data("image/png", PNG), None, Cache()),
    )


def test_a_mark_on_the_message_counts_for_its_last_part():
    told = messages({"role": "system", "content": "Be brief.", "cache_control": {"type": "ephemeral"}})
    assert told[0].parts == (Text("Be brief.", Cache()),)


def test_a_long_data_url_is_read_in_no_time():
    content = "QUJD" * 2_000_000
    assert parts(image(f"data:image/png;base64,{content}")) == (Image(Data("image/png", content)),)
    refused(messages=[{"role": "user", "content": [image("data:image/png" + ";a=b" * 500_000)]}])
