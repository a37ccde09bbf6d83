"""One question to Vault through its client library, within the time of a read; what it says, and what that means."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from llmauth.outbound import Outbound, Trust
from llmauth.outbound.objects import json_object
from llmauth.outbound.session import session_over
from llmauth.secrets import Secret
from llmauth.sources import SourceFailed
from llmauth.vaults.hashicorp.place import Place

TIME_LIMIT = 4.0
"""Seconds for a read with all its calls: less than the deadline of a load, so that the reason told is the real one."""

Question = Callable[[Any], Any]
"""What is asked, of a client of the library."""

_REDIRECTS = (301, 302, 303, 307, 308)
_REFUSALS: Mapping[int, str] = {
    400: "its engine refuses, and Vault's own log has the reason",
    403: "permission denied: its policies must allow `read` of this path",
    405: "what is there cannot be read",
    412: "this replica does not know our token yet",
    429: "it limits our requests",
    501: "it is not initialised",
    503: "it is sealed, or a standby that serves nobody",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What Vault said: `content` is its JSON object, empty where it sent none. No repr shows it."""

    status: int
    content: Mapping[str, Any] = field(default_factory=dict, repr=False)

    @property
    def ok(self) -> bool:
        """Whether it is an answer, and no refusal."""
        return self.status in (200, 204)


def deadline() -> float:
    """When a read that begins now has to be over, on the machine's monotonic clock."""
    return time.monotonic() + TIME_LIMIT


class Calls:
    """Vault at one place. A client for each question: none is shared, so that no thread meets another one's token."""

    def __init__(self, place: Place, outbound: Outbound) -> None:
        self.place = place
        self._outbound = outbound.trusting(Trust(ca_file=place.ca_file, private=True, plain=place.plain))

    def ask(self, question: Question, ends: float, token: Secret | None = None) -> Answer:
        """Ask until `ends`; the answer whatever its status. SourceFailed where nothing came that is Vault's."""
        client = self._client(ends, token)
        try:
            response = question(client)
        except Exception as error:
            # Their texts quote URLs and headers; ours alone is clean, and comes as this class.
            raise SourceFailed(self._reason(error)) from None
        if response.status_code in _REDIRECTS:
            # To follow it would show our token, or what we log in with, to a host that nobody configured.
            raise SourceFailed(
                f"Vault at {self.place.host} is a standby and points elsewhere (HTTP {response.status_code}); "
                "set vaults.hashicorp.address to the active node or to the load balancer before them"
            )
        content = json_object(response.content)
        if content is None and response.status_code == 200:
            raise SourceFailed(f"{self.place.host} answered what no Vault says; is vaults.hashicorp.address right?")
        return Answer(status=response.status_code, content=content or {})

    def refusal(self, answer: Answer, what: str) -> SourceFailed:
        """The sentence for a refusal: its status alone, as the words of an answer may be anybody's."""
        why = _REFUSALS.get(answer.status, "it failed" if answer.status >= 500 else "it refuses")
        return SourceFailed(f"Vault at {self.place.host} gave no {what} (HTTP {answer.status}): {why}")

    def _client(self, ends: float, token: Secret | None) -> Any:
        # In the thread of a load: it takes a tenth of a second.
        from hvac import Client
        from hvac.adapters import RawAdapter

        left = round(ends - time.monotonic(), 1)
        if left <= 0:
            raise SourceFailed(f"Vault at {self.place.host} did not answer within {TIME_LIMIT:g} s")
        return Client(
            url=self.place.url,
            # Without a token, the library would take one from the environment or the home folder.
            token=token.reveal() if token is not None else "",
            namespace=self.place.namespace,
            verify=True,
            session=session_over(self._outbound.within(left)),
            allow_redirects=False,
            # The answer itself, so that nothing else reads what a stranger may have sent.
            adapter=RawAdapter,
            ignore_exceptions=True,
        )

    def _reason(self, error: Exception) -> str:
        from requests.exceptions import ConnectionError as Unreached

        if not isinstance(error, Unreached):
            return f"Vault at {self.place.host} cannot be asked: {type(error).__name__}"
        if self.place.ca_file is not None and not _is_authority(self.place.ca_file):
            return f"{self.place.ca_file}, the certificate authority of Vault, cannot be read or holds no certificate"
        ours = "vaults.hashicorp.ca_file or VAULT_CACERT"
        return f"Vault cannot be asked: {str(error).replace('upstream.ca_file', ours)}"


def seconds(value: object) -> float | None:
    """A time span as Vault tells it; `None` for none, and for what is no number of seconds."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    # A number beyond what a float holds is none either.
    return float(value) if 0 < value < 1e10 and math.isfinite(value) else None


def _is_authority(file: Path) -> bool:
    try:
        Trust(ca_file=file, roots=False).context()
    except SourceFailed:
        return False
    return True
