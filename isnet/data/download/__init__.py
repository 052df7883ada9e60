"""Downloads files over HTTP, verifies their hashes, and unpacks archives into a folder."""

from isnet.data.download.extraction import unpack
from isnet.data.download.file_hashes import ExpectedFile, HashLockFile
from isnet.data.download.http_download import LoginRequired, RemoteFile, fetch

__all__ = ["ExpectedFile", "HashLockFile", "LoginRequired", "RemoteFile", "fetch", "unpack"]
