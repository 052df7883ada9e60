"""Files from elsewhere: fetched over HTTP whole and verified, archives unpacked whole and inside
their folder.
"""

from __future__ import annotations

from isnet.transfer.extraction import unpack
from isnet.transfer.identity import Identity
from isnet.transfer.ledger import Ledger
from isnet.transfer.remote_file import RemoteFile, fetch
from isnet.transfer.reply import LoginPage

__all__ = ["Identity", "Ledger", "LoginPage", "RemoteFile", "fetch", "unpack"]
