"""A credential in the keyring of the operating system: Keychain, Credential Locker, Secret Service."""

from __future__ import annotations

import shlex
from contextlib import suppress
from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import Field

from llmauth.credentials.base import Options, Seconds, Surroundings
from llmauth.credentials.fields import credential_at
from llmauth.platform import PlatformName
from llmauth.secrets import Loaded
from llmauth.sources import SourceFailed, SourceUnavailable

if TYPE_CHECKING:
    from keyring.backend import KeyringBackend

REFRESH_AFTER = 60.0

_CHOSEN = "PYTHON_KEYRING_BACKEND"
_CONTAINERS: frozenset[PlatformName] = frozenset({"ecs", "lambda", "cloudrun", "codeengine"})
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
        self._surroundings = surroundings
        self._service = options.service
        self._username = options.username or surroundings.instance
        self._provider = surroundings.provider
        self._refresh_after = options.refresh_interval or REFRESH_AFTER

    def unavailable(self) -> str | None:
        platform = self._surroundings.platform
        # A backend that somebody chose by name may well be one of a container.
        if not (platform.in_kubernetes or platform.name in _CONTAINERS) or self._surroundings.environ.get(_CHOSEN):
            return None
        return f"there is no desktop, and so no keyring, on {platform.name}"

    def load(self) -> Loaded:
        reason = self.unavailable()
        if reason is not None:
            raise SourceUnavailable(reason)
        backends = usable()
        secret = next((found for b in backends if (found := self._ask(b)) is not None), None)
        place = f"keyring entry {self._service}/{self._username}"
        if secret is None:
            command = shlex.join(("llmauth", "secret", "set", self._surroundings.instance))
            raise SourceUnavailable(f"there is no {place}; `{command}` makes one")
        credential = credential_at(place, secret, self._provider)
        return Loaded(credential=credential, source=place, refresh_after=self._refresh_after)

    def _ask(self, backend: KeyringBackend) -> str | None:
        try:
            return backend.get_password(self._service, self._username)
        except Exception as error:
            # Not the package's own errors alone: a bus that is gone is an OSError, an entry of bytes a
            # UnicodeDecodeError. The text may quote the entry, the class does not.
            kind = type(error).__name__
            hint = "; unlock it, and it is asked again" if kind == "KeyringLocked" else ""
            raise SourceFailed(f"the keyring {_name(backend)} refused: {kind}{hint}") from None


def usable() -> list[KeyringBackend]:
    """The keyrings of this machine that protect what they keep, in the order in which they are asked.

    SourceUnavailable where there is none, SourceFailed where there is none but such as do not.
    """
    return _trusted(_backend())


def _backend() -> KeyringBackend:
    # Imported here, in the thread of the load: the import looks for every backend that is installed.
    import keyring

    try:
        found = keyring.get_keyring()
        return _found_anew() if _is_none(found) else found
    except Exception as error:
        # Missing, no backend, or (RuntimeError) one that does not work on this machine.
        reason = (
            f"the backend that {_CHOSEN} or keyringrc.cfg names cannot be used: {type(error).__name__}. {_REMEDIES}"
        )
        raise SourceFailed(reason) from None


def _found_anew() -> KeyringBackend:
    """Look again: the package looks once, and a keyring service may start after us, at a login."""
    import keyring
    from keyring.backend import get_all_keyring

    # It remembers the first list; KeyError, as long as there was none.
    with suppress(AttributeError, KeyError):
        get_all_keyring.reset()
    keyring.core.init_backend()
    return keyring.get_keyring()


def _trusted(backend: KeyringBackend) -> list[KeyringBackend]:
    """The backend, or those that it chains, without the ones that keep nothing or keep it in clear text."""
    chained: list[KeyringBackend] = list(getattr(backend, "backends", None) or [backend])
    trusted = [one for one in chained if not _is_clear_text(one) and not _is_empty(one)]
    if trusted:
        return trusted
    if any(_is_clear_text(one) for one in chained):
        # keyrings.alt, once installed, wins over "no keyring" without a word.
        raise SourceFailed(f"the only keyring here, {_name(chained[0])}, does not protect what it keeps. {_REMEDIES}")
    raise SourceUnavailable(f"there is no keyring on this machine ({_name(chained[0])}). {_REMEDIES}")


def _is_clear_text(backend: KeyringBackend) -> bool:
    return type(backend).__module__.split(".")[:2] == ["keyrings", "alt"]


def _is_empty(backend: KeyringBackend) -> bool:
    return _is_none(backend) or type(backend).__module__ == "keyring.backends.null"


def _is_none(backend: KeyringBackend) -> bool:
    """Whether it stands for the fact that no keyring was found, which nobody has chosen."""
    return type(backend).__module__ == "keyring.backends.fail"


def _name(backend: KeyringBackend) -> str:
    return f"{type(backend).__module__}.{type(backend).__qualname__}"
