"""S3: one spelling for every host, nothing that is none, and no way round what is private."""

import ipaddress
import random
import socket
import time

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from llmauth.addresses import (
    HostPort,
    is_inner_name,
    is_ip_literal,
    is_loopback,
    is_private,
    normalise_host,
    parse_authority,
)

# ---- names ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("written", "host"),
    [
        ("API.OpenAI.com", "api.openai.com"),
        ("api.openai.com.", "api.openai.com"),
        ("my_host.internal", "my_host.internal"),
        ("a" * 63 + ".de", "a" * 63 + ".de"),
        (".".join(["a" * 49] * 5) + ".bcd", ".".join(["a" * 49] * 5) + ".bcd"),  # 253 characters
        (".".join(["a" * 49] * 5) + ".bcd.", ".".join(["a" * 49] * 5) + ".bcd"),
        ("Bücher.example", "xn--bcher-kva.example"),
        ("XN--BCHER-KVA.example", "xn--bcher-kva.example"),
        ("\uff41\uff50\uff49.openai.com", "api.openai.com"),  # full-width letters
        ("api\u3002openai\uff0ecom", "api.openai.com"),  # full stops of other scripts
        ("api.o\u00adpenai.com", "api.openai.com"),  # a soft hyphen, which IDNA drops
        ("127.0.0.1", "127.0.0.1"),
        ("[::1]", "::1"),
        ("0:0:0:0:0:0:0:1", "::1"),
        ("FE80::A", "fe80::a"),
    ],
)
def test_one_spelling(written, host):
    assert normalise_host(written) == host


@pytest.mark.parametrize(
    "written",
    [
        *("", ".", "..", "a..", "a..b", ".a", "\u3002", "a.com\u3002."),
        *(" a", "a ", "a b", "a\tb", "a\n", "a\r\nb", "a\0", "a\x7fb", "a\x80b", "a.\u2028com", "a.\u202ecom"),
        *(
            "u@a.com",
            "u:p@a.com",
            "a.com:443",
            "a.com/",
            "a.com\\b",
            "a.com?b",
            "a.com#b",
            "a%2ecom",
            "a%00",
            "*.a.com",
        ),
        *(
            "-a.com",
            "a-.com",
            "a.-b",
            "a" * 64 + ".com",
            "a." * 126 + "ab",
            "é" * 64 + ".com",
            "é." * 200,
            "a" * 70_000,
        ),
        *("\u2100.com", "a\uff0fb.com", "\uff20.com", "\udcff.com", "xn--", "(a)", "'a'", "a;b", "a,b"),
        *("[::1", "::1]", "[]", "[a.com]", "[127.0.0.1]", "[::1].", "::1.", "::g", "1:2:3"),
        *("fe80::1%eth0", "[fe80::1%25eth0]", "fe80::1%\r\nX: y", "::1%", "::ffff:1.2.3.256"),
    ],
)
def test_what_is_no_host_name(written):
    with pytest.raises(ValueError, match=r"^not a host name$"):
        normalise_host(written)


HOSTS = st.text(st.one_of(st.sampled_from("aZ0-_.:%[]@é\u3002\u00ad\u0130\uff11x"), st.characters()), max_size=20)


@given(HOSTS)
@example("\u0130.com")
@example("\u1e9e.com")
def test_a_normalised_host_is_plain_and_stays_as_it_is(written):
    try:
        host = normalise_host(written)
    except ValueError:
        return
    assert normalise_host(host) == host
    assert host.isascii()
    assert host == host.lower()
    assert not set(host) & set(" %@/\\?#[]\r\n\0")
    assert normalise_host(written.upper().lower()) == host or not written.isascii()


@pytest.mark.parametrize("piece", ["é", "é.", "\u0345", "a.\uff11", "a"])
def test_a_head_full_of_host_is_refused_at_once(piece):
    """A stranger may send it before anybody asked who it is."""
    long = piece * (60_000 // len(piece))
    started = time.process_time()
    with pytest.raises(ValueError, match="not a host name"):
        normalise_host(long)
    assert time.process_time() - started < 0.05


# ---- literals ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "written",
    [
        *("127.0.0.1", "127.1", "127.0.1", "2130706433", "0x7f000001", "0X7F.1", "0177.0.0.1", "017700000001"),
        *("0x7f.0x0.0x0.0x1", "127.0.0.1.", "0", "0x", "00000000000000000000177.1", "::1", "[::1]", "::ffff:127.0.0.1"),
        *("\uff11\uff12\uff17.1", "127\u30021"),
    ],
)
def test_every_spelling_of_an_address_is_one(written):
    assert is_ip_literal(normalise_host(written))


def test_names_are_no_addresses():
    for name in ("localhost", "api.openai.com", "1.example", "0x7f.example", "1.2.3.4.5", "x0", "0xg", "1e3", "a"):
        assert not is_ip_literal(normalise_host(name)), name


@given(st.text("0123456789abcdefxX.", min_size=1, max_size=18))
@example("1.2.3.0x4")
@example("4294967295")
def test_what_the_resolver_takes_for_an_address_is_one(written):
    """Whatever inet_aton takes, getaddrinfo takes without asking any name server."""
    try:
        socket.inet_aton(written)
        host = normalise_host(written)
    except (OSError, ValueError):
        return
    assert is_ip_literal(host)


@given(st.ip_addresses())
def test_addresses_are_recognised_in_their_canonical_spelling(address):
    written = address.exploded.upper()
    assert normalise_host(written) == str(address)
    assert is_ip_literal(normalise_host(written))


# ---- host and port -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("authority", "host", "port"),
    [
        ("api.openai.com", "api.openai.com", 443),
        ("API.openai.com.:8443", "api.openai.com", 8443),
        ("h:00080", "h", 80),
        ("h:65535", "h", 65535),
        ("[::1]", "::1", 443),
        ("[0::1]:8080", "::1", 8080),
        ("127.0.0.1:1", "127.0.0.1", 1),
    ],
)
def test_an_authority(authority, host, port):
    assert parse_authority(authority, 443) == HostPort(host, port)
    assert parse_authority(str(HostPort(host, port)), None) == HostPort(host, port)


@pytest.mark.parametrize(
    "authority",
    [
        *(
            "",
            ":",
            ":80",
            "h:",
            "h:0",
            "h:65536",
            "h:000080",
            "h:-1",
            "h:+1",
            "h: 1",
            "h:1 ",
            "h:1\n",
            "h:1_0",
            "h:0x50",
        ),
        *("h:٣", "h:²", "h:80:80", "u@h:80", "u:p@h", "h/:80", "h:80/", "::1", "::1:80", "1::2"),
        *("[::1", "[::1]80", "[::1]:", "[::1]x:80", "[]:80", "[h]:80", "[127.0.0.1]:80", "[::1]]:80", "[[::1]]", "]"),
        *("[fe80::1%25eth0]:80", "[fe80::1%\r\n]:80"),
    ],
)
def test_what_is_no_authority(authority):
    with pytest.raises(ValueError, match=r"not a host name|not a port|must stand in brackets"):
        parse_authority(authority, 443)


def test_a_port_may_be_asked_for():
    assert parse_authority("h:1", None) == HostPort("h", 1)
    for authority in ("h", "[::1]"):
        with pytest.raises(ValueError, match="the port is missing"):
            parse_authority(authority, None)


@given(st.one_of(HOSTS, st.text("a.:[]1%@ \r\n", max_size=12)))
def test_an_authority_parses_or_is_a_value_error(text):
    try:
        parsed = parse_authority(text, 443)
    except ValueError:
        return
    assert parse_authority(str(parsed), None) == parsed
    assert 0 < parsed.port < 65536


# ---- private and public --------------------------------------------------------------------------------------------

PRIVATE = (
    *("0.0.0.0/8", "10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "169.254.0.0/16", "172.16.0.0/12", "192.0.0.0/24"),
    *("192.0.2.0/24", "192.88.99.0/24", "192.168.0.0/16", "198.18.0.0/15", "198.51.100.0/24", "203.0.113.0/24"),
    *("224.0.0.0/4", "240.0.0.0/4", "255.255.255.255/32", "168.63.129.16/32", "100.100.100.200/32"),
    *("::/128", "::1/128", "::/96", "100::/64", "2001::/32", "2001:2::/48", "2001:db8::/32", "3fff::/20", "5f00::/16"),
    *("64:ff9b:1::/48", "fc00::/7", "fe80::/10", "fec0::/10", "ff00::/8", "4000::/3", "fd00:ec2::254/128"),
)
PUBLIC = ("1.1.1.1", "8.8.8.8", "13.107.42.14", "104.18.7.192", "2606:4700::6812:7c0", "2a00:1450:4001::1", "2600::")


@pytest.mark.parametrize("written", PRIVATE)
def test_special_ranges_are_private_from_end_to_end(written):
    network = ipaddress.ip_network(written)
    inside = [network[0], network[-1], *(network[random.randrange(network.num_addresses)] for _ in range(50))]
    assert [str(address) for address in inside if not is_private(str(address))] == []


@pytest.mark.parametrize("address", PUBLIC)
def test_the_internet_is_not_private(address):
    assert not is_private(address)


def _carriers(address: str) -> list[str]:
    """The IPv6 addresses that reach an IPv4 address: mapped, NAT64, and 6to4."""
    number = int(ipaddress.IPv4Address(address))
    return [
        str(ipaddress.IPv6Address(whole))
        for whole in (0xFFFF << 32 | number, 0x64FF9B << 96 | number, 0x2002 << 112 | number << 80 | 1)
    ]


@given(st.ip_addresses(v=4).map(str))
@example("169.254.169.254")
@example("168.63.129.16")
@example("8.8.8.8")
def test_an_address_within_an_address_is_judged_as_itself(address):
    assert [is_private(one) for one in _carriers(address)] == [is_private(address)] * 3


@given(st.ip_addresses())
def test_only_global_addresses_are_public(address):
    assert is_private(str(address)) or address.is_global or getattr(address, "sixtofour", None) is not None
    assert is_private(str(address)) == is_private(address.exploded)


@pytest.mark.parametrize("zone", ["%eth0", "%1", "%"])
def test_zones_change_nothing(zone):
    assert is_private(f"fe80::1{zone}")
    assert not is_private(f"2606:4700::1{zone}")


@pytest.mark.parametrize(
    "text", ["", "localhost", "api.openai.com", "127.1", "8.8.8.8 ", "8.8.8", "[::1]", "%eth0", "::g"]
)
def test_what_cannot_be_read_is_private(text):
    assert is_private(text)


@pytest.mark.parametrize(
    "name", ["localhost", "a.localhost", "metadata", "metadata.google.internal", "printer.local", "nas.home.arpa"]
)
def test_a_name_that_only_ever_leads_inside(name):
    assert is_inner_name(name)


@pytest.mark.parametrize(
    "name", ["github.com", "internal.example", "notlocal.example", "127.0.0.1", "::1", "2130706433"]
)
def test_of_other_names_the_address_tells(name):
    assert not is_inner_name(name)


@pytest.mark.parametrize(
    ("host", "this_machine"),
    [
        *(("127.0.0.1", True), ("127.9.9.9", True), ("::1", True), ("localhost", True)),
        *(("0.0.0.0", False), ("::", False), ("10.0.0.1", False), ("localhost.corp", False)),
    ],
)
def test_what_is_this_machine_alone(host, this_machine):
    assert is_loopback(host) is this_machine
