"""Reads the user name and password of a site from the environment, from netrc or the terminal.

User name and password never appear in messages, in a `repr`, or in an address that is shown or
stored.
"""

import getpass
import netrc
import os
import sys
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

from isnet.errors import UserError

LOOPBACK = ("127.0.0.1", "::1", "localhost")
"""Host names of this machine."""
GIVE_AS_SOURCE = "archives that you have already can be given in params.yaml as `source`"


@dataclass(frozen=True)
class Credentials:
    """A user name and password. `origin` says where they come from, for messages."""

    username: str = field(repr=False)
    password: str = field(repr=False)
    origin: str


class CredentialVariables:
    """Credentials from the environment variables `SERVICE_USERNAME` and `SERVICE_PASSWORD`.

    The constructor removes these variables from the environment of this process, so that child
    processes do not inherit them.
    """

    def __init__(self, service: str) -> None:
        self.names = (f"{service.upper()}_USERNAME", f"{service.upper()}_PASSWORD")
        self._values = [os.environ.pop(name, "") for name in self.names]

    def credentials(self) -> Credentials | None:
        """Return the credentials, or None if both variables are empty or not set.

        Raises UserError if only one of the variables is set.
        """
        username, password = self._values
        if username and password:
            return Credentials(username, password, " and ".join(self.names))
        if not (username or password):
            return None
        present, missing = self.names if username else self.names[::-1]
        raise UserError(f"{present} is set, and {missing} is not", hint="Set both, or neither")


def read_netrc(host: str) -> Credentials | None:
    """Read the credentials of `host` from the file `$NETRC` or `~/.netrc`.

    Returns None if there is no such file or entry. The entry `default` is not used.

    Raises:
        UserError: the file cannot be read, is readable by others, or is malformed.
    """
    path = os.environ.get("NETRC") or None
    shown = path or "~/.netrc"
    try:
        # Without a path, netrc refuses files of other users and files that others may read.
        entry = netrc.netrc(path).hosts.get(host)
    except FileNotFoundError:
        return None
    except netrc.NetrcParseError as error:  # its text may contain a password
        if error.lineno is None:
            what = "others may read it, or it belongs to another user"
            hint = f"Make it your own: chmod 600 {shown}"
        else:
            what = f"the entry that ends in line {error.lineno} is malformed"
            hint = "An entry is `machine HOST login NAME password WORD`"
        raise UserError(what, where=shown, hint=hint) from None
    except (OSError, UnicodeError) as error:
        what = getattr(error, "strerror", None) or "it is not a text file"
        raise UserError(f"cannot be read: {what}", where=shown) from None
    if entry is None:
        return None
    username, _, password = entry
    if not (username and password):
        raise UserError(f"machine {host} needs both login and password", where=shown)
    return Credentials(username, password, shown)


def ask_at_terminal(host: str, variables: CredentialVariables) -> Credentials:
    """Ask for the user name and password of `host` at the terminal.

    Raises UserError if there is no terminal, or an answer is empty.
    """
    username = password = ""
    if sys.stdin is not None and sys.stdin.isatty():
        try:
            _show_prompt(f"User name or e-mail address at {host}: ")
            username = input().strip()
            password = getpass.getpass(f"Password at {host}: ")
        except EOFError:
            pass
    if username and password:
        return Credentials(username, password, "the terminal")
    set_them = f"Set {' and '.join(variables.names)}"
    write_them = f"write `machine {host} login NAME password WORD` into ~/.netrc"
    run_it = "run the command in a terminal, where it asks for them"
    hint = f"{set_them}, or {write_them}, or {run_it}; {GIVE_AS_SOURCE}"
    what = "downloading needs an account, and no credentials were given"
    raise UserError(what, where=host, hint=hint)


def _show_prompt(prompt: str) -> None:
    """Write a prompt to the terminal itself, as getpass does, even if stdout is redirected."""
    try:
        with Path("/dev/tty").open("w") as terminal:
            terminal.write(prompt)
    except OSError:
        print(prompt, end="", file=sys.__stderr__, flush=True)


def redact_url(url: str) -> str:
    """Return `url` with user, password and query replaced by `...`, since they may be secret."""
    parts = urlsplit(url)
    user, at, host = parts.netloc.rpartition("@")
    query = "..." if parts.query else ""
    return urlunsplit((parts.scheme, f"...{at}{host}" if user else host, parts.path, query, ""))
