"""Makes concurrent MLflow writes idempotent: a file lock within a host; across hosts the oldest of
several equal entries is used, and none is deleted.
"""

import contextlib
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

CREATED = "isnet.created"  # tag: creation time in Unix nanoseconds
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
    """Create an entry unless it exists; that another uploader creates it meanwhile is no error."""
    if exists():
        return
    try:
        create()
    except Exception:
        if not exists():
            raise


def find_or_create_run(
    client: Any, experiment_id: str, key: tuple[str, str], tags: dict[str, str], **new: Any
) -> str:
    """Return the id of the oldest run with the tag `key`, or of a new one.

    Others with the tag, which other hosts created concurrently, are marked as its duplicates by tag
    and name. Call it within `lock_creation`. `tags` and `new` (arguments of `create_run`) describe
    a new run.
    """
    found = search_runs(client, experiment_id, *key)
    if not found:
        tags = dict([key]) | {CREATED: str(time.time_ns()), "mlflow.source.name": "isnet"} | tags
        created = client.create_run(experiment_id, tags=tags, **new)
        found = search_runs(client, experiment_id, *key) or [created]
    oldest, *others = found
    for run in others:
        if _DUPLICATE_OF not in run.data.tags:
            name = f"{run.info.run_name} (duplicate)"
            client.set_tag(run.info.run_id, _DUPLICATE_OF, oldest.info.run_id)
            client.update_run(run.info.run_id, status="KILLED", name=name)
    return str(oldest.info.run_id)


def search_runs(client: Any, experiment_id: str, tag: str, value: str) -> list[Any]:
    """Return the runs with a tag, oldest first: the same order for all uploaders."""
    found = search_all(
        lambda token: client.search_runs(
            [experiment_id], f"tags.`{tag}` = '{value}'", page_token=token
        )
    )
    return sorted(found, key=lambda run: (int(run.data.tags.get(CREATED, 0)), run.info.run_id))


def search_all(search: Callable[[str | None], Any]) -> list[Any]:
    """Return the results of all pages of an MLflow search; `search` is called with page tokens."""
    found, token = [], None
    while True:
        page = search(token)
        found += page
        token = page.token
        if not token:
            return found
