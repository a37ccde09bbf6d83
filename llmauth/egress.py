"""What becomes of hosts that are no provider of ours: refused, tunnelled untouched, or asked in clear text."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from llmauth.addresses import HostPort, is_ip_literal

_TLS_PORT = 443


@dataclass(frozen=True, slots=True, kw_only=True)
class Egress:
    """The policy. `allow` has exact hosts and ports; `ports` are those that `default: tunnel` and `learn` open."""

    default: Literal["deny", "tunnel", "learn"] = "deny"
    allow: frozenset[HostPort] = frozenset()
    ports: frozenset[int] = frozenset({_TLS_PORT})

    def permits(self, target: HostPort) -> bool:
        """Whether a tunnel to this place may be opened; the address it leads to is judged when it is dialled.

        An address instead of a name needs an entry: of an address, a policy could not tell whose it is.
        """
        if target in self.allow:
            return True
        return self.default != "deny" and target.port in self.ports and not is_ip_literal(target.host)

    def carries_plain(self, target: HostPort) -> bool:
        """Whether http:// to this place is carried: where an entry names the port, which 443 may have by default."""
        return target in self.allow and target.port != _TLS_PORT

    def names(self, target: HostPort) -> bool:
        """Whether the name may be written down: it stands in the configuration, or writing it down is the policy."""
        return target in self.allow or self.default == "learn"
