"""Options of later strategies are valid today; the strategies say that they are not there."""

from __future__ import annotations

import pytest
from pydantic import TypeAdapter, ValidationError

from llmauth.credentials import StrategyOptions, build
from llmauth.credentials.base import StrategyUnavailable

ADAPTER = TypeAdapter(StrategyOptions)


@pytest.mark.parametrize(
    ("written", "label"),
    [
        (
            {"type": "vault", "backend": "hashicorp", "path": "aws/sts/bedrock-role", "field": "token"},
            "vault (hashicorp)",
        ),
        (
            {"type": "vault", "backend": "aws_secrets_manager", "secret_name": "k", "refresh_interval": "5m"},
            "vault (aws_secrets_manager)",
        ),
        ({"type": "kubernetes_secret", "secret_name": "k", "namespace": "n", "mount_path": "/m"}, "kubernetes_secret"),
        ({"type": "workload_identity", "provider": "azure"}, "workload_identity (azure)"),
        ({"type": "workload_identity", "provider": "ibm", "profile": "p"}, "workload_identity (ibm)"),
    ],
)
def test_says_that_it_is_not_there(written, label) -> None:
    strategy = build(ADAPTER.validate_python(written), "one", "bedrock", {})
    assert strategy.label == label
    with pytest.raises(StrategyUnavailable, match=r"is not available in this version"):
        strategy.load()


@pytest.mark.parametrize(
    "written",
    [
        {"type": "vault", "backend": "hashicorp", "secret_name": "k"},
        {"type": "vault", "backend": "hashicorp", "path": "p", "secret_name": "k"},
        {"type": "vault", "backend": "azure_key_vault", "path": "p"},
        {"type": "vault", "backend": "unheard", "path": "p"},
        {"type": "kubernetes_secret"},
        {"type": "workload_identity", "provider": "azure", "role_arn": "x"},
    ],
)
def test_wrong_options_are_told_today(written) -> None:
    with pytest.raises(ValidationError):
        ADAPTER.validate_python(written)
