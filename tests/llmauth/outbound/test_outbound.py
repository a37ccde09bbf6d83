"""Calls to token services over real sockets: whom they trust, where they may lead, and what they survive."""

from __future__ import annotations

import contextlib
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from llmauth.addresses import HostPort
from llmauth.demo.certificates import Authority, Certificate, server_context
from llmauth.errors import GatewayError, InternalError, UpstreamProxyFailed, UpstreamTimeout, UpstreamUnreachable
from llmauth.http import Door, Headers, Request, Url
from llmauth.outbound import MAX_BYTES, METADATA, Outbound
from llmauth.sources import SourceFailed
from llmauth.upstream_proxy import NoProxy, ProxyAddress, UpstreamProxy, parse_proxy_url
from tests.fixtures.corporate import corporate

HOST = "iam.example"
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}"
FORM = {"apikey": "canary-7f3a&x=y", "grant_type": "urn:x"}


class Service:
    """A token service that says what it is told to, and keeps what it was sent."""

    def __init__(self, folder: Path, certificate: Certificate, says: Callable[[ssl.SSLSocket], None]) -> None:
        authority = Authority.create()
        self.ca_file = folder / "ca.pem"
        self.ca_file.write_bytes(authority.pem)
        self.context = server_context(authority, [HOST], certificate)
        self.says = says
        self.received: list[bytes] = []
        self.connections = 0
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self.listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                sock, _ = self.listener.accept()
                self.connections += 1
                threading.Thread(target=self._serve, args=(sock,), daemon=True).start()

    def _serve(self, sock: socket.socket) -> None:
        with contextlib.suppress(OSError), self.context.wrap_socket(sock, server_side=True) as tls:
            head = b""
            while b"\r\n\r\n" not in head or len(head.partition(b"\r\n\r\n")[2]) < _length(head):
                head += tls.recv(65536)
            self.received.append(head)
            self.says(tls)
            tls.unwrap()  # the polite end of TLS

    def outbound(self, **more: object) -> Outbound:
        given = {"ca_file": self.ca_file, "resolve": {HOST: HostPort("127.0.0.1", self.port)}, "time_limit": 1.0}
        return Outbound(**(given | more))  # type: ignore[arg-type]


def _length(head: bytes) -> int:
    return int(head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0] or 0)


def saying(answer: bytes) -> Callable[[ssl.SSLSocket], None]:
    return lambda tls: tls.sendall(answer)


Make = Callable[..., Service]


@pytest.fixture
def service(tmp_path: Path) -> Iterator[Make]:
    made: list[Service] = []

    def make(
        says: bytes | Callable[[ssl.SSLSocket], None] = OK, certificate: Certificate = Certificate.VALID
    ) -> Service:
        made.append(Service(tmp_path, certificate, saying(says) if isinstance(says, bytes) else says))
        return made[-1]

    yield make
    for one in made:
        one.listener.shutdown(socket.SHUT_RDWR)
        one.listener.close()


def refused(outbound: Outbound) -> str:
    with pytest.raises(SourceFailed) as caught:
        outbound.post_form(HOST, "/identity/token", FORM)
    assert "canary" not in caught.value.reason
    assert caught.value.__suppress_context__ or caught.value.__context__ is None
    return caught.value.reason


def test_a_form_is_posted_and_the_answer_is_given_back(service: Make) -> None:
    one = service()
    answer = one.outbound().post_form(HOST, "/identity/token", FORM)
    assert (answer.status, answer.body) == (200, b"{}")
    assert "{}" not in repr(answer)
    head, _, body = one.received[0].partition(b"\r\n\r\n")
    assert head.startswith(b"POST /identity/token HTTP/1.1\r\nHost: iam.example\r\n")
    assert b"Content-Type: application/x-www-form-urlencoded" in head
    assert body == b"apikey=canary-7f3a%26x%3Dy&grant_type=urn%3Ax"


@pytest.mark.parametrize(
    "answer",
    [
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\n{\r\n1\r\n}\r\n0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\n\r\n{}",
        b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}more",
    ],
    ids=["chunked", "until the end", "interim"],
)
def test_every_framing_is_read(service: Make, answer: bytes) -> None:
    assert service(answer).outbound().post_form(HOST, "/", FORM).body == b"{}"


@pytest.mark.parametrize(
    "certificate", [Certificate.WRONG_NAME, Certificate.UNKNOWN_AUTHORITY, Certificate.EXPIRED], ids=lambda c: c.value
)
def test_s5_a_bad_certificate_is_sent_nothing(service: Make, certificate: Certificate) -> None:
    one = service(certificate=certificate)
    assert refused(one.outbound()) == (
        "the certificate of iam.example could not be verified; a private CA is added with upstream.ca_file"
    )
    assert one.received == []
    assert one.connections == 1


def test_s5_the_public_roots_alone_do_not_trust_it(service: Make) -> None:
    one = service()
    assert "could not be verified" in refused(one.outbound(ca_file=None))
    assert one.received == []


def test_s6_a_redirect_is_not_followed(service: Make) -> None:
    elsewhere = service()
    moved = f"HTTP/1.1 307 X\r\nLocation: https://{HOST}:{elsewhere.port}/\r\nContent-Length: 0\r\n\r\n".encode()
    assert service(moved).outbound().post_form(HOST, "/", FORM).status == 307
    assert elsewhere.connections == 0


def test_s8_a_name_that_leads_to_a_private_address_is_not_dialled(
    service: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    one = service()
    look_up = socket.getaddrinfo
    monkeypatch.setattr(
        socket, "getaddrinfo", lambda host, port, *rest, **more: look_up("127.0.0.1", one.port, *rest, **more)
    )
    assert "leads to a private address; name it in upstream.allow_private" in refused(one.outbound(resolve={}))
    assert one.connections == 0
    allowed = one.outbound(resolve={}, allow_private=frozenset({HOST}))
    assert allowed.post_form(HOST, "/", FORM).status == 200


def _drips(tls: ssl.SSLSocket) -> None:
    for byte in OK * 100:
        tls.sendall(bytes([byte]))
        time.sleep(0.05)


def _cut(tls: ssl.SSLSocket) -> None:
    tls.sendall(b'HTTP/1.1 200 OK\r\n\r\n{"access_token": "canary')
    raise ConnectionError


def _endless(tls: ssl.SSLSocket) -> None:
    tls.sendall(b"HTTP/1.1 200 OK\r\n\r\n")
    while True:
        tls.sendall(b"x" * 65536)


@pytest.mark.parametrize(
    ("says", "reason"),
    [
        (lambda tls: time.sleep(3), "did not answer within 0.3 s"),
        (_drips, "did not answer within 0.3 s"),
        (_endless, "cannot be asked: HTTPException"),
        (_cut, "cannot be asked: SSLEOFError"),
        (b"", "cannot be asked: RemoteDisconnected"),
        (b"canary-7f3a\r\n\r\n", "cannot be asked: BadStatusLine"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 20\r\n\r\n{}", "cannot be asked: IncompleteRead"),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n", "cannot be asked: "),
        (b"HTTP/1.1 200 OK\r\nX: " + b"x" * 70_000 + b"\r\n\r\n", "cannot be asked: LineTooLong"),
        (b"HTTP/1.1 200 OK\r\n" + b"X: x\r\n" * 200 + b"\r\n", "cannot be asked: HTTPException"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % (MAX_BYTES + 1) + b"x" * (MAX_BYTES + 1), "HTTPException"),
    ],
    ids=[
        "mute",
        "drips",
        "endless",
        "cut",
        "nothing",
        "garbage",
        "short",
        "bad chunk",
        "long line",
        "many fields",
        "large",
    ],
)
def test_whatever_a_service_does_it_is_over_in_time(
    service: Make, says: bytes | Callable[[ssl.SSLSocket], None], reason: str
) -> None:
    began = time.monotonic()
    assert reason in refused(service(says).outbound(time_limit=0.3))
    assert time.monotonic() - began < 1.0


def test_a_service_that_is_not_there_or_does_not_speak_tls() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        mute = Outbound(resolve={HOST: HostPort("127.0.0.1", port)}, time_limit=0.3)
        assert refused(mute) == "iam.example did not answer within 0.3 s"
    assert refused(mute) == "iam.example cannot be asked: ConnectionRefusedError"
    assert refused(Outbound(time_limit=0.3)) == "iam.example cannot be asked: gaierror"


# ---- through a company's proxy -------------------------------------------------------------------------------------


def proxy_at(url: str, *exempt: str) -> UpstreamProxy:
    address: ProxyAddress = parse_proxy_url(url)
    return UpstreamProxy(address, NoProxy(exempt))


def test_a_companys_proxy_opens_the_way_and_sees_nothing(service: Make) -> None:
    one = service()
    with corporate({HOST: f"127.0.0.1:{one.port}"}) as company:
        outbound = one.outbound(resolve={}, proxy=proxy_at(company.url))
        assert outbound.post_form(HOST, "/identity/token", FORM).body == b"{}"
        assert company.targets() == ["iam.example:443"]
        assert b"canary" not in b"".join(company.heads)
        assert b"Proxy-Authorization" not in one.received[0]


def test_a_proxy_that_says_no_is_named_without_its_password(service: Make) -> None:
    one = service()

    def no(sock: socket.socket, head: bytes) -> bool:
        sock.sendall(b"HTTP/1.1 407 canary-7f3a\r\n\r\n")
        return False

    with corporate({HOST: f"127.0.0.1:{one.port}"}) as company:
        company.behave = no
        reason = refused(one.outbound(resolve={}, proxy=proxy_at(company.url)))
        assert f"upstream proxy 127.0.0.1:{company.port} wants other credentials" in reason
        assert "s3cret" not in reason
    assert one.connections == 0


@pytest.mark.parametrize("answer", [b"", b"x" * 20_000, b"HTTP/1.1 200"], ids=["nothing", "endless head", "half"])
def test_a_proxy_that_goes_wrong_is_over_in_time(service: Make, answer: bytes) -> None:
    one = service()

    def wrong(sock: socket.socket, head: bytes) -> bool:
        sock.sendall(answer)
        if answer.startswith(b"HTTP"):
            time.sleep(0.6)
        return False

    with corporate({HOST: f"127.0.0.1:{one.port}"}) as company:
        company.behave = wrong
        assert refused(one.outbound(resolve={}, proxy=proxy_at(company.url), time_limit=0.3)).startswith(HOST)
    assert one.connections == 0


def test_whom_the_proxy_is_not_for_is_dialled(service: Make) -> None:
    one = service()
    with corporate({}) as company:
        assert one.outbound(proxy=proxy_at(company.url)).post_form(HOST, "/", FORM).status == 200  # it is in `resolve`
        exempt = one.outbound(resolve={}, proxy=proxy_at(company.url, HOST))
        assert refused(exempt) == "iam.example cannot be asked: gaierror"
        assert company.heads == []


# ---- a request that somebody signed ---------------------------------------------------------------------------------


def signed(
    body: bytes = b'{"canary-7f3a": 1}', path: str = "/v1/x?y=1", host: str = HOST, scheme: str = "https"
) -> Request:
    fields = [(b"Host", host.encode()), (b"Authorization", b"Bearer canary-7f3a")]
    fields.append((b"Content-Length", str(len(body)).encode()))
    return Request(
        method="POST", url=Url(scheme, host, 443, path), headers=Headers(fields), door=Door.GATEWAY, body=body
    )


def failed(
    outbound: Outbound, request: Request | None = None, *, time_limit: float = 1.0, most: int = 1000
) -> GatewayError:
    with pytest.raises(GatewayError) as caught:
        outbound.post(request or signed(), time_limit=time_limit, most=most)
    assert "canary" not in f"{caught.value.message} {caught.value.detail} {caught.value.hint}"
    return caught.value


def test_a_signed_request_is_sent_as_it_stands(service: Make) -> None:
    one = service(b"HTTP/1.1 429 X\r\nRetry-After: 3\r\nContent-Length: 2\r\n\r\n{}")
    answer = one.outbound().post(signed(), time_limit=1.0, most=1000)
    assert (answer.status, answer.body, answer.headers.get("retry-after")) == (429, b"{}", "3")
    assert one.received == [
        b"POST /v1/x?y=1 HTTP/1.1\r\nHost: iam.example\r\nAuthorization: Bearer canary-7f3a\r\nContent-Length: 18\r\n"
        b'Connection: close\r\n\r\n{"canary-7f3a": 1}'
    ]


def test_s5_s8_its_credential_goes_to_a_verified_public_host_alone(
    service: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    false = service(certificate=Certificate.WRONG_NAME)
    assert "could not be verified" in failed(false.outbound()).message
    one = service()
    look_up = socket.getaddrinfo
    monkeypatch.setattr(
        socket, "getaddrinfo", lambda host, port, *rest, **more: look_up("127.0.0.1", one.port, *rest, **more)
    )
    assert "leads to a private address" in failed(one.outbound(resolve={})).message
    assert false.received == one.received == []


def test_s5_nothing_leaves_in_clear_text(service: Make) -> None:
    one = service()
    assert isinstance(failed(one.outbound(), signed(scheme="http")), InternalError)
    assert one.connections == 0


@pytest.mark.parametrize("path", ["/x HTTP/1.1\r\nHost: evil\r\n\r\n", "/x\nX: y"])
def test_a_line_that_would_be_two_is_not_sent(service: Make, path: str) -> None:
    one = service()
    assert isinstance(failed(one.outbound(), signed(path=path)), InternalError)
    assert one.received == []


def test_s6_its_redirect_is_not_followed(service: Make) -> None:
    elsewhere = service()
    moved = f"HTTP/1.1 307 X\r\nLocation: https://{HOST}:{elsewhere.port}/\r\nContent-Length: 0\r\n\r\n".encode()
    assert service(moved).outbound().post(signed(), time_limit=1.0, most=1000).status == 307
    assert elsewhere.connections == 0


@pytest.mark.parametrize(
    ("says", "kind"),
    [
        (lambda tls: time.sleep(3), UpstreamTimeout),
        (_drips, UpstreamTimeout),
        (_endless, UpstreamUnreachable),
        (_cut, UpstreamUnreachable),
        (b"canary-7f3a\r\n\r\n", UpstreamUnreachable),
    ],
    ids=["mute", "drips", "endless", "cut", "garbage"],
)
def test_whatever_a_provider_does_it_is_over_in_time(
    service: Make, says: bytes | Callable[[ssl.SSLSocket], None], kind: type[GatewayError]
) -> None:
    began = time.monotonic()
    assert type(failed(service(says).outbound(), time_limit=0.3)) is kind
    assert time.monotonic() - began < 1.0


def test_as_much_is_read_as_was_said(service: Make) -> None:
    one = service(b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n" + b"x" * 100_000)
    assert len(one.outbound().post(signed(), time_limit=1.0, most=100_000).body) == 100_000
    assert isinstance(failed(one.outbound(), most=99_999), UpstreamUnreachable)


def test_a_companys_proxy_that_says_no_to_it_is_named(service: Make) -> None:
    one = service()

    def no(sock: socket.socket, head: bytes) -> bool:
        sock.sendall(b"HTTP/1.1 403 canary-7f3a\r\n\r\n")
        return False

    with corporate({HOST: f"127.0.0.1:{one.port}"}) as company:
        assert (
            one.outbound(resolve={}, proxy=proxy_at(company.url)).post(signed(), time_limit=1.0, most=9).status == 200
        )
        company.behave = no
        error = failed(one.outbound(resolve={}, proxy=proxy_at(company.url)))
        assert isinstance(error, UpstreamProxyFailed)
        assert "s3cret" not in f"{error.message} {error.detail}"
        assert b"canary" not in b"".join(company.heads)


def test_in_clear_text_nothing_leaves_the_machine_s_own_network(monkeypatch: pytest.MonkeyPatch) -> None:
    """S4: a variable may name another metadata service, and never one somewhere on the internet."""
    way = Outbound(trust=METADATA)
    monkeypatch.setattr(way, "_addresses", lambda target: [("203.0.113.9", 80), ("8.8.8.8", 80)])
    with pytest.raises(SourceFailed, match=r"metadata\.example is not beside this machine"):
        way.ask("GET", "http://metadata.example/latest")


@pytest.mark.parametrize("url", ["https://[::1", "https://h:x/", "https://h:99999/"])
def test_an_address_that_is_none_is_told_as_one(url: str) -> None:
    with pytest.raises(SourceFailed, match="no URL"):
        Outbound().ask("GET", url)
