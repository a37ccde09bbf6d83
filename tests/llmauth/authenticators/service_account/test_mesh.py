"""Envoy's field: its grammar, whose element counts, and from whom it is believed."""

from __future__ import annotations

import ipaddress

import pytest
from pydantic import ValidationError

from llmauth.authenticators.service_account.mesh import MeshOptions, account_in, is_trusted, last_uris

OWN = "By=spiffe://cluster.local/ns/llmauth/sa/proxy"
APP = "spiffe://cluster.local/ns/team-a/sa/app"


@pytest.mark.parametrize(
    ("text", "uris"),
    [
        (f"URI={APP}", (APP,)),
        (f'{OWN};Hash=0123abcd;Subject="";URI={APP}', (APP,)),
        (f'{OWN};Hash=0123abcd;Subject="CN=a,O=b;c=\\"d\\"";uri={APP};DNS=a;DNS=b', (APP,)),
        (f'URI="{APP}"', (APP,)),
        ("Hash=1", ()),
        # appended: what stands before the last comma, others wrote
        (f"URI=spiffe://cluster.local/ns/x/sa/y,{OWN};URI={APP}", (APP,)),
        (f"URI={APP},Hash=1", ()),
        (f'By=x;Subject="a,URI={APP}"', ()),
        (f'Hash=1;Subject="\\",URI={APP},\\"";URI=spiffe://x', ("spiffe://x",)),
        (f"URI={APP};URI=spiffe://x", (APP, "spiffe://x")),
        ('Cert="-----BEGIN%20CERTIFICATE-----%0A";URI=spiffe://x', ("spiffe://x",)),
    ],
)
def test_the_last_element_tells(text, uris) -> None:
    assert last_uris(text) == uris


@pytest.mark.parametrize(
    "text",
    [
        *("", " ", ",", ";", "=", "x", "URI", f"URI={APP},", f",URI={APP}", f"URI={APP};", f"URI={APP};;URI={APP}"),
        *(
            f"URI ={APP}",
            f"URI= {APP}",
            f" URI={APP}",
            f"URI={APP} ",
            f"URI={APP}, URI={APP}",
            f"URI={APP}\t",
            f"URI={APP}\n",
        ),
        *(
            f'URI="{APP}',
            f'URI={APP}"',
            f'URI="{APP}"x',
            f'Subject="a\\",URI={APP}',
            f'Subject="\\;URI={APP}',
            "URI=a=b",
        ),
        *(f"URI={APP}\x00", f"URİ={APP}", f"URI={APP}é", f"U R I={APP}", f"{'URI=x;' * 4000}URI={APP}", f"1URI={APP}"),
    ],
)
def test_what_is_not_in_the_grammar_is_refused(text) -> None:
    with pytest.raises(ValueError):
        last_uris(text)


@pytest.mark.parametrize(
    ("uri", "account"),
    [
        (APP, "team-a/app"),
        ("spiffe://cluster.local/ns/a/sa/b.c", "a/b.c"),
        *(
            (uri, None)
            for uri in (
                *(
                    "spiffe://other/ns/team-a/sa/app",
                    "spiffe://cluster.local.evil/ns/team-a/sa/app",
                    f"{APP}/",
                    f"{APP}/x",
                ),
                *(f"x{APP}", f"{APP}?x", f"{APP}#x", f"{APP}%00", APP.upper(), "spiffe://cluster.local/ns//sa/app"),
                *(
                    "spiffe://cluster.local/ns/team-a/sa/",
                    "spiffe://cluster.local/sa/app/ns/team-a",
                    "spiffe://cluster.local",
                ),
                *(
                    "spiffe://cluster.local/ns/team-a/sa/app/sa/x",
                    "spiffe://cluster.local/ns/a/b/sa/c",
                    "spiffe://cluster.local/",
                ),
                *(
                    "spiffe://cluster.local/ns/../sa/app",
                    "spiffe://cluster.local/ns/team-a:x/sa/app",
                    "https://cluster.local/ns/a/sa/b",
                ),
                *("spiffe://u@cluster.local/ns/team-a/sa/app", "spiffe://cluster.local:80/ns/team-a/sa/app", ""),
                *("spiffe://cluster.local//ns/team-a/sa/app", "spiffe:/cluster.local/ns/team-a/sa/app", "team-a/app"),
            )
        ),
    ],
)
def test_an_id_names_an_account_of_this_domain(uri, account) -> None:
    assert account_in(uri, "cluster.local") == account


PEERS = (ipaddress.ip_network("127.0.0.6/32"), ipaddress.ip_network("fd00::/64"))


@pytest.mark.parametrize(
    ("source", "trusted"),
    [
        ("127.0.0.6", True),
        ("::ffff:127.0.0.6", True),
        ("fd00::1", True),
        ("127.0.0.1", False),
        ("::ffff:127.0.0.1", False),
        ("fd01::1", False),
        ("", False),
        ("localhost", False),
        ("127.0.0.6, 10.0.0.1", False),
        ("0x7f000006", False),
        ("127.6", False),
    ],
)
def test_a_peer_is_known_by_its_address(source, trusted) -> None:
    assert is_trusted(source, PEERS) is trusted


@pytest.mark.parametrize(
    "told",
    [
        {},
        {"trusted_peers": []},
        {"trusted_peers": ["0.0.0.0/0"]},
        {"trusted_peers": ["::/0"]},
        {"trusted_peers": ["127.0.0.6/8"]},
        {"trusted_peers": ["localhost"]},
        {"trusted_peers": ["127.0.0.6"], "trust_domain": "a/b"},
        {"trusted_peers": ["127.0.0.6"], "trust_domain": ""},
    ],
)
def test_options_that_would_believe_anybody_are_refused(told) -> None:
    assert MeshOptions.model_validate({"trusted_peers": ["127.0.0.6"]}).trust_domain == "cluster.local"
    with pytest.raises(ValidationError):
        MeshOptions.model_validate(told)
