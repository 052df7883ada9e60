"""Downloads data sets: fetches files over HTTP, verifies them, unpacks archives into a folder."""

from isnet.data.download.extraction import unpack
from isnet.data.download.file_hashes import ExpectedFile, HashLockFile
from isnet.data.download.http_download import LoginRequired, RemoteFile, fetch

__all__ = ["ExpectedFile", "HashLockFile", "LoginRequired", "RemoteFile", "fetch", "unpack"]
