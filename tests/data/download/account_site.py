"""A real site that gives its files to those who have logged in, and can be told to misbehave."""

from __future__ import annotations

import contextlib
import hashlib
import re
import secrets
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.cookies import SimpleCookie
from http.server import BaseHTTPRequestHandler
from urllib.parse import parse_qs, urlsplit

from local_server import serve

FORMS = """<!DOCTYPE html><html><body>
<form action="/search"><input type="hidden" name="area" value="all"><input name="q"></form>
<FORM method="post"><input type=HIDDEN name="csrf" value="{token}&amp;"><input name="username">
<input type="hidden" name="back"><input type="password" name="password"></FORM>
<input type="hidden" name="stray" value="1">
<form><input type="hidden" name="later" value="1"><input type="password" name="new"></form>
</body></html>"""


@dataclass
class Request:
    method: str
    path: str
    headers: dict[str, str]
    form: dict[str, str] = field(default_factory=dict)


@dataclass
class AccountSite:
    """`/login/`, and files for those who have the cookie of a session."""

    username: str = "anna@example.invalid"
    password: str = "pass wört&+"
    url: str = ""
    files: dict[str, bytes] = field(default_factory=dict)
    requests: list[Request] = field(default_factory=list)
    sessions: set[str] = field(default_factory=set)
    tokens: set[str] = field(default_factory=set)
    failures: list[int] = field(default_factory=list)
    """Status of the next answers at the log-in; 0: the right one."""
    expires_after: int | None = None
    """Bytes of the next file before it is cut and all sessions end."""
    denial: int = 302
    """Status for files without a session: 302 leads to the form."""
    has_access: bool = True
    """Otherwise log-ins are accepted, and open nothing."""
    redirects: dict[str, str] = field(default_factory=dict)
    """Path -> where it leads."""

    @property
    def login(self) -> str:
        return f"{self.url}/login/"

    def asked(self, method: str, path: str) -> list[Request]:
        return [one for one in self.requests if (one.method, one.path) == (method, path)]


class _Handler(BaseHTTPRequestHandler):
    site: AccountSite

    def do_GET(self) -> None:
        request = self._note("GET")
        if self.path in self.site.redirects:
            self._answer(302, {"Location": self.site.redirects[self.path]})
        elif urlsplit(self.path).path == "/login/":
            if not self._fails():
                self._form()
        elif self.path not in self.site.files:
            self._answer(404)
        elif self._session() not in self.site.sessions:
            self._answer(self.site.denial, {"Location": "/login/?from=file"})
        else:
            self._file(self.site.files[self.path], request)

    def do_POST(self) -> None:
        request = self._note("POST")
        body = self.rfile.read(int(self.headers["Content-Length"])).decode()
        form = {key: value[0] for key, value in parse_qs(body, keep_blank_values=True).items()}
        request.form = form
        if self._fails():
            return
        right = (self.site.username, self.site.password, "Login")
        token = form.get("csrf", "").removesuffix("&")
        if (form.get("username"), form.get("password"), form.get("submit")) == right and (
            token in self.site.tokens and token == self._cookies().get("csrf")
        ):
            session = secrets.token_hex(8)
            if self.site.has_access:
                self.site.sessions.add(session)
            cookie = f"session={session}; Path=/; HttpOnly"
            self._answer(302, {"Location": "/", "Set-Cookie": cookie})
        else:
            self._form()

    def _note(self, method: str) -> Request:
        request = Request(method, self.path, dict(self.headers.items()))
        self.site.requests.append(request)
        return request

    def _fails(self) -> bool:
        if not self.site.failures:
            return False
        status = self.site.failures.pop(0)
        if status:
            self._answer(status)
        return status != 0

    def _cookies(self) -> dict[str, str]:
        cookies = SimpleCookie(self.headers.get("Cookie", ""))
        return {name: morsel.value for name, morsel in cookies.items()}

    def _session(self) -> str | None:
        return self._cookies().get("session")

    def _form(self) -> None:
        token = secrets.token_hex(8)
        self.site.tokens.add(token)
        page = FORMS.format(token=token).encode()
        headers = {"Content-Type": "text/html", "Set-Cookie": f"csrf={token}; Path=/"}
        self._answer(200, headers, page)

    def _file(self, content: bytes, request: Request) -> None:
        etag = f'"{hashlib.sha256(content).hexdigest()[:16]}"'
        asked = re.fullmatch(r"bytes=(\d+)-", request.headers.get("Range", ""))
        start = int(asked[1]) if asked and request.headers.get("If-Range") == etag else 0
        headers = {"ETag": etag, "Content-Type": "application/octet-stream"}
        if start:
            headers["Content-Range"] = f"bytes {start}-{len(content) - 1}/{len(content)}"
        cut, self.site.expires_after = self.site.expires_after, None
        if cut is not None:
            self.site.sessions.clear()
        self._answer(206 if start else 200, headers, content[start:], cut)

    def _answer(
        self,
        status: int,
        headers: dict[str, str] | None = None,
        body: bytes = b"",
        cut: int | None = None,
    ) -> None:
        self.send_response(status)
        for item in ({"Content-Length": str(len(body))} | (headers or {})).items():
            self.send_header(*item)
        self.end_headers()
        with contextlib.suppress(ConnectionError):
            self.wfile.write(body[:cut])

    def log_message(self, *_: object) -> None:
        pass


@contextlib.contextmanager
def account_site() -> Iterator[AccountSite]:
    """Serve a site on 127.0.0.1."""
    site = AccountSite()
    with serve(type("Handler", (_Handler,), {"site": site})) as site.url:
        yield site
