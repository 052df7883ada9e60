"""Archives that a site gives only to those who have logged in, as that of Cityscapes does."""

from __future__ import annotations

import logging
from collections.abc import Callable
from contextlib import AbstractContextManager
from html.parser import HTMLParser
from types import TracebackType
from typing import Any, Self
from urllib.parse import urlsplit

import requests

from isnet.data.download import LoginRequired, RemoteFile, fetch
from isnet.data.download.credentials import Credentials, Variables, ask, from_netrc
from isnet.data.download.http_response import NO_ACCESS, TRANSIENT
from isnet.data.download.retry import TIMEOUTS, GivenUp, Patience, Setback, asked_pause
from isnet.data.download.url_text import LOOPBACK, shown
from isnet.errors import UserError
from isnet.io.console import ProgressCallback

__all__ = ["LoginSession", "Progress"]

_log = logging.getLogger(__name__)

_TRIES = 3
"""At the terminal. Sites lock accounts after some more."""
_PORTS = {"http": 80, "https": 443}
_ACCEPTED = (302, 303)
_REFUSED = (200, 401)
"""200 is the form again."""

Progress = Callable[[], AbstractContextManager[ProgressCallback]]
"""Such as `partial(console.progress, "bytes")`."""


class LoginSession:
    """Somebody's account at one site; logs in when a file is missing, not before.

    Credentials come from the environment, else netrc, else the terminal. They go to the site of the
    log-in form alone, in the body of one POST, as do its cookies. The form's fields are those of
    the official tool (cityscapesscripts 2.3.0, download/downloader.py), with what it holds hidden.
    """

    def __init__(self, login: str, service: str) -> None:
        """Take the credentials out of this process's environment.

        Args:
            login: address of the log-in form; https, or http on this machine. Its host is the
                machine of netrc.
            service: `cityscapes` means CITYSCAPES_USERNAME and CITYSCAPES_PASSWORD.
        """
        self._login = login
        self._host = urlsplit(login).hostname or ""
        self._variables = Variables(service)
        self._credentials: Credentials | None = None
        self._session = _Session(login)
        self._is_logged_in = False

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Close the connections and forget the cookies."""
        self._is_logged_in = False
        self._session.cookies.clear()
        self._session.close()

    def fetch(self, file: RemoteFile, progress: Progress) -> None:
        """Fetch a file as `fetch` does; log in once more if the session expires.

        Args:
            file: what and where; if it is there, nobody logs in.
            progress: opens the display of bytes; not before all questions are answered, which a
                progress bar would wipe out.

        Raises:
            LoginRequired: the site does not give the file to this account.
            UserError: no or wrong credentials, or what `isnet.data.download.fetch` raises.
        """
        if not (self._is_logged_in or file.path.is_file()):
            self._log_in()
        try:
            self._fetch(file, progress)
        except LoginRequired:
            _log.info(f"{self._host} asks for a log-in in place of {file.path.name}")
            self._log_in()
            try:
                self._fetch(file, progress)
            except LoginRequired:
                raise self._no_access(file) from None

    def _fetch(self, file: RemoteFile, progress: Progress) -> None:
        with progress() as show:
            fetch(file, show=show, session=self._session)

    def _no_access(self, file: RemoteFile) -> LoginRequired:
        return LoginRequired(
            f"{self._host} accepts the log-in, but does not give {file.path.name} to this account",
            where=shown(file.url),
            hint=f"Log in at {shown(self._login)} with a browser: its licence may not be accepted "
            f"yet, or the account may have no access to this archive. {file.hint}",
        )

    def _log_in(self) -> None:
        if urlsplit(self._login).scheme != "https" and self._host not in LOOPBACK:
            raise UserError("no password is sent without https", where=shown(self._login))
        if self._credentials is None:
            self._credentials = self._variables.credentials() or from_netrc(self._host)
        if self._credentials is None:
            self._credentials = self._log_in_from_terminal()
        elif not self._accepts(self._credentials):
            raise self._wrong(self._credentials)
        self._is_logged_in = True

    def _log_in_from_terminal(self) -> Credentials:
        for left in reversed(range(_TRIES)):
            credentials = ask(self._host, self._variables)
            if self._accepts(credentials):
                return credentials
            if left:
                _log.info(f"{self._host} does not accept them; asks again")
        raise self._wrong(credentials)

    def _accepts(self, credentials: Credentials) -> bool:
        """Log in, in as many attempts as it takes to hear yes or no."""
        _log.info(f"logs in at {self._host}; user name and password come from {credentials.origin}")
        try:
            return Patience().persist(
                lambda: self._session.log_in(self._login, credentials), lambda: 0
            )
        except GivenUp as end:
            raise self._closed(str(end)) from None

    def _wrong(self, credentials: Credentials) -> UserError:
        return UserError(
            f"the user name and password from {credentials.origin} are not accepted",
            where=shown(self._login),
            hint="Log in there with a browser to see which are right",
        )

    def _closed(self, reason: str) -> UserError:
        return UserError(
            f"nobody can log in: {reason}",
            where=shown(self._login),
            hint="Try again later; archives that you have already can be given in params.yaml as "
            "`source`",
        )


class _Session(requests.Session):
    """Keeps what is secret at one site."""

    def __init__(self, login: str) -> None:
        super().__init__()
        self._site = _origin(login)

    def get(self, url: str | bytes, *more: Any, **settings: Any) -> requests.Response:
        """Get a file.

        Raises:
            LoginRequired: the site says that one must log in, or may not have it.
        """
        answer = super().get(url, *more, **settings)
        if answer.status_code in NO_ACCESS:
            answer.close()
            raise LoginRequired(f"the server answers {answer.status_code}", where=shown(answer.url))
        return answer

    def send(self, request: requests.PreparedRequest, **settings: Any) -> requests.Response:
        """Send a request, also one that follows a redirect, without what is not meant for it."""
        # requests adds what netrc holds for a host, at redirects whatever `auth` says.
        request.headers.pop("Authorization", None)
        if _origin(request.url or "") != self._site:
            request.headers.pop("Cookie", None)  # its own jar looks neither at port nor at scheme
        elif self._site[0] == "http":
            settings["proxies"] = {}  # on this machine, which a proxy may not be
        return super().send(request, **settings)

    def log_in(self, login: str, credentials: Credentials) -> bool:
        """Fill in the form; whether the site accepts it.

        Raises:
            Setback: no usable answer, but another attempt may go well.
            GivenUp: the site refuses to answer, or the form is elsewhere.
        """
        self.cookies.clear()
        page = self.request("GET", login, timeout=TIMEOUTS)
        if _origin(page.url) != self._site:
            raise GivenUp(f"the form has moved to {shown(page.url)}")
        _refuse(page, accepted=(200,))
        entered = {"username": credentials.username, "password": credentials.password}
        answer = self.request(
            "POST",
            page.url,
            data=_hidden_inputs(page.text) | entered | {"submit": "Login"},
            allow_redirects=False,
            timeout=TIMEOUTS,
        )
        _refuse(answer, accepted=_ACCEPTED + _REFUSED)
        return answer.status_code in _ACCEPTED


def _origin(url: str) -> tuple[str, str | None, int | None]:
    """Return scheme, host and port.

    Raises:
        requests.exceptions.InvalidURL: there is no such port; a redirect may say so.
    """
    try:
        parts = urlsplit(url)
        return parts.scheme, parts.hostname, parts.port or _PORTS.get(parts.scheme)
    except ValueError as error:
        raise requests.exceptions.InvalidURL(str(error)) from None


def _refuse(answer: requests.Response, accepted: tuple[int, ...]) -> None:
    if answer.status_code in accepted:
        return
    reason = f"the server answers {answer.status_code} {answer.reason}".rstrip()
    if answer.status_code in TRANSIENT:
        raise Setback(reason, asked_pause(answer))
    raise GivenUp(reason)


def _hidden_inputs(page: str) -> dict[str, str]:
    """Return what the form that asks for a password sends along, such as its token."""
    reader = _FormReader()
    reader.feed(page)
    return next((form.hidden for form in reader.forms if form.asks_password), {})


class _Form:
    def __init__(self) -> None:
        self.hidden: dict[str, str] = {}
        self.asks_password = False


class _FormReader(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.forms: list[_Form] = []
        self._is_inside = False

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag == "form":
            self.forms.append(_Form())
            self._is_inside = True
        elif tag == "input" and self._is_inside:
            self._add(dict(attrs))

    def handle_endtag(self, tag: str) -> None:
        if tag == "form":
            self._is_inside = False

    def _add(self, attributes: dict[str, str | None]) -> None:
        kind = (attributes.get("type") or "").lower()
        if kind == "password":
            self.forms[-1].asks_password = True
        elif kind == "hidden" and (name := attributes.get("name")):
            self.forms[-1].hidden[name] = attributes.get("value") or ""
