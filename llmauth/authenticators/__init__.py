"""The ways in which clients prove who they are: one file a method, and one line in this table."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from llmauth.authenticators.base import Authenticator
from llmauth.authenticators.keys import ApiKeyOptions, IssuedKeys
from llmauth.clock import Clock
from llmauth.storage.keys import KeyStore

MethodOptions = ApiKeyOptions
"""One entry of `auth.methods`, told by its `type`."""

METHODS: Mapping[str, tuple[type[MethodOptions], Callable[[Any, KeyStore, Clock], Authenticator]]] = {
    "api_key": (ApiKeyOptions, lambda options, store, clock: IssuedKeys(store, clock)),
}


def build(options: MethodOptions, store: KeyStore, clock: Clock) -> Authenticator:
    """The method of these options, which judges by this store."""
    return METHODS[options.type][1](options, store, clock)
