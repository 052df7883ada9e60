"""Groups of images that belong together, such as both eyes of one patient, by their names."""

import re

from isnet.errors import UserError


def group_of(pattern: str, name: str) -> str:
    """Return the group of the image `name`, see `DatasetDescription.group`.

    Raises UserError if the name does not fit the pattern.
    """
    if "{group}" not in pattern:
        return pattern.format(name=name)
    shape = "".join(
        {"{group}": "(.+?)", "*": ".*"}.get(part, re.escape(part))
        for part in re.split(r"(\{group\}|\*)", pattern)
    )
    if match := re.fullmatch(shape, name):
        return match[1]
    hint = "In `group`, `*` stands for any text: change it so that all names fit"
    raise UserError(f"the name {name} does not fit `group: {pattern!r}`", hint=hint)


def check_group(pattern: str) -> None:
    """Raise ValueError unless a pattern has one `{group}`, or is a format of `{name}`."""
    if pattern.count("{group}") == 1 and not re.search(r"[{}]", pattern.replace("{group}", "")):
        return
    if re.fullmatch(r"[^{}]*\{name(:\.[1-9][0-9]*)?\}[^{}]*", pattern) and "{name}" != pattern:
        return
    how = "write the part of the name that a group shares, as in '{group}_*'"
    raise ValueError(f"group is {pattern!r}: {how}, or its number of letters, as in '{{name:.8}}'")
