"""Templates become pages that carry their styles and scripts and may run no others."""

from __future__ import annotations

import base64
import functools
import hashlib
import importlib.resources
from collections.abc import Mapping

from jinja2 import Environment, FunctionLoader, StrictUndefined
from markupsafe import Markup

__all__ = ["render"]

HEAD_SCRIPTS = ("theme.js",)
STYLES = ("theme.css", "page.css", "figures.css")
MISSING = "\u2013"


def render(
    template: str,
    context: Mapping[str, object],
    *,
    scripts: tuple[str, ...],
    styles: tuple[str, ...] = (),
) -> str:
    """Return the page that `template` makes of `context`.

    `scripts` run at the end of its body, in this order; `styles` follow those of every page. All
    of them are files of `templates/`.
    """
    page = _templates().get_template(template)
    return page.render(
        policy=_policy(HEAD_SCRIPTS + scripts),
        styles=_assets(STYLES + styles),
        head_scripts=_assets(HEAD_SCRIPTS),
        body_scripts=_assets(scripts),
        **context,
    )


def _asset(name: str) -> str:
    return (importlib.resources.files("isnet.reporting") / "templates" / name).read_text("utf-8")


def _assets(names: tuple[str, ...]) -> list[Markup]:
    return [Markup(_asset(name)) for name in names]


def _policy(scripts: tuple[str, ...]) -> str:
    """Return a Content-Security-Policy that runs our own scripts only and loads nothing."""
    hashes = " ".join(
        f"'sha256-{base64.b64encode(hashlib.sha256(_asset(name).encode()).digest()).decode()}'"
        for name in scripts
    )
    return f"default-src 'none'; img-src data:; style-src 'unsafe-inline'; script-src {hashes}"


@functools.cache
def _templates() -> Environment:
    templates = Environment(
        loader=FunctionLoader(_asset),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    templates.filters |= {
        "percent": _percent,
        "count": _count,
        "duration": _duration,
        "si": _si,
        "breakable": _breakable,
        "capitalize_first": lambda text: text[:1].upper() + text[1:],
    }
    return templates


def _percent(fraction: float | None, digits: int = 1) -> str:
    return MISSING if fraction is None else f"{fraction * 100:.{digits}f}"


def _count(value: int | None) -> str:
    return MISSING if value is None else f"{value:,}".replace(",", "\u202f")


def _breakable(name: str) -> Markup:
    """Let a long file name break after its underscores, and nowhere else."""
    return Markup("_<wbr>").join(name.split("_"))


def _duration(seconds: float | None) -> str:
    if seconds is None:
        return MISSING
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    parts = [f"{hours} h"] * bool(hours) + [f"{minutes} min"] * bool(hours or minutes)
    return " ".join(parts + [f"{rest} s"] * (not hours))


def _si(value: float | None) -> str:
    """Return 3200000 as `3.20 M`."""
    if value is None:
        return MISSING
    for factor, unit in ((1e12, "T"), (1e9, "G"), (1e6, "M"), (1e3, "k")):
        if value >= factor:
            return f"{value / factor:.3g} {unit}"
    return f"{value:.3g} "
