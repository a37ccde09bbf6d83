"""The environment and the command line as layers, and where the files are found."""

from pathlib import Path

import pytest

from llmauth.config import environment


def layers(environ: dict[str, str]) -> dict[str, object]:
    return {path: node.plain() for path, node in environment.from_environment(environ)}


def test_each_variable_sets_its_option():
    for name, path in environment.VARIABLES.items():
        expected: object = ["x"] if name == "AUTH_MODE" else "x"
        assert layers({name: "x"}) == {path: expected}


def test_an_empty_variable_is_not_set():
    assert layers(dict.fromkeys((*environment.VARIABLES, "TLS_ENABLED", "GIN_MODE"), "")) == {}


def test_auth_mode_is_a_list():
    assert layers({"AUTH_MODE": "api_key, basic,"}) == {"auth.methods": ["api_key", "basic"]}


def test_gin_mode_debug_is_a_log_level_unless_one_is_set():
    assert layers({"GIN_MODE": "debug"}) == {"log.level": "debug"}
    assert layers({"GIN_MODE": "release"}) == {}
    assert layers({"GIN_MODE": "debug", "LOG_LEVEL": "error"}) == {"log.level": "error"}


@pytest.mark.parametrize("word", ["false", "False", "0", "no", "off"])
def test_tls_can_be_switched_off(word):
    environ = {"TLS_ENABLED": word, "TLS_CERT_FILE": "c"}
    assert layers(environ) == {"server.tls_cert_file": None, "server.tls_key_file": None}
    assert not environment.wants_tls(environ)


def test_tls_can_be_insisted_on():
    assert environment.wants_tls({"TLS_ENABLED": "true"})
    assert not environment.wants_tls({})


def test_options_name_themselves_and_none_sets_nothing():
    ((path, node),) = environment.from_options({"server.drain_timeout": "5s", "server.host": None})
    assert (path, node.plain(), str(node.place)) == ("server.drain_timeout", "5s", "option --drain-timeout")


def test_files_of_the_command_line_come_first(tmp_path):
    environ = {"LLMAUTH_CONFIG": "b:c", "HOME": str(tmp_path)}
    assert environment.files([Path("a")], environ) == (Path("a"),)
    assert environment.files([], environ) == (Path("b"), Path("c"))


def test_the_platforms_own_file_is_read_when_it_is_there(tmp_path):
    environ = {"HOME": str(tmp_path)}
    assert environment.files([], environ) == ()
    own = tmp_path / ".config/llmauth/config.yaml"
    own.parent.mkdir(parents=True)
    own.touch()
    assert environment.files([], environ) == (own,)
    assert environment.files([Path("a")], environ) == (Path("a"),)


def test_the_folder_for_configuration_by_platform():
    environ = {"HOME": "/home/me", "XDG_CONFIG_HOME": "/xdg"}
    assert environment.default_file(environ, "linux") == Path("/xdg/llmauth/config.yaml")
    assert environment.default_file({"HOME": "/home/me", "XDG_CONFIG_HOME": "rel"}, "linux") == Path(
        "/home/me/.config/llmauth/config.yaml"
    )
    assert environment.default_file(environ, "darwin") == Path(
        "/home/me/Library/Application Support/llmauth/config.yaml"
    )


def test_no_home_folder_is_no_error(monkeypatch):
    def homeless() -> Path:
        raise RuntimeError

    monkeypatch.setattr(Path, "home", homeless)
    assert environment.files([], {}) == ()


def test_provider_instances_config_is_one_more_file_and_read_once(tmp_path):
    environ = {"PROVIDER_INSTANCES_CONFIG": "i.yaml", "HOME": str(tmp_path)}
    assert environment.files([Path("a")], environ) == (Path("a"), Path("i.yaml"))
    assert environment.files([], environ) == (Path("i.yaml"),)
    assert environment.files([Path("i.yaml").absolute()], environ) == (Path("i.yaml"),)


def test_values_are_hidden():
    """R2: what the environment holds is named by its variable."""
    ((_, node),) = environment.from_environment({"PORT": "canary"})
    assert [expansion.name for expansion in node.expansions] == ["PORT"]
    assert str(node.place) == "environment variable PORT"
