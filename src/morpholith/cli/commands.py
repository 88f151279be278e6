"""Which commands there are, and how each is made from the workflow it names.

A workflow is a function of `morpholith.workflows` with annotated arguments and a numpydoc docstring: its
arguments are the options, its docstring is the help, and what it returns is a `morpholith.results.Result`.
A command adds where to write it. Nothing is imported before it runs.
"""

from __future__ import annotations

import ast
import inspect
from collections.abc import Callable
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Annotated, Any, NamedTuple

from cyclopts import App, Parameter

from .. import __version__
from .options import parameters


class Command(NamedTuple):
    """One line of the table: `morpholith GROUP NAME` runs the function ``module:function``."""

    group: str
    name: str
    target: str

    @property
    def words(self) -> str:
        """What is typed after ``morpholith``."""
        return f"{self.group} {self.name}".strip()


GROUPS = {
    "sem": "Powders, from scanning electron micrographs.",
    "particles": "Virtual particles, from sections of grains and tomograms of powders.",
    "xct": "Electrodes, from X-ray tomograms.",
    "xanes": "Working electrodes, from XANES scans.",
    "virtual": "Virtual specimens, each with its exact truth beside it.",
}
COMMANDS = (
    Command("sem", "measure", "morpholith.workflows.sem:measure"),
    Command("sem", "learn", "morpholith.workflows.sem_learn:learn"),
    Command("sem", "predict", "morpholith.workflows.sem_predict:predict"),
    Command("sem", "design", "morpholith.workflows.sem_design:design"),
    Command("particles", "learn", "morpholith.workflows.particles_learn:learn"),
    Command("particles", "generate", "morpholith.workflows.particles_generate:generate"),
    Command("particles", "validate", "morpholith.workflows.particles_validate:validate"),
    Command("xct", "measure", "morpholith.workflows.xct:measure"),
    Command("xct", "compare", "morpholith.workflows.xct:compare"),
    Command("xanes", "register", "morpholith.workflows.xanes_register:register"),
    Command("xanes", "map", "morpholith.workflows.xanes_map:map_states"),
    Command("", "tour", "morpholith.workflows.tour:tour"),
    Command("virtual", "powder", "morpholith.workflows.virtual:powder"),
    Command("virtual", "electrode", "morpholith.workflows.virtual:electrode"),
    Command("virtual", "scan", "morpholith.workflows.virtual_scan:scan"),
    Command("virtual", "section", "morpholith.workflows.virtual_section:section"),
    Command("virtual", "shells", "morpholith.workflows.virtual_shells:shells"),
    Command("virtual", "campaign", "morpholith.workflows.virtual_campaign:campaign"),
)

OUT = Annotated[
    Path | None,
    Parameter(name="--out", group="Output", help="Folder for the results (default: a new one here)."),
]
DEBUG = Annotated[
    bool,
    Parameter(
        name="--debug",
        group="Output",
        negative=(),
        show_default=False,
        help="Show the traceback of an error.",
    ),
]


def application() -> App:
    """Return the command line."""
    app = App(
        name="morpholith",
        help="Microscope data of battery electrodes into numbers with error bars.",
        version=f"morpholith {__version__}",
        default_parameter=Parameter(negative_iterable=()),
        result_action="return_value",
        exit_on_error=False,
        print_error=False,
        suppress_keyboard_interrupt=False,
    )
    groups: dict[str, App] = {"": app}
    for command in COMMANDS:
        if command.group not in groups:
            groups[command.group] = App(name=command.group, help=GROUPS[command.group])
            app.command(groups[command.group])
        # cyclopts imports "module:name" when it is needed: here that is __getattr__ below
        path = f"{__name__}:{command.words}"
        groups[command.group].command(path, name=command.name, help=_introduction(command.target))
    app.command(f"{__package__}.rerun:rerun", name="rerun", help=_introduction(f"{__package__}.rerun:rerun"))
    return app


def __getattr__(name: str) -> Callable[..., Path]:
    """Return the command of these words, its workflow imported."""
    command = find(name)
    if command is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return _with_output(command)


def find(words: str) -> Command | None:
    """Return the command typed as `words`, or None."""
    return next((command for command in COMMANDS if command.words == words), None)


def load(command: Command) -> Callable[..., Any]:
    """Import and return the workflow."""
    module, _, name = command.target.partition(":")
    return getattr(import_module(module), name)


def _with_output(command: Command) -> Callable[..., Path]:
    """Return the workflow as a command: the same arguments, and `--out` and `--debug`."""
    workflow = load(command)
    own = parameters(workflow)

    def call(*args, out=None, debug=False, **kwargs):
        from .run import run

        values = inspect.Signature(own).bind(*args, **kwargs)
        values.apply_defaults()
        return run(command.words, workflow, values.arguments, out=out, debug=debug)

    keyword = inspect.Parameter.KEYWORD_ONLY
    added = [
        inspect.Parameter("out", keyword, default=None, annotation=OUT),
        inspect.Parameter("debug", keyword, default=False, annotation=DEBUG),
    ]
    call.__signature__ = inspect.Signature([*own, *added])  # type: ignore[attr-defined]
    call.__doc__ = workflow.__doc__
    call.__name__ = command.name
    return call


def _introduction(target: str) -> str:
    """Return a function's docstring up to its first section, read from the source without importing it."""
    module, _, name = target.partition(":")
    spec = find_spec(module)
    if spec is None or spec.origin is None:
        raise ModuleNotFoundError(f"no module {module} for {target}")
    tree = ast.parse(Path(spec.origin).read_text(encoding="utf-8"))
    function = next(n for n in tree.body if isinstance(n, ast.FunctionDef) and n.name == name)
    lines = (ast.get_docstring(function) or "").splitlines()
    rules = [i for i, line in enumerate(lines) if line and not line.strip("-")]
    return "\n".join(lines[: rules[0] - 1] if rules else lines).strip()
