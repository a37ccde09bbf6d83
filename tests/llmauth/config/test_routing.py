"""Models, rerouted hosts and transformations: what may be written, and what is told of what may not."""

from pathlib import Path

import pytest

from llmauth.chat.words import Word
from llmauth.config.problems import ConfigError
from llmauth.config.settings import ca_domains, read_settings

INSTANCES = "instances: {b: {type: bedrock}, o: {type: openai}}\n"


@pytest.fixture
def read(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)

    def _read(text, **environ):
        Path("c.yaml").write_text(INSTANCES + text)
        return read_settings([Path("c.yaml")], {"HOME": str(tmp_path), **environ})

    return _read


def fault(read, text):
    with pytest.raises(ConfigError) as caught:
        read(text)
    return str(caught.value)


def test_models_keep_the_order_of_the_file(read):
    models = read("models: {zeta: {instance: b, model: x}, 'gpt-*': {instance: o}, alpha: {instance: o}}").models
    assert list(models) == ["zeta", "gpt-*", "alpha"]
    assert (models["zeta"].instance, models["zeta"].model, models["gpt-*"].model) == ("b", "x", None)


def test_a_file_of_models_of_its_own(read, tmp_path):
    Path("m.yaml").write_text("models: {claude: {instance: b, model: anthropic.claude}}")
    assert read("", MODEL_MAPPING_CONFIG="m.yaml").models["claude"].model == "anthropic.claude"


def test_a_rule_that_never_matches_is_told(read):
    (told,) = read("models: {'gpt-*': {instance: o}, gpt-4o: {instance: b}}").warnings
    assert told == "The rule 'gpt-4o' under `models:` never matches: 'gpt-*' stands before it."


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("models: {a: {instance: bb}}", "c.yaml:2: models.a.instance: no instance is named 'bb'; did you mean 'b'?"),
        (
            "models: {a.b-c: {instance: nowhere}}",
            "c.yaml:2: models.a.b-c.instance: no instance is named 'nowhere'",
        ),
        ("hosts: {api.openai.com: {protocol: openai, instance: x}}", "no instance is named 'x'"),
        ("hosts: {api.openai.com: {protocol: gemini}}", "hosts.api.openai.com.protocol"),
        ("hosts: {10.0.0.1: {protocol: openai}}", "an address, where the name of a host is wanted"),
        ("transformations: {y: {}}", "c.yaml:2: transformations.y: no instance is named 'y'"),
        ("transformations: {b: {drop: [nonsense]}}", "no parameter of a chat; known are max_tokens, "),
        ("models: {a: {instance: b, model: llmauth_0123456789ab_x}}", "a key of this gateway"),
        ("models: {a: {}}", "models.a.instance"),
    ],
)
def test_what_is_wrong_is_told_with_its_line(read, text, message):
    assert message in fault(read, text)


def test_transformations_name_parameters(read):
    one = read("transformations: {b: {defaults: {max_tokens: 500}, drop: [user, seed]}}").transformations["b"]
    assert (one.defaults, one.drop) == ({Word.MAX_TOKENS: 500}, (Word.USER, Word.SEED))


def test_the_authority_may_sign_for_rerouted_hosts(read):
    settings = read("hosts: {api.example.com: {protocol: openai}, api.openai.com: {protocol: openai}}")
    assert "api.example.com" in ca_domains(settings)
