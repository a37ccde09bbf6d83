"""The egress policy: what each of its words lets through."""

from __future__ import annotations

import pytest

from llmauth.addresses import HostPort
from llmauth.egress import Egress

GIT = HostPort("github.com", 443)
SITE = HostPort("example.org", 80)
LISTED = frozenset({GIT, SITE, HostPort("93.184.216.34", 443)})


@pytest.mark.parametrize("target", [GIT, SITE, HostPort("evil.example", 443)])
def test_without_a_word_nothing_is_let_through(target: HostPort) -> None:
    assert not Egress().permits(target)
    assert not Egress().carries_plain(target)


@pytest.mark.parametrize(
    ("target", "permitted"),
    [
        (GIT, True),
        (SITE, True),
        (HostPort("93.184.216.34", 443), True),
        (HostPort("github.com", 80), False),
        (HostPort("api.github.com", 443), False),
        (HostPort("hub.com", 443), False),
        (HostPort("github.com.evil.example", 443), False),
    ],
)
def test_a_list_is_compared_by_equality(target: HostPort, permitted: bool) -> None:
    """S3: no suffix, no prefix, and the port counts."""
    assert Egress(allow=LISTED).permits(target) is permitted


@pytest.mark.parametrize("default", ["tunnel", "learn"])
def test_a_default_opens_names_on_its_ports(default: str) -> None:
    policy = Egress(default=default, allow=LISTED, ports=frozenset({443, 8443}))  # type: ignore[arg-type]
    assert policy.permits(HostPort("evil.example", 443))
    assert policy.permits(HostPort("evil.example", 8443))
    assert not policy.permits(HostPort("evil.example", 22))
    assert policy.permits(SITE)


@pytest.mark.parametrize("address", ["1.1.1.1", "127.1", "2130706433", "0x7f000001", "2606:4700::1111", "::1"])
def test_a_default_opens_no_address(address: str) -> None:
    assert not Egress(default="tunnel").permits(HostPort(address, 443))


def test_plain_http_needs_an_entry_with_a_port_of_its_own() -> None:
    policy = Egress(default="tunnel", allow=LISTED, ports=frozenset({443, 80}))
    assert policy.carries_plain(SITE)
    assert not policy.carries_plain(GIT)
    assert not policy.carries_plain(HostPort("other.example", 80))


def test_a_name_is_written_down_where_it_is_configured_or_where_that_is_the_policy() -> None:
    other = HostPort("other.example", 443)
    assert Egress(default="tunnel", allow=LISTED).names(GIT)
    assert not Egress(default="tunnel", allow=LISTED).names(other)
    assert Egress(default="learn").names(other)
