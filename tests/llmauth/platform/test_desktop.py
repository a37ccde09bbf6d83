"""What a desktop has, told by files, and never wrong about a pod."""

from __future__ import annotations

import json
import time
from datetime import UTC, datetime
from pathlib import Path

import pytest

from llmauth.platform import Platform
from llmauth.platform import desktop as module
from llmauth.platform.desktop import desktop_features

HERE = Platform()


def cached(folder: Path, name: str, **told: object) -> None:
    (folder / ".aws" / "sso" / "cache").mkdir(parents=True, exist_ok=True)
    (folder / ".aws" / "config").write_text("[default]\n")
    (folder / ".aws" / "sso" / "cache" / f"{name}.json").write_text(json.dumps(told))


def moment(seconds: float) -> str:
    return datetime.fromtimestamp(time.time() + seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def test_nothing_where_there_is_nothing(tmp_path: Path) -> None:
    assert desktop_features(HERE, {"HOME": str(tmp_path)}, "linux") == ()
    assert desktop_features(HERE, {}, "linux") == ()


@pytest.mark.parametrize(
    ("system", "wanted"), [("darwin", ("keyring=true",)), ("win32", ("keyring=true",)), ("linux", ())]
)
def test_a_system_that_always_has_a_keyring(tmp_path: Path, system: str, wanted: tuple[str, ...]) -> None:
    assert desktop_features(HERE, {"HOME": str(tmp_path)}, system) == wanted
    assert desktop_features(Platform(in_kubernetes=True), {"HOME": str(tmp_path)}, system) == ()


def test_a_bus_that_can_start_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    service = tmp_path / "service"
    monkeypatch.setattr(module, "_SERVICES", (str(service),))
    bus = {"DBUS_SESSION_BUS_ADDRESS": "unix:path=/x"}
    assert desktop_features(HERE, bus, "linux") == ()
    service.touch()
    assert desktop_features(HERE, bus, "linux") == ("keyring=true",)
    assert desktop_features(HERE, {}, "linux") == ()
    (tmp_path / "bus").touch()
    assert desktop_features(HERE, {"XDG_RUNTIME_DIR": str(tmp_path)}, "linux") == ("keyring=true",)


def test_a_profile_and_its_login(tmp_path: Path) -> None:
    environ = {"HOME": str(tmp_path)}
    (tmp_path / ".aws").mkdir()
    (tmp_path / ".aws" / "credentials").write_text("[default]\n")
    assert desktop_features(HERE, environ, "linux") == ("aws_profile=true",)
    cached(tmp_path, "client", expiresAt=moment(90 * 86_400), clientSecret="canary")
    assert desktop_features(HERE, environ, "linux") == ("aws_profile=true",)
    cached(tmp_path, "old", expiresAt=moment(-60), accessToken="canary")
    assert desktop_features(HERE, environ, "linux") == ("aws_profile=true(sso: ended)",)
    cached(tmp_path, "new", expiresAt=moment(3 * 3600 + 12 * 60 + 30), accessToken="canary")
    assert desktop_features(HERE, environ, "linux") == ("aws_profile=true(sso: valid 3h12m)",)


@pytest.mark.parametrize("told", [{}, {"expiresAt": 5, "accessToken": ""}, {"expiresAt": "soon", "accessToken": ""}])
def test_a_login_that_cannot_be_read_is_none(tmp_path: Path, told: dict[str, object]) -> None:
    cached(tmp_path, "odd", **told)
    (tmp_path / ".aws" / "sso" / "cache" / "broken.json").write_text("[" * 5000)
    assert desktop_features(HERE, {"HOME": str(tmp_path)}, "linux") == ("aws_profile=true",)
