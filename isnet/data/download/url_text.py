"""Addresses as people may see them."""

from __future__ import annotations

from urllib.parse import urlsplit, urlunsplit

__all__ = ["LOOPBACK", "shown"]

LOOPBACK = ("127.0.0.1", "::1", "localhost")
"""Hosts that are this machine."""


def shown(url: str) -> str:
    """Return `url` without user, password and the values of its query, which may be credentials.

    What is taken away is shown as `...`, so that nobody copies half an address unawares.
    """
    parts = urlsplit(url)
    user, at, host = parts.netloc.rpartition("@")
    query = "..." if parts.query else ""
    return urlunsplit((parts.scheme, f"...{at}{host}" if user else host, parts.path, query, ""))
