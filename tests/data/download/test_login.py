"""Archives behind a log-in: fetched with one session, and credentials stay where they belong."""

from __future__ import annotations

import contextlib
import hashlib
import logging
import os
import pty
import random
import select
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from account_site import AccountSite, account_site
from log_lines import record_log

from isnet.data.download import ExpectedFile, HashLockFile, LoginRequired, RemoteFile, retry
from isnet.data.download.credentials import Credentials
from isnet.data.download.login import LoginSession, _SiteSession
from isnet.errors import UserError
from isnet.io.console import ProgressCallback

CONTENT = random.Random(1).randbytes(200_000)
HALF = len(CONTENT) // 2
HINT = "Give it as `source`"


pytestmark = pytest.mark.server


@pytest.fixture(autouse=True)
def home(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[None]:
    """No credentials of whoever runs the tests, and no pauses."""
    monkeypatch.setattr(retry, "_FIRST_PAUSE", 0.0)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.delenv("ISNET_PROGRESS", raising=False)
    for name in ("CITYSCAPES_USERNAME", "CITYSCAPES_PASSWORD", "NETRC"):
        monkeypatch.delenv(name, raising=False)
    with Path(os.devnull).open() as nobody:
        monkeypatch.setattr("sys.stdin", nobody)
        yield


@pytest.fixture
def site() -> Iterator[AccountSite]:
    with account_site() as state:
        state.files["/file-handling/?packageID=1"] = CONTENT
        state.files["/file-handling/?packageID=3"] = CONTENT[::-1]
        yield state


def _set(monkeypatch: pytest.MonkeyPatch, username: str, password: str) -> None:
    monkeypatch.setenv("CITYSCAPES_USERNAME", username)
    monkeypatch.setenv("CITYSCAPES_PASSWORD", password)


@pytest.fixture
def variables(site: AccountSite, monkeypatch: pytest.MonkeyPatch) -> None:
    """The right credentials, in the environment."""
    _set(monkeypatch, site.username, site.password)


def _netrc(path: Path, text: str, mode: int = 0o600) -> None:
    path.write_text(text)
    path.chmod(mode)


def _entry(site: AccountSite, machine: str = "machine 127.0.0.1") -> str:
    return f'{machine} login {site.username} password "{site.password}"\n'


def _file(site: AccountSite, folder: Path, number: int = 1, url: str = "") -> RemoteFile:
    data = folder / "data"
    address = url or f"{site.url}/file-handling/?packageID={number}"
    return RemoteFile(address, data / f"set{number}.zip", HashLockFile(data), HINT)


@contextlib.contextmanager
def _progress() -> Iterator[ProgressCallback]:
    yield lambda *_: None


def _fetch(site: AccountSite, folder: Path, url: str = "") -> list[str]:
    """Fetch the first file; return what was said."""
    said = record_log()
    with LoginSession(site.login, "cityscapes") as account:
        account.fetch(_file(site, folder, url=url), _progress)
    return said


def _posts(site: AccountSite) -> int:
    return len(site.asked("POST", "/login/"))


@pytest.mark.usefixtures("variables")
def test_several_files_share_one_log_in_which_sends_the_hidden_inputs_of_its_form(
    site: AccountSite, tmp_path: Path
) -> None:
    said = record_log()
    with LoginSession(site.login, "cityscapes") as account:
        for number in (1, 3):
            account.fetch(_file(site, tmp_path, number), _progress)
    assert (tmp_path / "data/set1.zip").read_bytes() == CONTENT
    assert (tmp_path / "data/set3.zip").read_bytes() == CONTENT[::-1]
    (post,) = site.asked("POST", "/login/")
    assert post.form.pop("csrf").removesuffix("&") in site.tokens
    assert post.form == {
        "back": "",
        "username": site.username,
        "password": site.password,
        "submit": "Login",
    }
    assert said[0] == (
        "logs in at 127.0.0.1 with user name and password from CITYSCAPES_USERNAME and "
        "CITYSCAPES_PASSWORD"
    )


def test_a_file_that_is_there_needs_no_credentials(site: AccountSite, tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "data/set1.zip").write_bytes(CONTENT)
    _fetch(site, tmp_path)
    assert site.requests == []
    digest = hashlib.sha256(b"other").hexdigest()
    file = _file(site, tmp_path)
    other = RemoteFile(file.url, file.path, file.hash_lock, HINT, ExpectedFile(sha256=digest))
    with (
        pytest.raises(UserError, match="the content is not that of"),
        LoginSession(site.login, "cityscapes") as account,
    ):
        account.fetch(other, _progress)


def test_wrong_credentials_are_one_line_after_one_attempt(
    site: AccountSite, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _set(monkeypatch, site.username, "geheim")
    with pytest.raises(UserError) as told:
        _fetch(site, tmp_path)
    assert str(told.value) == (
        f"{site.login}: the user name and password from CITYSCAPES_USERNAME and CITYSCAPES_PASSWORD "
        "are not accepted. Log in there with a browser to find out which are right"
    )
    assert _posts(site) == 1


@pytest.mark.usefixtures("variables")
@pytest.mark.parametrize("denial", [302, 401, 403])
def test_a_session_that_expires_is_renewed_and_the_download_resumes(
    site: AccountSite, tmp_path: Path, denial: int
) -> None:
    site.denial, site.expires_after = denial, HALF
    said = _fetch(site, tmp_path)
    assert (tmp_path / "data/set1.zip").read_bytes() == CONTENT
    ranges = [one.headers.get("Range") for one in site.asked("GET", "/file-handling/?packageID=1")]
    assert ranges == [None, f"bytes={HALF}-", f"bytes={HALF}-"]
    assert _posts(site) == 2
    assert "127.0.0.1 asks for a log-in instead of sending set1.zip" in said


@pytest.mark.usefixtures("variables")
@pytest.mark.parametrize("denial", [302, 403])
def test_an_account_without_access_is_one_line(
    site: AccountSite, tmp_path: Path, denial: int
) -> None:
    site.has_access, site.denial = False, denial
    with pytest.raises(LoginRequired) as told:
        _fetch(site, tmp_path)
    assert str(told.value) == (
        f"{site.url}/file-handling/?...: 127.0.0.1 accepts the log-in, but does not give set1.zip "
        f"to this account. Log in at {site.login} with a browser: its licence may not be accepted "
        f"yet, or the account may have no access to this archive. {HINT}"
    )
    assert _posts(site) == 2


@pytest.mark.parametrize("place", [".netrc", "elsewhere"])
def test_netrc_is_read_and_never_sent_as_basic_auth(
    site: AccountSite, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, place: str
) -> None:
    _netrc(tmp_path / place, _entry(site))
    if place != ".netrc":
        monkeypatch.setenv("NETRC", str(tmp_path / place))
    site.expires_after = HALF  # then a redirect leads to the form, and requests reads netrc again
    _fetch(site, tmp_path)
    assert (tmp_path / "data/set1.zip").read_bytes() == CONTENT
    assert site.asked("GET", "/login/?from=file")
    assert not any("Authorization" in request.headers for request in site.requests)


@pytest.mark.usefixtures("variables")
def test_the_environment_wins_over_netrc(site: AccountSite, tmp_path: Path) -> None:
    _netrc(tmp_path / ".netrc", "machine 127.0.0.1 login otto password geheim\n")
    _fetch(site, tmp_path)
    assert [post.form["username"] for post in site.asked("POST", "/login/")] == [site.username]


@pytest.mark.parametrize(
    ("text", "mode", "line"),
    [
        ("machine 127.0.0.1 login anna geheim\n", 0o600, "~/.netrc: the entry that ends in line 2 is malformed. An entry is `machine HOST login NAME password WORD`"),
        ("machine 127.0.0.1 login anna password geheim\n", 0o644, "~/.netrc: others may read it, or it belongs to another user. Make it your own: chmod 600 ~/.netrc"),
        ("machine 127.0.0.1 login geheim\n", 0o600, "~/.netrc: machine 127.0.0.1 needs both login and password"),
    ],
)  # fmt: skip
def test_a_netrc_that_cannot_be_used_is_one_line_without_its_content(
    site: AccountSite, tmp_path: Path, text: str, mode: int, line: str
) -> None:
    _netrc(tmp_path / ".netrc", text, mode)
    with pytest.raises(UserError) as told:
        _fetch(site, tmp_path)
    assert str(told.value) == line
    assert site.requests == []


def test_a_netrc_that_is_a_folder_is_one_line(site: AccountSite, tmp_path: Path) -> None:
    (tmp_path / ".netrc").mkdir()
    with pytest.raises(UserError, match=r"^~/\.netrc: cannot be read: Is a directory$"):
        _fetch(site, tmp_path)


@pytest.mark.parametrize(("there", "missing"), [("USERNAME", "PASSWORD"), ("PASSWORD", "USERNAME")])
def test_one_variable_alone_is_one_line(
    site: AccountSite,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    there: str,
    missing: str,
) -> None:
    monkeypatch.setenv(f"CITYSCAPES_{there}", "geheim")
    monkeypatch.setenv(f"CITYSCAPES_{missing}", "")
    with pytest.raises(UserError) as told:
        _fetch(site, tmp_path)
    assert str(told.value) == (
        f"CITYSCAPES_{there} is set, and CITYSCAPES_{missing} is not. Set both, or neither"
    )


def test_without_a_terminal_one_line_names_all_ways(
    site: AccountSite, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _netrc(tmp_path / ".netrc", _entry(site, "default"))  # meant for nobody in particular
    (tmp_path / "script").write_text(f"{site.username}\n{site.password}\n")  # nor is this
    with (tmp_path / "script").open() as script, pytest.raises(UserError) as told:
        monkeypatch.setattr("sys.stdin", script)
        _fetch(site, tmp_path)
    assert str(told.value) == (
        "127.0.0.1: downloading needs an account, and no credentials were given. Set CITYSCAPES_USERNAME and "
        "CITYSCAPES_PASSWORD, or write `machine 127.0.0.1 login NAME password WORD` into ~/.netrc, "
        "or run the command in a terminal, where it asks for them; archives that you have already can be "
        "given in params.yaml as `source`"
    )
    assert site.requests == []


_PROGRAM = """
import sys
from functools import partial
from pathlib import Path
from isnet.io.console import console_output, show_progress
from isnet.data.download.login import LoginSession
from isnet.errors import UserError
from isnet.data.download import HashLockFile, RemoteFile
login, url, folder = sys.argv[1:]
file = RemoteFile(url, Path(folder, "set1.zip"), HashLockFile(Path(folder)), "Copy it")
try:
    with console_output("download", "cityscapes", None):
        with LoginSession(login, "cityscapes") as account:
            account.fetch(file, partial(show_progress, "bytes"))
except UserError as error:
    sys.exit(f"error: {error}")
"""


def _type(site: AccountSite, folder: Path, answers: list[str]) -> tuple[int, str]:
    """Run a download at a terminal and answer its questions; return the exit code and the screen."""
    (folder / "data").mkdir()
    child, terminal = pty.fork()
    if child == 0:
        arguments = [site.login, f"{site.url}/file-handling/?packageID=1", str(folder / "data")]
        os.execv(sys.executable, [sys.executable, "-c", _PROGRAM, *arguments])
    screen = b""
    seen = 0
    while True:
        assert select.select([terminal], [], [], 60)[0], f"nothing more after {screen!r}"
        try:
            chunk = os.read(terminal, 4096)
        except OSError:  # the child has closed its end
            break
        if not chunk:
            break
        screen += chunk
        if answers and screen.find(b" at 127.0.0.1: ", seen) >= 0:
            seen = len(screen)
            os.write(terminal, answers.pop(0).encode())
    os.close(terminal)
    assert answers == []
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), screen.decode()


def test_a_terminal_is_asked_again_and_does_not_show_the_password(
    site: AccountSite, tmp_path: Path
) -> None:
    answers = [f"{site.username}\n", "falsch\n", f"{site.username}\n", f"{site.password}\n"]
    code, screen = _type(site, tmp_path, answers)
    assert code == 0, screen
    assert (tmp_path / "data/set1.zip").read_bytes() == CONTENT
    # Nothing may redraw the line of a question: a progress bar would.
    question = f"User name or e-mail address at 127.0.0.1: {site.username}\r\n"
    assert screen.count(f"{question}Password at 127.0.0.1: \r\n") == 2
    assert "127.0.0.1 does not accept them; asks again" in screen
    written = b"".join(path.read_bytes() for path in (tmp_path / "data").iterdir())
    for secret in ("falsch", site.password):
        assert secret not in screen
        assert secret.encode() not in written


def test_after_three_answers_a_terminal_is_not_asked_again(
    site: AccountSite, tmp_path: Path
) -> None:
    code, screen = _type(site, tmp_path, ["anna\n", "falsch\n"] * 3)
    assert code == 1
    assert "the user name and password from the terminal are not accepted" in screen
    assert _posts(site) == 3


@pytest.mark.parametrize("answers", [["\x04"], ["anna\n", "\x04"], ["anna\n", "\n"]])
def test_no_answer_at_a_terminal_is_one_line(
    site: AccountSite, tmp_path: Path, answers: list[str]
) -> None:
    code, screen = _type(site, tmp_path, answers)
    assert code == 1
    assert "error: 127.0.0.1: downloading needs an account, and no credentials were given" in screen
    assert "Traceback" not in screen
    assert site.requests == []


@pytest.mark.usefixtures("variables")
def test_credentials_and_cookies_are_nowhere(
    site: AccountSite,
    tmp_path: Path,
    capfd: pytest.CaptureFixture[str],
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.DEBUG)
    caplog.set_level(logging.DEBUG, logger="urllib3")  # MLflow uploads silence it
    site.expires_after = HALF
    written: list[str] = []
    cookies: set[str] = set()

    def show(done: int, total: int | None = None, note: str = "") -> None:
        cookies.update(site.sessions)
        written.extend(
            path.read_bytes().decode("latin-1") for path in (tmp_path / "data").iterdir()
        )

    with LoginSession(site.login, "cityscapes") as account:
        account.fetch(_file(site, tmp_path), lambda: contextlib.nullcontext(show))
        child = subprocess.run([sys.executable, "-c", "import os; print(os.environ)"], check=True)
        assert child.returncode == 0
        written += [repr(account), repr(vars(account)), repr(account._variables)]
        arguments = Path("/proc/self/cmdline").read_text()
    show(0)
    seen = capfd.readouterr()
    everything = "\n".join([*written, seen.out, seen.err, caplog.text, arguments])
    assert "downloads.lock.json" in {path.name for path in (tmp_path / "data").iterdir()}
    assert '"etag"' in everything  # the side file of the part was read
    assert "POST /login/" in everything  # urllib3's log was read
    assert "environ({" in everything
    assert cookies
    for secret in (site.username, site.password, *cookies):
        assert secret not in everything
    assert not any(
        secret in request.path
        for request in site.requests
        for secret in (site.username, site.password)
    )


def test_credentials_have_no_values_in_their_repr() -> None:
    assert repr(Credentials("anna", "geheim", "a place")) == "Credentials(origin='a place')"


@pytest.mark.usefixtures("variables")
@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
def test_a_redirect_to_another_site_gets_neither_cookies_nor_credentials(
    site: AccountSite, tmp_path: Path, host: str
) -> None:
    _netrc(tmp_path / ".netrc", _entry(site) + _entry(site, "machine localhost"))
    with account_site() as other:
        url = f"{site.url}/away"
        site.redirects["/away"] = f"{other.url.replace('127.0.0.1', host)}/mirror.zip"
        other.redirects["/mirror.zip"] = f"{site.url}/file-handling/?packageID=1"
        _fetch(site, tmp_path, url)
        (asked,) = other.requests
    assert (tmp_path / "data/set1.zip").read_bytes() == CONTENT
    assert not {"Cookie", "Authorization"} & set(asked.headers)
    assert not any("Authorization" in request.headers for request in site.requests)


def test_a_redirect_without_https_gets_no_cookies(site: AccountSite) -> None:
    site.files["/open"] = CONTENT
    with _SiteSession(site.login.replace("http:", "https:")) as session:
        session.cookies.set("session", "geheim", domain="127.0.0.1", path="/")
        session.get(f"{site.url}/open")
    assert site.requests
    assert not any("Cookie" in request.headers for request in site.requests)


@pytest.mark.usefixtures("variables")
def test_a_form_that_has_moved_to_another_site_gets_no_password(
    site: AccountSite, tmp_path: Path
) -> None:
    with account_site() as other:
        site.redirects["/login/"] = other.login
        with pytest.raises(UserError) as told:
            _fetch(site, tmp_path)
        assert f"the log-in fails: the form has moved to {other.login}" in str(told.value)
        assert [one.method for one in other.requests] == ["GET"]
    assert _posts(site) == 0


@pytest.mark.usefixtures("variables")
def test_no_password_is_sent_without_https_to_another_machine(
    site: AccountSite, tmp_path: Path
) -> None:
    with (
        pytest.raises(UserError) as told,
        LoginSession("http://site.invalid/login/", "cityscapes") as account,
    ):
        account.fetch(_file(site, tmp_path), _progress)
    assert str(told.value) == "http://site.invalid/login/: a password is only sent over https"
    assert site.requests == []


@pytest.mark.usefixtures("variables")
def test_no_proxy_sees_a_password_that_is_not_encrypted(
    site: AccountSite, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("no_proxy", raising=False)
    monkeypatch.delenv("NO_PROXY", raising=False)
    with account_site() as proxy:
        monkeypatch.setenv("http_proxy", proxy.url)
        _fetch(site, tmp_path)
        assert proxy.requests == []
    assert _posts(site) == 1


@pytest.mark.usefixtures("variables")
@pytest.mark.parametrize("failures", [[503, 500], [0, 503], [429, 0, 504, 0]])
def test_a_log_in_that_fails_for_a_while_is_tried_again(
    site: AccountSite, tmp_path: Path, failures: list[int]
) -> None:
    """0 is a success, so that the POST fails after it."""
    site.failures = failures
    said = _fetch(site, tmp_path)
    assert (tmp_path / "data/set1.zip").read_bytes() == CONTENT
    assert site.failures == []
    assert sum(line.endswith("; tries again in 0 s") for line in said) >= 1


@pytest.mark.usefixtures("variables")
@pytest.mark.parametrize(
    ("failures", "reason"),
    [
        ([503] * 9, "the server answers 503 Service Unavailable, at attempt 5"),
        ([404], "the server answers 404 Not Found"),
        ([0, 404], "the server answers 404 Not Found"),
    ],
)
def test_a_log_in_that_stays_closed_is_one_line(
    site: AccountSite, tmp_path: Path, failures: list[int], reason: str
) -> None:
    site.failures = failures
    with pytest.raises(UserError) as told:
        _fetch(site, tmp_path)
    assert str(told.value) == (
        f"{site.login}: the log-in fails: {reason}. Try again later; archives that you have "
        "already can be given in params.yaml as `source`"
    )


@pytest.mark.usefixtures("variables")
def test_a_site_that_is_down_is_one_line(site: AccountSite, tmp_path: Path) -> None:
    site.url = "http://127.0.0.1:1"
    with pytest.raises(UserError, match="the log-in fails: no connection, at attempt 5"):
        _fetch(site, tmp_path)


@pytest.mark.usefixtures("variables")
def test_a_redirect_to_no_address_is_one_line(site: AccountSite, tmp_path: Path) -> None:
    site.redirects["/away"] = "http://127.0.0.1:99999/"
    with pytest.raises(UserError, match="this is not a valid http or https address"):
        _fetch(site, tmp_path, f"{site.url}/away")
