"""`isnet sweep`: adds one run to params.yaml for each combination of settings."""

import copy
import itertools
import json
import re
import sys
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from isnet.errors import UserError
from isnet.io.atomic_files import digest_of
from isnet.io.spelling import suggest
from isnet.io.yaml_file import read_yaml
from isnet.settings.params import Params, Run, params_of
from isnet.settings.params_editor import decode_params, insert_entries, replace_params
from isnet.settings.partial_plan import error_lines, plan_without_wrong_entries
from isnet.settings.plan import Plan

Fields = dict[str, Any]
"""The settings of a run, as parsed from params.yaml."""

_QUOTE = "Write seed=0,1,2 or seed=range(0,3); text with commas or brackets needs its own quotes"
_MAX_RUNS = 200
"""Maximum number of runs in a sweep, which catches typing errors such as range(0,1000000)."""

_MAX_WORD = 24  # maximum length of a value within the name of a run, in characters


def sweep(name: str, choices: Sequence[str], *, dry_run: bool) -> None:
    """Add a run to params.yaml for each combination of the given settings.

    The run `name`, which is varied, stays unchanged. A choice is `KEY=VALUE,VALUE...` in the
    grammar of `dvc exp run -S`, one for each setting. Wrong entries of params.yaml that the new
    runs do not need are named on stderr. With `dry_run`, the new runs are only printed.

    Raises:
        UserError: the run or a key is unknown, a value is invalid, or a new run could not be
            trained. Nothing was written.
    """
    path = Path("params.yaml")
    plan = plan_without_wrong_entries()
    params, errors = plan.params, plan.wrong
    original = path.read_bytes()
    tree = read_yaml(path, "See docs/reference/params.md")
    if name not in tree["runs"]:
        hint = suggest(name, map(str, tree["runs"]), "It has")
        raise UserError(f"there is no run {name!r}", where=str(path), hint=hint)
    _require_correct(errors, "runs", [name])
    wanted = _expand(name, tree["runs"][name], _parse(choices, name))
    _require_correct(errors, "runs", wanted)
    _require_correct(errors, "datasets", [fields["dataset"] for fields in wanted.values()])
    correct = {
        "datasets": {key: tree["datasets"][key] for key in params.datasets},
        "runs": {run: fields for run, fields in tree["runs"].items() if run in params.runs},
    }
    after = params_of({**tree, **correct, "runs": {**correct["runs"], **wanted}}, path)
    _refuse_conflicts(params, after, wanted, path)
    Plan.of(after)
    for error in error_lines(errors):
        print(f"goes on, this concerns others: {error}", file=sys.stderr)
    new = {run: fields for run, fields in wanted.items() if run not in params.runs}
    if not new:
        print(f"{path}: all {len(wanted)} runs of this sweep exist already; nothing was written")
        return
    group = [run for run in correct["runs"] if run == name or params.runs[run].sweep == name]
    insertion = insert_entries(decode_params(original, path), "runs", group[-1], new, path)
    if dry_run:
        print(insertion.added.rstrip("\n"))
        return
    replace_params(path, original, insertion.text)
    _print_summary(name, after, new, path)


def _parse(choices: Sequence[str], name: str) -> dict[str, list[Any]]:
    """Parse `KEY=VALUE,VALUE...` with Hydra's parser, as DVC does; return the values by key."""
    from hydra.core.override_parser.overrides_parser import OverridesParser
    from hydra.errors import HydraException

    parser = OverridesParser.create()
    found: dict[str, list[Any]] = {}
    for choice in choices:
        where = f"-S {choice}"
        try:
            override = parser.parse_override(choice)
            if override.is_add() or override.is_delete() or override.package is not None:
                raise HydraException("signs about a key")
            key = override.key_or_group
            _check_key(key, where, name)
            is_sweep = override.is_sweep_override()
            values = override.sweep_iterator() if is_sweep else [override.value()]
            plain = [_plain(value) for value in itertools.islice(values, _MAX_RUNS + 1)]
        except HydraException:
            raise UserError("is not KEY=VALUE,VALUE", where=where, hint=_QUOTE) from None
        if key in found:
            raise UserError(f"{key} is given twice", where=where, hint="Give its values at once")
        found[key] = plain
    return found


def _check_key(key: str, where: str, name: str) -> None:
    fields = [field for field in Run.model_fields if field not in ("sweep", "overrides")]
    if key in fields or re.fullmatch(r"overrides(\.[^.]+)+", key):
        return
    prefix = f"runs.{name}."
    if key.startswith(prefix):
        hint = f"Write {key.removeprefix(prefix)}, without {prefix}"
    elif "." in key and not key.startswith("overrides"):
        hint = f"A key of the config is overrides.{key}"
    else:
        hint = suggest(key, [*fields, "overrides.KEY"], "Known keys are")
    raise UserError(f"unknown key {key!r}", where=where, hint=hint)


def _plain(value: Any) -> Any:
    """Convert a value of Hydra's parser to the plain value that YAML would give.

    Hydra has objects for quoted strings, and numbers of its ranges carry rounding errors.
    """
    from hydra.core.override_parser.types import QuotedString

    if isinstance(value, QuotedString):
        return value.text
    if isinstance(value, list):
        return [_plain(item) for item in value]
    if isinstance(value, dict):
        return {_plain(key): _plain(item) for key, item in value.items()}
    return float(f"{value:.15g}") if isinstance(value, float) else value


def _expand(name: str, base: Fields, choices: Mapping[str, list[Any]]) -> dict[str, Fields]:
    """Return a run for each combination of the choices, by name; the last key varies fastest."""
    labels = _labels(list(choices))
    runs: dict[str, Fields] = {}
    for number, values in enumerate(itertools.product(*choices.values())):
        if number == _MAX_RUNS:
            raise UserError(
                f"makes more than {_MAX_RUNS} runs", where=name, hint="Sweep fewer values"
            )
        setting = dict(zip(choices, values, strict=True))
        parts = [f"-{labels[key]}-{_word(key, value)}" for key, value in setting.items()]
        run = name + "".join(parts)
        if run in runs:
            raise UserError(
                f"two of its runs would be named {run}",
                where=name,
                hint="Leave out repeated values, or write these runs into params.yaml yourself",
            )
        runs[run] = _vary(name, base, setting)
    return runs


def _vary(name: str, base: Fields, setting: Mapping[str, Any]) -> Fields:
    fields = {"sweep": name} | {key: copy.deepcopy(base[key]) for key in base if key != "sweep"}
    overrides = fields.pop("overrides", {})
    for key, value in setting.items():
        first, *rest = key.split(".")
        if rest:
            _override(overrides, rest, value, key)
        else:
            fields[first] = value
    return {**fields, "overrides": overrides} if overrides or "overrides" in base else fields


def _override(node: Any, parts: list[str], value: Any, key: str) -> None:
    """Set the value at the path `parts` in the nested mappings and lists of a run's overrides."""
    part, *rest = parts
    step: str | int = part
    if isinstance(node, list):
        if not part.isdigit() or int(part) >= len(node):
            what = f"the run's overrides have a list of {len(node)} before {part!r}"
            hint = f"Name an element by its number, 0 to {len(node) - 1}"
            raise UserError(what, where=f"-S {key}", hint=hint)
        step = int(part)
    elif not isinstance(node, dict):
        what = f"the run's overrides have {node!r} before {part!r}"
        hint = "Sweep the value that is there, or change the run"
        raise UserError(what, where=f"-S {key}", hint=hint)
    if not rest:
        node[step] = value
        return
    below = node.setdefault(step, {}) if isinstance(node, dict) else node[step]
    _override(below, rest, value, key)


def _labels(keys: list[str]) -> dict[str, str]:
    """Return a label for each key: its last part if all of these differ, else the whole key."""
    short = {key: _letters(re.sub(r".*\.(?=[^.]*[^.\d])", "", key)) for key in keys}
    if len(set(short.values())) == len(keys):
        return short
    return {key: _letters(key.removeprefix("overrides.")) for key in keys}


def _word(key: str, value: Any) -> str:
    """Format a value for use in a run's name: 0.02 becomes 0p02, a config path its file stem.

    A long value is cut and gets a hash, so that names stay unique.
    """
    text = value if isinstance(value, str) else json.dumps(value)
    if key == "config":
        text = Path(text).stem
    text = re.sub(r"(?<=\d)\.(?=\d)", "p", text)
    text = re.sub(r"(?<![\w-])-(?=\d)", "m", text)
    word = _letters(text)
    if word and len(word) <= _MAX_WORD:
        return word
    mark = digest_of(value)[:4]
    return f"{word[: _MAX_WORD - 5].rstrip('-_')}-{mark}" if word else mark


def _letters(text: str) -> str:
    return re.sub(r"[^A-Za-z0-9_-]+", "_", text).strip("_-")


def _require_correct(errors: Mapping[str, UserError], section: str, names: Iterable[str]) -> None:
    """Raise the error of the first of some runs or data sets that is wrong in params.yaml."""
    for name in names:
        if error := errors.get(f"{section}.{name}"):
            raise error


def _refuse_conflicts(before: Params, after: Params, names: Mapping[str, Any], path: Path) -> None:
    """Raise UserError if an existing run with other settings has the name of a new run."""
    for name in names:
        old, new = before.runs.get(name), after.runs[name]
        if old is not None and old != new:
            field = next(key for key in Run.model_fields if getattr(old, key) != getattr(new, key))
            raise UserError(
                f"run {name} exists already, with another {field}",
                where=f"{path}: runs.{name}",
                hint="Rename or remove that run",
            )


def _print_summary(name: str, after: Params, new: Mapping[str, Fields], path: Path) -> None:
    print(f"{path}: {len(new)} run{'s' * (len(new) > 1)} added that vary {name}")
    base = after.runs[name].model_copy(update={"sweep": name})
    for run in new:
        same = after.runs[run] == base
        print(f"  {run}" + f" (the same settings as {name}, trained once more)" * same)
    print("Next: `snakemake --cores all` or `dvc repro` trains, scores and compares them;")
    print("`isnet status` shows how far they are. To take one back, delete its entry.")
