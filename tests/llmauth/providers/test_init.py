"""The table of providers, and the domains that our CA may speak for."""

import pytest

from llmauth.providers import ALIASES, DOMAINS, HANDLERS, TYPES, build, check_name, options_model

# What an instance of a type cannot be without.
REQUIRED = {
    "azure": {"base_url": "https://contoso.openai.azure.com"},
    "openai_compatible": {"base_url": "https://models.corp.example/v1"},
}


def least(kind):
    """The options of a type with no more than what is required."""
    return options_model(kind).model_validate({"type": kind, **REQUIRED.get(kind, {})})


@pytest.mark.parametrize("kind", HANDLERS)
def test_every_served_type_can_be_built_from_its_type_alone(kind):
    handler = build("x", least(kind))
    assert (handler.name, handler.provider, handler.options.type) == ("x", kind, kind)
    assert handler.base.origin in handler.hosts


@pytest.mark.parametrize("kind", DOMAINS)
def test_the_hosts_of_a_provider_lie_in_its_domains(kind):
    for host in build("x", least(kind)).hosts:
        assert any(host.host == domain or host.host.endswith(f".{domain}") for domain in DOMAINS[kind]), host


def test_every_type_with_hosts_of_its_own_has_domains_and_every_alias_a_type():
    assert set(TYPES) - set(DOMAINS) == {"openai_compatible"}  # whose hosts are whatever base_url says
    assert set(ALIASES.values()) <= set(TYPES)
    assert not set(ALIASES) & set(TYPES)


def test_every_type_is_served():
    assert set(HANDLERS) == set(TYPES)


def test_an_unknown_type_names_the_known():
    with pytest.raises(ValueError, match=r"'mistral' is unknown; it is one of .*openai"):
        options_model("mistral")


@pytest.mark.parametrize("name", ["v1", "anthropic", "Openai", "_x", "-x", "", "a/b", "a b", "a.b", "a%2f", "ä"])
def test_names_that_mean_something_else_in_a_path_are_refused(name):
    with pytest.raises(ValueError, match=r"name"):
        check_name(name, "openai")


def test_a_type_may_be_the_name_of_its_own_instance():
    for name in ("openai", "openai_2", "bedrock-us1", "1"):
        check_name(name, "openai")
