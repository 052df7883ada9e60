"""Downloads data sets: fetches files over HTTP, verifies them, unpacks archives into a folder."""

from isnet.data.download.checksums import ExpectedFile
from isnet.data.download.extraction import unpack
from isnet.data.download.hash_lock_file import HashLockFile
from isnet.data.download.http_download import RemoteFile, fetch
from isnet.data.download.http_response import LoginRequired

__all__ = ["ExpectedFile", "HashLockFile", "LoginRequired", "RemoteFile", "fetch", "unpack"]
