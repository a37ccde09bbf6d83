"""Faults that only the whole configuration has, each at the line it is about."""

from pathlib import Path

import pytest

from llmauth.config.problems import ConfigError
from llmauth.config.settings import read_settings


@pytest.fixture
def faults(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)

    def _faults(text: str, **environ: str) -> list[str]:
        Path("c.yaml").write_text(text)
        try:
            read_settings([Path("c.yaml")], {"HOME": str(tmp_path), **environ})
        except ConfigError as error:
            return str(error).splitlines()
        return []

    return _faults


@pytest.mark.parametrize(("there", "missing"), [("cert", "key"), ("key", "cert")])
def test_one_of_the_tls_files_alone(faults, there, missing):
    assert faults(f"server:\n  tls_{there}_file: x\n") == [
        f"c.yaml:2: server.tls_{there}_file: needs server.tls_{missing}_file as well; "
        "with one of the two nothing can be served"
    ]
    assert faults("server: {tls_cert_file: x, tls_key_file: y}") == []


def test_one_of_the_tls_files_alone_from_the_environment(faults):
    (fault,) = faults("{}", TLS_CERT_FILE="x")
    assert fault.startswith("environment variable TLS_CERT_FILE: server.tls_cert_file: needs")


@pytest.mark.parametrize(
    ("name", "one", "other"),
    [("basic", "htpasswd: a", "htpasswd: b"), ("mtls", "ca_file: a", "ca_file: b"), ("basic", "htpasswd: a", "")],
)
def test_a_method_with_two_entries(faults, name, one, other):
    """What one of them proved the other would be asked about, and call ended."""
    entries = ", ".join(f"{{type: {name}{', ' * bool(options)}{options}}}" for options in (one, other))
    text = f"server: {{tls_cert_file: x, tls_key_file: y}}\nauth:\n  methods: [{entries}]\n"
    assert faults(text) == [f"c.yaml:3: auth.methods: the method '{name}' has two entries; write one"]
    assert faults(text.replace(f"{other}}}", f"{one}}}")) == [] or not other  # the very same twice is one


def test_two_entries_for_the_same_issuer(faults):
    """The first would take the tokens of both, and the second never be asked."""
    entry = "{type: oidc, issuer: 'https://idp.example', audience: %s}"
    two = f"auth:\n  methods: [{entry % 'a'}, {entry % 'b'}]\n"
    assert faults(two) == [
        "c.yaml:2: auth.methods: two entries of the method 'oidc' have the same issuer; "
        "write one, with the audiences of both"
    ]
    assert faults(two.replace("idp.example", "other.example", 1)) == []


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "10.0.0.1", "proxy.internal"])
def test_authentication_off_is_for_loopback(faults, host):
    assert faults(f"server: {{host: '{host}'}}\nauth:\n  enabled: false\n") == [
        "c.yaml:3: auth.enabled: authentication can only be off where server.host is a loopback address, "
        f"and it is '{host}'"
    ]
    assert len(faults(f"server: {{host: '{host}'}}", AUTH_ENABLED="false")) == 1
    assert faults("auth: {enabled: false}") == []


def test_the_same_port_twice(faults):
    assert faults("server:\n  port: 9090\nmetrics:\n  port: 9090\n") == [
        "c.yaml:4: metrics.port: the same port as server.port"
    ]
    tls = "server: {port: 8443, tls_cert_file: a, tls_key_file: b}"
    assert faults(tls) == ["c.yaml:1: server.tls_port: the same port as server.port"]
    assert faults("server: {port: 8443}") == []
    assert faults("server: {port: 0}\nmetrics: {port: 0}") == []


def test_a_strategy_that_the_provider_cannot_use(faults):
    text = (
        "instances:\n  o:\n    type: openai\n    authentication:\n      strategies:\n"
        "        - {type: environment}\n        - {type: workload_identity, provider: aws}\n"
    )
    (fault,) = faults(text)
    assert fault.startswith(
        "c.yaml:7: instances.o.authentication.strategies[1]: AWS credentials sign requests to Bedrock"
    )


@pytest.mark.parametrize("host", ["api.openai.com", "llm.example"])
def test_a_gateway_host_that_is_a_providers(faults, host):
    text = f"server:\n  gateway_hosts: [{host}]\ninstances:\n  o: {{type: openai, base_url: 'https://{host}/v1'}}\n"
    assert faults(text) == [
        f"c.yaml:2: server.gateway_hosts: '{host}' is the provider's host of instance 'o'; "
        "a gateway host is a name of our own"
    ]


@pytest.mark.parametrize("entry", ["api.openai.com", "API.openai.com.", "api.openai.com:8443"])
def test_an_entry_that_is_a_providers_host(faults, entry):
    text = f"egress:\n  allow:\n    - github.com\n    - {entry}\ninstances: {{o: {{type: openai}}}}\n"
    assert faults(text) == [
        "c.yaml:4: egress.allow[1]: 'api.openai.com' is the provider's host of instance 'o', which is decrypted; "
        "remove it here"
    ]
    assert faults("egress: {allow: [api.openai.com]}") == []


@pytest.mark.parametrize("entry", ["iam.cloud.ibm.com", "IAM.cloud.ibm.com.:8443"])
def test_a_name_that_is_a_token_host(faults, entry):
    """It is intercepted as the provider is: an entry would not be tunnelled, and a client would not meet us there."""
    instances = "instances: {w: {type: ibm}}\n"
    whose = "'iam.cloud.ibm.com' is a token host of instance 'w'"
    (fault,) = faults(f"egress: {{allow: ['{entry}']}}\n{instances}")
    assert fault == f"c.yaml:1: egress.allow[0]: {whose}, which is decrypted; remove it here"
    (fault,) = faults(f"server: {{gateway_hosts: [iam.cloud.ibm.com]}}\n{instances}")
    assert fault == f"c.yaml:1: server.gateway_hosts: {whose}; a gateway host is a name of our own"
    assert faults("egress: {allow: [iam.cloud.ibm.com]}") == []


def test_an_entry_that_is_a_name_of_our_own(faults):
    (fault,) = faults("server: {gateway_hosts: [llm.internal]}\negress: {allow: [llm.internal]}\n")
    assert fault.startswith("c.yaml:2: egress.allow[0]: 'llm.internal' is a name of our own")


@pytest.mark.parametrize("entry", ["10.0.0.1", "127.0.0.1:8080", "'[::1]'", "169.254.169.254"])
def test_an_entry_that_is_a_private_address(faults, entry):
    (fault,) = faults(f"egress: {{allow: [{entry}]}}")
    assert "private or reserved" in fault
    assert "upstream.allow_private" in fault
    assert faults("egress: {allow: [10.0.0.1]}\nupstream: {allow_private: [10.0.0.1]}") == []
