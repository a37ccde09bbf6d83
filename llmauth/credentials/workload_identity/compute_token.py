"""IBM's compute resource token: which file of a pod or of Code Engine holds it, and what is no such token."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from llmauth.platform import Machine
from llmauth.platform.tokens import audiences
from llmauth.sources import SourceFailed

VARIABLE = "IBMCLOUD_CR_TOKEN"
# In the order in which IBM's libraries look. In a pod it is projected, in Code Engine it is put there.
IN_A_POD = ("/var/run/secrets/tokens/vault-token", "/var/run/secrets/tokens/sa-token")
IN_CODE_ENGINE = "/var/run/secrets/codeengine.cloud.ibm.com/compute-resource-token/token"

_AUDIENCE = "iam"


@dataclass(frozen=True, slots=True)
class ComputeToken:
    """Where it is; it is read anew whenever it is shown, as Kubernetes rotates it."""

    place: str
    _text: Callable[[], str | None] = field(repr=False)

    def read(self) -> str:
        """The token; SourceFailed where its place holds none."""
        text = self._text()
        if not text or not text.isascii() or not text.isprintable() or " " in text:
            raise SourceFailed(f"{self.place} cannot be read, or holds no compute resource token")
        return text


def compute_token(machine: Machine, given: Path | None) -> ComputeToken | None:
    """The token that is named, by the option or by IBM's variable, or else the first that lies where they usually do.

    Those that are not named are taken for IBM's only where they say so: other tokens lie in the same places, and one
    that is meant for a vault must not be sent to IBM.
    """
    if given is not None:
        return _file(machine, str(given))
    named = machine.environ.get(VARIABLE)
    if named:
        return _file(machine, named[1:]) if named.startswith("@") else ComputeToken(VARIABLE, lambda: named)
    for path in IN_A_POD:
        if _AUDIENCE in audiences(machine.read(path) or ""):
            return _file(machine, path)
    return _file(machine, IN_CODE_ENGINE) if machine.read(IN_CODE_ENGINE) else None


def _file(machine: Machine, path: str) -> ComputeToken:
    return ComputeToken(path, lambda: machine.read(path))
