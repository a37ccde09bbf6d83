"""Media, along with the request or by link."""

import pytest

from llmauth.chat.messages import Audio, Data, Document, Image, Link
from llmauth.codecs.gemini.media import media
from llmauth.errors import UnsupportedParameter


@pytest.mark.parametrize(
    ("part", "wanted"),
    [
        (Audio(Data("audio/wav", "aGk=")), {"mimeType": "audio/wav", "data": "aGk="}),
        (Document(Data("text/plain", "aGk="), "n.txt"), {"mimeType": "text/plain", "data": "aGk="}),
    ],
)
def test_what_came_along(part, wanted):
    assert media(part) == {"inlineData": wanted}


@pytest.mark.parametrize(
    ("url", "media_type"),
    [
        ("https://example.com/a.JPG?size=2.webp#x.png", "image/jpeg"),
        ("gs://bucket/folder.d/a.pdf", "application/pdf"),
        ("http://example.com/a.tar.webp", "image/webp"),
    ],
)
def test_the_suffix_of_a_link_tells_its_type(url, media_type):
    assert media(Image(Link(url))) == {"fileData": {"mimeType": media_type, "fileUri": url}}


def test_a_type_that_was_told_is_believed():
    told = media(Document(Link("https://example.com/report", "application/pdf")))
    assert told["fileData"]["mimeType"] == "application/pdf"


@pytest.mark.parametrize("url", ["https://example.com/a", "https://example.com/a.exe", "https://png", "https://h/png/"])
def test_a_link_without_a_type_is_refused_by_name(url):
    with pytest.raises(UnsupportedParameter, match="media type") as caught:
        media(Image(Link(url)))
    assert url in caught.value.message


@pytest.mark.parametrize("url", ["file:///etc/a.png", "ftp://h/a.png", "a.png", "//h/a.png", "https://[h/a.png"])
def test_other_links_are_refused(url):
    with pytest.raises(UnsupportedParameter):
        media(Image(Link(url)))
