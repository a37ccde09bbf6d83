"""How a service trusts an issuer of OpenID: by its discovery document, by its keys, and by what its tokens claim."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any
from urllib.request import urlopen

import jwt


class Trust:
    """In the tokens of one issuer (RS256), whose documents are read at the first of them."""

    def __init__(self, issuer: str) -> None:
        self.issuer = issuer
        self._keys: jwt.PyJWKClient | None = None

    def claims(self, token: str, *audiences: str) -> Mapping[str, Any]:
        """What a token claims that is meant for one of these, or for anybody where none is named.

        jwt.PyJWTError says why there is nothing to believe.
        """
        if self._keys is None:
            self._keys = jwt.PyJWKClient(self._discovered())
        claims: Mapping[str, Any] = jwt.decode(
            token,
            self._keys.get_signing_key_from_jwt(token),
            algorithms=["RS256"],
            issuer=self.issuer,
            audience=audiences,
            options={"require": ["exp", "iat", "iss", "sub", "aud"], "verify_aud": bool(audiences)},
        )
        return claims

    def _discovered(self) -> str:
        with urlopen(f"{self.issuer}/.well-known/openid-configuration", timeout=10) as answer:
            document = json.load(answer)
        assert document["issuer"] == self.issuer
        uri: str = document["jwks_uri"]
        return uri
