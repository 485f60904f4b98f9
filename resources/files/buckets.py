"""Buckets of an object store that speaks S3."""

from __future__ import annotations

from collections.abc import Mapping
from urllib.parse import urlsplit

from pipeline_project.domain.core.errors import SettingInvalid

S3 = ("s3", "s3a")
#: Where a store that is not Amazon's is: variables that the lake's own library reads; the first that is set holds.
ENDPOINTS = ("AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL", "AWS_ENDPOINT")
REGIONS = ("AWS_REGION", "AWS_DEFAULT_REGION")


def make_bucket(url: str, environ: Mapping[str, str]) -> str | None:
    """Makes the bucket of an object store's URL where it is missing.

    Args:
        environ: says where the store is; credentials are looked for where Amazon's own tools look.

    Returns:
        The bucket's name; None where the URL names no bucket of S3's.

    Raises:
        SettingInvalid: the store does not answer, or does not let us.
    """
    parts = urlsplit(url)
    if parts.scheme not in S3:
        return None
    from pyarrow.fs import S3FileSystem

    endpoint = urlsplit(next((environ[name] for name in ENDPOINTS if environ.get(name)), ""))
    where = {"endpoint_override": endpoint.netloc, "scheme": endpoint.scheme} if endpoint.netloc else {}
    region = next((environ[name] for name in REGIONS if environ.get(name)), "us-east-1")
    try:
        S3FileSystem(region=region, allow_bucket_creation=True, **where).create_dir(parts.netloc)
    except OSError as error:
        raise SettingInvalid(
            f"the bucket {parts.netloc} cannot be made ({type(error).__name__}): look at AWS_ENDPOINT_URL, "
            "AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or let the store's owner make it and leave out --bucket"
        ) from None
    return parts.netloc
