"""What else could be taken for a credential is cut, and the rest of the query keeps its bytes."""

import pytest

from llmauth.http import Door, Headers, Request, Url
from llmauth.providers.leftovers import without


def request_to(path):
    headers = Headers([(b"Host", b"h"), (b"API-Key", b"1"), (b"X-Mine", b"2")])
    return Request(method="GET", url=Url("https", "h", 443, path), headers=headers, door=Door.TUNNEL)


@pytest.mark.parametrize(
    ("path", "left"),
    [
        ("/a", "/a"),
        ("/a?", "/a?"),
        ("/a?x=%2F&&y=b+c;d", "/a?x=%2F&&y=b+c;d"),
        ("/a?key=1", "/a"),
        ("/a?KEY=1&x=%2f", "/a?x=%2f"),
        ("/a?x=1&%6bey=2&y=3&key", "/a?x=1&y=3"),
        ("/a?monkey=1&x=key", "/a?monkey=1&x=key"),
        ("/key=1", "/key=1"),
    ],
)
def test_parameters(path, left):
    assert without(request_to(path), headers=frozenset(), parameters=frozenset({"key"})).url.path == left


def test_headers_in_any_case():
    bare = without(request_to("/a"), headers=frozenset({b"api-key"}), parameters=frozenset())
    assert bare.headers.fields == ((b"Host", b"h"), (b"X-Mine", b"2"))
