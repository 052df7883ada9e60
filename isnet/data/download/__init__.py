"""The `download` stage: fetch archives over HTTP, verify them, unpack them into one folder."""

from __future__ import annotations

from isnet.data.download.checksums import Identity
from isnet.data.download.extraction import unpack
from isnet.data.download.hash_lock_file import Ledger
from isnet.data.download.http_download import RemoteFile, fetch
from isnet.data.download.http_response import LoginPage

__all__ = ["Identity", "Ledger", "LoginPage", "RemoteFile", "fetch", "unpack"]
