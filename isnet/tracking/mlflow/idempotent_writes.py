"""Makes concurrent MLflow writes idempotent: a file lock within a host; across hosts the oldest of
several equal entries is used, and none is deleted.
"""

import contextlib
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

CREATED = "isnet.created"
"""Tag: creation time in Unix nanoseconds."""
_DUPLICATE_OF = "isnet.duplicate_of"


@contextlib.contextmanager
def lock_creation(folder: Path, name: str = "mlflow") -> Iterator[None]:
    """Lock the creation of an MLflow entry on this host; waits at most ten seconds."""
    lock = FileLock(folder / f".{name}.lock")
    with contextlib.suppress(OSError, NotImplementedError, Timeout):
        # Without a lock (file system without locks, hanging owner) the oldest entry decides.
        lock.acquire(timeout=10)
    try:
        yield
    finally:
        lock.release()


def create_once(exists: Callable[[], bool], create: Callable[[], Any]) -> None:
    """Create an entry unless it exists. If MLflow refuses, another uploader may have created it in
    between: that is no error.
    """
    if exists():
        return
    try:
        create()
    except Exception:
        if not exists():
            raise


def oldest_first(runs: Iterable[Any]) -> list[Any]:
    """Return MLflow runs sorted by creation time, the same order for all uploaders."""
    return sorted(runs, key=lambda run: (int(run.data.tags.get(CREATED, 0)), str(run.info.run_id)))


def use_oldest(client: Any, runs: Iterable[Any]) -> str:
    """Return the id of the oldest run, and mark the others as its duplicates by tag and name."""
    oldest, *others = oldest_first(runs)
    for run in others:
        if _DUPLICATE_OF not in run.data.tags:
            name = f"{run.info.run_name} (duplicate)"
            client.set_tag(run.info.run_id, _DUPLICATE_OF, oldest.info.run_id)
            client.update_run(run.info.run_id, status="KILLED", name=name)
    return str(oldest.info.run_id)


def search_all(search: Callable[[str | None], Any]) -> list[Any]:
    """Return the results of all pages of an MLflow search; `search` is called with page tokens."""
    found, token = [], None
    while True:
        page = search(token)
        found += page
        token = page.token
        if not token:
            return found
