"""The ways in which clients prove who they are: one file a method, and one line in this table."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Annotated, Any

from pydantic import BaseModel, Field

from llmauth.authenticators.alb import AlbOptions, LoadBalancer
from llmauth.authenticators.aws_iam import AwsIam, AwsIamOptions
from llmauth.authenticators.base import Authenticator, AuthSurroundings
from llmauth.authenticators.basic import Basic, BasicOptions
from llmauth.authenticators.imported import ApiKeys
from llmauth.authenticators.keys import ApiKeyOptions
from llmauth.authenticators.mtls import ClientCertificates, MtlsOptions
from llmauth.authenticators.oidc import OidcOptions, OpenId
from llmauth.authenticators.service_account import ServiceAccountOptions, ServiceAccounts
from llmauth.authenticators.sigv4 import Signatures, Sigv4Options

MethodOptions = Annotated[
    ApiKeyOptions
    | BasicOptions
    | OidcOptions
    | AlbOptions
    | AwsIamOptions
    | ServiceAccountOptions
    | MtlsOptions
    | Sigv4Options,
    Field(discriminator="type"),
]
"""One entry of `auth.methods`, told by its `type`."""

METHODS: Mapping[str, tuple[type[BaseModel], Callable[[Any, AuthSurroundings], Authenticator]]] = {
    "api_key": (ApiKeyOptions, ApiKeys),
    "basic": (BasicOptions, Basic),
    "oidc": (OidcOptions, OpenId),
    "alb": (AlbOptions, LoadBalancer),
    "aws_iam": (AwsIamOptions, AwsIam),
    "service_account": (ServiceAccountOptions, ServiceAccounts),
    "mtls": (MtlsOptions, ClientCertificates),
    "sigv4": (Sigv4Options, Signatures),
}


def build(options: MethodOptions, surroundings: AuthSurroundings) -> Authenticator:
    """The method of these options; ValueError, a sentence, for what cannot be used as configured."""
    return METHODS[options.type][1](options, surroundings)
