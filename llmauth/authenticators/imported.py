"""Keys that the environment brings along, `API_KEY_*` and `BEDROCK_API_KEY_*`: part of the method `api_key`."""

from __future__ import annotations

import hmac
import logging
import os
import re
from collections.abc import Iterator, Mapping
from typing import Final

from llmauth.authenticators.base import AuthSurroundings, Presented, Slot, wrong
from llmauth.authenticators.keys import ApiKeyOptions, IssuedKeys
from llmauth.authenticators.stripping import strip_also, strip_no_longer
from llmauth.authenticators.tokens import FORM
from llmauth.context import Identity
from llmauth.secrets import Secret
from llmauth.storage.key_text import PREFIX

log = logging.getLogger(__name__)

PREFIXES: Final = ("BEDROCK_API_KEY_", "API_KEY_")
SHORTEST: Final = 16
LONGEST: Final = 4096
_NAME = re.compile(r"\w[\w.@:/+-]{0,99}")


class ImportedKeys:
    """Their digests, under a secret of this process, and whom each stands for. The environment of a process stays."""

    def __init__(self, environ: Mapping[str, str]) -> None:
        """ValueError, a sentence that names the variable and no value, for one that cannot be a key."""
        self._secret = os.urandom(32)
        self._held: dict[bytes, tuple[bytes, Identity]] = {}
        self._named: dict[str, Identity] = {}
        keys = []
        for variable, name, key in _variables(environ):
            digest = self._digest(key.reveal())
            if name in self._named and self.find(key.reveal()) is self._named[name]:
                continue  # one key under both prefixes, as deployments have it that served two versions
            if name in self._named or digest in self._held:
                what = "a value" if digest in self._held else f"a name ('{name}')"
                raise ValueError(f"{variable} has {what} that another variable has already; each key has its own.")
            self._named[name] = Identity(user=name, method=IssuedKeys.name, key_name=name)
            self._held[digest] = digest, self._named[name]
            keys.append(key)
        self.keys = tuple(keys)

    @property
    def names(self) -> tuple[str, ...]:
        """What the keys are called, sorted."""
        return tuple(sorted(self._named))

    def find(self, value: str) -> Identity | None:
        """Whose key this is, `None` where it is nobody's; some microseconds, and as many for every value."""
        if not self._held or not SHORTEST <= len(value) <= LONGEST:
            return None
        digest = self._digest(value)
        kept, identity = self._held.get(digest, (b"", None))
        return identity if hmac.compare_digest(kept, digest) else None

    def named(self, name: str | None) -> Identity | None:
        """The identity of the key of this name."""
        return self._named.get(name or "")

    def _digest(self, value: str) -> bytes:
        return hmac.digest(self._secret, value.encode("utf-8", "surrogatepass"), "sha256")


class ApiKeys(IssuedKeys):
    """Issued keys, and beside them those of the environment, which have no form: they are known by being there.

    A mistyped one is nothing of ours, and so a placeholder, or refused where nothing else proves who calls.
    """

    def __init__(self, options: ApiKeyOptions, surroundings: AuthSurroundings) -> None:
        super().__init__(options, surroundings)
        self._imported = ImportedKeys(surroundings.environ)

    def start(self) -> None:
        """See IssuedKeys. From now on no imported key goes on to a provider, wherever in a head it stands."""
        super().start()
        if self._imported.names:
            strip_also(self, self._imported.keys)
            log.info("keys of the environment are taken", extra={"names": ", ".join(self._imported.names)})

    def stop(self) -> None:
        strip_no_longer(self)
        super().stop()

    def recognises(self, presented: Presented) -> bool:
        """By the form of an issued key, or by being one that was imported."""
        return super().recognises(presented) or self._import_of(presented) is not None

    def recall(self, presented: Presented) -> Identity | None:
        """See Authenticator."""
        imported = self._import_of(presented)
        return super().recall(presented) if imported is None else imported

    def authenticate(self, presented: Presented) -> Identity:
        """See Authenticator."""
        imported = self._import_of(presented)
        return super().authenticate(presented) if imported is None else imported

    def current(self, identity: Identity) -> Identity:
        """See Authenticator."""
        if identity.method != self.name or identity.key_id is not None:
            return super().current(identity)
        imported = self._imported.named(identity.key_name)
        if imported is None:  # of another process, with another environment
            raise wrong("revoked", f"imported key {identity.key_name}")
        return imported

    def _import_of(self, presented: Presented) -> Identity | None:
        if presented.slot is Slot.SESSION or presented.value.startswith(PREFIX):
            return None
        return self._imported.find(presented.value)


def _variables(environ: Mapping[str, str]) -> Iterator[tuple[str, str, Secret]]:
    """Every variable that brings a key: its own name, that of the key, and the key."""
    for variable in sorted(environ):
        prefix = next((one for one in PREFIXES if variable.startswith(one)), None)
        if prefix is not None:
            # Whoever makes a secret from a file leaves the line's end in it, which no header can carry.
            value = environ[variable].strip(" \t\r\n")
            _check(variable, value)
            name = variable.removeprefix(prefix).lower()
            if not _NAME.fullmatch(name):
                raise ValueError(f"{variable} names no key: {prefix}USER1 brings the key of 'user1'.")
            yield variable, name, Secret(value)


def _check(variable: str, value: str) -> None:
    if len(value) < SHORTEST:
        state = "is empty" if not value else f"has less than {SHORTEST} characters, which is too easy to guess"
        raise ValueError(f"{variable} {state}; give the key more, or take the variable away.")
    if len(value) > LONGEST or not value.isascii() or not value.isprintable():
        raise ValueError(f"{variable} holds what no header can carry: wanted up to {LONGEST} printable ASCII signs.")
    if value.startswith((PREFIX, FORM)):
        raise ValueError(f"{variable} has the form of what this gateway issues itself; issued keys need no variable.")
