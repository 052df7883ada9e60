"""Groups the image files of a folder by the path patterns that they match."""

import re
from collections import defaultdict
from collections.abc import Iterable, Iterator
from pathlib import Path, PurePosixPath
from typing import NamedTuple

from isnet.io.image_folder import files_below, is_image

SPLIT_WORDS = {
    "train": ("train", "training"),
    "val": ("val", "valid", "validation", "dev"),
    "test": ("test", "testing"),
}
"""Parts of folder names, by the split that they name."""
_WORD = "|".join(sorted((word for some in SPLIT_WORDS.values() for word in some), key=len)[::-1])
_SPLIT_FOLDER = re.compile(
    rf"((?:.*[-_. ])?)({_WORD})((?:[-_. ].*|\d{{4}}|annots?|labels?|masks?|images?|imgs?)?)",
    re.IGNORECASE,
)
_LABEL_WORDS = re.compile(
    r"mask|label|annot|(?<![a-z])gt|ground.?truth|(?<![a-z])seg|manual|target", re.IGNORECASE
)
_IMAGE_WORDS = re.compile(r"image|img|photo|picture|jpeg|(?<![a-z])rgb|frame", re.IGNORECASE)
_LEVELS = 3
"""Number of folder levels, below the one that names the split, at which a pattern may begin."""

Key = tuple[str, str]
"""The word that names the split (empty: none), and what is `{name}` in a pattern."""


class FileGroup(NamedTuple):
    """The files that match the pattern `base{name}ending.suffix`, by their keys.

    `base` ends with a slash or with what all names begin with; it may be empty.
    """

    base: str
    ending: str
    suffix: str
    files: dict[Key, str]

    @property
    def pattern(self) -> str:
        """The path pattern, as in a description."""
        return f"{self.base}{{name}}{self.ending}{self.suffix}"

    @property
    def folder(self) -> str:
        """The folder in `base`, with a slash at its end."""
        return self.base[: self.base.rfind("/") + 1]

    @property
    def label_score(self) -> int:
        """The higher, the more its names look like labels: folder, ending, and never JPEG."""
        is_label = bool(_LABEL_WORDS.search(f"{self.base} {self.ending}"))
        is_photo = not is_label and bool(_IMAGE_WORDS.search("/".join(self.base.split("/")[-2:])))
        is_jpeg = self.suffix in (".jpg", ".jpeg")
        return 4 * is_label - 4 * is_photo - 8 * is_jpeg + bool(self.ending)

    def is_below(self, folder: str) -> bool:
        """Return whether the files are in a folder, in which `{split}` may stand for a part."""
        parts = PurePosixPath(folder).parts
        there = PurePosixPath(self.folder).parts[: len(parts)]
        return there in (parts, mark_split(parts)[0])


def group_images(root: Path, folders: Iterable[Path]) -> list[FileGroup]:
    """Group the image files below `folders` of `root`, see `group_files`."""
    return group_files(root, (p for folder in folders for p in files_below(folder) if is_image(p)))


def group_files(root: Path, paths: Iterable[Path]) -> list[FileGroup]:
    """Group files, each in all patterns that it matches; largest first.

    Patterns are relative to `root`. The suffix `.*` is for files that have several.
    """
    files: defaultdict[tuple[str, str, str], dict[Key, str]] = defaultdict(dict)
    for path in paths:
        relative = path.relative_to(root)
        for base, ending, key in _match_patterns(relative):
            files[base, ending, path.suffix.lower()][key] = relative.as_posix()
    by_ending: defaultdict[tuple[str, str], list[dict[Key, str]]] = defaultdict(list)
    for (base, ending, _), some in files.items():
        by_ending[base, ending].append(some)
    for (base, ending), several in by_ending.items():
        together = {key: path for some in several for key, path in some.items()}
        if len(several) > 1 and len(together) == sum(map(len, several)):
            files[base, ending, ".*"] = together
    groups = [FileGroup(*place, some) for place, some in files.items()]
    kept = [
        group
        for group in groups
        if not group.ending or len(group.files) > 1 or _LABEL_WORDS.search(group.ending)
    ]
    return sorted(kept, key=lambda group: -len(group.files))


def _match_patterns(path: Path) -> Iterator[tuple[str, str, Key]]:
    """Yield the base, the ending and the key of each pattern that a path may match."""
    parents, word = mark_split(path.parts[:-1])
    first = next((i + 1 for i, part in enumerate(parents) if "{split}" in part), 0)
    stem = path.name.removesuffix(path.suffix)
    cuts = [match.start() for match in re.finditer(r"[-_. ]", stem) if match.start()]
    beginning = re.match(r"[A-Za-z]+[-_. ]?(?=\d)", stem)
    for depth in range(first, min(len(parents), first + _LEVELS) + 1):
        folder = "".join(f"{part}/" for part in parents[:depth])
        below = "/".join(parents[depth:])
        for cut in (len(stem), *cuts):
            yield folder, stem[cut:], (word, f"{below}/{stem[:cut]}".lstrip("/"))
        if below and not (_LABEL_WORDS.search(below) or _IMAGE_WORDS.search(below)):
            yield folder, f"/{stem}", (word, below)  # a folder for each image
        elif beginning and not below:
            yield folder + beginning[0], "", (word, stem[beginning.end() :])


def mark_split(parts: tuple[str, ...]) -> tuple[tuple[str, ...], str]:
    """Return parts of a path with `{split}` for the first word that names one, and that word."""
    matches = [_SPLIT_FOLDER.fullmatch(part) for part in parts]
    word = next((match[2] for match in matches if match), "")
    return tuple(
        f"{match[1]}{{split}}{match[3]}" if match and match[2] == word else part
        for part, match in zip(parts, matches, strict=True)
    ), word
