"""Acceptance check 2: an unknown method never means "no authentication"."""

import pytest

from llmauth.authenticators import METHODS, require_methods


def test_known_methods_once_each():
    assert require_methods(["api_key", "api_key"]) == ("api_key",)


@pytest.mark.parametrize("name", ["apikey", "api-key", "API_KEY", "api_keys"])
def test_near_misses_are_told(name):
    with pytest.raises(ValueError, match="did you mean 'api_key'"):
        require_methods(["api_key", name])


@pytest.mark.parametrize("names", [[""], ["none"], ["disabled"], ["kerberos"], []])
def test_anything_else_names_what_is_known(names):
    with pytest.raises(ValueError, match=r"nown: api_key\."):
        require_methods(names)


def test_the_options_of_every_method_name_it_and_forbid_the_rest():
    for name, options in METHODS.items():
        assert options().model_dump() == {"type": name}
        with pytest.raises(ValueError, match="extra"):
            options.model_validate({"surplus": 1})
