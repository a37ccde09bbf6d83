"""What is kept of a flow holds no credential, ours or the client's; the rest of it stays as it was."""

from __future__ import annotations

import pytest
from mitmproxy import http
from mitmproxy.test import tflow, tutils

from addons.exchange import Exchanges
from addons.redact import Redact
from llmauth.authenticators.tokens import FORM
from llmauth.http import Headers
from llmauth.secrets import MASK
from llmauth.storage.key_text import new_key
from tests.addons.exchanges import exchange, request

KEY = new_key()[1].reveal()
HOOKS = ("responseheaders", "error", "http_connected", "http_connect_error")


def sent(*fields: tuple[bytes, bytes], path: bytes = b"/v1/models", content: bytes = b"") -> http.HTTPFlow:
    """A flow as it is when its answer begins."""
    head = http.Headers(fields)
    return tflow.tflow(req=tutils.treq(host="api.openai.com", path=path, headers=head, content=content))


def asked(exchanges: Exchanges, flow: http.HTTPFlow, *fields: tuple[bytes, bytes]) -> None:
    """The client's own request, before anything was put on."""
    exchanges.begin(flow, exchange(request=request(headers=Headers(fields))))


@pytest.mark.parametrize("hook", HOOKS)
def test_a_credential_is_masked(hook: str) -> None:
    flow = sent((b"Authorization", b"Bearer sk-ours"), (b"Accept", b"*/*"), (b"X-Api-Key", b"x"), (b"cookie", b"y"))
    getattr(Redact(Exchanges()), hook)(flow)
    assert flow.request.headers["authorization"] == MASK
    assert flow.request.headers["x-api-key"] == MASK
    assert flow.request.headers["cookie"] == MASK


def test_what_the_client_did_not_send_is_ours_and_masked(exchanges: Exchanges) -> None:
    """Whatever a handler of later days may put on."""
    flow = sent((b"x-new-token", b"secret"), (b"Accept", b"*/*"), (b"Host", b"api.openai.com"))
    asked(exchanges, flow, (b"Accept", b"*/*"))
    Redact(exchanges).responseheaders(flow)
    assert dict(flow.request.headers) == {"x-new-token": MASK, "Accept": "*/*", "Host": "api.openai.com"}


def test_a_key_of_ours_is_masked_wherever_it_stands(exchanges: Exchanges) -> None:
    flow = sent((b"x-note", b"use " + KEY.encode()), content=b'{"apikey": "' + KEY.encode() + b'", "n": 1}')
    asked(exchanges, flow, (b"x-note", b"use " + KEY.encode()))
    Redact(exchanges).error(flow)
    assert flow.request.headers["x-note"] == MASK
    assert flow.request.content == f'{{"apikey": "{MASK}", "n": 1}}'.encode()


@pytest.mark.parametrize(
    ("path", "kept"),
    [
        (f"/a?key={KEY}&limit=3", "/a?limit=3"),
        ("/a?access_token=abc&limit=3", f"/a?access_token={MASK}&limit=3"),
        ("/a?X-Amz-Signature=abc&X-Amz-Credential=b", "/a"),
        (f"/a?q={KEY}&limit=3", "/a?limit=3"),
        (f"/a?q=about-{KEY}", "/a"),
        ("/a/%2Fb?x=1&&y", "/a/%2Fb?x=1&&y"),
        ("/a", "/a"),
        (f"/a/{KEY}/b?c=d", f"/a/{MASK}/b?c=d"),
        (f"/{KEY.replace('_', '%5F')}", f"/{MASK}"),
        (f"/a/{FORM}e30.sig", f"/a/{MASK}"),
        (f"/a?x=1&y=about-{FORM}e30.sig", "/a?x=1"),
    ],
    ids=range(11),
)
def test_a_credential_in_the_url_is_masked(path: str, kept: str) -> None:
    flow = sent(path=path.encode())
    Redact(Exchanges()).responseheaders(flow)
    assert flow.request.path == kept


def test_a_placeholder_token_is_masked_in_a_body(exchanges: Exchanges) -> None:
    """It stands for a key of ours, and opens what that opens."""
    flow = sent(content=f'{{"assertion": "{FORM}e30.s-i_g", "n": 1}}'.encode())
    Redact(exchanges).responseheaders(flow)
    assert flow.request.content == f'{{"assertion": "{MASK}", "n": 1}}'.encode()


def test_nothing_is_left_to_go_back_to() -> None:
    flow = sent((b"Authorization", b"Bearer sk-ours"))
    flow.backup()
    Redact(Exchanges()).responseheaders(flow)
    flow.revert()
    assert b"sk-ours" not in repr(flow.get_state()).encode()
