"""The handshake is judged on both sides as RFC 6455 has it, and a key among the subprotocols is found and cut out."""

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmauth.authenticators.tokens import FORM
from llmauth.errors import BadRequest, UpgradeRefused
from llmauth.http import Door, Headers, Request, Url
from llmauth.storage.key_text import PREFIX
from llmauth.websocket import handshake
from llmauth.websocket.handshake import accept_of, check_asked, is_accepted, is_asked, keys_among, without_keys

TOKEN_OF_OURS = FORM.encode() + b"e30.c2ln"
KEY = b"dGhlIHNhbXBsZSBub25jZQ=="
ASKED = (
    *((b"Host", b"api.openai.com"), (b"Upgrade", b"websocket"), (b"Connection", b"Upgrade")),
    *((b"Sec-WebSocket-Key", KEY), (b"Sec-WebSocket-Version", b"13")),
    *((b"Sec-WebSocket-Protocol", b"realtime, beta"), (b"Sec-WebSocket-Extensions", b"permessage-deflate; x=1, other")),
)
ANSWERED = (
    *((b"upgrade", b"WebSocket"), (b"connection", b"keep-alive, UPGRADE")),
    *((b"sec-websocket-accept", b"s3pPLMBiTxaQ9kYGzzhZRbK+xOo="), (b"sec-websocket-protocol", b"beta")),
    (b"sec-websocket-extensions", b"permessage-deflate; server_no_context_takeover"),
)


def request(*fields, method="GET"):
    return Request(
        method=method, url=Url("https", "api.openai.com", 443, "/"), headers=Headers(fields), door=Door.TUNNEL
    )


def changed(fields, name, *values):
    """The fields with these values of one name, and no others."""
    return (*(f for f in fields if f[0].lower() != name), *((name, value) for value in values))


def test_the_marks_are_those_of_our_keys_and_tokens():
    assert (PREFIX.encode(), FORM.encode()) == handshake.OURS


def test_the_proof_is_that_of_the_rfc():
    assert accept_of(KEY) == b"s3pPLMBiTxaQ9kYGzzhZRbK+xOo="


def test_a_good_handshake_passes():
    check_asked(request(*ASKED))
    assert is_accepted(Headers(ASKED), Headers(ANSWERED))


@pytest.mark.parametrize("values", [(), (b"websocket", b"websocket"), (b"websocket, h2c",), (b"h2c",), (b"",)])
def test_only_websocket_alone_is_asked_for(values):
    assert not is_asked(Headers(changed(ASKED, b"upgrade", *values)))


@pytest.mark.parametrize(
    ("name", "values", "error"),
    [
        (b"upgrade", (b"websocket", b"h2c"), UpgradeRefused),
        (b"connection", (b"upgrade, close",), BadRequest),
        (b"connection", (b"Upgrade", b"Sec-WebSocket-Protocol"), BadRequest),
        (b"connection", (b"keep-alive",), BadRequest),
        (b"connection", (), BadRequest),
        (b"sec-websocket-version", (b"013",), UpgradeRefused),
        (b"sec-websocket-version", (), UpgradeRefused),
        (b"sec-websocket-key", (b"dGhlIHNhbXBsZQ==",), BadRequest),
        (b"sec-websocket-key", (KEY + b"\n",), BadRequest),
        (b"sec-websocket-key", (), BadRequest),
        (b"content-length", (b"00",), BadRequest),
        (b"transfer-encoding", (b"chunked",), BadRequest),
        (b"sec-websocket-protocol", (b"a,,b",), BadRequest),
        (b"sec-websocket-protocol", (b"",), BadRequest),
        (b"sec-websocket-protocol", (b"a;b",), BadRequest),
    ],
)
def test_anything_else_is_refused(name, values, error):
    with pytest.raises(error) as caught:
        check_asked(request(*changed(ASKED, name, *values)))
    assert caught.value.close


@pytest.mark.parametrize("method", ["POST", "HEAD", "PUT"])
def test_only_get_asks(method):
    with pytest.raises(BadRequest):
        check_asked(request(*ASKED, method=method))


@pytest.mark.parametrize(
    ("name", "values"),
    [
        (b"upgrade", ()),
        (b"upgrade", (b"websocket", b"websocket")),
        (b"connection", (b"keep-alive",)),
        (b"sec-websocket-accept", ()),
        (b"sec-websocket-accept", (b"s3pPLMBiTxaQ9kYGzzhZRbK+xOo=",) * 2),
        (b"sec-websocket-accept", (b"S3pPLMBiTxaQ9kYGzzhZRbK+xOo=",)),
        (b"sec-websocket-protocol", (b"gamma",)),
        (b"sec-websocket-protocol", (b"beta", b"beta")),
        (b"sec-websocket-extensions", (b"permessage-deflate, third",)),
        (b"content-length", (b"0",)),
        (b"transfer-encoding", (b"chunked",)),
    ],
)
def test_a_wrong_answer_is_none(name, values):
    assert not is_accepted(Headers(ASKED), Headers(changed(ANSWERED, name, *values)))


def test_an_answer_that_nobody_asked_for_is_none():
    assert not is_accepted(Headers([(b"Host", b"h")]), Headers(ANSWERED))


@pytest.mark.parametrize(
    ("offered", "keys", "left"),
    [
        (b"realtime, openai-insecure-api-key.llmauth_a_b, beta", [b"llmauth_a_b"], b"realtime, beta"),
        (b"openai-insecure-api-key.llmauth_a_b", [b"llmauth_a_b"], b""),
        (b"openai-insecure-api-key.sk-x,\trealtime", [b"sk-x"], b"realtime"),
        (b"OpenAI-Insecure-API-Key.sk-x,realtime", [b"sk-x"], b"realtime"),
        (b"realtime , llmauth_a_b", [b"llmauth_a_b"], b"realtime"),
        (b"bearer.llmauth_a_b,realtime", [b"llmauth_a_b"], b"realtime"),
        (b"realtime, " + TOKEN_OF_OURS, [TOKEN_OF_OURS], b"realtime"),
        (b"bearer." + TOKEN_OF_OURS + b", realtime", [TOKEN_OF_OURS], b"realtime"),
        (b"eyJhbGciOiJIUzI1NiJ9.e30.c2ln,a", [], b"eyJhbGciOiJIUzI1NiJ9.e30.c2ln,a"),
        (b"a,  b,c", [], b"a,  b,c"),
        (b"openai-insecure-api-key", [], b"openai-insecure-api-key"),
    ],
)
def test_a_key_is_found_and_cut_out(offered, keys, left):
    assert keys_among(offered) == keys
    assert without_keys(offered) == left


TOKEN = st.text("abcXYZ019._-~", min_size=1).map(str.encode)
MARKS = (*handshake.OURS, b"openai-insecure-api-key.", b"bearer.llmauth_", b"bearer." + FORM.encode())
PIECE = st.one_of(TOKEN, st.tuples(st.sampled_from(MARKS), TOKEN).map(b"".join))


@given(st.lists(PIECE, min_size=1, unique=True), st.sampled_from([b",", b", ", b" ,\t"]))
def test_whatever_is_offered_no_key_is_left_and_the_others_are(offered, comma):
    left = without_keys(comma.join(offered))
    assert not any(mark in left for mark in handshake.OURS)
    kept = [item for item in offered if not keys_among(item)]
    assert [item.strip() for item in left.split(b",") if item] == kept


@given(st.dictionaries(st.sampled_from([name.lower() for name, _ in ASKED]), st.binary(max_size=40), max_size=4))
def test_whatever_comes_is_judged_without_a_crash(values):
    fields = ASKED
    for name, value in values.items():
        fields = changed(fields, name, value)
    with contextlib.suppress(BadRequest):  # and of nothing else
        check_asked(request(*fields))
    assert is_accepted(Headers(fields), Headers(fields)) is False
