"""Every strategy that reads this machine alone, once for each fault that its place can have."""

from __future__ import annotations

import os
import shutil
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import count
from pathlib import Path
from typing import Any

from keyring.backend import KeyringBackend
from keyring.errors import KeyringLocked
from pydantic import TypeAdapter

from llmauth import credentials
from llmauth.clock import Clock
from llmauth.context import ProviderType, Target
from llmauth.credentials import StrategyOptions
from llmauth.credentials.base import CredentialStrategy, Options, Surroundings
from llmauth.platform import Machine, ThisMachine
from tests.fixtures.kubernetes import mounted, publish

KEY = "sk-canary-of-a-place-0123456789"
FAULTS = ("missing", "pipe", "garbage", "unreadable")

_GARBAGE = b"\xff\x00<html>canary-7f3a</html>"
_PROFILE = f"[default]\naws_access_key_id = AKIDPLACE\naws_secret_access_key = {KEY}\n"
_OPTIONS: TypeAdapter[Options] = TypeAdapter(StrategyOptions)
_NUMBERS = count()


@dataclass(kw_only=True)
class Place:
    """One strategy with its one fault: `fail` begins it, and `mend` puts a credential there."""

    name: str
    options: dict[str, Any]
    fail: Callable[[], object]
    mend: Callable[[], object]
    machine: Machine
    provider: ProviderType = "openai"

    @property
    def target(self) -> Target:
        """A request to its instance."""
        return Target(instance=self.name, provider=self.provider)

    def strategy(self, clock: Clock) -> CredentialStrategy:
        """As a gateway builds it."""
        here = Surroundings(instance=self.name, provider=self.provider, machine=self.machine, clock=clock)
        return credentials.build(_OPTIONS.validate_python(self.options), here)


class Safe(KeyringBackend):
    """A keyring that treats each of its users in another way, as long as it is `shut`."""

    priority = -1  # never chosen unless it is set

    def __init__(self) -> None:
        super().__init__()
        self.shut = False
        self.opened = threading.Event()

    def get_password(self, service: str, username: str) -> str | None:
        if self.shut and username.endswith("prompt"):
            self.opened.wait(60)
        elif self.shut and username.endswith("locked"):
            raise KeyringLocked("canary-7f3a")
        elif self.shut and username.endswith("gone"):
            raise ConnectionError("canary-7f3a")
        elif self.shut:
            return None
        return KEY

    def set_password(self, service: str, username: str, password: str) -> None:
        raise NotImplementedError

    def fail(self) -> None:
        self.opened.clear()
        self.shut = True

    def mend(self) -> None:
        self.shut = False
        self.opened.set()


def places(folder: Path, safe: Safe) -> Sequence[Place]:
    """All of them."""
    return [*_files(folder), *_mounts(folder), *_profiles(folder), *_variables(), *_keyrings(safe)]


def _files(folder: Path) -> Iterator[Place]:
    for fault in FAULTS:
        path = folder / f"file-{fault}"
        yield Place(
            name=f"file_{fault}",
            options={"type": "file", "path": path},
            machine=ThisMachine({}),
            fail=partial(_spoil, path, fault),
            mend=partial(_put, path, KEY),
        )


def _mounts(folder: Path) -> Iterator[Place]:
    for fault in FAULTS:
        mount = folder / f"mount-{fault}"
        yield Place(
            name=f"mount_{fault}",
            options={"type": "kubernetes_secret", "secret_name": "openai", "mount_path": mount},
            machine=ThisMachine({}),
            fail=partial(_spoil_mount, mount, fault),
            mend=partial(_mount, mount),
        )


def _profiles(folder: Path) -> Iterator[Place]:
    for fault in FAULTS:
        path = folder / f"profile-{fault}"
        yield _profile(fault, path, partial(_spoil, path, fault), partial(_put, path, _PROFILE))
    path, answer = folder / "profile-process", folder / "answer"
    keys = f'{{"Version": 1, "AccessKeyId": "AKIDPLACE", "SecretAccessKey": "{KEY}"}}'
    script = _put(folder / "process.sh", f"while [ ! -e {answer} ]; do sleep 0.1; done; cat {answer}")
    _put(path, f"[default]\ncredential_process = /bin/sh {script}\n")
    yield _profile("process", path, partial(answer.unlink, missing_ok=True), partial(_put, answer, keys))


def _profile(name: str, path: Path, fail: Callable[[], object], mend: Callable[[], object]) -> Place:
    environ = {"AWS_CONFIG_FILE": "/nonexistent", "AWS_SHARED_CREDENTIALS_FILE": str(path)}
    return Place(
        name=f"profile_{name}",
        provider="bedrock",
        options={"type": "aws_profile", "profile": "default"},
        machine=ThisMachine(environ),
        fail=fail,
        mend=mend,
    )


def _variables() -> Iterator[Place]:
    """A process keeps its environment; what is asked here is that a bad one is refused as all the others are."""
    for fault, value in (("missing", None), ("empty", ""), ("garbage", "canary\x01")):
        environ: dict[str, str] = {}
        spoilt = {} if value is None else {"OPENAI_API_KEY": value}
        yield Place(
            name=f"variable_{fault}",
            options={"type": "environment"},
            machine=ThisMachine(environ),
            fail=partial(_replace, environ, spoilt),
            mend=partial(_replace, environ, {"OPENAI_API_KEY": KEY}),
        )


def _keyrings(safe: Safe) -> Iterator[Place]:
    for fault in ("prompt", "locked", "gone", "empty"):
        yield Place(
            name=f"keyring_{fault}",
            options={"type": "keyring"},
            machine=ThisMachine({}),
            fail=safe.fail,
            mend=safe.mend,
        )


def _replace(environ: dict[str, str], by: dict[str, str]) -> None:
    environ.clear()
    environ.update(by)


def _put(path: Path, text: str) -> Path:
    fresh = path.with_name(f"{path.name}.{next(_NUMBERS)}")
    fresh.write_text(text)
    fresh.chmod(0o600)
    return fresh.replace(path)


def _spoil(path: Path, fault: str) -> None:
    path.unlink(missing_ok=True)
    if fault == "pipe":
        os.mkfifo(path)
    elif fault == "garbage":
        path.write_bytes(_GARBAGE)
    elif fault == "unreadable":
        path.symlink_to(path.name)  # to itself, which nobody can read, whoever runs the tests


def _mount(mount: Path) -> None:
    shutil.rmtree(mount, ignore_errors=True)
    publish(mounted(mount), next(_NUMBERS), {"api_key": KEY})


def _spoil_mount(mount: Path, fault: str) -> None:
    _mount(mount)
    if fault == "missing":
        shutil.rmtree(mount)
    else:
        _spoil((mount / "..data").resolve() / "api_key", fault)
