"""`morpholith particles learn` as a user runs it, on specimens whose grains and shells are known."""

import json
import shutil
from functools import partial

import numpy as np
import pandas as pd
import pytest
import tifffile

from morpholith import export, generate
from morpholith.cli import main

BUDGET = "160"
TOLD = {  # of summary.json, and the same number of truth.csv
    "grain_d50_um": lambda grains: grains["diameter_um"].median(),
    "grain_d90_um": lambda grains: grains["diameter_um"].quantile(0.9),
    "grain_axis_ratio": lambda grains: grains["axis_ratio_3d"].median(),
    "grain_alpha_deg": lambda grains: grains["alpha_long_deg"].mean(),
}


@pytest.fixture(scope="module")
def maps(tmp_path_factory):
    """Two maps of one particle of radial needles, and a word of other places: a folder with a blank and an umlaut."""
    place = tmp_path_factory.mktemp("maps") / "Nadeln für 3D"
    words = "virtual section --kind needles --diameter 4 --size 0.45 --cuts 2 --seed 5 --cut-surface".split()
    assert main([*words, "--out", str(place)]) == 0
    return place


@pytest.fixture(scope="module")
def powder(tmp_path_factory):
    place = tmp_path_factory.mktemp("powder") / "p"
    words = "virtual shells --particles 24 --radius 1.2 --size 13,14,15 --voxel-size 0.16 --whole --touching 0 --seed 2"
    assert main([*words.split(), "--out", str(place)]) == 0
    return place


@pytest.fixture(scope="module")
def learnt(maps, powder, tmp_path_factory):
    """A model of both halves; fewer grains in 3D than usual, which take most of the time."""
    place = tmp_path_factory.mktemp("learnt") / "Modell"
    words = ["particles", "learn", "--budget", BUDGET, "--name", "Nadeln", "--seed", "3", "--out", str(place)]
    few = partial(generate.predict_grains, n_draws=24, n_prior=6, n_grains=80)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(generate, "predict_grains", few)
        files = [str(path) for path in sorted(maps.glob("*.ang"))]
        assert main([*words, "--sections", *files, "--shells", str(powder / "shells.tif")]) == 0
    return place


def numbers_of(place):
    return json.loads((place / "summary.json").read_text())


def test_contract(learnt):
    files = "model.safetensors model.json report.html summary.json recipe.toml sections.csv law.csv statistics.csv"
    files += " grains_3d.csv shells.csv families.csv shell_parameters.csv dependence.csv"
    assert [name for name in files.split() if not (learnt / name).stat().st_size] == []
    for name in ("sections", "orientation", "law", "statistics", "grains_3d", "particle"):
        assert (learnt / "figures" / f"{name}.png").stat().st_size > 5000
    told = numbers_of(learnt)
    assert told["n_sections"]["value"] == 2
    assert told["n_section_grains"]["value"] > 80
    assert told["diagram_accuracy"]["value"] > 0.95
    assert 0 <= told["misfit_p"]["value"] <= 1
    assert told["radial_order"]["low"] > 0.4
    for key in TOLD:
        assert told[key]["low"] < told[key]["value"] < told[key]["high"]
    table = pd.read_csv(learnt / "law.csv").set_index("parameter")
    assert set(table["identifiable"]) <= {"yes", "weakly", "no"}
    assert (table["low"] <= table["median"]).all()
    assert (table["median"] <= table["high"]).all()
    assert list(pd.read_csv(learnt / "sections.csv")["used"]) == [True, True]


def test_grains_in_3d_are_the_hidden_ones_within_the_intervals(maps, learnt):
    truth = pd.read_csv(maps / "truth.csv").query("not at_surface and not touches_edge")
    assert len(truth) > 150
    told = numbers_of(learnt)
    for key, of in TOLD.items():
        assert told[key]["low"] <= of(truth) <= told[key]["high"], key
    # and they say something: random grains of any size would not do
    assert told["grain_d50_um"]["high"] < 2.5 * told["grain_d50_um"]["low"]
    assert told["radial_stretch"]["low"] > 1.2


def test_shells_are_those_of_the_powder(powder, learnt):
    truth = pd.read_csv(powder / "truth.csv")
    found = pd.read_csv(learnt / "shells.csv")
    assert numbers_of(learnt)["n_shells"]["value"] == len(found)
    assert len(found) >= 0.8 * len(truth)
    at = np.linalg.norm(
        found[["z_um", "y_um", "x_um"]].to_numpy()[:, None] - truth[["z_um", "y_um", "x_um"]].to_numpy(), axis=2
    )
    assert at.min(axis=1).max() < 0.3
    own = truth.iloc[at.argmin(axis=1)]["volume_um3"].to_numpy()
    # a voxel of blur at a radius of eight
    assert np.median(np.abs(found["shell_volume_um3"] / own - 1)) < 0.15
    model = generate.load_model(learnt)
    assert model.shell_voxel_um == pytest.approx(0.16)


def test_the_model_loads_and_generates(maps, learnt, tmp_path):
    model = generate.load_model(learnt)
    assert model.name == "Nadeln"
    assert model.voxel_um == pytest.approx(0.05)
    assert len(model.draws) == 30
    assert model.about["warnings"] == []
    assert (
        main(
            ["particles", "generate", str(learnt), "--count", "2", "--voxel-size", "0.1", "--out", str(tmp_path / "o")]
        )
        == 0
    )
    grains = pd.read_csv(tmp_path / "o" / "grains.csv")
    truth = pd.read_csv(maps / "truth.csv")["diameter_um"].median()
    assert 0.5 * truth < grains["diameter_um"].median() < 2 * truth
    assert export.read_particle(tmp_path / "o" / "library.zarr", 2)[0].max() > 5


def test_shells_alone_and_again(powder, tmp_path):
    """The other half is the published one, and the report says so; the recipe repeats the model to the last bit."""
    words = ["particles", "learn", "--shells", str(powder / "shells_labels.tif"), "--out"]
    assert main([*words, str(tmp_path / "a")]) == 0
    assert any(
        "grains of this model are those of the published" in t
        for t in generate.load_model(tmp_path / "a").about["warnings"]
    )
    assert not (tmp_path / "a" / "law.csv").exists()
    assert main(["rerun", str(tmp_path / "a" / "recipe.toml"), "--out", str(tmp_path / "b")]) == 0
    assert (tmp_path / "a" / "model.safetensors").read_bytes() == (tmp_path / "b" / "model.safetensors").read_bytes()
    assert (tmp_path / "a" / "model.json").read_bytes() == (tmp_path / "b" / "model.json").read_bytes()


def refused(words, capsys, tmp_path):
    """Return the one sentence of a command that must fail and write nothing."""
    before = sorted(tmp_path.rglob("*"))
    assert main([*words, "--out", str(tmp_path / "o")]) == 2
    assert sorted(tmp_path.rglob("*")) == before
    told = [line for line in capsys.readouterr().err.splitlines() if not line.startswith("morpholith: warning")]
    assert len(told) == 1
    assert "internal error" not in told[0]
    return told[0]


def rewritten(source, target, change):
    """Write a map again with its points changed."""
    lines = source.read_text().splitlines()
    points = [change(line.split()) for line in lines if not line.startswith("#")]
    target.write_text("\n".join([line for line in lines if line.startswith("#")] + ["  ".join(p) for p in points]))


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda p: ["nan", *p[1:]], "where a number was expected"),
        (lambda p: ["1.0", "1.0", "1.0", *p[3:]], "no particle of 10 grains"),
        (lambda p: [*p[:6], "-1.000", *p[7:]], "no point is indexed"),
    ],
)
def test_maps_that_show_no_grains(maps, change, said, tmp_path, capsys):
    rewritten(maps / "section_000.ang", tmp_path / "map.ang", change)
    assert said in refused(["particles", "learn", "--sections", str(tmp_path / "map.ang")], capsys, tmp_path)


@pytest.mark.parametrize(
    ("text", "said"), [("", "no points"), ("# GRID: SqrGrid\n", "no points"), ("garbage\n", "at least 5 were expected")]
)
def test_files_that_are_no_maps(text, said, tmp_path, capsys):
    (tmp_path / "map.ang").write_text(text)
    assert said in refused(["particles", "learn", "--sections", str(tmp_path / "map.ang")], capsys, tmp_path)


def test_two_phases_are_asked_for(tmp_path, capsys):
    words = "virtual section --kind equiaxed --diameter 3 --size 0.5 --second-phase 0.4 --step 0.08 --out".split()
    assert main([*words, str(tmp_path / "s")]) == 0
    capsys.readouterr()
    told = refused(["particles", "learn", "--sections", str(tmp_path / "s" / "section_000.ang")], capsys, tmp_path)
    assert "two phases" in told
    assert "rock salt" in told


@pytest.mark.parametrize(
    ("made", "options", "said"),
    [
        (lambda a: a, "", "--pixel-size"),
        (lambda a: np.ones_like(a), "--pixel-size 0.05", "constant"),
        (lambda a: np.zeros_like(a), "--pixel-size 0.05", "constant"),
        (lambda a: np.full(a.shape, np.nan, np.float32), "--pixel-size 0.05", "NaN"),
        (lambda a: a + np.float32(0.5), "--pixel-size 0.05", "no whole"),
        (lambda a: np.random.default_rng(0).integers(0, 255, a.shape, np.uint8), "--pixel-size 0.05", "grey image"),
        (
            lambda a: np.random.default_rng(0).integers(0, 255, (*a.shape, 3), np.uint8),
            "--pixel-size 0.05",
            "colour image",
        ),
    ],
)  # fmt: skip
def test_images_that_are_no_labels(maps, made, options, said, tmp_path, capsys):
    array = made(tifffile.imread(maps / "section_000_labels.tif").astype(np.uint16))
    tifffile.imwrite(tmp_path / "im.tif", array, photometric="rgb" if array.ndim == 3 else "minisblack")
    words = ["particles", "learn", "--sections", str(tmp_path / "im.tif"), *options.split()]
    assert said in refused(words, capsys, tmp_path)


def balls(n):
    """A row of balls of one size, labelled."""
    z, y, x = np.indices((24, 26, 22 * n + 4))
    place = (x - 12) // 22
    inside = (z - 12) ** 2 + (y - 13) ** 2 + (x - 13 - 22 * place) ** 2 < 64
    return np.where(inside & (place >= 0) & (place < n), place + 1, 0).astype(np.uint8)


@pytest.mark.parametrize(
    ("made", "said"),
    [
        (lambda: np.zeros((20, 24, 28), np.uint8), "nothing in it"),
        (lambda: np.full((20, 24, 28), 7, np.uint16), "no particle"),
        (lambda: np.random.default_rng(0).normal(90, 5, (20, 24, 28)).astype(np.float32), "nothing in it"),
        (lambda: np.full((20, 24, 28), np.nan, np.float32), "NaN"),
        (lambda: balls(1), "10 particles at least, got 1"),
        (lambda: balls(4), "10 particles at least, got 4"),
        (lambda: balls(4)[12], "a volume is needed"),
    ],
)
def test_volumes_that_hold_no_powder(made, said, tmp_path, capsys):
    tifffile.imwrite(tmp_path / "v.tif", made())
    words = ["particles", "learn", "--shells", str(tmp_path / "v.tif"), "--voxel-size", "0.1"]
    assert said in refused(words, capsys, tmp_path)


def test_a_volume_that_does_not_say_its_voxels_or_is_cut_off(powder, tmp_path, capsys):
    tifffile.imwrite(tmp_path / "v.tif", balls(2))
    assert "--voxel-size" in refused(["particles", "learn", "--shells", str(tmp_path / "v.tif")], capsys, tmp_path)
    raw = (powder / "shells.tif").read_bytes()
    (tmp_path / "v.tif").write_bytes(raw[: len(raw) // 3])
    assert "cut off" in refused(["particles", "learn", "--shells", str(tmp_path / "v.tif")], capsys, tmp_path)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ("--budget 20", "--budget must be"),
        ("--workers 0", "--workers must be"),
        ("--epochs 0 --method gan", "--epochs must be"),
        ("--seed -1", "--seed must not be negative"),
        ("--method gan --off-centre unknown", "needs --method law"),
        ("--phase 7", "has phase 7"),
        ("--min-confidence 2", "confidence index of 2"),
        ("--min-pixels 100000", "at least 100000 pixels"),
    ],
)
def test_bad_options(maps, options, said, tmp_path, capsys):
    words = ["particles", "learn", "--sections", str(maps / "section_000.ang"), *options.split()]
    assert said in refused(words, capsys, tmp_path)


def test_nothing_to_learn_from(tmp_path, capsys):
    assert "nothing to learn from" in refused(["particles", "learn"], capsys, tmp_path)
    words = ["particles", "learn", "--sections", str(tmp_path / "not there.ang")]
    assert "not there.ang" in refused(words, capsys, tmp_path)


def damaged(place, change):
    recipe = json.loads((place / "model.json").read_text())
    change(recipe)
    (place / "model.json").write_text(json.dumps(recipe))


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda r: r.update(format=99, morpholith="7.0"), "format 99"),
        (lambda r: r.update(kind="stored network"), "not a particle model"),
        (lambda r: r.pop("shells"), "not a whole particle model"),
        (lambda r: r["architecture"].update(kind="magic"), "not a whole particle model"),
        (lambda r: r.update(voxel_um=-1), "must be a positive number"),
        (lambda r: r.update(about="?"), "not a whole particle model"),
        (lambda r: r.update(sha256="0"), "SHA-256"),
    ],
)
def test_models_of_another_version_or_garbled(learnt, change, said, tmp_path, capsys):
    for name in ("model.json", "model.safetensors"):
        shutil.copy(learnt / name, tmp_path / name)
    damaged(tmp_path, change)
    assert said in refused(["particles", "generate", str(tmp_path), "--count", "1"], capsys, tmp_path)


def test_grains_larger_than_the_shells_keep_the_model():
    """No particle can be drawn for the report: that is said, and what was learnt is not lost."""
    from morpholith.generate import MarkerLaw, ParticleModel, nmc811_like
    from morpholith.workflows import _learn_story

    published = nmc811_like()
    model = ParticleModel("large", published.shells, published.shell_voxel_um, MarkerLaw(1e-4), 1.0)
    story = _learn_story.Story(model, (), None, None, None, (), None, "law", 0)
    result = _learn_story.told(story, inputs=[])
    assert "particle" not in result.figures
    assert any("No particle could be drawn" in text for text in result.warnings)
    assert set(result.files) == {"model.safetensors", "model.json"}
