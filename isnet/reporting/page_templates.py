"""Renders Jinja templates as Markdown, or as HTML pages that contain their styles and scripts."""

import base64
import functools
import hashlib
import html
import importlib.resources
import json
import re
from collections.abc import Mapping
from typing import Any

from jinja2 import Environment, FunctionLoader, StrictUndefined
from markupsafe import Markup

Assets = tuple[str, ...]
"""Names of files in `templates/`."""
HEAD_SCRIPTS: Assets = ("theme.js",)
STYLES = ("theme.css", "page.css", "figures.css")
_MARKUP = re.compile(r"([\\`*_\[\]|#~])")


def render_page(
    template: str, context: Mapping[str, object], scripts: Assets, styles: Assets = ()
) -> str:
    """Render a template as an HTML page that contains its styles and scripts.

    `scripts` are inserted at the end of the body, and `styles` after the common styles.
    """
    page = _environment(is_html=True).get_template(template)
    return page.render(
        policy=_policy(HEAD_SCRIPTS + scripts),
        styles=[Markup(_asset(name)) for name in STYLES + styles],
        head_scripts=[Markup(_asset(name)) for name in HEAD_SCRIPTS],
        body_scripts=[Markup(_asset(name)) for name in scripts],
        **context,
    )


def render_markdown(template: str, context: Mapping[str, object]) -> str:
    """Render a template as Markdown.

    The template escapes values with the filters `plain` and `code`.
    """
    return _environment(is_html=False).get_template(template).render(**context)


def _asset(name: str) -> str:
    return (importlib.resources.files("isnet.reporting") / "templates" / name).read_text("utf-8")


def _policy(scripts: Assets) -> str:
    """Return a Content-Security-Policy that allows only the given scripts and no external files."""
    digests = (hashlib.sha256(_asset(name).encode()).digest() for name in scripts)
    hashes = " ".join(f"'sha256-{base64.b64encode(digest).decode()}'" for digest in digests)
    return f"default-src 'none'; img-src data:; style-src 'unsafe-inline'; script-src {hashes}"


@functools.cache
def _environment(is_html: bool) -> Environment:
    none = "\u2013" if is_html else "-"

    def interval(bounds: tuple[float | None, float | None] | None) -> str:
        low, high = bounds or (None, None)
        return none if low is None or high is None else f"{percent(low, 2)} to {percent(high, 2)}"

    environment = Environment(
        loader=FunctionLoader(_asset),
        autoescape=is_html,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=not is_html,
    )
    environment.filters |= {
        "percent": functools.partial(percent, none=none),
        "interval": interval,
        "fixed": lambda value: none if value is None else f"{value:.2f}",
        "count": lambda value: none if value is None else f"{value:,}".replace(",", "\u202f"),
        "duration": lambda seconds: none if seconds is None else _duration(seconds),
        "si": lambda value: none if value is None else _si(value),
        # A long file name may break after its underscores.
        "breakable": lambda name: Markup("_<wbr>").join(name.split("_")),
        "capitalize_first": lambda text: text[:1].upper() + text[1:],
        "plain": _escape_markdown,
        "code": lambda text: " ".join(text.split()).replace("`", "'").replace("|", "/"),
        "yaml": json.dumps,
    }
    return environment


def percent(fraction: float | None, digits: int = 1, none: str = "-") -> str:
    """Format a fraction in percent with `digits` decimals, or return `none` if it is None."""
    return none if fraction is None else f"{fraction * 100:.{digits}f}"


def _duration(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    parts = [f"{hours} h"] * bool(hours) + [f"{minutes} min"] * bool(hours or minutes)
    return " ".join(parts + [f"{rest} s"] * (not hours))


def _si(value: float) -> str:
    """Format a number with an SI prefix, such as 3200000 as `3.2 M`."""
    for factor, unit in ((1e12, "T"), (1e9, "G"), (1e6, "M"), (1e3, "k")):
        if value >= factor:
            return f"{value / factor:.3g} {unit}"
    return f"{value:.3g} "


def _escape_markdown(text: Any) -> str:
    """Escape the characters that Markdown or HTML interprets, and replace line breaks by spaces."""
    return _MARKUP.sub(r"\\\1", html.escape(" ".join(str(text).split()), quote=False))
