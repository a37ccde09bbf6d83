"""HashiCorp Vault (and OpenBao): key-value secrets, and those that its engines lend."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from urllib.parse import quote

from llmauth.secrets import Secret
from llmauth.sources import SourceFailed, SourceUnavailable
from llmauth.vaults.base import VaultSecret, VaultSurroundings
from llmauth.vaults.hashicorp.answers import Lent, missing, secret_in
from llmauth.vaults.hashicorp.calls import Answer, Calls, deadline, seconds
from llmauth.vaults.hashicorp.leases import Leases, Renew
from llmauth.vaults.hashicorp.logins import Logins
from llmauth.vaults.hashicorp.methods import NO_LOGIN, method_of
from llmauth.vaults.hashicorp.options import HashicorpOptions
from llmauth.vaults.hashicorp.place import NOT_CONFIGURED, place_of
from llmauth.vaults.hashicorp.terms import Term
from llmauth.vaults.hashicorp.tokens import Held, Tokens

__all__ = ["Hashicorp", "HashicorpOptions"]

_REFUSED, _MISSING = 403, 404


class Hashicorp:
    """Reads a path as it is written. One login serves all paths; a lease is renewed where Vault lets us."""

    def __init__(self, options: HashicorpOptions, surroundings: VaultSurroundings) -> None:
        self._options = options
        self._surroundings = surroundings
        self._leases = Leases(surroundings.clock)
        self._opening = threading.Lock()
        self._opened: _Opened | None = None

    def unavailable(self) -> str | None:
        machine = self._surroundings.machine
        try:
            if place_of(self._options, machine.environ) is None:
                return NOT_CONFIGURED
        except SourceFailed:
            # Set up, and wrongly so: that is told when it is read.
            return None
        return NO_LOGIN if method_of(self._options.auth, machine) is None else None

    def read(self, path: str) -> VaultSecret:
        opened = self._open()
        checked = _checked(path)
        ends = deadline()
        began = self._surroundings.clock.monotonic()
        with self._alone(checked, ends):
            lent = self._lent(opened, checked, ends)
        # The time that the calls took is of its life.
        life = None if lent.life is None else lent.life - (self._surroundings.clock.monotonic() - began)
        return VaultSecret(content=lent.content, life=life, version=lent.version)

    def forget(self, path: str) -> None:
        self._leases.forget("/".join(part for part in path.split("/") if part))

    def _open(self) -> _Opened:
        with self._opening:
            if self._opened is None:
                reason = self.unavailable()
                if reason is not None:
                    raise SourceUnavailable(reason)
                self._opened = _Opened(self._options, self._surroundings)
            return self._opened

    @contextmanager
    def _alone(self, path: str, ends: float) -> Iterator[None]:
        lock = self._leases.lock(path)
        if not lock.acquire(timeout=max(ends - time.monotonic(), 0)):
            raise SourceFailed(f"Vault did not answer another read of {path} in time")
        try:
            yield
        finally:
            lock.release()

    def _lent(self, opened: _Opened, path: str, ends: float) -> Lent:
        held = opened.tokens.get(ends)
        cap = held.term.left(self._surroundings.clock)
        again = self._leases.again(path, held.token, cap, opened.renewing(held.token, ends))
        return again or self._anew(opened, path, held, ends)

    def _anew(self, opened: _Opened, path: str, held: Held, ends: float) -> Lent:
        clock = self._surroundings.clock
        term = Term.begun(None, clock)
        held, answer = opened.read(path, held, ends)
        lent = opened.told(answer, path)
        lease = lent.life or 0.0
        if not lent.outlives_its_token:
            lent = replace(lent, life=min(lease, held.term.left(clock)))
        self._leases.keep(path, held.token, lent, lease, term)
        return lent


class _Opened:
    """Vault, met for the first time: where it is and how we log in is settled."""

    def __init__(self, options: HashicorpOptions, surroundings: VaultSurroundings) -> None:
        place = place_of(options, surroundings.machine.environ)
        auth = method_of(options.auth, surroundings.machine)
        if place is None or auth is None:
            raise SourceUnavailable(NOT_CONFIGURED if place is None else NO_LOGIN)
        self._calls = Calls(place, surroundings.outbound)
        logins = Logins(self._calls, auth, surroundings.machine, surroundings.identities)
        self.tokens = Tokens(logins, surroundings.clock)

    def read(self, path: str, held: Held, ends: float) -> tuple[Held, Answer]:
        """The answer for a path and the token that got it: a token that is refused is replaced once, and no more."""
        answer = self._read(path, held.token, ends)
        if answer.status != _REFUSED:
            return held, answer
        # A token that was taken back, or a policy: only another token can tell.
        try:
            other = self.tokens.instead_of(held, ends)
        except SourceFailed as failure:
            reason = f"Vault refused our token at {path} (HTTP 403), and gave no other: {failure.reason}"
            raise SourceFailed(reason) from None
        return (held, answer) if other.token == held.token else (other, self._read(path, other.token, ends))

    def told(self, answer: Answer, path: str) -> Lent:
        """The secret of an answer, or SourceFailed with the reason that there is none."""
        if answer.ok:
            return secret_in(answer, path)
        raise missing(answer, path) if answer.status == _MISSING else self._calls.refusal(answer, f"secret at {path}")

    def renewing(self, token: Secret, ends: float) -> Renew:
        """How a lease is renewed with this token."""

        def renew(lease_id: str, life: float) -> float | None:
            answer = self._calls.ask(lambda client: client.sys.renew_lease(lease_id, int(life)), ends, token)
            if answer.status >= 500:
                raise self._calls.refusal(answer, "longer life for a lease")
            return seconds(answer.content.get("lease_duration")) if answer.ok else None

        return renew

    def _read(self, path: str, token: Secret, ends: float) -> Answer:
        return self._calls.ask(lambda client: client.read(quote(path)), ends, token)


def _checked(path: str) -> str:
    """The path without slashes that mean nothing; SourceFailed for what would ask for another one."""
    parts = [part for part in path.split("/") if part]
    if not parts or any(part in (".", "..") or not part.isprintable() for part in parts) or set(path) & set("?#\\"):
        raise SourceFailed("the path of a secret in Vault looks like secret/data/llm/openai, and holds no ?, # or ..")
    return "/".join(parts)
