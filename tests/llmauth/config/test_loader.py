"""Loading any model: variables, several files, and the exact message of each kind of fault."""

from pathlib import Path
from typing import Annotated, Literal

import pytest
from pydantic import BaseModel, ConfigDict, Field, ValidationInfo, field_validator, model_validator

from llmauth.config.loader import ConfigError, load


class Options(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Bedrock(Options):
    type: Literal["bedrock"]
    region: Annotated[str, Field(pattern="^[a-z0-9-]+$")] = "us-east-1"
    bedrock: int = 0


class OpenAi(Options):
    type: Literal["openai"]
    base_url: str = ""
    api_key: str = ""

    @field_validator("base_url")
    @classmethod
    def _https(cls, value: str) -> str:
        if not value.startswith("https://"):
            raise ValueError(f"{value!r} does not begin with https://.")
        return value

    @model_validator(mode="after")
    def _one_of(self) -> "OpenAi":
        if self.api_key and self.base_url:
            raise ValueError(f"{self.api_key} and {self.base_url} exclude each other")
        return self


class Server(Options):
    port: Annotated[int, Field(ge=1, le=65535)] = 8080
    ratio: float = 0.5
    names: list[str] = []
    mode: Literal["auto"] | bool = "auto"
    level: Literal["low", "high"] = "low"
    file: Path | None = None


class Model(Options):
    server: Server = Server()
    instances: dict[str, Annotated[Bedrock | OpenAi, Field(discriminator="type")]] = {}


@pytest.fixture
def loading(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)

    def _load(*texts: str, **environ: str) -> Model:
        paths = [Path(f"{name}.yaml") for name, _ in zip("abc", texts, strict=False)]
        for path, text in zip(paths, texts, strict=True):
            path.write_text(text)
        return load(paths, Model, environ)

    return _load


def faults(loading, *texts: str, **environ: str) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        loading(*texts, **environ)
    assert caught.value.__context__ is None or caught.value.__suppress_context__
    return str(caught.value).splitlines()


def test_numbers_and_switches_from_variables(loading):
    text = "server: {port: '${PORT:-9000}', ratio: '${R}', mode: '${M:-false}'}"
    server = loading(text, R="0.25").server
    assert (server.port, server.ratio, server.mode) == (9000, 0.25, False)


def test_paths_are_relative_to_their_file(loading, tmp_path):
    assert loading("server: {file: x/y.pem}").server.file == tmp_path / "x/y.pem"


def test_files_are_joined(loading):
    model = loading("instances: {a: {type: openai}}", "instances: {b: {type: bedrock}}\nserver: {port: 1}")
    assert (set(model.instances), model.server.port) == ({"a", "b"}, 1)


def test_no_file_gives_the_defaults():
    assert load([], Model, {}) == Model()


def test_the_same_key_in_two_files(loading):
    assert faults(loading, "server:\n  port: 1\n", "\nserver: {port: 2}") == [
        "b.yaml:2: server.port: set here and at a.yaml:2; keep one of the two"
    ]


def test_the_message_of_the_design(loading):
    assert faults(loading, "instances:\n  bedrock_us1:\n    type: bedrock\n    regoin: us-east-1\n") == [
        "a.yaml:4: instances.bedrock_us1.regoin: unknown key, did you mean 'region'?"
    ]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("server: {port: eighty}", "server.port: found 'eighty', wanted a whole number"),
        ("server: {port: 1.5}", "server.port: found 1.5, wanted a whole number"),
        ("server: {port: 0}", "server.port: found 0, wanted 1 or more"),
        ("server: {port: 70000}", "server.port: found 70000, wanted 65535 or less"),
        ("server: {port: [1]}", "server.port: found a list, wanted a whole number"),
        ("server: {port: ~}", "server.port: found nothing, wanted a whole number"),
        ("server: {ratio: much}", "server.ratio: found 'much', wanted a number"),
        ("server: {names: one}", "server.names: found 'one', wanted a list"),
        ("server: {names: [a, 7]}", "server.names[1]: found 7, wanted text"),
        ("server: {mode: maybe}", "server.mode: found 'maybe', wanted 'auto' or true or false"),
        ("server: {level: hihg}", "server.level: found 'hihg', wanted 'low' or 'high', did you mean 'high'?"),
        ("server: 5", "server: found 5, wanted a mapping (indented `key: value` lines)"),
        ("server:", "server: found nothing, wanted a mapping (indented `key: value` lines)"),
        ("sever: {}", "sever: unknown key, did you mean 'server'?"),
        ("instances: {b: {region: x}}", "instances.b.type: required, and not there; it says which kind this is"),
        (
            "instances: {b: {type: bedrok}}",
            "instances.b.type: found 'bedrok', wanted 'bedrock' or 'openai', did you mean 'bedrock'?",
        ),
        (
            "instances: {b: {type: bedrock, region: A B}}",
            "instances.b.region: found 'A B', wanted text of the form `^[a-z0-9-]+$`",
        ),
        ("instances: {b: {type: bedrock, bedrock: x}}", "instances.b.bedrock: found 'x', wanted a whole number"),
        (
            "instances: {b: {type: bedrock, openai: x}}",
            "instances.b.openai: unknown key; known here: type, region, bedrock",
        ),
        ("instances: {b: openai}", "instances.b: found 'openai', wanted a mapping (indented `key: value` lines)"),
        (
            "instances: {o: {type: openai, base_url: ftp}}",
            "instances.o.base_url: found 'ftp': 'ftp' does not begin with https://",
        ),
        ("instances: {o: {type: openai, api_key: 7}}", "instances.o.api_key: found a value (not shown), wanted text"),
    ],
)
def test_each_kind_of_fault(loading, text, expected):
    assert faults(loading, text) == [f"a.yaml:1: {expected}"]


def test_all_faults_at_once_in_the_order_of_the_file(loading):
    text = "server:\n  prot: 1\n  level: x\ninstances:\n  b: {type: bedrock, rgion: x}\n  c: {}\n"
    lines = faults(loading, text)
    assert [line.split(": ")[0] for line in lines] == ["a.yaml:2", "a.yaml:3", "a.yaml:5", "a.yaml:6"]


def test_a_missing_key_is_named_where_it_should_stand(loading, tmp_path):
    class Needs(Options):
        inner: Bedrock

    (tmp_path / "n.yaml").write_text("inner:\n  region: x\n")
    with pytest.raises(ConfigError) as caught:
        load([Path("n.yaml")], Needs, {})
    assert str(caught.value) == "n.yaml:1: inner.type: required, and not there"


@pytest.mark.parametrize(
    "text",
    [
        "server: {port: '${C}'}",
        "server: {level: '${C}'}",
        "server: {mode: '${C}'}",
        "server: {ratio: 'x${C}'}",
        "server: {names: '${C}'}",
        "server: '${C}'",
        "instances: {b: {type: '${C}'}}",
        "instances: {b: {type: bedrock, region: '${C}'}}",
        "instances: {b: {type: openai, base_url: '${C}'}}",
        "instances: {b: {type: openai, base_url: 'https://${C}', api_key: '${C}'}}",
        "instances: {b: {type: openai, base_url: 'https://x', api_key: 'sk-CANARY/1'}}",
        "instances: {b: {type: openai, base_url: 'http://u:CANARY/1@x'}}",
        "server: {port: '${UNSET:-CANARY/1}'}",
        "x: '${C}'",
    ],
)
def test_no_message_holds_an_expanded_value(loading, text):
    """R2."""
    lines = faults(loading, text, C="CANARY/1")
    assert len(lines) == 1
    assert "CANARY" not in lines[0]


def test_an_unset_variable_is_told_once_and_not_judged_further(loading):
    assert faults(loading, "server:\n  port: ${NO_PORT}\n  level: x\n") == [
        "a.yaml:2: server.port: ${NO_PORT} is not set; set it, or give a default: `${NO_PORT:-default}`",
        "a.yaml:3: server.level: found 'x', wanted 'low' or 'high'",
    ]


def test_the_context_reaches_validators(tmp_path):
    class Seen(Options):
        word: str = ""

        @field_validator("word")
        @classmethod
        def _check(cls, value: str, info: ValidationInfo) -> str:
            assert info.context is not None
            return value + str(info.context["suffix"])

    file = tmp_path / "f.yaml"
    file.write_text("word: a")
    assert load([file], Seen, {}, {"suffix": "b"}).word == "ab"
