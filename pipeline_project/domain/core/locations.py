"""Where files lie, as people write it: a folder, or the URL of an object store."""

from __future__ import annotations

#: How the URLs begin behind which files may lie.
SCHEMES = ("s3", "s3a", "gs", "az", "abfs", "abfss")


def is_url(text: str) -> bool:
    """Whether a text names an object store and not a path."""
    scheme, separator, _ = text.partition("://")
    return bool(separator) and scheme.lower() in SCHEMES


def below(place: str, *names: str) -> str:
    """What lies below a folder or a URL."""
    return "/".join([place.rstrip("/"), *names])
