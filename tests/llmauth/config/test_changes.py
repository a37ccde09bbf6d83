"""What differs between two configurations, by name, and what waits for a restart."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from llmauth.config.changes import between
from llmauth.config.settings import Settings, read_settings

Read = Callable[[str], Settings]
OPENAI = "instances: {openai: {type: openai}}\n"


@pytest.fixture
def read(tmp_path: Path) -> Read:
    def settings(text: str) -> Settings:
        (tmp_path / "c.yaml").write_text(text)
        return read_settings([tmp_path / "c.yaml"], {"LLMAUTH_HOME": str(tmp_path / "home")})

    return settings


@pytest.mark.parametrize(
    ("old", "new", "taken"),
    [
        (OPENAI, OPENAI, ()),
        (OPENAI, OPENAI + "limits: {url_bytes: 1KiB}", ("limits.url_bytes",)),
        ("log: {}", OPENAI, ("instances.openai",)),
        (OPENAI, "log: {}", ("instances.openai",)),
        (OPENAI, "instances: {openai: {type: openai, default: true}}", ("instances.openai.default",)),
        ("instances: {a: {type: openai}}", "instances: {a: {type: anthropic}}", ("instances.a",)),
        (OPENAI, OPENAI + "auth: {require_2fa: true}", ("auth.require_2fa",)),
        (OPENAI, OPENAI + "policies: {users: {alice: {rpm: 1}}}", ("policies.users.alice",)),
        (OPENAI, OPENAI + "log: {level: debug}", ("log.level",)),
    ],
)
def test_names_and_never_values(read: Read, old: str, new: str, taken: tuple[str, ...]) -> None:
    changes = between(read(old), read(new))
    assert (changes.taken, changes.restart) == (taken, ())


def test_the_order_of_rules_is_a_change_of_their_own(read: Read) -> None:
    one, other = "a*: {instance: openai}", "b*: {instance: openai}"
    old, new = (read(f"{OPENAI}models: {{{first}, {second}}}") for first, second in ((one, other), (other, one)))
    assert between(old, new).taken == ("models",)


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("server: {port: 1}", "server.port"),
        ("server: {host: 127.0.0.2}", "server.host"),
        ("server: {http2: false}", "server.http2"),
        ("storage: {limits_url: 'redis://h'}", "storage.limits_url"),
        ("audit: {enabled: false}", "audit.enabled"),
        ("metrics: {port: 9090}", "metrics"),
        ("ca: {folder: /elsewhere}", "ca"),
        ("log: {format: json}", "log.format"),
    ],
)
def test_what_is_opened_at_the_start_stays_and_is_named(read: Read, text: str, name: str) -> None:
    old = read(OPENAI)
    changes = between(old, read(f"{OPENAI}{text}\nlimits: {{url_bytes: 1KiB}}"))
    assert (changes.taken, changes.restart) == (("limits.url_bytes",), (name,))
    assert (changes.settings.server, changes.settings.storage, changes.settings.log) == (
        old.server,
        old.storage,
        old.log,
    )


def test_a_tls_port_is_opened_at_the_start_and_its_files_may_move(read: Read) -> None:
    files = "server: {{tls_cert_file: {0}.crt, tls_key_file: {0}.key}}"
    without, one, other = read(OPENAI), read(OPENAI + files.format("a")), read(OPENAI + files.format("b"))
    assert between(without, one).restart == ("server.tls_cert_file", "server.tls_key_file")
    assert between(without, one).settings.server.tls_cert_file is None
    assert between(one, other).taken == ("server.tls_cert_file", "server.tls_key_file")
