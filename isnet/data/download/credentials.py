"""User name and password of a site: from the environment, from netrc, or asked for.

Values are in no message and no `repr`.
"""

from __future__ import annotations

import getpass
import netrc
import os
import sys
from dataclasses import dataclass, field
from pathlib import Path

from isnet.errors import UserError

__all__ = ["Credentials", "Variables", "ask", "from_netrc"]


@dataclass(frozen=True)
class Credentials:
    """Who logs in, and where that stands."""

    username: str = field(repr=False)
    password: str = field(repr=False)
    origin: str
    """What people know the place as."""


class Variables:
    """`SERVICE_USERNAME` and `SERVICE_PASSWORD`, taken out of this process's environment: what it
    starts from now on does not inherit them.
    """

    def __init__(self, service: str) -> None:
        self.names = (f"{service.upper()}_USERNAME", f"{service.upper()}_PASSWORD")
        self._values = {name: os.environ.pop(name, "") for name in self.names}

    def __repr__(self) -> str:
        return f"Variables({', '.join(self.names)})"

    def credentials(self) -> Credentials | None:
        """Return what the variables held; None: neither was set, or both are empty.

        Raises:
            UserError: one was set alone.
        """
        username, password = (self._values[name] for name in self.names)
        if username and password:
            return Credentials(username, password, f"{self.names[0]} and {self.names[1]}")
        if not username and not password:
            return None
        there, missing = self.names if username else self.names[::-1]
        raise UserError(f"{there} is set, and {missing} is not", hint="Set both, or neither")


def from_netrc(host: str) -> Credentials | None:
    """Return what `$NETRC`, or else `~/.netrc`, holds for `host`; an entry `default` is for none.

    Raises:
        UserError: the file cannot be read, others may read it, or it is malformed.
    """
    place = os.environ.get("NETRC") or None
    shown = place or "~/.netrc"
    try:
        # Without a path it refuses a file of somebody else, or that others may read.
        entry = netrc.netrc(place).hosts.get(host)
    except FileNotFoundError:
        return None
    except netrc.NetrcParseError as error:  # its text may hold a password
        raise _bad_netrc(shown, error.lineno) from None
    except (OSError, UnicodeError) as error:
        what = getattr(error, "strerror", None) or "it is no text"
        raise UserError(f"cannot be read: {what}", where=shown) from None
    if entry is None:
        return None
    username, _, password = entry
    if not (username and password):
        raise UserError(f"machine {host} needs both login and password", where=shown)
    return Credentials(username, password, shown)


def _bad_netrc(shown: str, line: int | None) -> UserError:
    if line is None:
        return UserError(
            "others may read it, or it is another user's",
            where=shown,
            hint=f"Make it your own: chmod 600 {shown}",
        )
    return UserError(
        f"what ends in line {line} is no netrc",
        where=shown,
        hint="An entry is `machine HOST login NAME password WORD`",
    )


def ask(host: str, variables: Variables) -> Credentials:
    """Ask whoever sits at the terminal.

    Raises:
        UserError: nobody does, or no answer was given.
    """
    if sys.stdin is None or not sys.stdin.isatty():
        raise _no_credentials(host, variables)
    try:
        username = _ask_openly(f"User name or e-mail address at {host}: ")
        password = getpass.getpass(f"Password at {host}: ")
    except EOFError:
        raise _no_credentials(host, variables) from None
    if not (username and password):
        raise _no_credentials(host, variables)
    return Credentials(username, password, "the terminal")


def _ask_openly(prompt: str) -> str:
    # As getpass does: standard output and error may lead to files, or through a progress bar.
    try:
        with Path("/dev/tty").open("w") as terminal:
            terminal.write(prompt)
    except OSError:
        print(prompt, end="", file=sys.__stderr__, flush=True)
    return input().strip()


def _no_credentials(host: str, variables: Variables) -> UserError:
    username, password = variables.names
    return UserError(
        "downloading needs an account, and none was given",
        where=host,
        hint=f"Set {username} and {password}, or write `machine {host} login NAME password WORD` "
        "into ~/.netrc, or start this in a terminal, which asks; archives that you have already "
        "can be given in params.yaml as `source`",
    )
