"""What is fetched of an issuer, over TLS: by which way, from which addresses, and for how long it counts."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from llmauth.authenticators.oidc.options import OidcOptions
from llmauth.authenticators.oidc.provider import Provider, way_to
from llmauth.outbound import Outbound, Trust
from llmauth.sources import SourceFailed
from tests.emulators.issuer import AUDIENCE, HOST, Issuer, reaching
from tests.emulators.service import Call, Reply, Service


@pytest.fixture
def issuer() -> Iterator[Issuer]:
    with Issuer() as service:
        service.add("k1")
        yield service


def provider(issuer: Issuer, folder: Path, **options: Any) -> Provider:
    given = {"type": "oidc", "issuer": issuer.issuer, "audience": AUDIENCE, **options}
    return Provider(OidcOptions.model_validate(given), reaching(folder, [issuer]))


def failure(one: Provider) -> str:
    with pytest.raises(SourceFailed) as failed:
        one.fetch()
    return str(failed.value)


def test_discovery_leads_to_the_keys(issuer: Issuer, tmp_path: Path) -> None:
    published = provider(issuer, tmp_path).fetch()
    assert [key.kid for key in published.keys.keys] == ["k1"]
    assert [call.target for call in issuer.calls] == ["/.well-known/openid-configuration", "/keys"]
    assert all("authorization" not in call.headers for call in issuer.calls)


def test_an_address_of_the_keys_that_is_configured_needs_no_discovery(issuer: Issuer, tmp_path: Path) -> None:
    provider(issuer, tmp_path, jwks_uri=f"{issuer.issuer}/keys").fetch()
    assert [call.target for call in issuer.calls] == ["/keys"]


def test_an_issuer_with_a_ca_of_its_own(issuer: Issuer, tmp_path: Path) -> None:
    resolve = reaching(tmp_path, [issuer])._resolve
    options = OidcOptions(type="oidc", issuer=issuer.issuer, audience=(AUDIENCE,), ca_file=issuer.write_ca(tmp_path))
    assert Provider(options, Outbound(resolve=resolve)).fetch().keys.keys
    without = Provider(options.model_copy(update={"ca_file": None}), Outbound(resolve=resolve))
    assert "certificate" in failure(without)


@pytest.mark.parametrize(
    ("cache_control", "life"),
    [
        (None, 3600),
        ("public, max-age=7200", 7200),
        ("max-age=1", 300),
        ("MAX-AGE=999999999", 86_400),
        ('max-age="600", public', 600),
        ("s-maxage=9", 3600),
        ("no-store", 300),
        ("max-age=-1", 3600),
        ("max-age=1e9", 3600),
        ("private, max-age=3600.5", 3600),
    ],
)
def test_how_long_keys_count(issuer: Issuer, tmp_path: Path, cache_control: str | None, life: float) -> None:
    issuer.cache_control = cache_control
    assert provider(issuer, tmp_path).fetch().life == life


@pytest.mark.parametrize(
    ("named", "told"),
    [
        ("https://evil.example", "of another issuer"),
        (f"https://{HOST}/", "the slash at their end"),
        (None, "of another issuer"),
        (["https://idp.example"], "of another issuer"),
    ],
)
def test_a_document_of_another_issuer(issuer: Issuer, tmp_path: Path, named: object, told: str) -> None:
    issuer.document["issuer"] = named
    said = failure(provider(issuer, tmp_path))
    assert told in said
    assert "evil" not in said
    assert issuer.fetches() == 0


@pytest.mark.parametrize(
    "uri",
    [
        "http://idp.example/keys",
        "http://127.0.0.1/keys",
        "http://169.254.169.254/latest",
        "file:///etc/passwd",
        "",
        None,
        7,
        "//x",
    ],
)
def test_a_document_that_leads_into_clear_text(issuer: Issuer, tmp_path: Path, uri: object) -> None:
    issuer.document["jwks_uri"] = uri
    failure(provider(issuer, tmp_path))
    assert issuer.fetches() == 0


def test_keys_are_not_fetched_from_a_private_address_that_nobody_configured(issuer: Issuer, tmp_path: Path) -> None:
    """S8: the issuer's own name may be inside; what its document names may not."""
    issuer.document["jwks_uri"] = f"https://localhost:{issuer.port}/keys"
    assert "private address" in failure(provider(issuer, tmp_path))
    assert issuer.fetches() == 0


def test_an_answer_that_is_too_long(issuer: Issuer, tmp_path: Path) -> None:
    issuer.published = [{"kty": "oct", "k": "x" * 600_000}]
    assert HOST in failure(provider(issuer, tmp_path))


def test_redirects_are_not_followed(tmp_path: Path) -> None:
    class Elsewhere(Issuer):
        def answer(self, call: Call) -> Reply:
            return Reply(302, b"", {"Location": "https://evil.example/"})

    with Elsewhere() as service:
        assert "status 302" in failure(provider(service, tmp_path))


def test_an_issuer_of_this_machine_may_be_asked_in_clear_text() -> None:
    class Local(Service):
        def answer(self, call: Call) -> Reply:
            if call.target == "/keys":
                return Reply(200, {"keys": []})
            return Reply(200, {"issuer": self.url, "jwks_uri": f"{self.url}/keys"})

    with Local() as service:
        options = OidcOptions(type="oidc", issuer=service.url, audience=(AUDIENCE,))
        assert Provider(options, Outbound()).fetch().keys.keys == ()


def test_ways() -> None:
    outside = Outbound()
    assert way_to("https://idp.example", outside)._allow_private == {"idp.example"}
    inside = way_to("https://idp.example", outside, Path("ca.pem"))
    assert inside._trust == Trust(ca_file=Path("ca.pem"), private=True)
    assert way_to("http://localhost:1", outside)._trust == Trust(private=True, plain=True)
