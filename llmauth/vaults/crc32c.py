"""CRC-32C, Castagnoli's polynomial: the sum that Google sends beside a payload."""

from __future__ import annotations

# Reflected, as RFC 3720 (appendix B.4) uses it; zlib's crc32 has another one.
_POLYNOMIAL = 0x82F63B78


def _row(value: int) -> int:
    for _ in range(8):
        value = (value >> 1) ^ (_POLYNOMIAL if value & 1 else 0)
    return value


_TABLE = tuple(map(_row, range(256)))


def crc32c(content: bytes) -> int:
    """The sum of these bytes; a tenth of a millisecond for one KiB."""
    value = 0xFFFFFFFF
    for byte in content:
        value = (value >> 8) ^ _TABLE[(value ^ byte) & 0xFF]
    return value ^ 0xFFFFFFFF
