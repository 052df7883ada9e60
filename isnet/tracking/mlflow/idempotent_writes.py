"""Makes concurrent MLflow writes idempotent.

Within a host, a file lock prevents duplicate entries. Across hosts, the oldest of several equal
entries is used. Duplicate runs are marked and not deleted.
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
    """Hold a file lock while an MLflow entry is created, against other processes of this host.

    Waits at most ten seconds for the lock, and then continues without the lock.
    """
    lock = FileLock(folder / f".{name}.lock")
    with contextlib.suppress(OSError, NotImplementedError, Timeout):
        # Without a lock (file system without locks, hanging owner) the oldest entry decides.
        lock.acquire(timeout=10)
    try:
        yield
    finally:
        lock.release()


def create_once(exists: Callable[[], bool], create: Callable[[], Any]) -> None:
    """Call `create` unless the entry exists; ignore its error if another uploader was faster."""
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
    """Find the oldest MLflow run with a tag, or create a run, and return its id.

    `key` is the name and value of the tag. Other hosts may have created further runs with the tag
    concurrently; these are marked as duplicates by tag and name. Call this function within
    `lock_creation`. `tags` and `new` (arguments of `create_run`) describe a new run.
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
            set_run_tag(client, run.info.run_id, _DUPLICATE_OF, oldest.info.run_id)
            client.update_run(run.info.run_id, status="KILLED", name=name)
    return str(oldest.info.run_id)


def set_run_tag(client: Any, run_id: str, tag: str, value: str) -> None:
    """Set a tag of a run that another uploader may set at the same time.

    MLflow repeats a `log_batch` whose insert collides with another one, but not a `set_tag`.
    """
    from mlflow.entities import RunTag

    client.log_batch(run_id, tags=[RunTag(tag, value)])


def search_runs(client: Any, experiment_id: str, tag: str, value: str) -> list[Any]:
    """Return the MLflow runs whose `tag` has `value`, oldest first.

    The order is the same for all uploaders.
    """
    found = search_all(
        lambda token: client.search_runs(
            [experiment_id], f"tags.`{tag}` = '{value}'", page_token=token
        )
    )
    return sorted(found, key=lambda run: (int(run.data.tags.get(CREATED, 0)), run.info.run_id))


def search_all(search: Callable[[str | None], Any]) -> list[Any]:
    """Return the results of all pages of an MLflow search. `search` takes the token of a page."""
    found, token = [], None
    while True:
        page = search(token)
        found += page
        token = page.token
        if not token:
            return found
