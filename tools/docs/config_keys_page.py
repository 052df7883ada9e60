"""Generates the reference of config keys from their table in `isnet/settings`."""

from isnet.settings.config_keys import HONOURED, OWNED


def config_keys_page() -> str:
    """Return a table of the keys that are read, and one of those decided elsewhere, as Markdown."""
    read = [f"| `{name}` | {text} |" for name, text in HONOURED.items()]
    owned = [
        f"| `{name}` | {key.decided} | {key.hint or '-'} | {_accepted(key.any_in_file)} |"
        for name, key in OWNED.items()
    ]
    return "\n".join(
        [
            *("## Read", "", "| key | effect |", "|---|---|", *read, ""),
            *("## Decided elsewhere", ""),
            *("| key | decided by | what to write | in a file |", "|---|---|---|---|", *owned, ""),
        ]
    )


def _accepted(any_in_file: bool) -> str:
    return "any value, for mmseg's own tools" if any_in_file else "that of the base configs"
