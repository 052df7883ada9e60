"""Logs in at sites that require an account, such as Cityscapes, and downloads files from there."""

import logging
from collections.abc import Callable
from contextlib import AbstractContextManager
from html.parser import HTMLParser
from typing import Any, Self
from urllib.parse import urlsplit

import requests

from isnet.data.download import LoginRequired, RemoteFile, fetch
from isnet.data.download.credentials import (
    GIVE_AS_SOURCE,
    LOOPBACK,
    Credentials,
    CredentialVariables,
    ask_at_terminal,
    read_netrc,
    redact_url,
)
from isnet.data.download.retry import NO_ACCESS, TIMEOUTS, PermanentError, check_status, retry
from isnet.errors import UserError
from isnet.io.console import ProgressCallback

_log = logging.getLogger(__name__)

OpenProgress = Callable[[], AbstractContextManager[ProgressCallback]]
"""A function that opens a progress bar, such as `partial(show_progress, "bytes")`."""

_TRIES = 3
"""How often the terminal asks for credentials. Sites lock accounts after more failures."""
_PORTS = {"http": 80, "https": 443}
_ACCEPTED = (302, 303)
_REJECTED = (200, 401)
"""HTTP status codes after wrong credentials. 200 means that the form is shown again."""


class LoginSession:
    """A session at a site that requires an account. It logs in before the first download.

    `login` is the address of the log-in form: https, or http on this machine. Credentials come from
    the environment (variables with the prefix `service`, which are then removed from it), else from
    netrc, else from the terminal. Credentials and cookies are sent only to the site of the form;
    credentials are sent in the body of a POST. The submitted fields are those of the official tool
    (cityscapesscripts 2.3.0, download/downloader.py) and the hidden inputs of the form.
    """

    def __init__(self, login: str, service: str) -> None:
        self._login = login  # https, or http on this machine
        self._host = urlsplit(login).hostname or ""
        self._variables = CredentialVariables(service)
        self._credentials: Credentials | None = None
        self._session = _SiteSession(login)
        self._is_logged_in = False

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._is_logged_in = False
        self._session.cookies.clear()
        self._session.close()

    def fetch(self, file: RemoteFile, progress: OpenProgress) -> None:
        """Download a file as `isnet.data.download.fetch` does, after logging in if needed.

        If the session expires, this logs in again once. `progress` opens the progress bar after all
        questions at the terminal, because the bar would overwrite them.

        Raises:
            LoginRequired: the site does not give the file to this account.
            UserError: credentials are missing or wrong, or `isnet.data.download.fetch` fails.
        """
        name = file.path.name
        if not (self._is_logged_in or file.path.is_file()):
            self._log_in()
        for is_renewed in (False, True):
            try:
                with progress() as show:
                    fetch(file, show=show, session=self._session)
                return
            except LoginRequired:
                if is_renewed:
                    break
            _log.info(f"{self._host} asks for a log-in instead of sending {name}")
            self._log_in()
        what = f"{self._host} accepts the log-in, but does not give {name} to this account"
        why = "its licence may not be accepted yet, or the account may have no access"
        hint = f"Log in at {redact_url(self._login)} with a browser: {why} to this archive"
        raise LoginRequired(what, where=redact_url(file.url), hint=f"{hint}. {file.hint}")

    def _log_in(self) -> None:
        where = redact_url(self._login)
        if urlsplit(self._login).scheme != "https" and self._host not in LOOPBACK:
            raise UserError("a password is only sent over https", where=where)
        given = self._credentials or self._variables.credentials() or read_netrc(self._host)
        for tries_left in reversed(range(1 if given else _TRIES)):
            credentials = given or ask_at_terminal(self._host, self._variables)
            if self._accepts(credentials):
                self._credentials, self._is_logged_in = credentials, True
                return
            if tries_left:
                _log.info(f"{self._host} does not accept them; asks again")
        what = f"the user name and password from {credentials.origin} are not accepted"
        hint = "Log in there with a browser to find out which are right"
        raise UserError(what, where=where, hint=hint)

    def _accepts(self, credentials: Credentials) -> bool:
        _log.info(f"logs in at {self._host} with user name and password from {credentials.origin}")
        try:
            return retry(lambda: self._session.log_in(self._login, credentials), lambda: 0)
        except PermanentError as error:
            where = redact_url(self._login)
            hint = f"Try again later; {GIVE_AS_SOURCE}"
            raise UserError(f"the log-in fails: {error}", where=where, hint=hint) from None


class _SiteSession(requests.Session):
    """An HTTP session that sends cookies and credentials to one site only."""

    def __init__(self, login: str) -> None:
        super().__init__()
        self._site = _origin(login)

    def get(self, url: str | bytes, *more: Any, **settings: Any) -> requests.Response:
        """Send a GET request; raise LoginRequired if the site refuses access (401 or 403)."""
        response = super().get(url, *more, **settings)
        if response.status_code in NO_ACCESS:
            response.close()
            status = f"the server answers {response.status_code}"
            raise LoginRequired(status, where=redact_url(response.url))
        return response

    def send(self, request: requests.PreparedRequest, **settings: Any) -> requests.Response:
        """Send a request, or a redirect, without secrets that belong to another site."""
        # requests adds the netrc entry of a host, after redirects whatever `auth` is.
        request.headers.pop("Authorization", None)
        if _origin(request.url or "") != self._site:
            request.headers.pop("Cookie", None)  # cookie jars ignore port and scheme
        elif self._site[0] == "http":
            settings["proxies"] = {}  # unencrypted, so only to this machine itself
        return super().send(request, **settings)

    def log_in(self, login: str, credentials: Credentials) -> bool:
        """Submit the log-in form; return whether the site accepts the credentials.

        Raises TransientError if the server fails for the moment, and PermanentError if it refuses
        or the form has moved to another site.
        """
        self.cookies.clear()
        page = self.request("GET", login, timeout=TIMEOUTS)
        if _origin(page.url) != self._site:
            raise PermanentError(f"the form has moved to {redact_url(page.url)}")
        check_status(page, (200,))
        account = {"username": credentials.username, "password": credentials.password}
        form = _hidden_inputs(page.text) | account | {"submit": "Login"}
        response = self.request(
            "POST", page.url, data=form, allow_redirects=False, timeout=TIMEOUTS
        )
        check_status(response, _ACCEPTED + _REJECTED)
        return response.status_code in _ACCEPTED


def _origin(url: str) -> tuple[str, str | None, int | None]:
    """Return scheme, host and port of a URL; raise InvalidURL for an invalid port."""
    try:
        parts = urlsplit(url)
        return parts.scheme, parts.hostname, parts.port or _PORTS.get(parts.scheme)
    except ValueError as error:
        raise requests.exceptions.InvalidURL(str(error)) from None


def _hidden_inputs(page: str) -> dict[str, str]:
    """Return the hidden inputs, such as a CSRF token, of the form that asks for a password."""
    reader = _FormReader()
    reader.feed(page)
    for form in reader.forms:
        kinds = [(attributes.get("type") or "").lower() for attributes in form]
        if "password" in kinds:
            hidden = (inputs for inputs, kind in zip(form, kinds, strict=True) if kind == "hidden")
            return {name: one.get("value") or "" for one in hidden if (name := one.get("name"))}
    return {}


class _FormReader(HTMLParser):
    """Collects the attributes of all `<input>` tags of each form of an HTML page."""

    def __init__(self) -> None:
        super().__init__()
        self.forms: list[list[dict[str, str | None]]] = []
        self._is_inside = False

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag == "form":
            self.forms.append([])
            self._is_inside = True
        elif tag == "input" and self._is_inside:
            self.forms[-1].append(dict(attrs))

    def handle_endtag(self, tag: str) -> None:
        if tag == "form":
            self._is_inside = False
