"""Finds the path patterns by which the images and labels of a folder belong together."""

import re
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import NamedTuple

from isnet.data.inspection.foreign_annotations import refuse_annotations
from isnet.errors import UserError

_SUFFIXES = {".png", ".jpg", ".jpeg", ".bmp", ".tif", ".tiff", ".webp", ".gif"}
_SPLIT_WORDS = {
    "train": ("train", "training"),
    "val": ("val", "valid", "validation", "dev"),
    "test": ("test", "testing"),
}
_SPLIT_OF = {word: split for split, words in _SPLIT_WORDS.items() for word in words}
_WORD = "|".join(sorted(_SPLIT_OF, key=len, reverse=True))
_SPLIT_PART = re.compile(
    rf"((?:.*[-_. ])?)({_WORD})((?:[-_. ].*|annots?|labels?|masks?|images?|imgs?)?)", re.IGNORECASE
)
_LABEL_WORDS = re.compile(
    r"mask|label|annot|(?<![a-z])gt|ground.?truth|(?<![a-z])seg|manual|target", re.IGNORECASE
)
_IMAGE_WORDS = re.compile(r"image|img|photo|picture|jpeg|(?<![a-z])rgb|frame", re.IGNORECASE)
_LEVELS = 3
"""Number of folder levels, below the one that names the split, at which a pattern may begin."""
_MAX_GROUPS = 80
"""Groups of files that are compared with each other, the largest first."""

_Key = tuple[str, str]
"""The folder of the split (empty: none), and the part of the path that image and label share."""


class Pairing(NamedTuple):
    """Path patterns of images and labels, and the folders of the splits.

    `image` and `label` are patterns as in a description. `split_folders` are the words that
    `{split}` stands for, by `train`, `val` or `test`.
    """

    image: str
    label: str
    split_folders: dict[str, str]


class _Group(NamedTuple):
    """Files below `base` whose stems end in `ending`, by what is left of their paths."""

    base: str
    ending: str
    suffix: str
    files: dict[_Key, str]

    @property
    def pattern(self) -> str:
        return f"{self.base}/{{name}}{self.ending}{self.suffix}".lstrip("/")

    @property
    def label_score(self) -> int:
        """The higher, the more its names look like labels: folder, ending, and never JPEG."""
        folder = self.base.rpartition("/")[2] if "/" in self.base else self.base
        names = f"{self.base} {self.ending}"
        is_photo = bool(_IMAGE_WORDS.search(folder)) and not _LABEL_WORDS.search(names)
        is_jpeg = self.suffix.lower() in (".jpg", ".jpeg")
        return 4 * bool(_LABEL_WORDS.search(names)) - 4 * is_photo - 8 * is_jpeg + bool(self.ending)


def find_pairing(root: Path, images: str | None, labels: str | None, ending: str | None) -> Pairing:
    """Find the patterns by which most images below `root` have a label.

    Args:
        root: the folder of the data set.
        images: folder of the images below `root`, or None to find it.
        labels: folder of the labels, likewise.
        ending: what the stems of labels have more than `{name}`, such as `_mask`, or None.

    Raises:
        UserError: there are no pairs, or files of several kinds could be the labels.
    """
    folders = [root / folder for folder in (images, labels) if folder is not None]
    both = len(folders) == 2
    groups = _groups(root, [*dict.fromkeys(folders)] if both else [root])
    candidates = [
        (left, right, left.files.keys() & right.files.keys())
        for left in groups
        for right in groups
        if left.files is not right.files
        and (images is None or _is_below(left.base, images))
        and (labels is None or _is_below(right.base, labels))
        and (ending is None or right.ending == ending)
    ]
    candidates = [each for each in candidates if _differ(*each)]
    most = max((len(common) for *_, common in candidates), default=0)
    if not most:
        refuse_annotations(root)
        hint = "Give the folders by --images and --labels, and the labels' ending by --label-suffix"
        raise UserError("no image has a label of its name", where=str(root), hint=hint)
    best = [each for each in candidates if len(each[2]) == most]
    if images is None or labels is None or images == labels:
        apart = [each for each in best if each[0].label_score < each[1].label_score]
        if not apart:
            what = f"{best[0][0].pattern} and {best[0][1].pattern}: either could be the labels"
            raise UserError(what, where=str(root), hint="Give the labels' folder by --labels")
        best = apart
    _refuse_several(root, best)
    image, label, common = min(best, key=_preference)
    words = _split_folders(root, {word for word, _ in common if word})
    return Pairing(image.pattern, label.pattern, words)


def _split_folders(root: Path, words: set[str]) -> dict[str, str]:
    """Return the words by the split that they name, in the order train, val, test."""
    folders: dict[str, str] = {}
    for split in _SPLIT_WORDS:
        several = sorted(word for word in words if _SPLIT_OF[word.lower()] == split)
        if len(several) > 1:
            what = f"{' and '.join(several)} both name the split {split}"
            hint = "Rename one of the folders, or move it away"
            raise UserError(what, where=str(root), hint=hint)
        if several:
            folders[split] = several[0]
    return folders


def _differ(left: _Group, right: _Group, common: set[_Key]) -> bool:
    return all(left.files[key] != right.files[key] for key in common)


def _preference(candidate: tuple[_Group, _Group, set[_Key]]) -> tuple[int, int, int]:
    """Prefer the pattern with the shortest endings, the deepest folder, and a fixed suffix."""
    left, right, _ = candidate
    any_suffix = (left.suffix == ".*") + (right.suffix == ".*")
    return len(left.ending + right.ending), -len(left.base + right.base), any_suffix


def _refuse_several(root: Path, best: list[tuple[_Group, _Group, set[_Key]]]) -> None:
    patterns: dict[frozenset[tuple[str, str]], str] = {}
    endings = set()
    for image, label, common in best:
        mapping = frozenset((image.files[key], label.files[key]) for key in common)
        patterns.setdefault(mapping, label.pattern)
        endings.add(label.ending)
    if len(patterns) > 1:
        shown = ", ".join(sorted(set(patterns.values()))[:4])
        flag = f"--label-suffix={max(endings)} or another" if len(endings) > 1 else "--labels"
        what = f"{len(patterns)} kinds of files could be the labels: {shown}"
        raise UserError(what, where=str(root), hint=f"Choose one by {flag}")


def _is_below(base: str, folder: str) -> bool:
    # `base` may have {split} for a part of the folder's name.
    parts = PurePosixPath(folder).parts
    wanted = _template(parts)[0] if parts else ()
    there = PurePosixPath(base).parts
    return there[: len(parts)] in (parts, tuple(wanted))


def _groups(root: Path, folders: list[Path]) -> list[_Group]:
    files: defaultdict[tuple[str, str, str], dict[_Key, str]] = defaultdict(dict)
    for path in (path for folder in folders for path in _image_files(root, folder)):
        parents, word = _template(path.parts[:-1])
        first = next((i + 1 for i, part in enumerate(parents) if "{split}" in part), 0)
        for depth in range(first, min(len(parents), first + _LEVELS) + 1):
            base = "/".join(parents[:depth])
            for core, ending in _cuts(path.name.removesuffix(path.suffix)):
                name = "/".join([*path.parts[depth:-1], core])
                files[base, ending, path.suffix][word, name] = str(path)
    merged: defaultdict[tuple[str, str], list[dict[_Key, str]]] = defaultdict(list)
    for (base, ending, _), some in files.items():
        merged[base, ending].append(some)
    for (base, ending), several in merged.items():
        total = {key: path for some in several for key, path in some.items()}
        if len(several) > 1 and len(total) == sum(map(len, several)):
            files[base, ending, ".*"] = total
    groups = [
        _Group(*key, some)
        for key, some in files.items()
        if not key[1] or len(some) > 1 or _LABEL_WORDS.search(key[1])
    ]
    return sorted(groups, key=lambda group: -len(group.files))[:_MAX_GROUPS]


def _image_files(root: Path, folder: Path) -> Iterator[PurePosixPath]:
    for path in sorted(folder.rglob("*")):
        relative = PurePosixPath(path.relative_to(root))
        is_hidden = any(part.startswith(".") for part in relative.parts)
        if path.suffix.lower() in _SUFFIXES and not is_hidden and path.is_file():
            yield relative


def _template(parts: tuple[str, ...]) -> tuple[list[str], str]:
    """Return folders with `{split}` for the first word that names one, and that word."""
    for part in parts:
        if match := _SPLIT_PART.fullmatch(part):
            template = f"{match[1]}{{split}}{match[3]}"
            return [template if other == part else other for other in parts], match[2]
    return list(parts), ""


def _cuts(stem: str) -> Iterator[tuple[str, str]]:
    """Yield each way to divide a stem into a name and an ending such as `_mask`."""
    yield stem, ""
    for match in re.finditer(r"[-_. ]", stem):
        if match.start():
            yield stem[: match.start()], stem[match.start() :]
