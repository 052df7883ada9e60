"""A real HTTP server that can be told to misbehave."""

from __future__ import annotations

import contextlib
import hashlib
import re
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler
from typing import Literal

from local_server import serve


@dataclass
class Reply:
    """One answer; without settings the right one."""

    status: int | None = None
    headers: dict[str, str] = field(default_factory=dict)
    cut_after: int | None = None
    """Bytes of the body before the connection is closed."""
    ignores_range: bool = False
    content: bytes | None = None
    """In place of the file."""
    told_length: int | None = None
    told_start: int | None = None
    told_total: int | None = None
    pause: float = 0.0
    """Seconds before each tenth of the body."""


@dataclass
class Request:
    path: str
    headers: dict[str, str]
    time: float
    sent: int = 0
    """Bytes of the body."""


class FileServer:
    """Serves `files`; each request first takes an entry of `replies`."""

    def __init__(self) -> None:
        self.files: dict[str, bytes] = {}
        self.replies: list[Reply] = []
        self.requests: list[Request] = []
        self.validator: Literal["etag", "weak", "date", "none"] = "etag"
        self.url = ""

    def validators(self, content: bytes) -> dict[str, str]:
        digest = hashlib.sha256(content).hexdigest()
        if self.validator == "date":
            seconds = int(digest[:6], 16) % 60
            return {"Last-Modified": f"Mon, 02 Jan 2023 10:00:{seconds:02d} GMT"}
        etags = {"etag": f'"{digest[:16]}"', "weak": f'W/"{digest[:16]}"'}
        return {"ETag": etags[self.validator]} if self.validator in etags else {}


@contextlib.contextmanager
def serving() -> Iterator[FileServer]:
    state = FileServer()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            request = Request(self.path, dict(self.headers.items()), time.monotonic())
            state.requests.append(request)
            reply = state.replies.pop(0) if state.replies else Reply()
            content = state.files.get(self.path) if reply.content is None else reply.content
            if reply.status is not None or content is None:
                self.send_response(reply.status or 404)
                for item in (reply.headers | {"Content-Length": "0"}).items():
                    self.send_header(*item)
                self.end_headers()
                return
            self.answer(reply, content, request)

        def answer(self, reply: Reply, content: bytes, request: Request) -> None:
            validators = state.validators(content)
            asked = re.fullmatch(r"bytes=(\d+)-", self.headers.get("Range", ""))
            held = self.headers.get("If-Range") in (None, *validators.values())
            start = int(asked[1]) if asked and held and not reply.ignores_range else 0
            headers = {"Content-Type": "application/octet-stream"} | validators
            if start >= len(content) > 0:
                self.send_response(416)
                headers |= {"Content-Range": f"bytes */{len(content)}", "Content-Length": "0"}
                body = b""
            else:
                self.send_response(206 if start else 200)
                body = content[start:]
                told = body if reply.told_length is None else bytes(reply.told_length)
                headers["Content-Length"] = str(len(told))
                if start:
                    first = start if reply.told_start is None else reply.told_start
                    total = reply.told_total or len(content)
                    headers["Content-Range"] = f"bytes {first}-{len(content) - 1}/{total}"
            for item in (headers | reply.headers).items():
                if item[1]:
                    self.send_header(*item)
            self.end_headers()
            body = body[: reply.cut_after]
            step = max(len(body) // 10, 1) if reply.pause else max(len(body), 1)
            for at in range(0, len(body), step):
                time.sleep(reply.pause)
                with contextlib.suppress(ConnectionError):
                    self.wfile.write(body[at : at + step])
                    request.sent += len(body[at : at + step])

        def log_message(self, *_: object) -> None:
            pass

    with serve(Handler) as state.url:
        yield state
