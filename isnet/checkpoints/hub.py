"""Publishes weights on Hugging Face's hub, and downloads them from there.

`HF_ENDPOINT` names another server of the same protocol, `HF_TOKEN` or `hf auth login` the account.
"""

import contextlib
import logging
import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from isnet.errors import UserError
from isnet.extras import install_command, is_installed
from isnet.io.message_text import one_line

if TYPE_CHECKING:
    from huggingface_hub import HfApi

PREFIX = "hf://"
WEIGHTS = "weights.pth"
"""Name of the weights file in a repository."""
_REPOSITORY = r"[\w.-]+/[\w.-]+"
_ADDRESS = re.compile(rf"{PREFIX}({_REPOSITORY})(?:@(\S+))?")


class Published(NamedTuple):
    """A commit of files on the hub."""

    repository: str
    commit: str
    endpoint: str

    @property
    def weights(self) -> str:
        """Return the address of the weights file of the commit."""
        return f"{self.endpoint}/{self.repository}/resolve/{self.commit}/{WEIGHTS}"


def publish(repository: str, folder: Path, message: str, *, private: bool) -> Published:
    """Commit all files of a folder to the model repository OWNER/NAME; its other files are kept.

    A repository that does not exist is created: private if `private`, else by the owner's default.

    Raises:
        UserError: the hub cannot be reached, or refuses, or the repository should be private and
            is public.
    """
    api = _api()
    with _hub_errors(repository):
        api.create_repo(repository, private=private or None, exist_ok=True)
        if private and not api.model_info(repository).private:
            hint = "Make it private on the hub, or leave --private out"
            raise UserError("the repository is public", where=PREFIX + repository, hint=hint)
        done = api.upload_folder(repo_id=repository, folder_path=folder, commit_message=message)
    return Published(repository, done.oid, api.endpoint)


def download(address: str) -> Path:
    """Download the weights file of a model repository into the hub's cache, and return its path.

    `address` is `hf://OWNER/NAME`, or `hf://OWNER/NAME@REVISION` for a branch, tag or commit.
    Raises UserError if it has another form, or the file cannot be downloaded.
    """
    match = _ADDRESS.fullmatch(address)
    if not match:
        raise UserError(f"{address} names no repository", hint="Write hf://OWNER/NAME")
    repository, revision = match.groups()
    api = _api()
    with _hub_errors(repository):
        return Path(api.hf_hub_download(repository, WEIGHTS, revision=revision))


def check_repository(name: str) -> None:
    """Raise UserError unless a name has the form OWNER/NAME."""
    if not re.fullmatch(_REPOSITORY, name):
        raise UserError(f"{name} names no repository", hint="Write OWNER/NAME")


def _api() -> "HfApi":
    if not is_installed("huggingface_hub"):
        hint = f"Run {install_command('huggingface-hub')}"
        raise UserError("huggingface_hub is not installed", hint=hint)
    from huggingface_hub import HfApi

    logging.getLogger("huggingface_hub").setLevel(logging.ERROR)  # a line for each new try
    return HfApi(endpoint=(os.environ.get("HF_ENDPOINT") or "").rstrip("/") or None)


@contextlib.contextmanager
def _hub_errors(repository: str) -> Iterator[None]:
    """Convert the hub's errors to a `UserError` of one line."""
    from huggingface_hub import errors

    # The base class of the errors of its HTTP client, which differs between its versions.
    client_error: type[Exception] = errors.HfHubHTTPError.__bases__[0]
    where = PREFIX + repository
    try:
        yield
    except errors.HFValidationError as error:
        what = str(error).partition("\n")[0].rstrip(".")
        raise UserError(what, where=where, hint="Write OWNER/NAME") from None
    except errors.EntryNotFoundError as error:
        if isinstance(error, errors.LocalEntryNotFoundError):
            raise _unreachable(where, error) from None
        what = f"the repository has no {WEIGHTS}"
        raise UserError(what, where=where, hint="`isnet weights push` writes one") from None
    except errors.RevisionNotFoundError:
        what = "the repository has no such branch, tag or commit"
        raise UserError(what, where=where, hint="Correct what follows @") from None
    except errors.HfHubHTTPError as error:
        status = error.response.status_code
        hint = "Correct the name, or log in with `hf auth login` (HF_TOKEN on a server)"
        if status not in (401, 403, 404):
            hint = "Try again later"
        reason = error.server_message or error.response.reason_phrase
        raise UserError(f"the hub answers {status}: {reason}", where=where, hint=hint) from None
    except (client_error, errors.OfflineModeIsEnabled, OSError) as error:
        raise _unreachable(where, error) from None


def _unreachable(where: str, error: Exception) -> UserError:
    cause = error.__cause__ or error  # of an error that says that a file is not in the cache
    reason = one_line(cause).partition(". ")[0]
    hint = "Check the connection, HF_ENDPOINT and HF_HUB_OFFLINE; the same command tries again"
    return UserError(f"the hub cannot be reached: {reason}", where=where, hint=hint)
