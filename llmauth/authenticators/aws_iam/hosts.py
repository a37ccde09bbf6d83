"""The hosts of AWS's Security Token Service: one exact list, made of the regions that botocore knows."""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import cache

_REGION = re.compile(r"[a-z]{2,5}(-[a-z]{1,12}){1,3}-[0-9]{1,2}")
_GLOBAL, _GLOBAL_REGION = "sts.amazonaws.com", "us-east-1"
_NAMES = ("sts", "sts-fips")


def host_of(region: str) -> str:
    """The host of a region; ValueError, a sentence, for what is no region of AWS."""
    suffix = _suffixes().get(region)
    if suffix is None:
        raise ValueError("no region of AWS; wanted is one like us-east-1")
    return f"sts.{region}.{suffix}"


def region_of(host: str) -> str | None:
    """The region that a host signs for, `None` for whatever is no host of STS, letter by letter."""
    return _GLOBAL_REGION if host == _GLOBAL else _hosts().get(host)


@cache
def _suffixes() -> Mapping[str, str]:
    """Each region, and what its partition's hosts end in.

    The list, and not the partition's pattern for regions: of a pattern callers could make as many names as they like,
    and have each of them looked up.
    """
    from botocore.loaders import create_loader

    told = create_loader().load_data("partitions")["partitions"]
    return {
        region: one["outputs"]["dnsSuffix"] for one in told for region in one["regions"] if _REGION.fullmatch(region)
    }


@cache
def _hosts() -> Mapping[str, str]:
    return {f"{name}.{region}.{suffix}": region for region, suffix in _suffixes().items() for name in _NAMES}
