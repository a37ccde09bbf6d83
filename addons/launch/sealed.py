"""The addon manager of a stock tool: fails closed as ours, and ends the process when the chain is taken apart."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, NoReturn

from mitmproxy import addonmanager
from mitmproxy.addonmanager import _get_name as name_of
from mitmproxy.addons.script import Script
from mitmproxy.master import Master

from addons.failclosed import FailClosed, Handler
from addons.launch.ending import halt

UNLOADED = "The chain was unloaded or reloaded"
BROKEN = "Another script was changed, and could not be loaded again"


class Sealed(FailClosed):
    """Takes the place of a running master's manager. Once sealed, what was sealed in stays until the process ends."""

    def __init__(self, master: Master, halt: Callable[[str], NoReturn] = halt) -> None:
        super().__init__(master)
        self._halt = halt
        self._whole: tuple[object, ...] = ()
        self._serving = False

    def adopt(self, addon: Any) -> None:
        """Take over an addon that the tool has already loaded."""
        for each in addonmanager.traverse([addon]):
            self.lookup[name_of(each)] = each
        self.chain.append(addon)

    def seal(self, whole: Iterable[object]) -> None:
        """From here on these belong together."""
        self._whole = tuple(whole)

    def serve(self) -> None:
        """From here on every script must be loaded: what one of them forbids would be let through without it."""
        self._serving = True

    def remove(self, addon: Any) -> None:
        # A script is reloaded by removing its module, which holds the addon that installed us.
        going = list(addonmanager.traverse([addon]))
        if any(each is part for each in going for part in self._whole):
            self._halt(UNLOADED)
        super().remove(addon)

    def clear(self) -> None:
        if self._whole:
            self._halt(UNLOADED)
        super().clear()

    def _of(self, name: str) -> tuple[Handler, ...]:
        if name not in self._handlers:
            there = {id(each): each for each in addonmanager.traverse(self.chain)}
            if any(id(part) not in there for part in self._whole):
                self._halt(UNLOADED)
            if self._serving and any(isinstance(each, Script) and each.ns is None for each in there.values()):
                self._halt(BROKEN)
        return super()._of(name)
