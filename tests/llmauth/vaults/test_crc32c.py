"""CRC-32C by the examples of RFC 3720, appendix B.4."""

from __future__ import annotations

import pytest

from llmauth.vaults.crc32c import crc32c


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (b"", 0),
        (bytes(32), 0x8A9136AA),
        (b"\xff" * 32, 0x62A8AB43),
        (bytes(range(32)), 0x46DD794E),
        (bytes(reversed(range(32))), 0x113FDB5C),
        (b"123456789", 0xE3069283),
    ],
)
def test_the_examples(content: bytes, told: int) -> None:
    assert crc32c(content) == told
