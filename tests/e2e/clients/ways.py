"""The ways on which a client reaches a provider through the gateway: the environment variables of each."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from tests.fixtures.serving import Serving

Way = Callable[[Serving], Mapping[str, str]]


def trust(gateway: Serving) -> dict[str, str]:
    """The one CA recipe for all: every variable names the same bundle."""
    names = ("SSL_CERT_FILE", "AWS_CA_BUNDLE", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE")
    return dict.fromkeys(names, str(gateway.bundle))


def key_in_the_proxy(gateway: Serving) -> Mapping[str, str]:
    """`HTTPS_PROXY=http://user:KEY@proxy:8080`; what the SDK holds is a placeholder."""
    return {"HTTPS_PROXY": gateway.proxy(), **trust(gateway)}


def key_in_the_sdk(gateway: Serving) -> Mapping[str, str]:
    """`HTTPS_PROXY=http://proxy:8080`; the gateway's key stands where the SDK keeps the provider's."""
    return {"HTTPS_PROXY": gateway.url, **trust(gateway)}


def key_in_the_tls_proxy(gateway: Serving) -> Mapping[str, str]:
    """`HTTPS_PROXY=https://user:KEY@proxy:8443`: TLS to the proxy, and the provider's TLS in it."""
    return {"HTTPS_PROXY": f"https://test:{gateway.key()}@localhost:{gateway.tls_port}", **trust(gateway)}


def plain(gateway: Serving, path: str) -> str:
    """A base URL on the plain port."""
    return f"http://127.0.0.1:{gateway.port}{path}"


def secure(gateway: Serving, path: str) -> str:
    """A base URL on the TLS port."""
    return f"https://localhost:{gateway.tls_port}{path}"
