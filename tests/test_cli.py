"""The command line: options from signatures, exit codes, and one sentence for everything that goes wrong."""

import inspect
import json
import os
import signal
import subprocess
import sys
import textwrap
from pathlib import Path
from typing import Literal

import dummies
import pytest
from docstring_parser import parse

from morpholith.cli import commands, main
from morpholith.cli.commands import COMMANDS, GROUPS, Command
from morpholith.cli.options import not_default, parameters, words
from morpholith.recipe import read_recipe

TABLE = (
    Command("lab", "weigh", "dummies:weigh"),
    Command("lab", "killed", "dummies:killed"),
    Command("", "fail", "dummies:fail"),
    Command("", "wait", "dummies:wait"),
)
TESTS = Path(__file__).parent
HEAVY = ("torch", "matplotlib", "pandas", "skimage", "scipy", "numba", "jinja2", "PIL")
# what an option of this name is in every command
SHARED = {
    "pixel_size": (float | None, None),
    "voxel_size": (float | tuple[float, float, float] | None, None),
    "seed": (int, 0),
    "device": (Literal["cpu", "cuda"], "cpu"),
    "workers": (int, 1),
}


@pytest.fixture(autouse=True)
def lab(tmp_path, monkeypatch):
    """Stand in an empty folder with two files, with the commands of the dummies."""
    monkeypatch.setattr(commands, "COMMANDS", TABLE)
    monkeypatch.setattr(commands, "GROUPS", {"lab": "Things of the laboratory."})
    monkeypatch.delenv("MORPHOLITH_DEBUG", raising=False)
    monkeypatch.chdir(tmp_path)
    Path("a.txt").write_text("hello")
    Path("b.txt").write_text("world!")
    return tmp_path


SCRIPT = """
    import sys
    sys.path.insert(0, {tests!r})
    from morpholith.cli import commands, main
    from morpholith.cli.commands import Command
    commands.COMMANDS = {table!r}
    commands.GROUPS = {{"lab": "Things of the laboratory."}}
    sys.exit(main({argv!r}))
"""


def start(*argv, **options):
    """Start the command line in a process of its own."""
    code = textwrap.dedent(SCRIPT).format(tests=str(TESTS), table=TABLE, argv=list(argv))
    return subprocess.Popen([sys.executable, "-c", code], text=True, **options)


def told(capsys):
    """Return stdout and the lines of stderr."""
    out, err = capsys.readouterr()
    return out, err.splitlines()


def imported_by(code):
    """Return which heavy modules are loaded after `code`."""
    after = f"\nimport sys\nprint([m for m in {HEAVY!r} if m in sys.modules])"
    run = subprocess.run([sys.executable, "-c", code + after], capture_output=True, text=True, check=True)
    return run.stdout.splitlines()[-1]


# --- lightness -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "code",
    [
        "import morpholith",
        "from morpholith.cli import main\nmain(['--help'])",
        "from morpholith.cli import main\nmain(['--version'])",
        "import morpholith.results, morpholith.progress, morpholith.report",
    ],
)
def test_nothing_heavy_is_imported(code):
    assert imported_by(code) == "[]"


def test_help_of_a_command_imports_no_torch_and_no_matplotlib():
    for command in COMMANDS:
        code = f"from morpholith.cli import main\nmain({[*command.words.split(), '--help']!r})"
        loaded = imported_by(code)
        assert "torch" not in loaded
        assert "matplotlib" not in loaded


def test_help_leaves_workflows_unimported():
    code = (
        "import sys\nfrom morpholith.cli import main\nmain(['--help'])\n"
        "assert not any(m.startswith('morpholith.workflows.') for m in sys.modules)"
    )
    assert imported_by(code) == "[]"


# --- the real commands -----------------------------------------------------------------------------------


@pytest.mark.parametrize("command", COMMANDS, ids=lambda c: c.words)
def test_command_is_documented_and_its_shared_options_are_the_same_everywhere(command):
    workflow = commands.load(command)
    told = parse(workflow.__doc__)
    assert told.short_description
    assert command.group == "" or command.group in GROUPS
    helps = {p.arg_name: p.description for p in told.params}
    for name, parameter in inspect.signature(workflow, eval_str=True).parameters.items():
        assert helps.get(name), f"--{name} has no help"
        assert name not in ("out", "debug"), "the command line adds these"
        if name in SHARED:
            assert (parameter.annotation, parameter.default) == SHARED[name]
        if name in ("pixel_size", "voxel_size"):
            assert "um" in helps[name].replace(",", " ").split(), f"--{name} does not say its unit"


# --- help ------------------------------------------------------------------------------------------------


def test_help_lists_what_exists(capsys):
    assert main(["--help"]) == 0
    out, err = told(capsys)
    for text in ("lab", "Things of the laboratory.", "fail", "End badly.", "rerun", "--version"):
        assert text in out
    assert err == []


def test_help_of_a_command_says_default_unit_and_choices(capsys):
    assert main(["lab", "weigh", "--help"]) == 0
    out, _ = told(capsys)
    text = " ".join(out.replace("│", " ").split())
    assert "Mass of samples from the bytes of their files." in text
    assert "Longer explanation" in text
    assert "no business of the help" not in text
    assert "Edge of a pixel in um" in text
    assert "[choices: fine, coarse]" in text
    assert "[default: fine]" in text
    assert "[default: 0]" in text
    assert "--out" in text
    assert "--debug" in text
    assert "empty" not in text


def test_no_arguments_is_help(capsys):
    assert main([]) == 0
    assert "Usage: morpholith" in told(capsys)[0]
    assert main(["lab"]) == 0
    assert "weigh" in told(capsys)[0]


def test_version(capsys):
    assert main(["--version"]) == 0
    assert told(capsys)[0].startswith("morpholith 0.")


# --- a run that goes well --------------------------------------------------------------------------------


def test_run_writes_and_tells(capsys):
    assert main("lab weigh a.txt b.txt --pixel-size 0.5 --seed 7 --out out".split()) == 0
    out, err = told(capsys)
    assert "mass_um" in out
    assert "[1, 999] um" in out
    assert "not resolved" in out
    assert "out/report.html" in out.replace(os.sep, "/")
    assert err == ["morpholith: warning: spread: needs two samples"]
    recipe = read_recipe("out")
    assert recipe["command"] == "lab weigh"
    assert recipe["line"] == "morpholith lab weigh a.txt b.txt --pixel-size 0.5 --seed 7 --out out"
    assert recipe["options"] == {
        "samples": ["a.txt", "b.txt"],
        "pixel_size": 0.5,
        "method": "fine",
        "grid": 1.0,
        "sharpen": False,
        "seed": 7,
    }


def test_warnings_of_ours_are_told_once_and_of_others_not(capsys):
    assert main("lab weigh a.txt --method coarse --out out".split()) == 0
    _, err = told(capsys)
    assert err == [
        "morpholith: warning: the pixel size is unknown; lengths are in pixels.",
        "morpholith: warning: coarse weighing was asked for.",
        "morpholith: warning: spread: needs two samples",
    ]
    kept = json.loads(Path("out/summary.json").read_text())["warnings"]
    assert [f"morpholith: warning: {text}" for text in kept] == err


def test_without_out_each_run_has_a_folder_of_its_own(capsys):
    for _ in range(2):
        assert main(["lab", "weigh", "a.txt"]) == 0
    assert Path("lab-weigh/summary.json").exists()
    assert Path("lab-weigh-2/summary.json").exists()
    assert "written to lab-weigh-2" in told(capsys)[0]


@pytest.mark.parametrize(("typed", "grid"), [("1", 1.0), ("0.5,0.25,0.25", [0.5, 0.25, 0.25]), ("1e-1", 0.1)])
def test_lengths_are_one_or_one_for_each_axis(typed, grid):
    assert main(["lab", "weigh", "a.txt", "--grid", typed, "--out", "out"]) == 0
    assert read_recipe("out")["options"]["grid"] == grid


def test_result_of_the_same_command_is_replaced():
    assert main("lab weigh a.txt --out out".split()) == 0
    assert main("lab weigh a.txt b.txt --out out".split()) == 0
    assert len(read_recipe("out")["inputs"]) == 2


# --- what a user can get wrong ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("argv", "sentence"),
    [
        ("lab weigh a.txt --pixle-size 2", "Unknown option: --pixle-size. Did you mean --pixel-size?"),
        ("lab weigh a.txt --pixel-size two", '--pixel-size: unable to convert "two" into float'),
        ("lab weigh a.txt --pixel-size 0,5", '--pixel-size: unable to convert "0,5" into float'),
        ("lab weigh a.txt --seed 1.5", '--seed: must be a whole number, got "1.5"'),
        ("lab weigh a.txt --grid 1,2", 'must be one number or 3 with commas between them, got "1,2"'),
        (
            "lab weigh a.txt --method finest",
            'Invalid value "finest" for --method. Choose from: "fine", "coarse"',
        ),
        ("lab weigh", "a value for SAMPLES is missing"),
        ("lab weigh a.txt --pixel-size", "a value for --pixel-size is missing"),
        ("lab weihg a.txt", 'Unknown command "weihg". Did you mean "weigh"?'),
        ("lob", 'Unknown command "lob". Did you mean "lab"?'),
        ("lab weigh nowhere.txt", "there is no file or folder nowhere.txt"),
        ("lab weigh *.tif", "no file matches the pattern"),
        ("lab weigh a.txt --out b.txt", "--out must be a folder, but b.txt is a file"),
        ("lab weigh a.txt --out b.txt/x", "--out must be a folder, but b.txt is a file"),
        ("fail --how input", "`x` must be 1, got 2; give 1."),
        ("fail --how full", "the disk is full; nothing was written"),
        ("fail --how memory", "more memory than the machine has"),
        ("fail --how denied", "does not allow access to secret.tif (Permission denied)"),
        ("rerun nowhere", "there is no recipe at nowhere"),
        ("rerun a.txt", "a.txt is not a recipe"),
    ],
)
def test_wrong_input_is_one_sentence_and_exit_code_2(lab, capsys, argv, sentence):
    before = sorted(lab.rglob("*"))
    assert main(argv.split()) == 2
    out, err = told(capsys)
    err = [line for line in err if "warning:" not in line]
    assert out == ""
    assert len(err) == 1
    assert err[0].startswith("morpholith: ")
    assert sentence in err[0]
    assert sorted(lab.rglob("*")) == before


def test_usage_errors_point_to_the_help(capsys):
    main(["lab", "weigh", "a.txt", "--foo"])
    assert told(capsys)[1][0].endswith("See `morpholith lab weigh --help`.")


def test_out_is_checked_before_the_work(capsys):
    Path("summary.json").write_text("{}")
    assert main(["fail", "--how", "input", "--out", "."]) == 2
    assert "summary.json is in the way" in told(capsys)[1][0]


@pytest.mark.skipif(not Path("/proc/self").exists(), reason="needs a place where even root may not write")
def test_unwritable_out(capsys):
    assert main(["lab", "weigh", "a.txt", "--out", "/proc/nowhere"]) == 2
    assert "cannot write to /proc/nowhere" in told(capsys)[1][0]


# --- what we can get wrong -------------------------------------------------------------------------------


def test_internal_error_is_short_and_ours(lab, capsys):
    assert main(["fail", "--how", "bug"]) == 1
    _, err = told(capsys)
    assert len(err) == 2  # the workflow's own warning, and this
    assert err[0] == "morpholith: warning: something was odd."
    assert "internal error (KeyError: 'lost')" in err[1]
    assert "--debug" in err[1]
    assert "not of your input" in err[1]
    assert list(lab.glob("fail*")) == []


@pytest.mark.parametrize("by", ["option", "environment"])
def test_debug_shows_the_traceback(capsys, monkeypatch, by):
    if by == "environment":
        monkeypatch.setenv("MORPHOLITH_DEBUG", "1")
    assert main(["fail", "--how", "bug", *(["--debug"] if by == "option" else [])]) == 1
    assert "Traceback" in "\n".join(told(capsys)[1])


def test_workflow_without_a_result_is_our_fault(capsys):
    assert main(["fail", "--how", "type"]) == 1
    assert "not a Result" in told(capsys)[1][-1]


# --- interruptions ---------------------------------------------------------------------------------------


def test_interrupt_says_what_is_left(lab, capsys):
    assert main(["fail", "--how", "interrupt"]) == 130
    assert told(capsys)[1][-1] == "morpholith: interrupted; nothing was written"
    assert main(["fail", "--how", "resumable"]) == 130
    assert "run the same again to go on" in told(capsys)[1][-1]
    assert list(lab.glob("fail*")) == []


@pytest.mark.skipif(os.name != "posix", reason="POSIX signals")
def test_ctrl_c():
    run = start("wait", "--out", "out", stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert run.stdout.readline() == "ready\n"
    run.send_signal(signal.SIGINT)
    _, err = run.communicate(timeout=30)
    assert run.returncode == 130
    assert err == "morpholith: interrupted; nothing was written\n"
    assert not Path("out").exists()


@pytest.mark.skipif(os.name != "posix", reason="POSIX signals")
@pytest.mark.parametrize("when", ["computing", "writing"])
def test_kill_leaves_nothing_that_looks_whole_and_the_next_run_cleans_up(when):
    run = start("lab", "killed", "--when", when, "--out", "out")
    assert run.wait(timeout=60) == -signal.SIGKILL
    left = [p.name for p in Path("out").rglob("*") if p.is_file()]
    assert left == (["volume.tif"] if when == "writing" else [])
    assert all(p.name.startswith(".morpholith-staging") for p in Path("out").iterdir())
    assert main(["lab", "weigh", "a.txt", "--out", "out"]) == 0
    assert not list(Path("out").glob(".morpholith*"))
    assert Path("out/summary.json").exists()


@pytest.mark.skipif(os.name != "posix", reason="POSIX pipes")
def test_reader_that_has_enough_is_no_error():
    run = start("lab", "weigh", "a.txt", "--out", "out", stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    run.stdout.close()
    err = run.stderr.read()
    run.stderr.close()
    assert run.wait(timeout=60) == 0
    assert "Traceback" not in err
    assert "internal" not in err
    assert Path("out/summary.json").exists()


# --- values to words and back ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    "values",
    [
        {"samples": [Path("a.txt")]},
        {"samples": [Path("-odd.txt"), Path("b c.txt")], "sharpen": True},
        {"samples": [Path("a.txt")], "pixel_size": -0.25, "seed": 10**18 + 1},
        {"samples": [Path("a.txt")], "grid": (0.5, 0.25, 0.1), "at_least": ["x", "-y"], "method": "coarse"},
        {"samples": [Path("a.txt")], "pixel_size": 0.1 + 0.2, "grid": 1e-7, "at_least": []},
    ],
)
def test_words_give_the_values_back(values):
    own = parameters(dummies.weigh)
    everything = {p.name: values.get(p.name, p.default) for p in own}
    for chosen in (everything, not_default(own, everything)):
        command, bound, _ = commands.application().parse_args(["lab", "weigh", *words(own, chosen)])
        assert command.__name__ == "weigh"
        bound.apply_defaults()
        got = {p.name: bound.arguments[p.name] for p in own}
        got["at_least"] = got["at_least"] or everything["at_least"]  # an empty list is as none
        assert got == everything
