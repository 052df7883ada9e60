"""Finds the path patterns by which the images and labels of a folder belong together."""

import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path, PurePosixPath
from typing import NamedTuple

from isnet.errors import UserError
from isnet.images.image_folder import files_below, is_image

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
_MAX_GROUPS = 80
"""Groups of files that are compared with each other, the largest first."""

_Key = tuple[str, str]
"""The word that names the split, or an empty text, and what `{name}` stands for in a pattern."""


class Pairing(NamedTuple):
    """Path patterns of images and labels, and the folders of the splits.

    `image` and `label` are patterns as in a description. `split_folders` are the words that
    `{split}` stands for, by `train`, `val` or `test`. `form` is that of annotations, else None.
    """

    image: str
    label: str
    split_folders: dict[str, str]
    form: str | None = None


class NoMasksError(UserError):
    """The images of a folder cannot be told from masks, or have none."""


class _FileGroup(NamedTuple):
    """The files that match the pattern `base{name}ending.suffix`, by their keys."""

    base: str
    ending: str
    suffix: str
    files: dict[_Key, str]

    @property
    def pattern(self) -> str:
        return f"{self.base}{{name}}{self.ending}{self.suffix}"

    @property
    def folder(self) -> str:
        return self.base[: self.base.rfind("/") + 1]

    @property
    def label_score(self) -> int:
        """How much the names look like labels, by folder and ending; JPEG files never do."""
        is_label = bool(_LABEL_WORDS.search(f"{self.base} {self.ending}"))
        is_photo = not is_label and bool(_IMAGE_WORDS.search("/".join(self.base.split("/")[-2:])))
        is_jpeg = self.suffix in (".jpg", ".jpeg")
        return 4 * is_label - 4 * is_photo - 8 * is_jpeg + bool(self.ending)

    def is_below(self, folder: str) -> bool:
        """Return whether the files are in a folder, in which `{split}` may stand for a part."""
        parts = PurePosixPath(folder).parts
        there = PurePosixPath(self.folder).parts[: len(parts)]
        return there in (parts, mark_split(parts)[0])


class _Candidate(NamedTuple):
    """Groups of images and labels, and the keys that both have."""

    images: _FileGroup
    labels: _FileGroup
    keys: set[_Key]

    @property
    def preference(self) -> tuple[int, int, int]:
        """The lower, the better: little beside {name} in file names, deep folders, no `.*`."""
        both = (self.images, self.labels)
        folders = sum(len(group.folder) for group in both)
        beside = sum(len(group.base + group.ending) for group in both) - folders
        return beside, -folders, sum(group.suffix == ".*" for group in both)


def find_pairing(root: Path, images: str | None, labels: str | None, ending: str | None) -> Pairing:
    """Find the patterns by which most images below `root` have a label.

    `images` and `labels` are folders below `root`, or None to find them. `ending` is what the stems
    of labels have after `{name}`, such as `_mask`, or None.

    Raises:
        NoMasksError: there are no pairs, or either side could be the labels.
        UserError: files of several kinds could be the labels.
    """
    groups = _group_images(root, {root / (images or ""), root / (labels or "")})
    lefts = [group for group in groups if group.is_below(images or "")]
    rights = [group for group in groups if group.is_below(labels or "")]
    best = _match_groups(lefts, rights, ending)
    if not best:
        hint = "Give the folders by --images and --labels, and the labels' ending by --label-suffix"
        raise NoMasksError("no image has a label of its name", where=str(root), hint=hint)
    if images is None or labels is None or images == labels:
        told = [each for each in best if each.images.label_score < each.labels.label_score]
        if not told:
            both = f"{best[0].images.pattern} and {best[0].labels.pattern}"
            hint = "Give the labels' folder by --labels, and the images' by --images"
            raise NoMasksError(f"{both}: either could be the labels", where=str(root), hint=hint)
        best = _keep_images(told)
    pairing = _choose(root, best)
    if "panoptic" in pairing.label:
        what = f"{pairing.label} are COCO's panoptic segments, whose colours are no classes"
        raise NoMasksError(what, where=str(root), hint="Add their JSON file beside the folder")
    return pairing


def pair_files(
    root: Path, images: str | None, labels: Iterable[Path], ending: str | None
) -> Pairing:
    """Find the patterns by which most of the files `labels` have an image of their name.

    Raises UserError if none has one, or several groups of the files could be the labels.
    """
    lefts = _group_images(root, [root / (images or "")])
    best = _match_groups(lefts, _group_files(root, labels), ending)
    if not best:
        what = "no image has the name of an annotation file"
        raise UserError(what, where=str(root), hint="Give the images' folder by --images")
    return _choose(root, _keep_images(best))


def _match_groups(
    lefts: Sequence[_FileGroup], rights: Sequence[_FileGroup], ending: str | None
) -> list[_Candidate]:
    """Return the groups of images and labels that have the most keys in common."""
    rights = [group for group in rights if ending in (None, group.ending)]
    candidates = [
        _Candidate(left, right, keys)
        for left in lefts[:_MAX_GROUPS]
        for right in rights[:_MAX_GROUPS]
        if (keys := left.files.keys() & right.files.keys())
        and all(left.files[key] != right.files[key] for key in keys)
    ]
    most = max((len(each.keys) for each in candidates), default=0)
    return [each for each in candidates if len(each.keys) == most]


def _keep_images(best: Sequence[_Candidate]) -> list[_Candidate]:
    """Return the candidates whose images look least like labels."""
    least = min(each.images.label_score for each in best)
    return [each for each in best if each.images.label_score == least]


def _choose(root: Path, best: Sequence[_Candidate]) -> Pairing:
    """Return the best candidate; raise UserError if they pair an image with different labels."""
    kinds: dict[frozenset[tuple[str, str]], _FileGroup] = {}
    for each in best:
        pairs = frozenset((each.images.files[key], each.labels.files[key]) for key in each.keys)
        kinds.setdefault(pairs, each.labels)
    labels = sorted({group.pattern for group in kinds.values()})
    if len(kinds) > 1 and len(labels) == 1:
        shown = ", ".join(sorted({each.images.pattern for each in best})[:4])
        what = f"several kinds of files could be the images: {shown}"
        raise UserError(what, where=str(root), hint="Choose one by --images")
    if len(kinds) > 1:
        endings = {group.ending for group in kinds.values()}
        flag = f"--label-suffix={max(endings)} or another" if len(endings) > 1 else "--labels"
        what = f"{len(kinds)} kinds of files could be the labels: {', '.join(labels[:4])}"
        hint = f"Choose one by {flag}; if all are, list the pairs by hand (docs/how-to/own-data.md)"
        raise UserError(what, where=str(root), hint=hint)
    chosen = min(best, key=lambda each: each.preference)
    words = find_split_folders(root, {word for word, _ in chosen.keys if word})
    return Pairing(chosen.images.pattern, chosen.labels.pattern, words)


def find_split_folders(root: Path, words: set[str]) -> dict[str, str]:
    """Return the words by the split that they name, in the order train, val, test.

    Raises UserError if two words name the same split.
    """
    folders: dict[str, str] = {}
    for split, names in SPLIT_WORDS.items():
        several = sorted(word for word in words if word.lower() in names)
        if len(several) > 1:
            what = f"{' and '.join(several)} both name the split {split}"
            hint = "Rename one of the folders, or move it away"
            raise UserError(what, where=str(root), hint=hint)
        if several:
            folders[split] = several[0]
    return folders


def _group_images(root: Path, folders: Iterable[Path]) -> list[_FileGroup]:
    return _group_files(root, (p for folder in folders for p in files_below(folder) if is_image(p)))


def _group_files(root: Path, paths: Iterable[Path]) -> list[_FileGroup]:
    """Group files, each in all patterns below `root` that it matches; largest first."""
    files: defaultdict[tuple[str, str, str], dict[_Key, str]] = defaultdict(dict)
    for path in paths:
        relative = path.relative_to(root)
        for base, ending, key in _match_patterns(relative):
            files[base, ending, path.suffix.lower()][key] = relative.as_posix()
    by_ending: defaultdict[tuple[str, str], list[dict[_Key, str]]] = defaultdict(list)
    for (base, ending, _), some in files.items():
        by_ending[base, ending].append(some)
    for (base, ending), several in by_ending.items():
        together = {key: path for some in several for key, path in some.items()}
        if len(several) > 1 and len(together) == sum(map(len, several)):
            files[base, ending, ".*"] = together
    kept = (
        _FileGroup(base, ending, suffix, some)
        for (base, ending, suffix), some in files.items()
        if not ending or len(some) > 1 or _LABEL_WORDS.search(ending)
    )
    return sorted(kept, key=lambda group: -len(group.files))


def _match_patterns(path: Path) -> Iterator[tuple[str, str, _Key]]:
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
