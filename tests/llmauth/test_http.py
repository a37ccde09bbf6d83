"""Requests as values: every byte as it came, found by any spelling of its name, and shown to nobody."""

import dataclasses

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmauth.addresses import HostPort
from llmauth.http import Door, Headers, Request, Response, Url

FIELDS = ((b"Host", b"h"), (b"X-A", b"1"), (b"x-a", b"2"), (b"Accept", b"Gr\xfc\xdfe"), (b"X-a", b""))
HEADERS = Headers(FIELDS)
CANARY = "canary"


def test_the_index_has_every_value_in_order_and_leaves_the_fields_alone():
    assert HEADERS.index() == {b"host": [b"h"], b"x-a": [b"1", b"2", b""], b"accept": [b"Gr\xfc\xdfe"]}
    assert HEADERS.index() is HEADERS.index()
    assert HEADERS.fields == FIELDS


def test_look_up_by_any_spelling():
    assert HEADERS.get("x-A") == "1"
    assert HEADERS.all("X-A") == ["1", "2", ""]
    assert "HOST" in HEADERS
    assert "X_A" not in HEADERS
    assert (HEADERS.get("Via"), HEADERS.all("Via")) == (None, [])


def test_bytes_that_are_no_text_survive():
    assert HEADERS.get("accept").encode("utf-8", "surrogateescape") == b"Gr\xfc\xdfe"


def test_without_cuts_every_spelling_and_keeps_the_order():
    assert HEADERS.without(frozenset({b"x-a", b"via"})).fields == (FIELDS[0], FIELDS[3])
    assert HEADERS.fields == FIELDS


def test_adding_comes_last():
    assert HEADERS.adding((b"Via", b"1"), (b"Host", b"2")).fields == (*FIELDS, (b"Via", b"1"), (b"Host", b"2"))
    assert HEADERS.adding() == HEADERS


FIELD_LISTS = st.lists(st.tuples(st.sampled_from([b"A", b"a", b"B", b"c"]), st.binary(max_size=2)), max_size=6)


@given(FIELD_LISTS, FIELD_LISTS)
def test_equal_only_to_the_same_bytes(one, other):
    assert (Headers(one) == Headers(other)) == (one == other)
    assert Headers(one) == Headers(iter(one))
    assert hash(Headers(one)) == hash(Headers(tuple(one)))
    assert Headers(one) != tuple(one)


def test_spelling_and_order_count():
    assert Headers([(b"A", b"1")]) != Headers([(b"a", b"1")])
    assert Headers([(b"A", b"1"), (b"B", b"2")]) != Headers([(b"B", b"2"), (b"A", b"1")])


def test_looking_something_up_does_not_change_equality():
    looked = Headers(FIELDS)
    looked.index()
    assert looked == Headers(FIELDS)
    assert hash(looked) == hash(Headers(FIELDS))


# ---- URLs ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("scheme", "host", "port", "authority"),
    [
        ("https", "h", 443, "h"),
        ("https", "h", 80, "h:80"),
        ("http", "h", 80, "h"),
        ("http", "h", 443, "h:443"),
        ("https", "::1", 443, "[::1]"),
        ("https", "::1", 8443, "[::1]:8443"),
    ],
)
def test_the_authority_names_no_port_of_the_schemes_own(scheme, host, port, authority):
    url = Url(scheme, host, port, "/")
    assert url.authority == authority
    assert url.origin == HostPort(host, port)


@pytest.mark.parametrize(
    ("path", "route", "query"),
    [("/a%2Fb?x=1?y#z", "/a%2Fb", "x=1?y#z"), ("/a", "/a", ""), ("/a?", "/a", ""), ("", "", ""), ("?x", "", "x")],
)
def test_path_and_query_stay_encoded(path, route, query):
    url = Url("https", "h", 443, path)
    assert (url.route_path, url.query, url.path) == (route, query, path)


# ---- requests ------------------------------------------------------------------------------------------------------

REQUEST = Request(
    method="POST",
    url=Url("https", "h", 443, f"/v1/models?key={CANARY}"),
    headers=Headers([(b"Authorization", CANARY.encode())]),
    door=Door.TUNNEL,
    body=CANARY.encode(),
    tunnel=HostPort("h", 443),
    source="192.0.2.1",
)


def test_altered_changes_what_it_is_told_and_nothing_else():
    url, headers = Url("https", "i", 1, "/"), Headers()
    assert REQUEST.altered() == REQUEST
    assert REQUEST.altered(url=url) == dataclasses.replace(REQUEST, url=url)
    assert REQUEST.altered(headers=headers) == dataclasses.replace(REQUEST, headers=headers)
    # An empty body is another body, and no headers are other headers.
    assert REQUEST.altered(body=b"") == dataclasses.replace(REQUEST, body=b"")
    changed = REQUEST.altered(url=url, headers=headers, body=b"x")
    assert changed == dataclasses.replace(REQUEST, url=url, headers=headers, body=b"x")


def test_it_is_frozen():
    for value, name in ((REQUEST, "body"), (REQUEST.url, "host"), (REQUEST.url, "path")):
        with pytest.raises(AttributeError):
            setattr(value, name, "mallory")


def test_no_repr_shows_a_value_a_query_or_a_body():
    """R1: a request ends up in a traceback sooner or later."""
    response = Response(status=200, headers=REQUEST.headers, body=CANARY.encode())
    for shown in (repr(REQUEST), str(REQUEST), repr([REQUEST.headers, REQUEST.url]), repr(response), f"{REQUEST!r}"):
        assert CANARY not in shown
    assert "Headers(Authorization)" in repr(REQUEST)
    assert "Url(https://h:443/v1/models?…)" in repr(REQUEST)
    assert repr(Url("https", "::1", 1, "/a")) == "Url(https://[::1]:1/a)"
