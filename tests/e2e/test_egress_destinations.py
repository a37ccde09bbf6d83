"""S2, S3, S8 for hosts that are no provider: a tunnel leads to the one place that was judged, or is not opened."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import pytest

from llmauth.demo.emulators import Emulators
from tests.fixtures.calls import eventually
from tests.fixtures.hosts import Host, echo, head_of, host
from tests.fixtures.master import Running, run
from tests.fixtures.raw import Answer, Wire, basic
from tests.fixtures.serving import free_port

GIT = "git.example"
PUBLIC = "93.184.216.34"
PLAIN_PORT = 8000


@dataclass
class Range:
    """A gateway whose names are those of `names`. What it dials outside of loopback arrives at `outside` instead."""

    running: Running
    allowed: Host
    inside: Host
    outside: Host
    names: dict[str, Sequence[str] | list[Sequence[str]]]
    asked: list[str] = field(default_factory=list)
    dialled: list[str] = field(default_factory=list)

    def connect(self, target: str | bytes, host_header: str | bytes | None = None) -> int | None:
        """The status of a CONNECT with these bytes, `None` where the connection ended without an answer."""
        target = target.encode("utf-8", "surrogateescape") if isinstance(target, str) else target
        named = target if host_header is None else host_header
        named = named.encode() if isinstance(named, str) else named
        proof = f"Proxy-Authorization: {basic(self.running.key)}".encode()
        with Wire(self.running.port) as wire:
            try:
                return (
                    wire.send(b"CONNECT %s HTTP/1.1\r\nHost: %s\r\n%s\r\n\r\n" % (target, named, proof)).answer().status
                )
            except (EOFError, ConnectionError):
                return None

    def reached(self) -> tuple[int, int, int]:
        """How often each of the hosts was."""
        return self.allowed.connections, self.inside.connections, self.outside.connections


def _fake_network(range_: Range) -> None:
    """Names are looked up in a table; what would leave this machine is led to `outside`."""
    loop = asyncio.get_running_loop()
    connect: Any = loop.sock_connect
    real: Any = range_.running.master.dialer._lookup

    async def lookup(name: str, port: int, **more: Any) -> list[Any]:
        if name == "127.0.0.1":  # where `upstream.resolve` leads
            return list(await real(name, port, **more))
        range_.asked.append(name)
        if name not in range_.names:
            return list(await real(name, port, flags=socket.AI_NUMERICHOST))
        answer = range_.names[name]
        found: Any = answer.pop(0) if answer and not isinstance(answer[0], str) else answer
        return [
            (socket.AF_INET6 if ":" in one else socket.AF_INET, socket.SOCK_STREAM, 6, "", (one, port)) for one in found
        ]

    async def sock_connect(sock: socket.socket, address: tuple[Any, ...]) -> None:
        range_.dialled.append(str(address[0]))
        away = address[0] != "127.0.0.1"
        here = "::ffff:127.0.0.1" if sock.family == socket.AF_INET6 else "127.0.0.1"
        await connect(sock, (here, range_.outside.port) if away else address)

    range_.running.master.dialer._lookup = lookup
    loop.sock_connect = sock_connect  # type: ignore[method-assign, assignment]


def _range(folder: Path, emulators: Emulators, hosts: tuple[Host, Host, Host], egress: Mapping[str, Any]) -> Range:
    allowed, inside, outside = hosts
    upstream = {
        "ca_file": str(emulators.ca_file),
        "resolve": {**emulators.resolve, GIT: allowed.place},
        "allow_private": ["inner.example", "self.example"],
    }
    range_ = Range(run(folder, emulators, upstream=upstream, egress=egress), allowed, inside, outside, {})
    range_.running.call(lambda: _fake_network(range_))
    return range_


@pytest.fixture(scope="module")
def hosts() -> Iterator[tuple[Host, Host, Host]]:
    with host(echo) as allowed, host(echo) as inside, host(echo) as outside:
        yield allowed, inside, outside


Kind = TypeVar("Kind")


class OneAtATime:
    """mitmproxy knows the one master of its process: the gateway before is stopped when another is asked for."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._name = ""
        self._now: Any = None
        self._count = 0

    def of(self, name: str, begin: Callable[[Path], Kind]) -> Kind:
        if name != self._name:
            self.stop()
            self._count += 1
            folder = self._folder / f"{name}-{self._count}"
            folder.mkdir()
            self._name, self._now = name, begin(folder)
        kept: Kind = self._now
        return kept

    def stop(self) -> None:
        if self._now is not None:
            self._now.running.stop()
        self._name, self._now = "", None


@pytest.fixture(scope="module")
def gateways(tmp_path_factory: pytest.TempPathFactory) -> Iterator[OneAtATime]:
    made = OneAtATime(tmp_path_factory.mktemp("gateways"))
    yield made
    made.stop()


@pytest.fixture
def strict(gateways: OneAtATime, shared_emulators: Emulators, hosts: tuple[Host, Host, Host]) -> Range:
    """Everything is refused but for a list."""
    allow = [GIT, f"{GIT}:2222", "inner.example:8443", PUBLIC, "[2001:4860:4860::8888]:443"]
    return gateways.of("strict", lambda folder: _range(folder, shared_emulators, hosts, {"allow": allow}))


@pytest.fixture
def loose(gateways: OneAtATime, shared_emulators: Emulators, hosts: tuple[Host, Host, Host]) -> Range:
    """Every name is let through, on 443 and on the port of a host inside."""
    egress = {"default": "tunnel", "ports": [443, hosts[1].port], "allow": [GIT]}
    return gateways.of("loose", lambda folder: _range(folder, shared_emulators, hosts, egress))


# ---- spellings of a name -------------------------------------------------------------------------------------------

EQUAL = (
    *("git.example:443", "GIT.EXAMPLE:443", "Git.Example:443", "git.example.:443", "GIT.example.:443"),
    *("git.example:2222", "git.example:0443"),
)
# They mean it too, and are refused where they cannot be read.
UNICODE = ("ｇｉｔ.example:443", "git。example:443", "git．example:443")
# None of these is an entry, and none is a second spelling of one.
WRONG = (
    *("git.example", "git.example:", "git.example:80", "git.example:444", "git.example:4430", "git.example:44", ":443"),
    *("git.example:443x", "git.example:+443", "git.example:-443", "git.example:4 43", "git.example:443,443"),
    *("git.example:443:443", "git.example:443:80", "git.example::443", "git.example:0", "git.example:65536"),
    *("git.example:99999999999", "git.example:0x1bb", "git.example:４４３", "git.example:٤٤٣", "git.example:443.0"),
    *("git.example..:443", ".git.example:443", "git..example:443", "git.example.evil.example:443", "xgit.example:443"),
    *("git-example:443", "gitxexample:443", "example:443", "git:443", "*.example:443", "git.*:443", "*:443"),
    *(
        "user@git.example:443",
        "user:pw@git.example:443",
        "git.example@evil.example:443",
        "git.example:443@evil.example",
    ),
    *("git.example:443@evil.example:443", "evil.example#git.example:443", "evil.example?git.example:443"),
    *("evil.example/git.example:443", "evil.example\\git.example:443", "evil.example;git.example:443"),
    *(
        "git.example/:443",
        "git.example#:443",
        "git.example?:443",
        "git.example\\:443",
        "git.example:443/",
        "/git.example",
    ),
    *(
        "http://git.example:443",
        "https://git.example:443",
        "//git.example:443",
        "git.example:443#x",
        "git.example:443?x",
    ),
    *("git%2eexample:443", "git.example%00:443", "git.example%00.evil.example:443", "%67it.example:443"),
    *("git.example%2eevil.example:443", "git.example%:443", "git.example%20:443", "git%E3%80%82example:443"),
    *("git.example\0:443", "git.example\0.evil.example:443", "git.example\x01:443", "git.example\x7f:443"),
    *("git.example\t:443", "git.example\x0b:443", "git.example\x0c:443", "\x1fgit.example:443", "git\x80.example:443"),
    *(
        "git.example\u0085:443",
        "git.example\u2028:443",
        "git\u00ad.evil.example:443",
        "git.exаmple:443",
        "gіt.example:443",
    ),
    *("xn--git-.example:443", "xn--.example:443", "git.xn--example-:443", "git..xn--:443", "g\u0301it.example:443"),
    *("[git.example]:443", "[git.example:443", "git.example]:443", "[]:443", "[:443", "]:443", "[::git.example]:443"),
    *(f"{'a' * 64}.example:443", f"{'a.' * 130}example:443", "a" * 300 + ":443", "-:443", "_:443x", "git .example:443"),
    *(
        "git.example ,evil.example:443",
        "git.example,evil.example:443",
        "git.example|evil.example:443",
        "'git.example':443",
    ),
    *(
        '"git.example":443',
        "git.example&:443",
        "git.example=:443",
        "git.example$:443",
        "git.example`:443",
        "{git.example}:443",
    ),
    *(
        "git.example\r:443",
        "git.example\nX: y:443",
        "git.example\r\nX: y",
        "git.example:443\x00",
        "git.example:443\x0b",
    ),
    *("api.openai.com:80", "api.openai.com:8443", "api.openai.com.:80", "API.OPENAI.COM:2222", "api.anthropic.com:444"),
    *("evil.example:443", "evil.example:2222", "1.git.example:443", "git.example.1:443", "git.examplе:443"),
)


@pytest.mark.parametrize("target", EQUAL)
def test_spellings_of_an_entry_lead_to_it(strict: Range, target: str) -> None:
    before = strict.reached()
    assert strict.connect(target) == 200
    eventually(lambda: strict.reached() == (before[0] + 1, *before[1:]))


@pytest.mark.parametrize("target", UNICODE)
def test_unicode_leads_to_the_entry_or_nowhere(strict: Range, target: str) -> None:
    before = strict.reached()
    status = strict.connect(target)
    assert status in (200, 400)
    eventually(lambda: strict.reached() == (before[0] + (status == 200), *before[1:]))


@pytest.mark.parametrize("policy", ["strict", "loose"])
def test_whatever_else_is_written_leads_nowhere(policy: str, request: pytest.FixtureRequest) -> None:
    """S3: more than two hundred attempts; with `default: tunnel` an honest other name may be looked up, as itself."""
    range_: Range = request.getfixturevalue(policy)
    before = range_.reached()
    wrong: list[tuple[str, object]] = []
    for target in WRONG:
        range_.asked.clear()
        status = range_.connect(target, "" if any(c in target for c in "\r\n") else None)
        if status is not None and not 400 <= status < 600:
            wrong.append((target, status))
        wrong += [(target, name) for name in range_.asked if policy == "strict" or name.lower().strip(".") == GIT]
    assert wrong == []
    assert range_.reached() == before
    assert len(WRONG) >= 120
    assert range_.connect(f"{GIT}:443") == 200


@pytest.mark.parametrize(
    "named",
    ["evil.example:443", "git.example:80", "git.example:443:443", "git.example:443, evil.example", "a@git.example:443"],
)
def test_a_host_header_that_names_another_place_is_a_disagreement(strict: Range, named: str) -> None:
    """S2: refused, and the connection is closed."""
    before = strict.reached()
    assert strict.connect(f"{GIT}:443", named) in (400, 421)
    assert strict.reached() == before


def test_two_host_headers_are_refused(strict: Range) -> None:
    before = strict.reached()
    with Wire(strict.running.port) as wire:
        headers = [("Host", f"{GIT}:443"), ("Host", f"{GIT}:443"), ("Proxy-Authorization", basic(strict.running.key))]
        assert wire.request("CONNECT", f"{GIT}:443", headers).status == 400
    assert strict.reached() == before


# ---- addresses -----------------------------------------------------------------------------------------------------

INSIDE = (
    *(
        "127.0.0.1",
        "127.0.0.2",
        "127.255.255.254",
        "0.0.0.0",
        "10.0.0.1",
        "172.16.0.1",
        "172.31.255.255",
        "192.168.1.1",
    ),
    *(
        "169.254.169.254",
        "169.254.170.2",
        "168.63.129.16",
        "100.64.0.1",
        "100.100.100.200",
        "192.0.0.192",
        "198.18.0.1",
    ),
    *("224.0.0.1", "239.255.255.255", "240.0.0.1", "255.255.255.255", "192.0.2.1", "198.51.100.1", "203.0.113.1"),
    *("::1", "::", "fe80::1", "fc00::1", "fd00:ec2::254", "fec0::1", "ff02::1", "2001:db8::1", "::ffff:127.0.0.1"),
    *("::ffff:169.254.169.254", "::ffff:10.0.0.1", "::127.0.0.1", "64:ff9b::127.0.0.1", "64:ff9b::a9fe:a9fe"),
    *("2002:7f00:1::", "2002:a9fe:a9fe::", "64:ff9b:1::1", "2001::1", "3fff::1", "100::1"),
)
SPELLED = (
    *("127.1", "127.0.1", "2130706433", "0x7f000001", "0x7f.1", "0177.0.0.1", "017700000001", "0x7F.0x0.0x0.0x1", "0"),
    *(
        "00",
        "127.0.0.1.",
        "127.000.000.001",
        "0127.0.0.1",
        "2852039166",
        "0xa9fea9fe",
        "169.254.43518",
        "0251.0376.0251.0376",
    ),
    *(
        "[::1]",
        "[0:0:0:0:0:0:0:1]",
        "[::ffff:7f00:1]",
        "[::ffff:127.0.0.1]",
        "[0000::1]",
        "[::1.]",
        "[::1%25lo]",
        "[::1%lo]",
    ),
    *(
        "[fe80::1%25eth0]",
        "[127.0.0.1]",
        "[::]",
        "１２７.0.0.1",
        "127。0。0。1",
        "①②⑦.0.0.1",
        "[::ffff:0x7f.1]",
        "[v1.x]",
    ),
    *("localhost", "localhost.", "LOCALHOST", "1.1.1.1", "16843009", "[2606:4700:4700::1111]"),
)


@pytest.mark.parametrize("address", [*(f"[{a}]" if ":" in a else a for a in INSIDE), *SPELLED])
def test_an_address_is_no_destination_in_any_spelling(loose: Range, address: str) -> None:
    """S8: not even where every name is let through. `localhost` is a name, and is judged by where it leads."""
    before = loose.reached()
    for port in (443, loose.inside.port):
        assert loose.connect(f"{address}:{port}") in (400, 403, 502)
    assert loose.reached() == before


@pytest.mark.parametrize("address", INSIDE)
def test_a_name_that_leads_inside_is_refused(loose: Range, address: str) -> None:
    """S8: judged in the look-up, alone and among public ones; nothing is dialled."""
    loose.dialled.clear()
    before = loose.reached()
    for answer in ([address], [PUBLIC, address], [address, PUBLIC]):
        loose.names["trap.example"] = answer
        assert loose.connect(f"trap.example:{loose.inside.port}") == 403
    assert loose.reached() == before
    assert loose.dialled == []


def test_a_name_that_changes_its_address_gains_nothing(loose: Range) -> None:
    """Rebinding: the address that was judged is the one that is dialled, and no second answer is asked for."""
    answers: list[Sequence[str]] = [[PUBLIC], ["127.0.0.1"], [PUBLIC], ["169.254.169.254"], ["10.0.0.1"], [PUBLIC]]
    loose.names["rebind.example"] = answers
    loose.asked.clear()
    loose.dialled.clear()
    statuses = [loose.connect("rebind.example:443") for _ in range(6)]
    assert statuses == [200, 403, 200, 403, 403, 200]
    assert loose.asked == ["rebind.example"] * 6
    assert loose.dialled == [PUBLIC] * 3


def test_a_public_address_needs_an_entry(loose: Range) -> None:
    assert loose.connect(f"{PUBLIC}:443") == 403


def test_an_entry_may_be_a_public_address(strict: Range) -> None:
    strict.dialled.clear()
    assert strict.connect(f"{PUBLIC}:443") == 200
    assert strict.connect("[2001:4860:4860:0:0:0:0:8888]:443") == 200
    assert strict.dialled == [PUBLIC, "2001:4860:4860::8888"]


def test_a_private_name_is_reached_where_the_configuration_says_so(strict: Range) -> None:
    strict.names["inner.example"] = ["10.0.0.1"]
    assert strict.connect("inner.example:8443") == 200
    assert strict.connect("inner.example:443") == 403


# ---- our own listeners ---------------------------------------------------------------------------------------------


def test_nobody_is_led_back_to_us(
    tmp_path: Path, gateways: OneAtATime, shared_emulators: Emulators, hosts: tuple[Host, Host, Host]
) -> None:
    """Not by an entry, a look-up, `upstream.resolve` or `upstream.allow_private`."""
    gateways.stop()
    port, metrics = free_port(), free_port()
    names = ["self.example", "looped.example", "metrics.example"]
    upstream = {
        "ca_file": str(shared_emulators.ca_file),
        "resolve": {**shared_emulators.resolve, "looped.example": f"127.0.0.1:{port}"},
        "allow_private": [*names, "127.0.0.1", "::1", "127.0.0.2"],
    }
    allow = [f"self.example:{port}", "looped.example", f"metrics.example:{metrics}", f"127.0.0.1:{port}"]
    allow += [f"[::1]:{port}", f"127.0.0.2:{port}"]
    running = run(
        tmp_path,
        shared_emulators,
        server={"port": port, "gateway_hosts": ["llm.internal"]},
        metrics={"port": metrics},
        upstream=upstream,
        egress={"allow": allow},
    )
    range_ = Range(running, *hosts, {name: ["127.0.0.1"] for name in names})
    running.call(lambda: _fake_network(range_))
    for target in allow:
        # mitmproxy guards the addresses that it listens on itself, by their first spelling.
        assert range_.connect(target if ":" in target else f"{target}:443") in (403, 502), target
    assert range_.dialled == []
    running.stop()


# ---- plain http:// -------------------------------------------------------------------------------------------------


@dataclass
class Plain:
    """A gateway, and a site without TLS whose entry names the port."""

    running: Running
    site: Host


@pytest.fixture(scope="module")
def site() -> Iterator[Host]:
    heads: list[bytes] = []

    def speak(sock: socket.socket) -> None:
        while head := head_of(sock):
            heads.append(head)
            sock.sendall(listening.answer or b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nSet-Cookie: a=b\r\n\r\nok")

    with host(speak) as listening:
        listening.heads = heads
        yield listening


@pytest.fixture
def plain(gateways: OneAtATime, shared_emulators: Emulators, site: Host) -> tuple[Running, Host]:
    def begin(folder: Path) -> Plain:
        upstream = {
            "ca_file": str(shared_emulators.ca_file),
            "resolve": {**shared_emulators.resolve, "plain.example": site.place, "other.example": site.place},
        }
        egress = {"default": "tunnel", "allow": [f"plain.example:{PLAIN_PORT}", "plain.example:80", "other.example"]}
        server = {"gateway_hosts": ["llm.internal"]}
        return Plain(run(folder, shared_emulators, upstream=upstream, egress=egress, server=server), site)

    made = gateways.of("plain", begin)
    return made.running, made.site


def ask(running: Running, url: str, *fields: tuple[str, str], named: str | None = None, method: str = "GET") -> Answer:
    """An absolute-form request of a known caller."""
    with Wire(running.port) as wire:
        host_header = url.split("/")[2] if named is None else named
        return wire.request(method, url, [("Host", host_header), *fields])


def known(running: Running) -> tuple[str, str]:
    return "Proxy-Authorization", basic(running.key)


def test_plain_http_is_carried_to_an_entry_that_names_the_port(plain: tuple[Running, Host]) -> None:
    running, site = plain
    site.heads.clear()
    answer = ask(running, "http://Plain.Example:8000/a%2Fb?c=d", known(running), ("Accept", "x"))
    assert (answer.status, answer.body, answer.header("set-cookie")) == (200, b"ok", "a=b")
    (head,) = site.heads
    assert head == b"GET /a%2Fb?c=d HTTP/1.1\r\nHost: plain.example:8000\r\nAccept: x\r\n\r\n"


def test_no_credential_travels_in_clear_text(plain: tuple[Running, Host]) -> None:
    """S4, S9: neither ours nor the client's, in no spelling, and no field of this hop."""
    running, site = plain
    site.heads.clear()
    fields = [
        ("Authorization", f"Bearer {running.key}"),
        ("X-API-Key", running.key),
        ("x_api_key", running.key),
        ("X-Goog-Api-Key", "placeholder"),
        ("X-TOTP-Code", "123456"),
        ("Proxy-Connection", "keep-alive"),
        ("Proxy-Foo", "1"),
        ("Connection", "host, x-drop"),
        ("X-Drop", "1"),
        ("TE", "trailers"),
        ("X-Keep", "1"),
    ]
    answer = ask(running, f"http://plain.example:8000/?key={running.key}&a=b", known(running), *fields)
    assert answer.status == 200
    (head,) = site.heads
    assert head == b"GET /?a=b HTTP/1.1\r\nHost: plain.example:8000\r\nX-Keep: 1\r\n\r\n"


def test_a_key_in_the_path_does_not_travel_in_clear_text(plain: tuple[Running, Host]) -> None:
    """S9: it cannot be cut out, so the request goes nowhere."""
    running, site = plain
    site.heads.clear()
    for path in (running.key, running.key.replace("_", "%5f"), f"a/{running.key};x/b"):
        answer = ask(running, f"http://plain.example:8000/{path}", known(running))
        assert (answer.status, running.key.encode() in answer.body) == (400, False)
    assert site.heads == []


def test_plain_http_needs_the_proxy_password_for_each_request(plain: tuple[Running, Host]) -> None:
    running, site = plain
    site.heads.clear()
    with Wire(running.port) as wire:
        assert wire.request("GET", "http://plain.example/", [("Host", "plain.example"), known(running)]).status == 200
        assert wire.request("GET", "http://plain.example/", [("Host", "plain.example")]).status == 407
    assert ask(running, "http://plain.example/", ("X-API-Key", "wrong")).status == 407
    assert len(site.heads) == 1


@pytest.mark.parametrize(
    "url",
    [
        *(
            "http://plain.example:8001/",
            "http://plain.example:443/",
            "http://other.example/",
            "http://other.example:443/",
        ),
        *("http://evil.example/", "http://plain.example.evil.example:8000/", "http://127.0.0.1:8000/", "http://[::1]/"),
        *(
            "http://api.openai.com/",
            "http://api.openai.com:8000/",
            "http://API.OPENAI.COM./",
            "http://api.anthropic.com/",
        ),
    ],
)
def test_plain_http_to_any_other_place_is_refused(plain: tuple[Running, Host], url: str) -> None:
    running, site = plain
    before = site.connections
    assert ask(running, url, known(running)).status == 403
    assert site.connections == before


@pytest.mark.parametrize(
    "url",
    ["http://user@plain.example/", "http://plain.example:8000@evil.example/", "http://plain%2eexample/", "http:///x"],
)
def test_a_url_that_is_no_plain_place_is_refused(plain: tuple[Running, Host], url: str) -> None:
    running, site = plain
    before = site.connections
    assert ask(running, url, known(running), named="plain.example").status in (400, 403, 421)
    assert site.connections == before


def test_host_and_url_must_agree_in_plain_http(plain: tuple[Running, Host]) -> None:
    running, site = plain
    before = site.connections
    for named in ("evil.example", "plain.example:8001", "api.openai.com", ""):
        assert ask(running, "http://plain.example/", known(running), named=named).status in (400, 421)
    assert site.connections == before


@pytest.mark.parametrize("method", ["TRACE", "TRACK", "DEBUG", "PROPFIND", "PRI", "get"])
def test_methods_that_nobody_needs_are_refused(plain: tuple[Running, Host], method: str) -> None:
    """S10: in clear text as elsewhere."""
    running, site = plain
    before = site.connections
    assert ask(running, "http://plain.example/", known(running), method=method).status in (400, 405)
    assert site.connections == before


def test_no_protocol_is_switched_in_plain_http(plain: tuple[Running, Host]) -> None:
    running, site = plain
    before = site.connections
    asks = [("Connection", "Upgrade"), ("Upgrade", "websocket"), ("Sec-WebSocket-Version", "13")]
    asks.append(("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ=="))
    assert ask(running, "http://plain.example/", known(running), *asks).status == 426
    assert site.connections == before


def test_a_site_that_switches_unasked_is_a_broken_one(plain: tuple[Running, Host], site: Host) -> None:
    running, _ = plain
    site.answer = b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n"
    answer = ask(running, "http://plain.example/", known(running))
    site.answer = b""
    assert answer.status == 502


def test_a_provider_is_served_on_a_connection_that_asked_in_plain_http(plain: tuple[Running, Host]) -> None:
    running, _ = plain
    with Wire(running.port) as wire:
        assert wire.request("GET", "http://plain.example/", [("Host", "plain.example"), known(running)]).status == 200
        inner = [("Host", "llm.internal"), known(running)]
        assert wire.request("GET", "http://llm.internal/transparent/openai/v1/models", inner).status == 200
        assert wire.request("GET", "http://plain.example/", [("Host", "plain.example"), known(running)]).status == 200
