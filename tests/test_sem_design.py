"""`morpholith sem design` as a user runs it: targets in, recipes out, and what is wrong said in a sentence."""

import json
import warnings
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import tifffile

from morpholith import design, generate, measure
from morpholith.cli import main
from morpholith.errors import InputError, InputWarning
from morpholith.generate import View, process_table
from morpholith.workflows import _design_inputs as inputs
from morpholith.workflows import _drawn, sem_design
from morpholith.workflows._design_story import story
from morpholith.workflows._design_told import told_in, trained_powders

DESCRIPTORS = ("texture_mean", "d50_um", "circularity_mean")
VIEWS = (View("3000x", 0.2, DESCRIPTORS[1:]), View("15000x", 0.04, DESCRIPTORS[:1]))
NOISE = {"texture_mean": 0.006, "d50_um": 0.06, "circularity_mean": 0.002}


def truth(c):
    """What a recipe makes: texture falls with pH and in air, size with pH and time."""
    gas = 0.8 if c["atmosphere"] == "air" else 1.0
    t = np.log(c["time_min"] / 60) / np.log(10)
    return {
        "texture_mean": gas * (0.75 - 0.35 * (c["ph"] - 10.0)),
        "d50_um": 4.0 - 1.0 * (c["ph"] - 10.0) + 2.0 * t,
        "circularity_mean": 0.90 + 0.04 * t,
    }


def conditions():
    rng = np.random.default_rng(1)
    table = pd.DataFrame(
        {"ph": rng.uniform(10, 11, 24).round(2), "time_min": (60 * 10 ** rng.uniform(0, 1, 24)).round(),
         "atmosphere": ["N2", "air"] * 12},
        index=pd.Index([f"c{k:02d}" for k in range(24)], name="condition"),
    )  # fmt: skip
    return table


@dataclass
class Model:
    """An analytic model; `error` is how far it is from powders on conditions left out, in standard deviations."""

    error: float = 0.005
    table: generate.ProcessTable = field(default_factory=lambda: process_table(conditions()))
    views: tuple = VIEWS

    @property
    def measured(self):
        return pd.DataFrame([truth(c) for c in self.table.conditions.to_dict("records")], self.table.conditions.index)

    @property
    def left_out(self):
        if not self.error:
            return None
        off = self.error * np.resize([1.0, -1.0], len(self.measured))
        columns = {}
        for d in DESCRIPTORS:
            columns |= {d: self.measured[d], f"{d}_drawn": self.measured[d] * (1 - off), f"{d}_drawn_se": 0.0}
        return pd.DataFrame(columns)

    def corrected(self, _, values):
        return values


def see(condition, *, images, seed):
    """Stand in for `describe_drawn`: the truth with the noise of that many images."""
    rng = np.random.default_rng(seed)
    se = {d: NOISE[d] / np.sqrt(images) for d in DESCRIPTORS}
    found = {d: design.Measured(v + se[d] * rng.standard_normal(), se[d], images) for d, v in truth(condition).items()}
    return found, {v.name: rng.integers(0, 255, (images, 64, 64)).astype(np.uint8) for v in VIEWS}


@pytest.fixture
def model(tmp_path, monkeypatch):
    """A model that the command finds under a name, and that draws in no time."""
    (tmp_path / "m.json").write_text("{}")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(generate, "load_micrographs", lambda _: Model())
    monkeypatch.setattr(generate, "micrograph_files", lambda _: [tmp_path / "m.json"])

    def drawn(_, condition, *, images, seed, device):
        assert device == "cpu"
        return see(condition, images=images, seed=seed)

    monkeypatch.setattr(_drawn, "describe_drawn", drawn)
    return tmp_path


def _run(*words, expect=0):
    assert main(["sem", "design", "m.json", *words]) == expect


def _plan(*targets, model=None, space=None, **more):
    known = model or Model()
    space = space or inputs.space_of(known.table, fix=["atmosphere=N2"])
    goals = inputs.targets_of(targets, None, known, {})
    return sem_design.Plan(known, space, goals, **{"calls": 14, "recipes": 2, "key": "m", **more})


@pytest.fixture(autouse=True)
def _few_recipes():
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "only .* distinct recipes")
        warnings.filterwarnings("ignore", "left-out calls show")
        yield


# --- the command -------------------------------------------------------------------------------------------------


@pytest.mark.usefixtures("model")
def test_the_contract_is_kept_and_the_recipe_makes_what_was_wanted():
    _run("--target", "d50_um=5", "texture_mean=0.6+-0.03", "circularity_mean=high+-0.1", "--fix", "atmosphere=N2",
         "--constraint", "ph <= 10.9", "--calls", "16", "--recipes", "2", "--images", "2", "--out", "out")  # fmt: skip
    table = pd.read_csv("out/recipes.csv")
    for name in ("ph", "time_min"):
        assert (table[f"{name}_low"] <= table[name] + 1e-9).all()
        assert (table[name] <= table[f"{name}_high"] + 1e-9).all()
    assert set(table["atmosphere"]) == {"N2"}
    for d in DESCRIPTORS:
        assert (table[f"{d}_low"] < table[d]).all()
        assert (table[d] < table[f"{d}_high"]).all()
    assert {"recipe", "objective", "extrapolates", "training_distance", "p_made"} <= set(table.columns)
    made = truth(table.iloc[0])
    assert made["d50_um"] == pytest.approx(5, rel=0.03)
    assert made["texture_mean"] == pytest.approx(0.6, abs=0.03)
    summary = json.loads(Path("out/summary.json").read_text())
    for d in DESCRIPTORS:
        assert summary[d]["low"] < made[d] < summary[d]["high"]
    assert summary["n_calls"]["value"] <= 16
    images = pd.read_csv("out/campaign.csv")
    assert len(images) == len(table) * 2 * 2
    assert tifffile.imread(Path("out") / images["image"][0]).shape == (64, 64)
    assert {f.stem for f in Path("out/figures").iterdir()} >= {"recipes", "targets", "windows", "projection",
                                                              "progress", "trajectory"}  # fmt: skip
    report = Path("out/report.html").read_text()
    assert "probability" in report
    assert "to_make.csv" in report
    assert len(design.campaign("out/campaign.journal").records) == summary["n_calls"]["value"]


@pytest.mark.usefixtures("model")
def test_design_make_measure_tell_design():
    """Powders turn out larger than the model says: once told, the recipes are for powders as they are made."""
    goal = ["--target", "d50_um=5", "--fix", "atmosphere=N2", "time_min=200", "--calls", "14", "--recipes", "1"]
    _run(*goal, "--storage", "c.journal", "--out", "first")
    made = pd.DataFrame({"ph": [10.2, 10.5, 10.8, 10.9], "time_min": 200, "atmosphere": "N2"})
    made["d50_um"] = [1.1 * truth(c)["d50_um"] for c in made.to_dict("records")]
    made["d50_um_se"] = 0.03
    made.assign(texture_mean=np.nan).to_csv("made.csv", index=False)
    for _ in range(2):  # told twice, kept once
        _run(*goal, "--storage", "c.journal", "--tell", "made.csv", "--out", "second")
    summary = json.loads(Path("second/summary.json").read_text())
    assert summary["n_told"]["value"] == 4
    assert summary["n_calls"]["value"] == 14  # none was made anew
    assert "as it is made" in summary["objective"]["method"]
    recipe = pd.read_csv("second/recipes.csv").iloc[0]
    assert 1.1 * truth(recipe)["d50_um"] == pytest.approx(5, rel=0.04)
    assert recipe["ph"] > pd.read_csv("first/recipes.csv").iloc[0]["ph"] + 0.1


@pytest.mark.usefixtures("model")
@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        ("", "no target was given"),
        ("--target d50_um=5 --like m.json", "--target or --like, not both"),
        ("--target d5o_um=5", "no descriptor 'd5o_um'; it has d50_um, circularity_mean, texture_mean"),
        ("--target texture_mean=1.4", "out of any bound"),
        ("--target d50_um=5 --calls 0", "--calls must be 5 or more, got 0"),
        ("--target d50_um=5 --images 0", "--images must be 1 or more"),
        ("--target d50_um=5 --fix pH=10", "no variable for --fix 'pH' (did you mean 'ph'?)"),
        ("--target d50_um=5 --fix ph=acid", "'ph' must be a number, got 'acid'"),
        ("--target d50_um=5 --fix ph=10 --bounds ph=10:11", "both fixed and bounded"),
        ("--target d50_um=5 --bounds stirring=1:2", "no variable for --bounds 'stirring'"),
        ("--target d50_um=5 --bounds ph=10", "--bounds ph=10 must be ph=LOW:HIGH"),
        ("--target d50_um=5 --bounds ph=11:10", "low < high"),
        ("--target d50_um=5 --bounds atmosphere=N2,argon", "trained words N2, air; got 'argon'"),
        ("--target d50_um=5 --cost 3x*ph", "--cost '3x*ph' cannot be read"),
        ("--target d50_um=5 --cost 3*naoh", "the cost names 'naoh'"),
        ("--target d50_um=5 --weight texture_mean=2", "no target for --weight 'texture_mean'"),
        ("--target d50_um=5 --weight d50_um=-1", "must be a number above 0"),
        ("--target d50_um=5 --weight cost=2", "no target for --weight 'cost'"),
        ("--target d50_um=5 --storage postgresql://me:secret@host/db", "must not hold a password"),
        ("--target d50_um=5 --storage other.csv", "no design campaign"),
        ("--target d50_um=5 --tell other.csv", "lacks the columns ph, time_min, atmosphere"),
        (
            "--target d50_um=5 --tell unmeasured.csv",
            "has no measured descriptor; its 'd50' is none (did you mean 'd50_um'?)",
        ),
        ("--target d50_um=5 --tell empty.csv", "has no row with a measured descriptor"),
        ("--target d50_um=5 --tell wordy.csv", "line 2: d50_um must be a number, got 'large'"),
        ("--target d50_um=5 --tell argon.csv", "line 2: condition 'atmosphere' must be one of N2, air"),
    ],
)
def test_what_is_wrong_is_said_in_a_sentence(capsys, words, sentence):
    Path("other.csv").write_text("a,b\n1,2\n")
    Path("unmeasured.csv").write_text("ph,time_min,atmosphere,d50\n10,60,N2,5\n")
    Path("empty.csv").write_text("ph,time_min,atmosphere,d50_um\n10,60,N2,\n")
    Path("wordy.csv").write_text("ph,time_min,atmosphere,d50_um\n10,60,N2,large\n")
    Path("argon.csv").write_text("ph,time_min,atmosphere,d50_um\n10,60,Ar,5\n")
    _run(*words.split(), expect=2)
    told = capsys.readouterr().err
    assert sentence in told
    assert "secret" not in told
    assert not Path("sem-design").exists()


def test_a_model_that_is_none_is_refused(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    _run("--target", "d50_um=5", expect=2)
    assert "m.json" in capsys.readouterr().err
    particles = Path(generate.__file__).parent / "models" / "nmc811-like.json"
    assert main(["sem", "design", str(particles), "--target", "d50_um=5"]) == 2
    assert "not a micrograph model" in capsys.readouterr().err


@pytest.mark.usefixtures("model")
def test_contradictory_constraints_are_named(capsys):
    _run("--target", "d50_um=5", "--constraint", "ph <= 10.2", "ph >= 10.6", expect=2)
    told = capsys.readouterr().err
    assert "ph <= 10.2" in told
    assert "ph >= 10.6" in told


# --- what is found -----------------------------------------------------------------------------------------------


def test_what_cannot_be_reached_is_called_so_with_the_nearest():
    found = sem_design.carried_out(_plan("d50_um=8", "texture_mean=0.6", calls=18, recipes=1), see)
    assert "cannot be reached" in found.warnings[0]
    assert "Nearest target that can be reached: --target d50_um=" in found.warnings[0]
    assert any("d50_um 8" in w and "far outside" in w for w in found.warnings)
    row = found.tables["recipes"].iloc[0]
    # on the edge of what there is: at 600 min D50 = 6 - x and texture = 0.75 - 0.35 x
    x = np.linspace(0, 1, 1001)
    f = ((6 - x - 8) / 0.24) ** 2 + ((0.75 - 0.35 * x - 0.6) / 0.018) ** 2
    assert row["ph"] - 10 == pytest.approx(x[f.argmin()], abs=0.08)
    assert row["time_min"] == pytest.approx(600, rel=0.1)
    assert row["p_made"] < 0.01
    assert "pareto" in found.tables  # they conflict
    assert "pareto" in found.figures


def test_intervals_hold_the_model_s_error_on_conditions_left_out(tmp_path):
    plans = {e: _plan("d50_um=5", model=Model(error=e), recipes=1, calls=10) for e in (0.0, 0.05)}
    outcome = sem_design._outcome(plans[0.0], see, str(tmp_path / "c.journal"), keep=False)
    found = {e: story(plan, outcome) for e, plan in plans.items()}
    sure, told = (found[e].summary["d50_um"] for e in (0.0, 0.05))
    error = measure.prediction_error(Model(error=0.05).left_out, "d50_um").sd
    assert sure.high - sure.low < 0.2
    assert told.high - told.low == pytest.approx(2 * 2.07 * error, rel=0.03)  # t of 23 degrees of freedom
    assert "left out" in told.method
    assert any("not tested on conditions left out" in w for w in found[0.0].warnings)
    assert any("larger than the tolerance of d50_um" in w for w in found[0.05].warnings)
    p = found[0.05].summary["p_made"].value
    assert p == pytest.approx(0.43, abs=0.06)  # 0.15 against a standard deviation of 0.26
    assert found[0.05].summary["p_model"].value > 0.95


def test_extrapolation_is_flagged_against_the_training_whatever_the_bounds():
    known = Model()
    space = inputs.space_of(known.table, bounds=["ph=8:9.5", "atmosphere=N2"])
    found = sem_design.carried_out(_plan("d50_um=6", model=known, space=space, recipes=1, calls=10), see)
    row = found.tables["recipes"].iloc[0]
    assert row["extrapolates"]
    assert row["beyond"] == "ph"
    assert any("Recipe 1 extrapolates: ph outside the trained range" in w for w in found.warnings)


def test_a_variable_may_be_unknown_and_a_cost_is_kept_low():
    known = Model()
    space = inputs.space_of(known.table, fix=["atmosphere="], cost="time_min")

    def unknown(condition, *, images, seed):
        assert "atmosphere" not in condition
        return see({**condition, "atmosphere": "N2"}, images=images, seed=seed)

    plan = _plan("texture_mean=0.6", model=known, space=space, cost_weight=1.0, recipes=1, calls=16)
    found = sem_design.carried_out(plan, unknown)
    row = found.tables["recipes"].iloc[0]
    assert row["texture_mean"] == pytest.approx(0.6, abs=0.02)
    assert row["cost"] == row["time_min"]
    assert row["time_min"] < 120


# --- storage -----------------------------------------------------------------------------------------------------


def test_ctrl_c_loses_one_call(tmp_path):
    plan = _plan("d50_um=5", storage=str(tmp_path / "c.journal"), calls=8, recipes=1)
    count = 0

    def stopped(condition, *, images, seed):
        nonlocal count
        count += 1
        if count == 3:
            raise KeyboardInterrupt
        return see(condition, images=images, seed=seed)

    with pytest.raises(KeyboardInterrupt):
        sem_design.carried_out(plan, stopped)
    assert design.campaign(plan.storage).calls == 2
    count = 100
    found = sem_design.carried_out(plan, stopped)
    calls = found.summary["n_calls"].value
    assert 4 <= calls <= 8
    assert count == 100 + calls - 2 + 1  # and the recipe once more
    assert not found.files.keys() & {"campaign.journal"}


def test_calls_of_another_model_are_refused(tmp_path):
    place = str(tmp_path / "c.journal")
    plan = _plan("d50_um=5", storage=place)
    design.campaign(place, space=plan.space, about="another")
    with pytest.raises(InputError, match="calls of another model"):
        sem_design.carried_out(plan, see)


# --- micrographs given -------------------------------------------------------------------------------------------


@pytest.fixture
def micrographs(tmp_path, monkeypatch):
    """Files whose numbers stand in their grey levels, and a look that reads them."""

    def described(arrays, *, pixel_um, names, device):
        assert device == "cpu"
        assert pixel_um in (pytest.approx(0.2, rel=0.01), pytest.approx(0.04, rel=0.01))
        level = float(np.mean([a.mean() for a in arrays]))
        if level < 1:
            return {name: design.Measured(np.nan) for name in names}
        scale = {"d50_um": 0.05, "texture_mean": 0.01, "circularity_mean": 0.009}
        return {name: design.Measured(level * scale[name], 0.001, len(arrays)) for name in names}

    monkeypatch.setattr(_drawn, "describe_images", described)
    rng = np.random.default_rng(0)
    paths = {}
    for name, pixel, level in (("low", 0.0667, 100), ("high", 0.01333, 60), ("none", 0.0667, 0), ("far", 0.5, 100)):
        paths[name] = tmp_path / f"{name}.png"
        from PIL import Image

        grey = np.clip(level + rng.integers(-1, 2, (120, 150)), 0, 255) if level else rng.integers(0, 2, (120, 150))
        Image.fromarray(grey.astype(np.uint8)).save(paths[name], dpi=(25400 / pixel,) * 2)
    return paths


def _reference(paths, names, pixel):
    return inputs.reference_of([paths[n] for n in names], Model(), pixel_size=pixel, device="cpu")


def test_a_reference_is_measured_in_the_view_that_it_is_of(micrographs):
    low = _reference_quietly(micrographs, "low", 0.0667)
    assert low.numbers.keys() == {"d50_um", "circularity_mean"}
    assert low.numbers["d50_um"].mean == pytest.approx(5, abs=0.05)
    assert low.images["3000x"][0][0].shape == (40, 50)  # brought to the pixels that the view works at
    assert low.images["3000x"][0][1] == pytest.approx(0.2, rel=1e-3)
    high = _reference_quietly(micrographs, "high", 0.01333)
    assert high.numbers.keys() == {"texture_mean"}
    targets = inputs.targets_of(None, low, Model(), {"d50_um": 2.0})
    assert [(t.descriptor, t.weight) for t in targets] == [("d50_um", 2.0), ("circularity_mean", 1.0)]


def _reference_quietly(paths, name, pixel):
    with pytest.warns(InputWarning, match="do not tell .*, which the design leaves open; give images of"):
        return _reference(paths, [name], pixel)


def test_a_reference_without_particles_or_too_coarse_is_refused(micrographs):
    with pytest.raises(InputError, match=r"none\.png has no particle that can be measured"):
        _reference(micrographs, ["none"], 0.0667)
    with pytest.raises(InputError, match=r"far\.png has pixels of 0\.5 um, coarser than the 0\.2 um"):
        _reference(micrographs, ["far"], 0.5)


def test_powders_are_told_by_their_images(micrographs, tmp_path):
    table = tmp_path / "made.csv"
    (tmp_path / "twin.png").write_bytes(micrographs["low"].read_bytes())
    table.write_text(
        "image,condition,ph,time_min,atmosphere\nlow.png,a,10.5,120,air\ntwin.png,b,10.7,120,N2\n"
    )  # fmt: skip
    known = Model()
    space = inputs.space_of(known.table)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", InputWarning)
        records = told_in(table, known, space, pixel_size=0.0667, device="cpu")
    assert [r.conditions for r in records] == [
        {"ph": 10.5, "time_min": 120.0, "atmosphere": "air"}, {"ph": 10.7, "time_min": 120.0, "atmosphere": "N2"},
    ]  # fmt: skip
    assert records[0].results["d50_um"].mean == pytest.approx(5, abs=0.05)
    table.write_text("image,condition,ph,time_min,atmosphere\nnone.png,a,10.5,120,air\n")
    with pytest.raises(InputError, match="no particle can be measured in the images of 'a'"):
        told_in(table, known, space, pixel_size=0.0667, device="cpu")


# --- powders of the training ---------------------------------------------------------------------------------------


def test_powders_of_the_training_count_as_made_unless_they_differ_from_what_is_fixed():
    known = Model()
    everything = trained_powders(known, inputs.space_of(known.table))
    assert len(everything) == 24
    assert all(r.real for r in everything)
    first = known.table.conditions.index[0]
    assert everything[0].note == f"training, {first}"
    assert everything[0].results["d50_um"].mean == pytest.approx(known.measured.loc[first, "d50_um"])
    assert len(trained_powders(known, inputs.space_of(known.table, fix=["atmosphere=N2"]))) == 12
    assert len(trained_powders(known, inputs.space_of(known.table, bounds=["atmosphere=N2"]))) == 12
    assert trained_powders(known, inputs.space_of(known.table, fix=["ph=10.111"])) == []


def test_a_generator_that_is_off_is_mended_by_the_powders_of_its_training():
    known = Model()
    space = inputs.space_of(known.table, fix=["atmosphere=N2"])

    def flat(condition, *, images, seed):
        """Draw powders that do not follow the recipe in circularity, and are a tenth too large."""
        found, pictures = see(condition, images=images, seed=seed)
        large, same = found["d50_um"], found["circularity_mean"]
        return found | {
            "d50_um": large._replace(mean=1.1 * large.mean), "circularity_mean": same._replace(mean=0.92)
        }, pictures  # fmt: skip

    wanted = truth({"ph": 10.45, "time_min": 240, "atmosphere": "N2"})
    goals = [f"{name}={value:.4f}" for name, value in wanted.items()]
    off = {}
    for trained in (trained_powders(known, space), []):
        found = (
            sem_design.carried_out(_plan(*goals, space=space, calls=16, trained=trained), flat)
            .tables["recipes"]
            .iloc[0]
        )
        made = truth({**found[["ph", "time_min"]].to_dict(), "atmosphere": "N2"})
        off[len(trained)] = max(abs(made[name] / value - 1) for name, value in wanted.items())
    assert off[12] < 0.02
    assert off[0] > 2 * off[12]
