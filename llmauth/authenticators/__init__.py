"""The ways in which clients prove who they are: one file a method, and one line in this table."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from pydantic import BaseModel

from llmauth.authenticators.base import Authenticator, AuthSurroundings
from llmauth.authenticators.keys import ApiKeyOptions, IssuedKeys

MethodOptions = ApiKeyOptions
"""One entry of `auth.methods`, told by its `type`."""

METHODS: Mapping[str, tuple[type[BaseModel], Callable[[Any, AuthSurroundings], Authenticator]]] = {
    "api_key": (ApiKeyOptions, IssuedKeys),
}


def build(options: MethodOptions, surroundings: AuthSurroundings) -> Authenticator:
    """The method of these options; ValueError, a sentence, for what cannot be used as configured."""
    return METHODS[options.type][1](options, surroundings)
