"""Our own GetCallerIdentity: what is sent, and which answers name somebody."""

from __future__ import annotations

import threading
import time

import pytest
from moto.moto_server.werkzeug_app import create_backend_app
from werkzeug.serving import make_server

from llmauth.authenticators.aws_iam.asking import Sts
from llmauth.authenticators.aws_iam.presigned import HEADER, read
from llmauth.authenticators.reach import NotReached
from llmauth.errors import GatewayError, Unauthenticated, Unavailable
from llmauth.outbound import METADATA, Outbound
from tests.emulators.service import Reply, Service
from tests.fixtures.aws_tokens import ACCOUNT, ALICE, HOST, SERVER_ID, token

XML = "text/xml"
NAMESPACE = 'xmlns="https://sts.amazonaws.com/doc/2011-06-15/"'
FACTS = f"<Arn>{ALICE}</Arn><UserId>A:alice</UserId><Account>{ACCOUNT}</Account>"


class Saying(Service):
    """Answers what a test says."""

    reply = Reply()

    def answer(self, call):
        return self.reply


@pytest.fixture
def service():
    with Saying() as running:
        yield running


@pytest.fixture
def sts(service):
    return Sts(Outbound(trust=METADATA), endpoint=service.url, server_id=SERVER_ID)


def presigned():
    return read(token(), server_id=SERVER_ID, now=time.time())


def document(inside: str, *, root: str = "GetCallerIdentityResponse", head: str = "") -> bytes:
    return f"{head}<{root} {NAMESPACE}><GetCallerIdentityResult>{inside}</GetCallerIdentityResult></{root}>".encode()


def as_json(arn: object = ALICE, account: object = ACCOUNT) -> dict:
    return {"GetCallerIdentityResponse": {"GetCallerIdentityResult": {"Arn": arn, "Account": account}}}


@pytest.mark.parametrize("body", [as_json(), document(FACTS), document(FACTS, head='<?xml version="1.0"?>\n')])
def test_an_answer_names_the_caller(service, sts, body) -> None:
    service.reply = Reply(200, body)
    assert sts.caller(presigned()) == ALICE


def test_the_request_is_ours_and_holds_nothing_else(service, sts) -> None:
    service.reply = Reply(200, as_json())
    asked = presigned()
    sts.caller(asked)
    (call,) = service.calls
    assert (call.method, call.target, call.body) == ("GET", asked.target(), b"")
    assert dict(call.headers) == {
        "host": HOST,
        "accept": "application/json",
        HEADER: SERVER_ID,
        "connection": "close",
    }


BOMB = '<!DOCTYPE x [<!ENTITY a "canary-7f3a">]>'


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{}",
        b"[" * 5000,
        b"{" * 5000,
        b"canary-7f3a",
        b"\xff\xfe<\x00x\x00>\x00",
        as_json(arn=None),
        as_json(arn=[ALICE]),
        as_json(account=None),
        as_json(account="999999999999"),
        as_json(account=111122223333),
        {"GetCallerIdentityResponse": []},
        {"GetCallerIdentityResponse": {"GetCallerIdentityResult": "x"}},
        document(FACTS, head=BOMB),
        document(FACTS + "<!-- x -->"),
        document(FACTS + "<![CDATA[x]]>"),
        document(FACTS + FACTS),
        document("<Arn>&a;</Arn>"),
        document(FACTS, root="AssumeRoleResponse"),
        document(FACTS).replace(NAMESPACE.encode(), b""),
        document(FACTS).replace(NAMESPACE.encode(), b'xmlns="https://evil.example/"'),
        document(f"<Arn>{ALICE}</Arn>"),
        document(f"<Arn><x>{ALICE}</x></Arn><Account>{ACCOUNT}</Account>"),
        document(FACTS)[:-5],
        document(FACTS).decode().encode("utf-16"),
        b"x" * 17_000,
    ],
)
def test_an_answer_without_sense_names_nobody(service, sts, body) -> None:
    service.reply = Reply(200, body)
    with pytest.raises(NotReached) as failure:
        sts.caller(presigned())
    assert "canary" not in failure.value.reason


@pytest.mark.parametrize("status", [201, 204, 301, 302, 307, 308, 404, 429, 500, 503])
def test_another_status_names_nobody_and_no_redirect_is_followed(service, sts, status) -> None:
    """S6: a redirect is an answer like any other."""
    service.reply = Reply(status, as_json(), {"Location": "http://127.0.0.1:1/"})
    with pytest.raises(NotReached):
        sts.caller(presigned())
    assert len(service.calls) == 1


@pytest.mark.parametrize(
    ("code", "error"),
    [
        ("SignatureDoesNotMatch", Unauthenticated),
        ("InvalidClientTokenId", Unauthenticated),
        ("ExpiredToken", Unauthenticated),
        ("RequestExpired", Unauthenticated),
        ("AccessDenied", Unavailable),
        ("Throttling", Unavailable),
        ("Whatever", Unavailable),
    ],
)
@pytest.mark.parametrize("written", ["xml", "json"])
def test_a_code_tells_whose_fault_a_refusal_is(service, sts, code, error, written) -> None:
    xml = f"<ErrorResponse><Error><Code>{code}</Code></Error></ErrorResponse>".encode()
    service.reply = Reply(403, xml if written == "xml" else {"Error": {"Code": code}})
    with pytest.raises(GatewayError) as refusal:
        sts.caller(presigned())
    assert type(refusal.value) is error


def test_the_probe_is_content_with_a_refusal_of_aws(service, sts) -> None:
    service.reply = Reply(403, {"Error": {"Code": "MissingAuthenticationToken"}})
    sts.probe(HOST)()
    assert "x-amz" not in service.calls[0].target.lower()
    service.reply = Reply(200, b"<html>")
    with pytest.raises(NotReached):
        sts.probe(HOST)()


def test_without_an_endpoint_the_host_is_the_signed_one() -> None:
    assert Sts(Outbound(), endpoint=None, server_id=SERVER_ID).place_of(presigned()) == HOST


def test_the_answer_of_another_emulator_is_read() -> None:
    """moto looks at no presigned signature, and names its own user; but it writes its answer by itself."""
    server = make_server("127.0.0.1", 0, create_backend_app("sts"), threaded=True)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        moto = Sts(Outbound(trust=METADATA), endpoint=f"http://127.0.0.1:{server.server_port}", server_id=SERVER_ID)
        assert moto.caller(presigned()) == "arn:aws:sts::123456789012:user/moto"
    finally:
        server.shutdown()
