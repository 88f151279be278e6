"""A recipe does the same again, from anywhere, and says so when it does not."""

import json
import shutil
from pathlib import Path

import dummies
import numpy as np
import pandas as pd
import pytest

from morpholith import results
from morpholith.cli import commands, main
from morpholith.cli.commands import Command
from morpholith.recipe import read_recipe


@pytest.fixture(autouse=True)
def run(tmp_path, monkeypatch):
    """Stand in a folder that holds two inputs and the result ``out`` made from them."""
    monkeypatch.setattr(commands, "COMMANDS", (Command("lab", "weigh", "dummies:weigh"),))
    monkeypatch.setattr(commands, "GROUPS", {"lab": "Things of the laboratory."})
    (tmp_path / "work" / "in").mkdir(parents=True)
    monkeypatch.chdir(tmp_path / "work")
    Path("in/a.txt").write_text("hello")
    Path("in/b.txt").write_text("world!")
    argv = "lab weigh in/a.txt in/b.txt --pixel-size 0.5 --grid 1,0.5,0.5 --at-least x --at-least y --seed 11"
    assert main([*argv.split(), "--out", "out"]) == 0
    return tmp_path


def told(capsys):
    """Return stdout without its numbers, and stderr without the workflow's own warning."""
    out, err = capsys.readouterr()
    return out, [line for line in err.splitlines() if "needs two samples" not in line]


def edit(recipe, old, new):
    text = Path(recipe).read_text()
    assert old in text
    Path(recipe).write_text(text.replace(old, new))


def test_same_seed_gives_the_same_bytes(capsys):
    assert main(["rerun", "out/recipe.toml"]) == 0
    out, err = told(capsys)
    assert "the numbers are identical" in out
    assert "other files" not in out
    assert err == []
    for name in ("summary.json", "samples.csv", "figures/masses.png", "extra/raw.bin"):
        assert Path("out-rerun", name).read_bytes() == Path("out", name).read_bytes()
    assert read_recipe("out-rerun")["options"] == read_recipe("out")["options"]


def test_rerun_of_a_rerun_and_of_a_folder(capsys):
    for source, made in (("out", "out-rerun"), ("out", "out-rerun-2"), ("out-rerun", "out-rerun-rerun")):
        assert main(["rerun", source]) == 0
        assert Path(made, "summary.json").exists()
    assert told(capsys)[0].count("identical") == 3


def test_works_from_another_folder_and_with_everything_moved(run, monkeypatch, capsys):
    shutil.move(run / "work", run / "moved")
    monkeypatch.chdir(run)
    assert main(["rerun", "moved/out"]) == 0
    assert "identical" in told(capsys)[0]
    assert (run / "moved" / "out-rerun" / "summary.json").exists()
    monkeypatch.chdir(run / "moved" / "out")
    assert main(["rerun", "recipe.toml"]) == 0
    assert (run / "moved" / "out-rerun-2" / "summary.json").exists()


def test_recipe_moved_alone_finds_inputs_where_they_were_given(run, capsys):
    shutil.move("out", run / "elsewhere")
    assert main(["rerun", str(run / "elsewhere"), "--out", "again"]) == 0
    assert "identical" in told(capsys)[0]


def test_changed_input_is_named(capsys):
    Path("in/b.txt").write_text("worlds")
    assert main(["rerun", "out"]) == 2
    _, err = told(capsys)
    assert len(err) == 1
    assert "in/b.txt has changed" in err[0]
    assert not Path("out-rerun").exists()


def test_missing_input_is_named(capsys):
    Path("in/b.txt").unlink()
    assert main(["rerun", "out"]) == 2
    assert "in/b.txt is no longer there" in told(capsys)[1][0]


def test_own_folder_is_no_place_to_write(capsys):
    assert main(["rerun", "out", "--out", "out"]) == 2
    assert "holds the results to compare with" in told(capsys)[1][0]


def test_other_version_is_told(capsys):
    numpy = read_recipe("out")["versions"]["numpy"]
    edit("out/recipe.toml", f'numpy = "{numpy}"', 'numpy = "1.0.0"')
    assert main(["rerun", "out"]) == 0
    _, err = told(capsys)
    assert len(err) == 1
    assert f"numpy 1.0.0 (now {numpy})" in err[0]


@pytest.mark.parametrize(
    ("old", "new", "sentence"),
    [
        ('command = "lab weigh"', 'command = "lab sing"', "which this version does not have"),
        ("seed = 11", "sead = 11", "sets sead, which `lab weigh` no longer knows"),
        ("seed = 11", 'seed = "x"', "must be a whole number"),
        ('method = "fine"', 'method = "finest"', 'Invalid value "finest"'),
    ],
)
def test_recipe_this_version_cannot_follow(capsys, old, new, sentence):
    edit("out/recipe.toml", old, new)
    assert main(["rerun", "out"]) == 2
    _, err = told(capsys)
    assert len(err) == 1
    assert sentence in err[0]


def test_differences_are_listed(monkeypatch, capsys):
    weigh = dummies.weigh

    def drifted(samples, /, **options):
        r = weigh(samples, **options)
        r.tables["samples"].loc[2, "mass_um"] += 0.25
        r.summary["mass_um"] = results.Quantity(7.5, 1.0, 999.0, n=2, unit="um", method="mean")
        r.summary["extra"] = results.Quantity(1.0)
        r.files["extra/raw.bin"] = lambda path: path.write_bytes(b"other")
        return r

    drifted.__signature__ = __import__("inspect").signature(weigh, eval_str=True)
    drifted.__annotations__ = {p.name: p.annotation for p in drifted.__signature__.parameters.values()}
    drifted.__doc__ = weigh.__doc__
    monkeypatch.setattr(dummies, "weigh", drifted)
    value = json.loads(Path("out/summary.json").read_text())["mass_um"]["value"]
    assert main(["rerun", "out"]) == 0
    out, _ = told(capsys)
    lines = [line.strip() for line in out.splitlines()]
    at = next(i for i, line in enumerate(lines) if "differ from those of the recipe in 3 place(s)" in line)
    assert sorted(lines[at + 1 : at + 4]) == [
        "extra: absent -> 1.0",
        f"mass_um: {value} [1.0, 999.0] -> 7.5 [1.0, 999.0]",
        "samples.csv: mass_um differs in 1 of 2 rows, by at most 0.25",
    ]
    assert lines[at + 4] == "other files that differ: extra/raw.bin"


def test_edited_or_lost_results_are_not_compared_in_detail(monkeypatch, capsys):
    Path("out/samples.csv").write_text("edited")
    monkeypatch.setattr(dummies.np.random, "default_rng", lambda seed: np.random.Generator(np.random.PCG64(seed + 1)))
    assert main(["rerun", "out"]) == 0
    assert "samples.csv differs (the earlier one is gone or was edited" in told(capsys)[0]


def test_edit_of_an_earlier_table_does_not_hide_that_the_numbers_agree(capsys):
    Path("out/samples.csv").unlink()
    assert main(["rerun", "out"]) == 0
    assert "identical" in told(capsys)[0]


def test_folder_input_is_found_again(run, monkeypatch, capsys):
    def census(folder: Path, /) -> results.Result:
        """Count.

        Parameters
        ----------
        folder
            Where.
        """
        files = sorted(folder.iterdir())
        table = pd.DataFrame({"name": [f.name for f in files]})
        return results.Result(tables={"t": table}, inputs=files)

    monkeypatch.setattr(dummies, "weigh", census)
    monkeypatch.chdir(run / "work" / "in")
    assert main(["lab", "weigh", ".", "--out", "../count"]) == 0
    monkeypatch.chdir(run)
    assert main(["rerun", "work/count"]) == 0
    assert "identical" in told(capsys)[0]
    Path("work/in/new.txt").write_text("x")
    assert main(["rerun", "work/count"]) == 0
    assert "t.csv: 2 rows, 1 columns -> 3 rows" in told(capsys)[0]
