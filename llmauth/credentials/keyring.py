"""A credential in the keyring of the operating system: Keychain, Credential Locker, Secret Service."""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import Field

from llmauth.credentials.base import (
    Options,
    Seconds,
    StrategyFailed,
    StrategyUnavailable,
    Surroundings,
    credential_at,
)
from llmauth.secrets import Loaded

if TYPE_CHECKING:
    from keyring.backend import KeyringBackend

REFRESH_AFTER = 60.0

_REMEDIES = (
    "Either start the desktop's keyring service (gnome-keyring, KWallet), "
    "or use the strategy environment or file in its place."
)


class KeyringOptions(Options):
    """`{type: keyring, service: llmauth, username: openai}`; the user name is the instance's name by default."""

    type: Literal["keyring"] = "keyring"
    service: Annotated[str, Field(min_length=1)] = "llmauth"
    username: Annotated[str, Field(min_length=1)] | None = None
    refresh_interval: Seconds | None = None


class KeyringStrategy:
    """Asks the keyring, which may block on a prompt for its password: the caller's deadline ends that."""

    label = "keyring"

    def __init__(self, options: KeyringOptions, surroundings: Surroundings) -> None:
        self._service = options.service
        self._username = options.username or surroundings.instance
        self._provider = surroundings.provider
        self._refresh_after = options.refresh_interval or REFRESH_AFTER

    def load(self) -> Loaded:
        backends = _trusted(_backend())
        secret = next((found for b in backends if (found := self._ask(b)) is not None), None)
        place = f"keyring entry {self._service}/{self._username}"
        if secret is None:
            # The command of the keyring package, which asks for the value and keeps it where we look.
            command = shlex.join(("keyring", "set", self._service, self._username))
            raise StrategyUnavailable(f"there is no {place}; `{command}` makes one")
        credential = credential_at(place, secret, self._provider)
        return Loaded(credential=credential, source=place, refresh_after=self._refresh_after)

    def _ask(self, backend: KeyringBackend) -> str | None:
        from keyring.errors import KeyringError

        try:
            return backend.get_password(self._service, self._username)
        except KeyringError as error:
            # Locked, refused or broken; the text may quote the entry, the class does not.
            raise StrategyFailed(f"the keyring {_name(backend)} refused: {type(error).__name__}") from None


def _backend() -> KeyringBackend:
    # Imported here, in the thread of the load: the import looks for every backend that is installed.
    import keyring

    try:
        return keyring.get_keyring()
    except (ImportError, AttributeError) as error:
        reason = f"the backend that PYTHON_KEYRING_BACKEND names cannot be used: {type(error).__name__}. {_REMEDIES}"
        raise StrategyFailed(reason) from None


def _trusted(backend: KeyringBackend) -> list[KeyringBackend]:
    """The backend, or those that it chains, without the ones that keep nothing or keep it in clear text."""
    chained: list[KeyringBackend] = list(getattr(backend, "backends", None) or [backend])
    trusted = [one for one in chained if not _is_clear_text(one) and not _is_empty(one)]
    if trusted:
        return trusted
    if any(_is_clear_text(one) for one in chained):
        # keyrings.alt, once installed, wins over "no keyring" without a word.
        raise StrategyFailed(f"the only keyring here, {_name(chained[0])}, does not protect what it keeps. {_REMEDIES}")
    raise StrategyUnavailable(f"there is no keyring on this machine ({_name(chained[0])}). {_REMEDIES}")


def _is_clear_text(backend: KeyringBackend) -> bool:
    return type(backend).__module__.split(".")[:2] == ["keyrings", "alt"]


def _is_empty(backend: KeyringBackend) -> bool:
    return type(backend).__module__ in ("keyring.backends.null", "keyring.backends.fail")


def _name(backend: KeyringBackend) -> str:
    return f"{type(backend).__module__}.{type(backend).__qualname__}"
