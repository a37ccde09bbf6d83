"""mitmproxy's options under a stock tool: all but a few keep the value that the guarantees were tested with."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Mapping
from typing import Any

from mitmproxy import exceptions, optmanager

from addons.launch.ending import Misused

# How things look; nothing that is sent, dialled, kept or opened depends on these.
FREE = frozenset(
    {
        *("termlog_verbosity", "flow_detail", "content_view_lines_cutoff", "showhost"),
        *("web_columns", "web_open_browser", "web_password"),
        *("view_filter", "view_order", "view_order_reversed", "console_focus_follow"),
    }
)
# Where a user may also have written what happens anyway, since the addon that would do otherwise is not there.
ALSO = {"onboarding": False, "block_global": False, "keepserving": True}
# Draining turns it off; turned on again it opens the configured ports and no others.
_RELEASED = frozenset({"server"})

Refuse = Callable[[str, Any], None]


class Pinned(optmanager._Option):
    """An option that cannot be changed, on whatever way: by `update`, by a reset, by a roll-back, or half.

    An update that fails over the type of its second value leaves the first one set and tells nobody, so a look at
    what was changed afterwards would come too late, or never.
    """

    __slots__ = ("_refuse",)

    def __init__(self, option: optmanager._Option, value: Any, refuse: Refuse) -> None:
        super().__init__(option.name, option.typespec, option.default, option.help, option.choices)
        self.value = value
        self._refuse = refuse

    def set(self, value: Any) -> None:
        if value != self.value:
            self._refuse(self.name, value)
            raise refusal(self.name)

    def reset(self) -> None:
        """Stays as it is."""

    def __deepcopy__(self, memo: object) -> Pinned:
        return self  # a roll-back puts copies in the place of options


def refusal(name: str) -> exceptions.OptionsError:
    """What whoever tried to change the option is told."""
    return exceptions.OptionsError(f"The option {name} cannot be changed: what this gateway promises depends on it.")


def wanted(options: optmanager.OptManager, ours: Mapping[str, Any]) -> dict[str, Any]:
    """The value of every option that is not free: ours, what the user may say as well, or mitmproxy's default."""
    defaults = {name: options.default(name) for name in options.keys() - FREE}
    return {**defaults, **{name: value for name, value in ALSO.items() if name in defaults}, **ours}


def check(options: optmanager.OptManager, pinned: Mapping[str, Any]) -> None:
    """Raises Misused for the first option that the user gave another value than it will have."""
    for name, value in pinned.items():
        given = getattr(options, name)
        if given == options.default(name) or (given == value and name != "mode"):
            continue
        if name in ("mode", "listen_host", "listen_port", "server"):
            raise Misused(f"mitmproxy's option {name} is set; here the section server: of the configuration decides.")
        raise Misused(f"mitmproxy's option {name} may not be set beside this chain; its value is fixed. Leave it out.")


def pin(options: optmanager.OptManager, pinned: Mapping[str, Any], refuse: Refuse) -> None:
    """Put the values in force, and their options beyond change."""
    options.update(**{name: value for name, value in pinned.items() if name in options})
    for name in pinned.keys() - _RELEASED:
        options._options[name] = Pinned(options._options[name], pinned[name], refuse)


def move(options: optmanager.OptManager, name: str, value: Any) -> None:
    """Give a pinned option another value, as nobody but this gateway may; it is read when it is needed."""
    option = options._options[name]
    assert isinstance(option, Pinned)
    option.value = value


class Guard:
    """Stands first, so that it sees a change before any other addon acts on it: an option that was declared anew."""

    name = "guard"

    def __init__(self, options: optmanager.OptManager) -> None:
        self._options = options
        self._pins = {name: option for name, option in options.items() if isinstance(option, Pinned)}

    def configure(self, updated: set[str]) -> None:
        replaced = [name for name, pin in self._pins.items() if self._options._options.get(name) is not pin]
        for name in replaced:
            self._options._options[name] = self._pins[name]
        if replaced:
            raise refusal(replaced[0])


def unknown(options: optmanager.OptManager) -> Misused | None:
    """What to say of options that nobody declared: mitmproxy keeps them for later, and never mentions them again."""
    if not options.deferred:
        return None
    name = min(options.deferred)
    near = difflib.get_close_matches(name, options.keys(), 1)
    hint = f"; did you mean {near[0]}?" if near else "."
    return Misused(f"mitmproxy has no option {name!r:.80}{hint}")
