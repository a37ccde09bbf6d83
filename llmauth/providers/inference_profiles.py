"""Bedrock's inference profiles: a prefix of a model's id that says in which part of the world it is asked for."""

from __future__ import annotations

import re

# "An inference profile fixes the geography of the source region": which regions may be asked for it.
_GEOGRAPHIES: dict[str, tuple[str, ...]] = {
    "us": ("us-east-", "us-west-", "ca-"),
    "us-gov": ("us-gov-",),
    "eu": ("eu-",),
    "apac": ("ap-",),
    "jp": ("ap-northeast-1", "ap-northeast-3"),
    "au": ("ap-southeast-2", "ap-southeast-4", "ap-southeast-6"),
    "in": ("ap-south-",),
    "global": ("",),
}
_PROFILE = re.compile(r"(us-gov|us|eu|apac|jp|au|in|global)\.")
_ARN = re.compile(r"arn:aws[a-z-]*:bedrock:([a-z0-9-]+):")
_PROFILE_ARN = re.compile(r"arn:aws[a-z-]*:bedrock:[a-z0-9-]+:[0-9]*:inference-profile/")


def serves(region: str | None, model: str) -> bool:
    """Whether a Bedrock id may be asked of a region: a profile belongs to a geography, an ARN to a region."""
    if region is None:
        return True
    profile, arn = _PROFILE.match(model), _ARN.match(model)
    if arn is not None:
        return arn[1] == region
    return profile is None or region.startswith(_GEOGRAPHIES[profile[1]])


def foundation(model: str) -> str:
    """The id of the model that a profile leads to, as far as its own id tells; any other id as it is."""
    name = model.rpartition("/")[2] if _PROFILE_ARN.match(model) else model
    return _PROFILE.sub("", name, count=1) if _PROFILE.match(name) else name


def geography(region: str) -> str | None:
    """The prefix of the inference profiles of a region, `None` where it has none."""
    return next(
        (name for name in ("us-gov", "us", "eu", "apac") if region.startswith(_GEOGRAPHIES[name])),
        None,
    )
