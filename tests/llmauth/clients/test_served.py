"""A proxy as programs need to know it: its URL with a credential, and the instance that a type's host leads to."""

from __future__ import annotations

import pytest

from llmauth.clients.served import ServedInstance, ServedProxy
from llmauth.secrets import Secret

TOLD = {
    "authenticates": True,
    "instances": [
        {
            "name": "openai",
            "provider": "openai",
            "hosts": ["api.openai.com"],
            "default": False,
            "region": None,
            "project": None,
            "variables": ["MY_KEY"],
        }
    ],
}


def instance(name: str, *, default: bool = False) -> ServedInstance:
    return ServedInstance(name=name, provider="bedrock", hosts=(f"{name}.example",), default=default)


def test_what_a_running_proxy_tells() -> None:
    proxy = ServedProxy.of("http://127.0.0.1:8080", "me", TOLD)
    assert (proxy.serves("openai"), proxy.serves("vertex")) == (True, False)
    assert (sorted(proxy.hosts()), sorted(proxy.variables())) == (["api.openai.com"], ["MY_KEY"])


def test_user_and_credential_are_encoded_in_the_url() -> None:
    proxy = ServedProxy(url="http://[::1]:8080", user="a@corp")
    assert proxy.with_credential(Secret("k/:?")) == "http://a%40corp:k%2F%3A%3F@[::1]:8080"
    assert proxy.with_credential(None) == "http://[::1]:8080"
    assert (proxy.address.host, proxy.address.port) == ("::1", 8080)


def test_the_usual_port_of_a_scheme() -> None:
    assert ServedProxy(url="https://proxy.corp").address.port == 443


@pytest.mark.parametrize(
    ("instances", "leads_to"),
    [
        ((instance("a"),), "a"),
        ((instance("a"), instance("b", default=True)), "b"),
        ((instance("a"), instance("b")), None),
    ],
)
def test_the_instance_of_a_type(instances: tuple[ServedInstance, ...], leads_to: str | None) -> None:
    found = ServedProxy(url="http://127.0.0.1:1", instances=instances).instance("bedrock")
    assert (found.name if found else None) == leads_to


def test_one_that_does_not_tell_is_taken_to_serve_the_usual_ones() -> None:
    proxy = ServedProxy(url="https://proxy.corp:8443")
    assert (proxy.serves("anthropic"), proxy.serves("vertex")) == (True, False)
    assert "api.openai.com" in proxy.hosts()
