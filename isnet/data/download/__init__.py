"""Downloads files over HTTP, verifies their hashes, and unpacks archives into a folder."""

from isnet.data.download.file_hashes import ExpectedFile, HashLockFile
from isnet.data.download.http_download import LoginRequired, RemoteFile, fetch
from isnet.data.download.unpacked_folder import unpack

__all__ = ["ExpectedFile", "HashLockFile", "LoginRequired", "RemoteFile", "fetch", "unpack"]
