"""Interface endpoints of a configuration: the address of each service's host, and two that contradict each other."""

import pytest

from llmauth.addresses import HostPort
from llmauth.config.problems import ConfigError
from llmauth.config.settings import read_settings

RUNTIME = "bedrock-runtime.us-east-1.amazonaws.com"
ONE = "vpce-0one.bedrock-runtime.us-east-1.vpce.amazonaws.com"
TWO = "vpce-0two.bedrock-runtime.us-east-1.vpce.amazonaws.com"


@pytest.fixture
def read(tmp_path):
    def read(text):
        file = tmp_path / "gateway.yaml"
        file.write_text(text)
        return read_settings([file], {"LLMAUTH_HOME": str(tmp_path)}).upstream

    return read


def test_the_services_host_is_dialled_at_the_endpoint(read):
    upstream = read(f"instances: {{b: {{type: bedrock, base_url: 'https://{ONE}'}}}}")
    assert upstream.resolve == {RUNTIME: HostPort(ONE, 443)}


def test_an_address_of_the_endpoint_is_one_of_its_service(read):
    upstream = read(
        f"upstream: {{resolve: {{{ONE}: '10.0.1.5:443'}}}}\n"
        f"instances: {{b: {{type: bedrock, base_url: 'https://{ONE}'}}}}"
    )
    assert upstream.resolve[RUNTIME] == HostPort("10.0.1.5", 443)


def test_what_the_file_says_of_a_host_stays(read):
    upstream = read(
        f"upstream: {{resolve: {{{RUNTIME}: 10.0.1.6}}}}\n"
        f"instances: {{b: {{type: bedrock, base_url: 'https://{ONE}'}}}}"
    )
    assert upstream.resolve[RUNTIME] == HostPort("10.0.1.6", 443)


def test_two_endpoints_of_one_service_are_a_fault(read):
    text = "instances:\n" + "".join(
        f"  {name}: {{type: bedrock, base_url: 'https://{host}'}}\n" for name, host in (("a", ONE), ("b", TWO))
    )
    with pytest.raises(ConfigError, match=r"gateway\.yaml:3: instances\.b: .*are endpoints of one service"):
        read(text)
    assert read(text.replace(TWO, ONE)).resolve == {RUNTIME: HostPort(ONE, 443)}
