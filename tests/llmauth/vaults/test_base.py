"""A reference can be shown: it names a place and holds no value."""

from llmauth.vaults.base import SecretRef


def test_a_reference_reads_like_a_place():
    assert str(SecretRef(backend="hashicorp", path="secret/data/llm")) == "hashicorp:secret/data/llm"
    assert (
        str(SecretRef(backend="hashicorp", path="secret/data/llm", field="api_key"))
        == "hashicorp:secret/data/llm#api_key"
    )
