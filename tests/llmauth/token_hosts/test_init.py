"""Which hosts are answered for, by what is configured."""

from __future__ import annotations

from llmauth.addresses import HostPort
from llmauth.ca.constraints import covers
from llmauth.providers import DOMAINS
from llmauth.token_hosts import VENDORS, served


def test_nothing_is_served_without_an_instance() -> None:
    assert served([]) == {}
    assert served([("openai", None, "api.openai.com"), ("anthropic", None, "x"), ("oracle", "r", "x")]) == {}


def test_each_type_brings_its_hosts_and_no_others() -> None:
    assert served([("ibm", "us-south", "x")]).keys() == {HostPort("iam.cloud.ibm.com", 443)}
    hosts = {origin.host for origin in served([("bedrock", "us-east-1", "x"), ("bedrock", "eu-west-1", "x")])}
    assert {"sts.us-east-1.amazonaws.com", "sts.eu-west-1.amazonaws.com", "sts.amazonaws.com"} <= hosts
    assert "sts.eu-central-1.amazonaws.com" not in hosts


def test_our_authority_may_sign_all_of_them() -> None:
    """Whatever is configured later, no new authority is needed."""
    for provider, vendor in VENDORS.items():
        for region, host in (
            ("us-east-1", "x.azure.com"),
            ("cn-north-1", "x.azure.cn"),
            ("us-gov-west-1", "x.azure.us"),
        ):
            for name in vendor.hosts(region, host):
                assert covers(DOMAINS[provider], name), name
