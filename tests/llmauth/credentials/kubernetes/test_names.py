"""Names of Kubernetes: what can be one, and what of a free one is repeated."""

from __future__ import annotations

import pytest
from pydantic import TypeAdapter, ValidationError

from llmauth.credentials.kubernetes.names import Key, Namespace, SecretName, is_namespace, shown


@pytest.mark.parametrize(
    ("kind", "name"),
    [
        (SecretName, "openai"),
        (SecretName, "my-keys.v1"),
        (SecretName, "a" * 253),
        (Namespace, "kube-system"),
        (Key, ".dockerconfigjson"),
        (Key, "tls.crt"),
        (Key, "a..b"),
    ],
)
def test_names_that_kubernetes_allows(kind, name) -> None:
    assert TypeAdapter(kind).validate_python(name) == name


@pytest.mark.parametrize(
    ("kind", "name"),
    [
        (SecretName, "-a"),
        (SecretName, "a/b"),
        (SecretName, "a" * 254),
        (SecretName, "a..b"),
        (SecretName, "a\n"),
        (Namespace, "a.b"),
        (Namespace, "a%2fb"),
        (Key, ".."),
        (Key, "..data"),
        (Key, "a/b"),
        (Key, "a b"),
    ],
)
def test_names_that_it_does_not(kind, name) -> None:
    with pytest.raises(ValidationError):
        TypeAdapter(kind).validate_python(name)


@pytest.mark.parametrize(("name", "is_one"), [("llmauth", True), ("", False), ("a\nb", False), ("a" * 64, False)])
def test_a_namespace_from_a_file(name, is_one) -> None:
    assert is_namespace(name) is is_one


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("minikube", "minikube"),
        ("arn:aws:eks:eu-west-1:111122223333:cluster/one", "arn:aws:eks:eu-west-1:111122223333:cluster/one"),
        ("a\nERROR", "?"),
        ("two words", "?"),
        ("a" * 129, "?"),
    ],
)
def test_a_free_name_in_a_sentence(name, told) -> None:
    assert shown(name) == told
