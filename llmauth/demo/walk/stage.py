"""The stage of the demo: emulated providers, a gateway before them, and issued keys, in a folder that passes."""

from __future__ import annotations

import tempfile
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Self

from llmauth.ca import Authority
from llmauth.demo.emulators import Emulators
from llmauth.demo.walk import configuration, interruption
from llmauth.demo.walk.problem import DemoFailed
from llmauth.demo.walk.proxy import Proxy, choose_port
from llmauth.demo.walk.shells import TOKENS, Place
from llmauth.storage.home import StateError
from llmauth.storage.keys import KeyStore

_PACE = 0.01  # seconds a token


class Stage:
    """Everything that the walk needs, from `with` to its end; nothing of it is left afterwards.

    The gateway is started first and waited for last (`wait_until_ready`), so that others can get ready beside it.
    """

    def __init__(self, users: tuple[str, ...], port: int | None = None) -> None:
        self._users = users
        self._wanted_port = port
        self._ends = ExitStack()

    def __enter__(self) -> Self:
        try:
            self._set()
        except BaseException:
            self._ends.close()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._ends.close()

    def _set(self) -> None:
        self.port = choose_port(self._wanted_port)
        self.folder = Path(self._ends.enter_context(tempfile.TemporaryDirectory(prefix="llmauth-demo-")))
        self.emulators = self._ends.enter_context(Emulators(state=self.folder / "emulators", pace=_PACE, tokens=TOKENS))
        self.home, self.callers_home = self.folder / "home", self.folder / "callers"
        for folder in (self.home, self.callers_home):
            folder.mkdir(mode=0o700)
        self.config = configuration.write(
            self.folder,
            port=self.port,
            ca_file=self.emulators.ca_file,
            resolve=self.emulators.resolve,
            credentials=self.emulators.credentials,
        )
        variables = configuration.variables(self.emulators.credentials) | {"LLMAUTH_HOME": str(self.home)}
        with interruption.deferred():
            self.proxy = Proxy(self.config, self.port, self.folder / "gateway.log", variables)
            self._ends.callback(self.proxy.stop)
        self.keys = self._issue_keys()

    def _issue_keys(self) -> dict[str, str]:
        try:
            self._store = KeyStore(self.home / "keys.db")
            self._ends.callback(self._store.close)
            return {user: self._store.create(user)[1].reveal() for user in self._users}
        except StateError as error:
            raise DemoFailed(f"The demo could not issue keys: {error}") from None

    def wait_until_ready(self) -> None:
        """Returns when the gateway serves, and its CA is where callers look for it; DemoFailed when it does not."""
        self.proxy.wait_until_ready()
        authority = Authority.load_or_create(self.home / "ca", (), create=False)
        self.bundle.write_text(authority.bundle(), encoding="ascii")

    def revoke(self, user: str) -> None:
        """Ends the key of a user, as `llmauth keys revoke` does beside a running server."""
        self._store.revoke(user)

    @property
    def url(self) -> str:
        """The gateway's only door."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def bundle(self) -> Path:
        """The public roots with the gateway's CA: what the callers' variables point at."""
        return self.folder / "ca-bundle.pem"


def place_of(stage: Stage) -> Place:
    """What callers must know of a stage."""
    return Place(port=stage.port, bundle=stage.bundle, keys=stage.keys)
