"""The options of the method `oidc`: whose tokens are taken, for whom they must be, and which claims name the user."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Literal, Self
from urllib.parse import urlsplit

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    StrictBool,
    StrictInt,
    model_validator,
)

from llmauth.authenticators.oidc.keyset import Algorithm

LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1"})


def as_list(value: object) -> object:
    """One text stands for a list of it."""
    return (value,) if isinstance(value, str) else value


def checked_url(url: str) -> str:
    """A URL whose answers can be believed; ValueError, a sentence, for any other."""
    try:
        parts = urlsplit(url)
        _ = parts.port
    except ValueError:
        raise ValueError("not a URL like https://idp.example.com") from None
    plain = parts.scheme == "http" and parts.hostname in LOOPBACK
    if parts.scheme != "https" and not plain:
        raise ValueError("must begin with https://; http:// is for this machine itself (localhost) alone")
    bare = parts.username is None and not parts.query and not parts.fragment and "?" not in url and "#" not in url
    if not parts.hostname or not bare or not url.isascii() or not url.isprintable() or " " in url:
        raise ValueError("not a URL like https://idp.example.com, without a user, a query or a fragment")
    return url


Url = Annotated[str, AfterValidator(checked_url)]
Texts = Annotated[tuple[Annotated[str, Field(min_length=1)], ...], BeforeValidator(as_list)]


class Claims(BaseModel):
    """Which claims name the user and the groups: an exact name, or a path with dots into nested objects."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    user: Annotated[str, Field(min_length=1)] = "sub"
    groups: Annotated[str, Field(min_length=1)] = "groups"


class OidcOptions(BaseModel):
    """`{type: oidc, issuer: https://idp.corp, audience: [llm-proxy]}`, one entry for each issuer."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    type: Literal["oidc"]
    issuer: Url
    audience: Texts = ()
    client_ids: Texts = ()
    algorithms: Annotated[tuple[Algorithm, ...], BeforeValidator(as_list), Field(min_length=1)] = ("RS256", "ES256")
    claims: Claims = Claims()
    required: Mapping[str, str | StrictBool | StrictInt] = {}
    jwks_uri: Url | None = None
    ca_file: Path | None = None

    @model_validator(mode="after")
    def _is_meant_for_somebody(self) -> Self:
        # Else a token that its user gave to any other service of this issuer would open this one as well.
        if not self.audience and not self.client_ids:
            raise ValueError("name the `audience` that tokens must be for, or the `client_ids` that they are issued to")
        return self
