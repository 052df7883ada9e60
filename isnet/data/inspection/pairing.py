"""Finds the path patterns by which the images and labels of a folder belong together."""

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

from isnet.data.inspection.file_groups import (
    SPLIT_WORDS,
    FileGroup,
    Key,
    group_files,
    group_images,
)
from isnet.errors import UserError

_MAX_GROUPS = 80
"""Groups of files that are compared with each other, the largest first."""


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


class _Candidate(NamedTuple):
    """Groups of images and labels, and the keys that both have."""

    images: FileGroup
    labels: FileGroup
    keys: set[Key]

    @property
    def preference(self) -> tuple[int, int, int]:
        """The lower, the better: little beside {name} in file names, deep folders, no `.*`."""
        both = (self.images, self.labels)
        folders = sum(len(group.folder) for group in both)
        beside = sum(len(group.base + group.ending) for group in both) - folders
        return beside, -folders, sum(group.suffix == ".*" for group in both)


def find_pairing(root: Path, images: str | None, labels: str | None, ending: str | None) -> Pairing:
    """Find the patterns by which most images below `root` have a label.

    Args:
        root: the folder of the data set.
        images: folder of the images below `root`, or None to find it.
        labels: folder of the labels, likewise.
        ending: what the stems of labels have more than `{name}`, such as `_mask`, or None.

    Raises:
        NoMasksError: there are no pairs, or either side could be the labels.
        UserError: files of several kinds could be the labels.
    """
    groups = group_images(root, {root / (images or ""), root / (labels or "")})
    lefts = [group for group in groups if group.is_below(images or "")]
    rights = [group for group in groups if group.is_below(labels or "")]
    rights = [group for group in rights if ending in (None, group.ending)]
    best = _match_groups(lefts, rights)
    if not best:
        hint = "Give the folders by --images and --labels, and the labels' ending by --label-suffix"
        raise NoMasksError("no image has a label of its name", where=str(root), hint=hint)
    if images is None or labels is None or images == labels:
        best = _tell_labels(root, best)
    pairing = _choose(root, best)
    if "panoptic" in pairing.label:
        what = f"{pairing.label} are COCO's panoptic segments, whose colours are no classes"
        raise NoMasksError(what, where=str(root), hint="Add their JSON file beside the folder")
    return pairing


def pair_files(
    root: Path, images: str | None, labels: Iterable[Path], ending: str | None
) -> Pairing:
    """Find the patterns by which most of the files `labels` have an image of their name.

    Raises:
        UserError: none has one, or several groups of the files could be the labels.
    """
    lefts = group_images(root, [root / (images or "")])
    rights = [each for each in group_files(root, labels) if ending in (None, each.ending)]
    best = _match_groups(lefts, rights)
    if not best:
        what = "no image has the name of an annotation file"
        raise UserError(what, where=str(root), hint="Give the images' folder by --images")
    return _choose(root, _keep_images(best))


def _match_groups(lefts: Sequence[FileGroup], rights: Sequence[FileGroup]) -> list[_Candidate]:
    """Return the groups of images and labels that have the most keys in common."""
    candidates = [
        _Candidate(left, right, keys)
        for left in lefts[:_MAX_GROUPS]
        for right in rights[:_MAX_GROUPS]
        if (keys := left.files.keys() & right.files.keys())
        and all(left.files[key] != right.files[key] for key in keys)
    ]
    most = max((len(each.keys) for each in candidates), default=0)
    return [each for each in candidates if len(each.keys) == most]


def _choose(root: Path, best: Sequence[_Candidate]) -> Pairing:
    _refuse_several(root, best)
    chosen = min(best, key=lambda each: each.preference)
    words = find_split_folders(root, {word for word, _ in chosen.keys if word})
    return Pairing(chosen.images.pattern, chosen.labels.pattern, words)


def _tell_labels(root: Path, best: list[_Candidate]) -> list[_Candidate]:
    """Return the candidates whose names tell which group is the labels, and best the images."""
    told = [each for each in best if each.images.label_score < each.labels.label_score]
    if not told:
        what = f"{best[0].images.pattern} and {best[0].labels.pattern}: either could be the labels"
        hint = "Give the labels' folder by --labels, and the images' by --images"
        raise NoMasksError(what, where=str(root), hint=hint)
    return _keep_images(told)


def _keep_images(best: Sequence[_Candidate]) -> list[_Candidate]:
    """Return the candidates whose images look least like labels."""
    least = min(each.images.label_score for each in best)
    return [each for each in best if each.images.label_score == least]


def _refuse_several(root: Path, best: Sequence[_Candidate]) -> None:
    """Raise UserError if the candidates pair an image with different labels."""
    kinds: dict[frozenset[tuple[str, str]], FileGroup] = {}
    for each in best:
        pairs = frozenset((each.images.files[key], each.labels.files[key]) for key in each.keys)
        kinds.setdefault(pairs, each.labels)
    if len(kinds) > 1 and len({group.pattern for group in kinds.values()}) == 1:
        shown = ", ".join(sorted({each.images.pattern for each in best})[:4])
        what = f"several kinds of files could be the images: {shown}"
        raise UserError(what, where=str(root), hint="Choose one by --images")
    if len(kinds) > 1:
        shown = ", ".join(sorted({group.pattern for group in kinds.values()})[:4])
        endings = {group.ending for group in kinds.values()}
        flag = f"--label-suffix={max(endings)} or another" if len(endings) > 1 else "--labels"
        what = f"{len(kinds)} kinds of files could be the labels: {shown}"
        hint = f"Choose one by {flag}; if all are, list the pairs by hand (docs/how-to/own-data.md)"
        raise UserError(what, where=str(root), hint=hint)


def find_split_folders(root: Path, words: set[str]) -> dict[str, str]:
    """Return the words by the split that they name, in the order train, val, test."""
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
