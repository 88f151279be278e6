"""A folder of results is whole, or it does not look whole."""

import errno
import json
import os
import subprocess
import sys
import tomllib
import warnings
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from morpholith import results
from morpholith.errors import InputError, InputWarning
from morpholith.image import Quantity
from morpholith.recipe import RECIPE, read_recipe, sha256
from morpholith.results import ReportFigure, Result, claim, fresh, write

OPTIONS = {"images": [Path("a.tif")], "pixel_size": None, "weights": {"d50": 2.0}, "seed": 3, "sharp": False}


def png():
    """Return a small picture without drawing one."""
    from io import BytesIO

    from PIL import Image

    buffer = BytesIO()
    Image.new("L", (8, 6), 128).save(buffer, format="png")
    return buffer.getvalue()


def result(**changes):
    table = pd.DataFrame({"x": [0.1 + 0.2, 1 / 3, np.nan], "name": ["a", "b", "µ"]})
    table.index = pd.RangeIndex(1, 4, name="label")
    content = {
        "summary": {"d50_um": Quantity(1.5, 1.25, np.inf, n=3, unit="um", method="median")},
        "tables": {"particles": table, "loose": pd.DataFrame({"a": [1]})},
        "figures": {"one": ReportFigure(png(), "A picture.")},
        "files": {"labels.tif": lambda path: path.write_bytes(b"labels")},
        "warnings": ["careful."],
    }
    return Result(**content | changes)


def save(out, *, command="sem measure", options=None, **changes):
    return write(result(**changes), out, command=command, options={} if options is None else options)


def listing(folder):
    return sorted(p.relative_to(folder).as_posix() for p in folder.rglob("*") if p.is_file())


def whole(folder):
    """Return whether a folder looks whole, having made sure that one that does is."""
    if not (folder / "summary.json").exists():
        return False
    outputs = read_recipe(folder)["outputs"]
    assert {name: sha256(folder / name) for name in outputs} == outputs
    return True


# --- what is written -------------------------------------------------------------------------------------


def test_folder_holds_what_the_contract_says(tmp_path):
    out = save(tmp_path / "new" / "out")
    assert listing(out) == [
        "figures/one.png",
        "labels.tif",
        "loose.csv",
        "particles.csv",
        "recipe.toml",
        "report.html",
        "summary.json",
    ]
    assert whole(out)


def test_summary_is_strict_json_with_null_for_what_is_not_finite(tmp_path):
    summary = {"a": Quantity(np.nan, warning="one particle"), "b": Quantity(2, 1, np.inf, n=7, unit="um")}
    out = save(tmp_path, summary=summary)
    text = (out / "summary.json").read_text()
    read = json.loads(text, parse_constant=lambda name: pytest.fail(f"{name} is no JSON"))
    keys = {"value", "low", "high", "level", "n", "unit", "method"}
    assert read.keys() == {"a", "b", "warnings"}
    assert read["a"].keys() == read["b"].keys() == keys
    assert read["a"]["value"] is None
    assert (read["b"]["value"], read["b"]["low"], read["b"]["high"], read["b"]["n"]) == (2.0, 1.0, None, 7)
    assert read["warnings"] == ["careful.", "a: one particle"]


def test_tables_come_back_to_the_last_bit(tmp_path):
    rng = np.random.default_rng(0)
    table = pd.DataFrame({"x": rng.normal(size=200) * 10.0 ** rng.integers(-12, 12, 200)})
    table.index = pd.RangeIndex(1, 201, name="label")
    out = save(tmp_path, tables={"t": table})
    lines = (out / "t.csv").read_text().splitlines()[1:]
    assert [float(line.split(",")[1]) for line in lines] == list(table.x)


def test_only_a_named_index_is_written_and_text_is_utf8(tmp_path):
    out = save(tmp_path)
    assert (out / "loose.csv").read_bytes() == b"a\n1\n"
    lines = (out / "particles.csv").read_bytes().decode("utf-8").split("\n")
    assert lines[0] == "label,x,name"
    assert lines[1] == "1,0.30000000000000004,a"
    assert lines[3] == "3,,µ"


def test_same_result_gives_the_same_bytes(tmp_path):
    a, b = save(tmp_path / "a"), save(tmp_path / "b")
    same = [n for n in listing(a) if (a / n).read_bytes() == (b / n).read_bytes()]
    assert set(listing(a)) - set(same) <= {"recipe.toml", "report.html"}  # they carry the date


def test_recipe_holds_every_option_and_input(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("a.tif").write_bytes(b"image")
    Path("b.csv").write_bytes(b"table")
    out = save(Path("results/run"), options=OPTIONS, inputs=[Path("b.csv"), Path("a.tif")])
    recipe = tomllib.loads((out / RECIPE).read_text())
    assert recipe["options"] == {"images": ["a.tif"], "weights": {"d50": 2.0}, "seed": 3, "sharp": False}
    assert recipe["not_given"] == ["pixel_size"]
    assert recipe["command"] == "sem measure"
    assert [(i["path"], i["relative"]) for i in recipe["inputs"]] == [
        ("a.tif", "../../a.tif"),
        ("b.csv", "../../b.csv"),
    ]
    assert recipe["inputs"][0]["sha256"] == sha256(Path("a.tif"))
    assert {"morpholith", "python", "numpy", "platform"} <= recipe["versions"].keys()
    assert str(tmp_path) not in (out / RECIPE).read_text()


def test_folder_as_option_has_no_hash_but_a_volume_that_was_read_has(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("images", "volume.zarr"):
        Path(name).mkdir()
        Path(name, "0").write_bytes(b"x")
    options = {"images": Path("images")}
    recipe = read_recipe(save(Path("out"), options=options, inputs=[Path("volume.zarr")]))
    assert ["sha256" in entry for entry in recipe["inputs"]] == [False, True]


def test_hash_of_a_folder_sees_names_and_contents(tmp_path):
    for name, members in {"a": "xy", "b": "xy", "c": "xz"}.items():
        (tmp_path / name).mkdir()
        for member in members:
            (tmp_path / name / member).write_bytes(b"1")
    a, b, c = (sha256(tmp_path / n) for n in "abc")
    (tmp_path / "b" / "x").write_bytes(b"2")
    assert a == b
    assert len({a, c, sha256(tmp_path / "b")}) == 3


def test_volume_in_a_folder_is_one_output(tmp_path):
    def volume(path):
        path.mkdir()
        for k in range(3):
            (path / str(k)).write_bytes(b"chunk")

    save(tmp_path, files={"out.zarr": volume})
    assert "out.zarr" in read_recipe(tmp_path)["outputs"]
    assert not any(name.startswith("out.zarr/") for name in read_recipe(tmp_path)["outputs"])
    assert whole(tmp_path)
    save(tmp_path, files={"out.zarr": volume})
    assert whole(tmp_path)


@pytest.mark.parametrize("name", ["../escape.tif", "/etc/x", "a/../../b", "..\\x", "c:/x", ""])
def test_outputs_stay_within_the_folder(tmp_path, name):
    with pytest.raises(ValueError, match="within the folder"):
        save(tmp_path / "out", files={name: lambda path: path.write_bytes(b"")})
    assert listing(tmp_path) == []


@pytest.mark.parametrize("name", ["summary.json", "particles.csv"])
def test_two_outputs_cannot_share_a_name(tmp_path, name):
    with pytest.raises(ValueError, match="two outputs"):
        save(tmp_path, files={name: lambda path: path.write_bytes(b"")})


def test_writer_that_writes_nothing_is_found(tmp_path):
    with pytest.raises(RuntimeError, match="wrote nothing"):
        save(tmp_path, files={"x.tif": lambda path: None})  # noqa: ARG005


def test_figures_may_be_bytes_figures_or_functions(tmp_path):
    from morpholith.report.style import figure, style

    def draw():
        fig = figure(2, 1)
        fig.subplots()
        return fig

    with style():
        drawn = draw()
    pictures = {"a": png(), "b": drawn, "c": draw}
    out = save(tmp_path, figures={k: ReportFigure(p, "x") for k, p in pictures.items()})
    assert all((out / "figures" / f"{k}.png").read_bytes().startswith(b"\x89PNG") for k in pictures)
    assert (out / "figures/b.png").read_bytes() == (out / "figures/c.png").read_bytes()


# --- what was there before -------------------------------------------------------------------------------


def test_earlier_result_of_the_command_is_replaced_and_other_files_stay(tmp_path):
    save(tmp_path, tables={"gone": pd.DataFrame({"a": [1]})})
    (tmp_path / "figures" / "mine.png").write_bytes(b"mine")
    (tmp_path / "notes.txt").write_text("mine")
    save(tmp_path)
    assert not (tmp_path / "gone.csv").exists()
    assert (tmp_path / "notes.txt").read_text() == "mine"
    assert (tmp_path / "figures" / "mine.png").read_bytes() == b"mine"
    assert whole(tmp_path)


def test_folders_left_empty_by_a_replacement_go(tmp_path):
    save(tmp_path, files={"deep/er/x.bin": lambda path: path.write_bytes(b"")})
    save(tmp_path)
    assert not (tmp_path / "deep").exists()


def test_result_of_another_command_is_not_overwritten(tmp_path):
    save(tmp_path)
    before = {name: (tmp_path / name).read_bytes() for name in listing(tmp_path)}
    with pytest.raises(InputError, match="holds the result of `morpholith sem measure`"):
        save(tmp_path, command="sem learn")
    assert {name: (tmp_path / name).read_bytes() for name in listing(tmp_path)} == before


@pytest.mark.parametrize("name", ["summary.json", "report.html"])
def test_foreign_files_are_not_overwritten(tmp_path, name):
    (tmp_path / name).write_text("{}")
    with pytest.raises(InputError, match=f"{name} is in the way"):
        save(tmp_path)
    assert (tmp_path / name).read_text() == "{}"


@pytest.mark.parametrize("text", ["not toml [", "[package]\nname = 1\n", "\udce4"])
def test_foreign_recipe_is_not_overwritten(tmp_path, text):
    (tmp_path / RECIPE).write_bytes(text.encode("latin-1", errors="surrogateescape"))
    with pytest.raises(InputError, match="not a recipe"):
        save(tmp_path)


def test_file_of_the_users_in_the_way_is_kept(tmp_path):
    (tmp_path / "particles.csv").write_text("mine")
    with pytest.warns(InputWarning, match=r"now particles\.csv\.yours"):
        save(tmp_path)
    assert (tmp_path / "particles.csv.yours").read_text() == "mine"
    assert whole(tmp_path)
    with warnings.catch_warnings():  # the second time it is ours
        warnings.simplefilter("error")
        save(tmp_path)


def test_recipe_edited_to_point_outside_removes_nothing_there(tmp_path):
    outside = tmp_path / "precious.txt"
    outside.write_text("mine")
    out = save(tmp_path / "out")
    recipe = (out / RECIPE).read_text()
    (out / RECIPE).write_text(recipe.replace('"labels.tif"', '"../precious.txt"'))
    with pytest.warns(InputWarning, match="was there before"):  # with the list not trusted, all are the user's
        save(out)
    assert outside.read_text() == "mine"


def test_fresh_names_a_folder_that_is_free(tmp_path):
    assert fresh(tmp_path / "out") == tmp_path / "out"
    (tmp_path / "out").mkdir()
    assert fresh(tmp_path / "out") == tmp_path / "out"
    (tmp_path / "out" / "x").touch()
    (tmp_path / "out-2").touch()
    assert fresh(tmp_path / "out") == tmp_path / "out-3"


# --- before the work -------------------------------------------------------------------------------------


def test_claim_refuses_a_file(tmp_path):
    (tmp_path / "f").touch()
    for out in (tmp_path / "f", tmp_path / "f" / "deeper"):
        with pytest.raises(InputError, match=r"must be a folder, but \S*f is a file"):
            claim(out, command="tour")


def test_claim_refuses_what_cannot_be_written(tmp_path, monkeypatch):
    def denied(*_, **__):
        raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr(results.tempfile, "TemporaryFile", denied)
    with pytest.raises(InputError, match=r"cannot write to .* \(Permission denied\)"):
        claim(tmp_path, command="tour")


def test_release_takes_back_only_empty_folders_it_made(tmp_path):
    release = claim(tmp_path / "a" / "b", command="tour")
    release()
    assert not (tmp_path / "a").exists()
    release = claim(tmp_path / "a" / "b", command="tour")
    (tmp_path / "a" / "mine").touch()
    release()
    assert listing(tmp_path) == ["a/mine"]
    assert not (tmp_path / "a" / "b").exists()
    claim(tmp_path, command="tour")()
    assert tmp_path.exists()


# --- accidents -------------------------------------------------------------------------------------------


def test_full_disk_leaves_the_earlier_result_untouched(tmp_path, monkeypatch):
    save(tmp_path)
    before = {name: (tmp_path / name).read_bytes() for name in listing(tmp_path)}

    def full(_):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(results.os, "fsync", full)
    with pytest.raises(OSError, match="No space"):
        save(tmp_path, warnings=["other."])
    assert {name: (tmp_path / name).read_bytes() for name in listing(tmp_path)} == before


def killed_at(step, out, monkeypatch):
    """Write a second result in a child that dies, as by kill -9, at that rename or removal: its exit code."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # fork beside threads: the child only writes
        child = os.fork()
    if child:
        return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    left = [step]

    def dying(move):
        def wrapped(*args, **kwargs):
            if left[0] == 0:
                os._exit(9)  # no cleaning up, no buffers flushed
            left[0] -= 1
            return move(*args, **kwargs)

        return wrapped

    monkeypatch.setattr(os, "replace", dying(os.replace))
    monkeypatch.setattr(os, "unlink", dying(os.unlink))
    try:
        save(out, warnings=["second"], tables={"other": pd.DataFrame({"a": [1.5]})})
    except BaseException:
        os._exit(1)
    os._exit(0)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="POSIX")
def test_kill_at_any_moment_leaves_nothing_that_looks_whole(tmp_path, monkeypatch):
    out = tmp_path / "out"
    ended = []
    while not ended or ended[-1] != 0:
        save(out)
        ended.append(killed_at(len(ended), out, monkeypatch))
        if whole(out):
            told = json.loads((out / "summary.json").read_text())["warnings"]
            assert told == ["second"] if ended[-1] == 0 else ["careful."]
        save(out)  # the next run mends it: nothing of either run is left over
        assert whole(out)
        assert set(listing(out)) == {RECIPE, *read_recipe(out)["outputs"]}
    assert len(ended) > 10
    assert set(ended[:-1]) == {9}


def test_staging_of_killed_runs_is_cleaned_and_of_living_ones_not(tmp_path):
    dead = subprocess.Popen([sys.executable, "-c", ""])
    dead.wait()
    mine, theirs, old = (
        tmp_path / f".morpholith-staging-{host}-{pid}-abc_"
        for host, pid in ((results._host(), dead.pid), ("else-where", dead.pid), ("else-where", 1))
    )
    alive = tmp_path / f".morpholith-staging-{results._host()}-{os.getpid()}-xyz"
    for folder in (mine, theirs, old, alive):
        folder.mkdir()
        (folder / "half").write_bytes(b"x")
    os.utime(old, (0, 0))
    save(tmp_path)
    assert not mine.exists()
    assert not old.exists()
    assert (alive / "half").exists()
    assert (theirs / "half").exists()


# --- recipes that are none -------------------------------------------------------------------------------


def test_reading_a_recipe_says_what_is_wrong(tmp_path):
    with pytest.raises(InputError, match="there is no recipe at"):
        read_recipe(tmp_path)
    (tmp_path / "x.toml").write_text("a = 1")
    with pytest.raises(InputError, match="not a recipe of Morpholith"):
        read_recipe(tmp_path / "x.toml")


def test_vanished_input_is_named(tmp_path):
    with pytest.raises(InputError, match=r"gone\.tif is no longer there"):
        save(tmp_path / "out", inputs=[tmp_path / "gone.tif"])


def test_key_warnings_is_taken(tmp_path):
    with pytest.raises(ValueError, match="'warnings'"):
        save(tmp_path, summary={"warnings": Quantity(1.0)})
