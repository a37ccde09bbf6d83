"""Hosts of STS: botocore's own for every region, and none besides."""

from __future__ import annotations

import botocore.session
import pytest
from botocore.regions import EndpointResolver

from llmauth.authenticators.aws_iam.hosts import host_of, region_of

SESSION = botocore.session.Session()
RESOLVER = EndpointResolver(SESSION.get_data("endpoints"))
REGIONS = [
    (partition, region)
    for partition in SESSION.get_available_partitions()
    for region in SESSION.get_available_regions("sts", partition)
]


def test_every_region_that_botocore_knows_has_the_host_that_botocore_asks() -> None:
    assert len(REGIONS) > 30
    for partition, region in REGIONS:
        resolved = RESOLVER.construct_endpoint("sts", region, partition)
        assert host_of(region) == resolved["hostname"], (partition, region)
        assert region_of(host_of(region)) == region


@pytest.mark.parametrize(
    ("host", "region"),
    [
        ("sts.amazonaws.com", "us-east-1"),
        ("sts-fips.us-west-2.amazonaws.com", "us-west-2"),
        ("sts.us-gov-west-1.amazonaws.com", "us-gov-west-1"),
        ("sts.cn-north-1.amazonaws.com.cn", "cn-north-1"),
        ("sts.ap-southeast-7.amazonaws.com", "ap-southeast-7"),
    ],
)
def test_a_host_tells_its_region(host, region) -> None:
    assert region_of(host) == region


@pytest.mark.parametrize(
    "host",
    [
        *("sts.us-east-1.amazonaws.com.cn", "sts.us-east-1.amazonaws.com.", "sts", "", "."),
        # These fit the pattern of their partition, and are no regions: a caller could make millions of them.
        *("sts.us-mars-1.amazonaws.com", "sts.us-east-99.amazonaws.com", "sts-fips.eu-aaaaaaaaaaaa-1.amazonaws.com"),
        *("sts.aws-global.amazonaws.com", "sts.us-isob-moon-1.sc2s.sgov.gov"),
    ],
)
def test_other_hosts_tell_none(host) -> None:
    assert region_of(host) is None


@pytest.mark.parametrize(
    "region", ["", "us-east", "us-east-1.evil", "US-EAST-1", "us-east-１", "us-east-1\n", "local", "us-mars-1"]
)
def test_what_is_no_region_has_no_host(region) -> None:
    with pytest.raises(ValueError, match="no region of AWS"):
        host_of(region)
