"""`morpholith particles validate` as a user runs it: a model that is right, one that is wrong, and bad input."""

import json

import numpy as np
import pandas as pd
import pytest
import tifffile

from morpholith.cli import main
from morpholith.generate import Family, MarkerLaw, ParticleModel, ShellModel, cut_ball, save_model

STEP = 0.05
SECTION, SHELL = ("area", "elongation", "alpha", "chord"), ("d_max", "compactness", "aspect_ratio", "sphericity")


def model(place, ratio):
    """Balls of about 2 um with grains that lie along the radius, or across it."""
    families = (Family("normal", 2.0, 70.0), Family("normal", 0.5), Family("normal", 2.0))
    law = MarkerLaw(8.0, radial_ratio=ratio, size_spread=0.15, ratio_spread=0.15, radius_um=2.0)
    save_model(place / "model", ParticleModel("made", ShellModel(families), 0.1, law, STEP))
    return str(place)


@pytest.fixture(scope="module")
def right(tmp_path_factory):
    return model(tmp_path_factory.mktemp("das Rechte"), 2.5)


@pytest.fixture(scope="module")
def maps(tmp_path_factory):
    """Label images of sections of the law of `right`, whole grains, two of five boundary pixels lost."""
    place, rng = tmp_path_factory.mktemp("maps Öl"), np.random.default_rng(4)
    law = MarkerLaw(8.0, radial_ratio=2.5, size_spread=0.15, ratio_spread=0.15, radius_um=2.0)
    files = []
    for k in range(6):
        labels = cut_ball(law, radius_um=2.0, height_um=0.0, step_um=STEP, rng=rng, whole=True).labels
        edge = np.zeros(labels.shape, bool)
        for axis in (0, 1):
            differs = np.diff(labels, axis=axis) != 0
            edge |= np.insert(differs, 0, False, axis) | np.insert(differs, differs.shape[axis], False, axis)
        seen = np.where(edge & (rng.random(labels.shape) < 0.4), 0, labels)
        files.append(place / f"s {k}.tif")
        tifffile.imwrite(files[-1], seen.astype(np.uint16))
    return [str(path) for path in files]


@pytest.fixture(scope="module")
def powder(tmp_path_factory):
    place = tmp_path_factory.mktemp("powder") / "p"
    words = "virtual shells --particles 24 --radius 1.2 --size 13,14,15 --voxel-size 0.16 --whole --touching 0 --seed 2"
    assert main([*words.split(), "--out", str(place)]) == 0
    return place


@pytest.fixture(scope="module")
def compared(right, maps, powder, tmp_path_factory):
    out = tmp_path_factory.mktemp("out") / "o"
    words = ["particles", "validate", right, "--sections", *maps, "--pixel-size", str(STEP), "--repeats", "4"]
    words += ["--shells", str(powder / "shells.tif"), "--count", "120", "--seed", "1", "--out", str(out)]
    assert main(words) == 0
    return out


def told_of(out):
    return json.loads((out / "summary.json").read_text())


def test_contract(compared):
    told = told_of(compared)
    assert told["n_sections"]["value"] == 6
    for name in (*SECTION, *SHELL):
        one = told[f"distance_{name}"]
        assert 0 <= one["low"] <= one["value"] <= one["high"]
    distances = pd.read_csv(compared / "distances.csv").set_index("descriptor")
    assert list(distances) == ["wasserstein", "low", "high", "floor", "shift", "ks", "n_first", "n_second"]
    assert len(distances) == 8
    heights = pd.read_csv(compared / "by_height.csv")
    assert list(heights["height_over_radius"]) == [0.0, 0.2, 0.4, 0.6, 0.8]
    # grains along the radius show it the less, the farther from the centre the plane lies (Fig. 11 of paper 001)
    assert heights["alpha_mean_deg"].iloc[-1] > heights["alpha_mean_deg"].iloc[0] + 10
    for name in ("descriptors_sections", "descriptors_shells", "by_height", "orientation"):
        assert (compared / "figures" / f"{name}.png").stat().st_size > 5000
    assert (compared / "report.html").stat().st_size > 50_000


def test_the_right_model_lies_at_the_floor(compared):
    """What a model cannot be told from: its own sections, with whole grains and lost boundaries."""
    table = pd.read_csv(compared / "distances.csv").set_index("descriptor")
    for name in ("area_um2", "elongation", "alpha_deg"):
        assert table.loc[name, "wasserstein"] < 1.25 * table.loc[name, "floor"], name
    assert table.loc["chord_um", "wasserstein"] < 0.15


def test_a_wrong_model_does_not(compared, maps, tmp_path):
    wrong = model(tmp_path, 0.5)
    words = ["particles", "validate", wrong, "--sections", *maps, "--pixel-size", str(STEP), "--repeats", "3"]
    assert main([*words, "--out", str(tmp_path / "o")]) == 0
    told = told_of(tmp_path / "o")
    assert told["distance_alpha"]["low"] > 1
    assert told["distance_alpha"]["value"] > 5 * told_of(compared)["distance_alpha"]["value"]
    assert any("differs from the data in" in text and "alpha_deg" in text for text in told["warnings"])


def test_recipe_repeats(compared, tmp_path):
    assert main(["rerun", str(compared / "recipe.toml"), "--out", str(tmp_path / "o")]) == 0
    for name in ("distances.csv", "by_height.csv"):
        assert (tmp_path / "o" / name).read_bytes() == (compared / name).read_bytes()


def test_one_section_gives_no_interval_and_says_so(right, maps, tmp_path):
    words = ["particles", "validate", right, "--sections", maps[0], "--pixel-size", str(STEP), "--repeats", "2"]
    assert main([*words, "--out", str(tmp_path / "o")]) == 0
    told = told_of(tmp_path / "o")
    assert told["distance_area"]["low"] is None
    assert any("Three sections" in text for text in told["warnings"])


def test_another_step_than_that_of_the_file_is_told(right, tmp_path):
    made = tmp_path / "s"
    words = "virtual section --kind needles --diameter 3 --size 0.4 --step 0.06 --out".split()
    assert main([*words, str(made)]) == 0
    words = ["particles", "validate", right, "--sections", str(made / "section_000.ang"), "--repeats", "1"]
    for k, options in enumerate(([], ["--pixel-size", "0.06"], ["--pixel-size", "0.12"])):
        assert main([*words, *options, "--out", str(tmp_path / f"o{k}")]) == 0
    told = [
        any("the file says a step of 0.06 um" in t for t in told_of(tmp_path / f"o{k}")["warnings"]) for k in range(3)
    ]
    assert told == [False, False, True]


def test_sections_of_different_step_are_told(right, tmp_path):
    words = "virtual section --kind needles --diameter 3 --size 0.4 --difficulty exact --step".split()
    for step in ("0.08", "0.05"):
        assert main([*words, step, "--out", str(tmp_path / step)]) == 0
    coarse, fine = tmp_path / "0.08", tmp_path / "0.05"
    words = ["particles", "validate", right, "--repeats", "1", "--sections", str(coarse / "section_000.ang")]
    assert main([*words, str(coarse / "section_000_labels.tif"), "--out", str(tmp_path / "a")]) == 0
    told = told_of(tmp_path / "a")["warnings"]
    assert not any("different steps" in text for text in told)
    # a label image is no picture of a detector
    assert not any("saturated" in text for text in told)
    assert main([*words, str(fine / "section_000.ang"), "--out", str(tmp_path / "b")]) == 0
    assert any("different steps, 0.05 to 0.08 um" in text for text in told_of(tmp_path / "b")["warnings"])


def refused(words, capsys, tmp_path):
    """Return the one sentence of a command that must fail and write nothing."""
    before = sorted(tmp_path.rglob("*"))
    assert main([*words, "--out", str(tmp_path / "o")]) == 2
    assert sorted(tmp_path.rglob("*")) == before
    told = [line for line in capsys.readouterr().err.splitlines() if not line.startswith("morpholith: warning")]
    assert len(told) == 1
    assert "internal error" not in told[0]
    return told[0]


@pytest.mark.parametrize(
    ("array", "said"),
    [
        (np.zeros((20, 24, 28), np.uint8), "nothing in it"),
        (np.full((20, 24, 28), 7, np.uint16), "no particle"),
        (np.ones((20, 24, 28), np.uint8), "touch a face"),
        (np.random.default_rng(0).normal(90, 5, (20, 24, 28)).astype(np.float32), "nothing in it"),
        (np.full((20, 24, 28), np.nan, np.float32), "NaN"),
    ],
)
def test_volumes_with_nothing_to_compare(right, array, said, tmp_path, capsys):
    tifffile.imwrite(tmp_path / "v.tif", array)
    words = ["particles", "validate", right, "--shells", str(tmp_path / "v.tif"), "--voxel-size", "0.1"]
    assert said in refused(words, capsys, tmp_path)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ("", "nothing to compare"),
        ("--sections MAP", "--pixel-size"),
        ("--sections MAP --pixel-size 0.05 --repeats 0", "at least 1"),
        ("--sections MAP --pixel-size 0.05 --count 3", "at least 10"),
        ("--sections MAP --pixel-size 0.05 --seed -2", "must not be negative"),
        ("--sections MAP --pixel-size -1", "positive"),
        ("--shells MAP --voxel-size 0.1", "a volume is needed"),
    ],
)
def test_bad_options(right, maps, options, said, tmp_path, capsys):
    words = [maps[0] if word == "MAP" else word for word in options.split()]
    assert said in refused(["particles", "validate", right, *words], capsys, tmp_path)


def test_what_is_no_model(maps, tmp_path, capsys):
    words = ["--sections", maps[0], "--pixel-size", "0.05"]
    assert "nmc811-like" in refused(["particles", "validate", maps[0], *words], capsys, tmp_path)
    (tmp_path / "model.json").write_text("{")
    (tmp_path / "model.safetensors").write_bytes(b"")
    assert "damaged" in refused(["particles", "validate", str(tmp_path), *words], capsys, tmp_path)
