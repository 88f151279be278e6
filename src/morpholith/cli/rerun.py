"""Do again what a recipe says, and say whether the numbers come out the same."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from cyclopts import CycloptsError

from ..errors import InputError
from ..recipe import RECIPE, read_recipe, sha256, versions
from ..results import fresh
from .commands import DEBUG, OUT, application, find, load
from .compare import differences
from .options import holds_paths, parameters, words
from .run import say, warn


def rerun(recipe: Path, /, *, out: OUT = None, debug: DEBUG = False) -> Path:
    """Do again what a recipe says, and say whether the numbers come out the same.

    The inputs must be those of the recipe, byte for byte. They are looked for where they lay as seen from
    the recipe, then where the first run was told to find them.

    Parameters
    ----------
    recipe
        The recipe.toml of a folder of results, or that folder.
    """
    path = recipe / RECIPE if recipe.is_dir() else recipe
    content = read_recipe(path)
    if out is None:
        here = path.parent
        out = fresh(os.path.normpath(here / ".." / f"{here.resolve().name}-rerun"))
    if out.resolve() == path.parent.resolve():
        raise InputError(f"{out} holds the results to compare with; name another folder with --out.")
    typed = _words(content, path=path)
    _compare_versions(content["versions"])
    try:
        application()([*typed, "--out", str(out), *(["--debug"] if debug else [])])
    except CycloptsError as error:
        raise InputError(f"{path} asks for what this version does not know: {error}") from error
    _tell(*differences(path.parent, out, recipe=content))
    return out


def _words(content: Mapping[str, Any], *, path: Path) -> list[str]:
    """Return what one would type to do what the recipe says, its inputs found and checked."""
    command = find(content["command"])
    if command is None:
        raise InputError(f"{path} is of `morpholith {content['command']}`, which this version does not have.")
    own = parameters(load(command))
    options = dict(content["options"])
    unknown = sorted(set(options) - {p.name for p in own})
    if unknown:
        raise InputError(f"{path} sets {', '.join(unknown)}, which `{command.words}` no longer knows.")
    found = {entry["path"]: _found(entry, folder=path.parent) for entry in content["inputs"]}
    for parameter in own:
        if parameter.name in options and holds_paths(parameter):
            options[parameter.name] = _placed(options[parameter.name], found)
    return [*command.words.split(), *words(own, options)]


def _found(entry: Mapping[str, str], *, folder: Path) -> str:
    """Return where an input lies now, or say that it is gone or not what it was."""
    candidates = [Path(os.path.normpath(folder / entry["relative"])), Path(entry["path"])]
    there = [c for c in candidates if c.exists()]
    if not there:
        raise InputError(f"the input {entry['path']} is no longer there; put it back at {candidates[0]}.")
    wanted = entry.get("sha256")
    same = [c for c in there if wanted is None or sha256(c) == wanted]
    if not same:
        raise InputError(f"the input {there[0]} has changed since the recipe was written; its numbers would too.")
    return str(same[0])


def _placed(value: Any, found: Mapping[str, str]) -> Any:
    """Return `value` with each path where it lies now."""
    if isinstance(value, list):
        return [_placed(v, found) for v in value]
    if isinstance(value, dict):
        return {k: _placed(v, found) for k, v in value.items()}
    return found.get(value, value)


def _compare_versions(then: Mapping[str, str]) -> None:
    now = versions()
    other = [f"{name} {then[name]} (now {now[name]})" for name in then if now.get(name, then[name]) != then[name]]
    if other:
        warn(f"the recipe was made with {', '.join(other)}; the numbers may differ a little.")


def _tell(numbers: list[str], others: list[str]) -> None:
    if not numbers:
        say("the numbers are identical to those of the recipe.")
    else:
        say(f"the numbers differ from those of the recipe in {len(numbers)} place(s):")
        for text in numbers:
            say(f"  {text}")
    if others:
        say(f"other files that differ: {', '.join(others)}")
