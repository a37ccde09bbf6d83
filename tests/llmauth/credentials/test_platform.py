"""Platforms, told by the environment."""

from __future__ import annotations

import logging

import pytest

from llmauth.credentials import platform

IRSA = {
    "AWS_ROLE_ARN": "arn:aws:iam::1:role/x",
    "AWS_WEB_IDENTITY_TOKEN_FILE": "/t",
    "KUBERNETES_SERVICE_HOST": "10.0.0.1",
}


@pytest.mark.parametrize(
    ("environ", "name"),
    [
        (IRSA, "eks"),
        ({"AWS_CONTAINER_CREDENTIALS_FULL_URI": "http://169.254.170.23/v1/credentials"}, "eks"),
        ({"AWS_ROLE_ARN": "arn:aws:iam::1:role/x"}, "generic"),
        ({"AWS_ROLE_ARN": "", "AWS_WEB_IDENTITY_TOKEN_FILE": "/t"}, "generic"),
        ({"KUBERNETES_SERVICE_HOST": "10.0.0.1"}, "kubernetes"),
        ({}, "generic"),
    ],
)
def test_detects(environ: dict[str, str], name: str) -> None:
    assert platform.detect(environ) == name


def test_announces_what_users_grep_for(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    platform.announce(IRSA)
    platform.announce({})
    assert [record.getMessage() for record in caplog.records] == [
        "Platform detected: eks",
        "Features available: aws_workload_identity=true",
        "Platform detected: generic",
        "Features available: none",
    ]
