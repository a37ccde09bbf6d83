"""What an OpenID provider publishes: the document that tells where its keys are, and the keys."""

from __future__ import annotations

import re
import time
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from llmauth.authenticators.oidc.keyset import KeySet, read_key_set
from llmauth.authenticators.oidc.options import OidcOptions, checked_url
from llmauth.outbound import Answer, Outbound, Trust
from llmauth.sources import SourceFailed

DISCOVERY = "/.well-known/openid-configuration"
TIME_LIMIT = 4.0
"""Seconds for both answers together."""
MOST_BYTES = 512 * 1024
SHORTEST, USUAL, LONGEST = 300.0, 3600.0, 86_400.0
"""For how many seconds keys may be used before they are fetched again."""

_MAX_AGE = re.compile(r"(?i)(?:^|[\s,])max-age\s*=\s*\"?(\d{1,9})(?=$|[\s,\"])")


@dataclass(frozen=True, slots=True, kw_only=True)
class Published:
    """The keys, and for how many seconds they are to be used."""

    keys: KeySet
    life: float


class Provider:
    """One issuer, as it is configured."""

    def __init__(self, options: OidcOptions, outbound: Outbound) -> None:
        self._issuer = options.issuer
        self._jwks_uri = options.jwks_uri
        self._plain = urlsplit(options.issuer).scheme == "http"
        self._outbound = way_to(options.issuer, outbound, options.ca_file)
        if options.jwks_uri is not None and options.ca_file is None and not self._plain:
            self._outbound = way_to(options.jwks_uri, self._outbound)

    def fetch(self) -> Published:
        """The keys of now; SourceFailed, whose reason repeats nothing that was received. Blocks, within TIME_LIMIT."""
        ends = time.monotonic() + TIME_LIMIT
        uri = self._jwks_uri or self._discovered(ends)
        answer = self._asked(uri, ends)
        return Published(keys=read_key_set(answer.body), life=_life(answer.headers.get("cache-control") or ""))

    def _discovered(self, ends: float) -> str:
        document = self._asked(self._issuer.rstrip("/") + DISCOVERY, ends).object() or {}
        named = document.get("issuer")
        if named != self._issuer:
            alike = isinstance(named, str) and named.rstrip("/") == self._issuer.rstrip("/")
            told = "; they differ by the slash at their end" if alike else ""
            raise SourceFailed(f"its discovery document is of another issuer than the one that is configured{told}")
        try:
            uri = checked_url(str(document.get("jwks_uri")))
        except ValueError:
            raise SourceFailed("its discovery document names no https address of its keys") from None
        if not self._plain and urlsplit(uri).scheme != "https":
            raise SourceFailed("its discovery document would have its keys fetched in clear text")
        return uri

    def _asked(self, url: str, ends: float) -> Answer:
        left = ends - time.monotonic()
        host = urlsplit(url).hostname
        if left <= 0:
            raise SourceFailed(f"{host} did not answer within {TIME_LIMIT:g} s")
        answer = self._outbound.within(left).ask("GET", url, {"Accept": "application/json"}, most=MOST_BYTES)
        if answer.status != 200:
            raise SourceFailed(f"{host} answered with status {answer.status}")
        return answer


def way_to(url: str, outbound: Outbound, ca_file: Path | None = None) -> Outbound:
    """How a place that is configured is reached: as providers are, but that its own name may lead to a private address.

    One with a CA of its own, or on this machine, is inside, and reached directly.
    """
    parts = urlsplit(url)
    plain = parts.scheme == "http"
    if plain or ca_file is not None:
        return outbound.trusting(Trust(ca_file=ca_file, private=True, plain=plain))
    return outbound.allowing(parts.hostname or "")


def _life(cache_control: str) -> float:
    told = _MAX_AGE.search(cache_control)
    if told is None:
        return SHORTEST if "no-store" in cache_control.lower() or "no-cache" in cache_control.lower() else USUAL
    return min(max(float(told[1]), SHORTEST), LONGEST)
