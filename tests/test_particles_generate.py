"""`morpholith particles generate` as a user runs it."""

import json
import os
import signal
import subprocess
import sys
import time

import numpy as np
import pandas as pd
import pytest

from morpholith import export, read
from morpholith.cli import main
from morpholith.generate import Family, MarkerLaw, ParticleModel, ShellModel, save_model
from morpholith.recipe import read_recipe

CONTRACT = "particle,n_grains,volume_um3,d_max_um,compactness,aspect,sphericity,fragments".split(",")


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    """Balls of about 1 um radius with 40 grains."""
    place = tmp_path_factory.mktemp("model")
    families = (Family("normal", 2.0, 35.0), Family("normal", 0.4), Family("normal", 0.8))
    law = MarkerLaw(10.0, radial_ratio=1.6, size_spread=0.1, radius_um=1.0)
    save_model(place / "model", ParticleModel("small", ShellModel(families), 0.1, law, 0.1))
    return place


@pytest.fixture(scope="module")
def library(model, tmp_path_factory):
    out = tmp_path_factory.mktemp("library") / "out"
    assert main(["particles", "generate", str(model), "--count", "6", "--seed", "2", "--out", str(out)]) == 0
    return out


def told_of(capsys):
    return capsys.readouterr().err


def test_contract(library):
    table = pd.read_csv(library / "particles.csv")
    assert set(CONTRACT) <= set(table.columns)
    assert list(table["particle"]) == [1, 2, 3, 4, 5, 6]
    summary = json.loads((library / "summary.json").read_text())
    assert summary["n_particles"]["value"] == 6
    assert summary["n_grains"]["value"] == table["n_grains"].sum() == len(pd.read_csv(library / "grains.csv"))
    for key in ("d50_um", "grain_d50_um", "grain_alpha_deg"):
        assert summary[key]["low"] < summary[key]["value"] < summary[key]["high"]
    for name in ("cut_open", "particles", "sections", "distributions"):
        assert (library / "figures" / f"{name}.png").stat().st_size > 5000


def test_tables_are_those_of_the_volumes(library):
    particles, grains = (pd.read_csv(library / f"{name}.csv") for name in ("particles", "grains"))
    for number in (1, 4):
        labels, field, rest = export.read_particle(library / "library.zarr", number)
        row = particles.set_index("particle").loc[number]
        own = grains[grains["particle"] == number].set_index("grain")
        counts = np.bincount(labels.ravel())[1:]
        np.testing.assert_array_equal(own["n_voxels"], counts)
        assert row["n_grains"] == len(counts) == rest["n_grains"]
        assert row["volume_um3"] == pytest.approx(counts.sum() * rest["voxel_um"] ** 3)
        there = np.argwhere(labels == 3) * rest["voxel_um"] + rest["origin_um"]
        np.testing.assert_allclose(own.loc[3, ["z_um", "y_um", "x_um"]].astype(float), there.mean(0), atol=1e-9)
        assert len(field.seeds) >= rest["n_grains"]


def test_each_particle_alone_is_the_same(model, library, tmp_path):
    assert main(f"particles generate {model} --count 1 --first 5 --seed 2 --out {tmp_path / 'o'}".split()) == 0
    for source in (library, tmp_path / "o"):
        labels = export.read_particle(source / "library.zarr", 5)[0]
        np.testing.assert_array_equal(labels, export.read_particle(library / "library.zarr", 5)[0])
    rows = [pd.read_csv(p / "particles.csv").set_index("particle").loc[5] for p in (library, tmp_path / "o")]
    pd.testing.assert_series_equal(*rows)


def test_processes_give_the_same(model, library, tmp_path):
    out = tmp_path / "o"
    assert main(f"particles generate {model} --count 6 --seed 2 --workers 2 --out {out}".split()) == 0
    for name in ("particles.csv", "grains.csv"):
        assert (out / name).read_bytes() == (library / name).read_bytes()


def test_exports_axes_and_flaws(model, tmp_path):
    words = "--count 2 --export vtu,stl,tiff --c-axes radial --c-spread 5 --pores 0.03 --cracks 0.02 --voxel-size 0.08"
    assert main([*f"particles generate {model} {words}".split(), "--out", str(tmp_path / "o")]) == 0
    particles, grains = (pd.read_csv(tmp_path / "o" / f"{name}.csv") for name in ("particles", "grains"))
    for suffix in ("vtu", "stl", "tif"):
        assert (tmp_path / "o" / "exports" / f"particle_000002.{suffix}").stat().st_size > 1000
    labels = read.volume(tmp_path / "o" / "exports" / "particle_000002.tif")
    assert labels.spacing == pytest.approx((0.08,) * 3)
    np.testing.assert_array_equal(np.asarray(labels.array), export.read_particle(tmp_path / "o" / "library.zarr", 2)[0])
    assert particles["pores"].between(0.02, 0.04).all()
    assert particles["cracks"].between(0.01, 0.03).all()
    # the mesh is of the sound particle
    sound = particles["volume_um3"] / (1 - particles["pores"] - particles["cracks"])
    np.testing.assert_allclose(particles["mesh_volume_um3"], sound, rtol=0.02)
    place = grains[["z_um", "y_um", "x_um"]].to_numpy()
    axis = grains[["c_z", "c_y", "c_x"]].to_numpy()
    far = np.linalg.norm(place, axis=1) > 0.2
    along = np.abs((place * axis).sum(1) / np.linalg.norm(place, axis=1))[far]
    assert np.rad2deg(np.arccos(np.minimum(along, 1))).mean() < 10
    warnings = json.loads((tmp_path / "o" / "summary.json").read_text())["warnings"]
    assert any("meshes and surfaces are of the sound particle" in text for text in warnings)


def test_flaws_and_axes_leave_the_grains(model, library, tmp_path):
    words = f"particles generate {model} --count 1 --seed 2 --c-axes random --pores 0.05 --out {tmp_path / 'o'}"
    assert main(words.split()) == 0
    whole = export.read_particle(library / "library.zarr", 1)[0]
    porous = export.read_particle(tmp_path / "o" / "library.zarr", 1)[0]
    assert ((porous == whole) | (porous == 0)).all()
    assert 0.03 < 1 - (porous > 0).sum() / (whole > 0).sum() < 0.07


def test_it_goes_on_after_a_kill(model, library, tmp_path):
    words = [sys.executable, "-m", "morpholith", *f"particles generate {model} --count 6 --seed 2".split()]
    words += ["--work", str(tmp_path / "work"), "--out", str(tmp_path / "o")]
    run = subprocess.Popen(words, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=dict(os.environ))
    until = time.monotonic() + 60
    while time.monotonic() < until and len(list(tmp_path.glob("work/*/*.npz"))) < 2 and run.poll() is None:
        time.sleep(0.02)
    run.send_signal(signal.SIGKILL)
    run.wait()
    done = {p: p.stat().st_mtime_ns for p in tmp_path.glob("work/*/*.npz")}
    assert 2 <= len(done) < 6 or run.returncode == 0
    assert not (tmp_path / "o" / "summary.json").exists() or run.returncode == 0
    assert main(words[3:]) == 0
    assert all(p.stat().st_mtime_ns == t for p, t in done.items()), "finished particles were made again"
    assert (tmp_path / "o" / "particles.csv").read_bytes() == (library / "particles.csv").read_bytes()
    for number in range(1, 7):
        a, b = (export.read_particle(p / "library.zarr", number)[0] for p in (library, tmp_path / "o"))
        np.testing.assert_array_equal(a, b)


def test_recipe_repeats(library, tmp_path):
    recipe = read_recipe(library / "recipe.toml")
    assert recipe["command"] == "particles generate"
    assert main(["rerun", str(library / "recipe.toml"), "--out", str(tmp_path / "o")]) == 0
    assert (tmp_path / "o" / "grains.csv").read_bytes() == (library / "grains.csv").read_bytes()


def test_a_full_disk_in_the_middle(model, tmp_path, monkeypatch, capsys):
    """The third particle finds no room: one sentence, nothing that looks whole, and the rest goes on from there."""
    real, made = export.write_particle, []

    def full(folder, number, particle, **how):
        if number == 3:
            raise export.library.InputError(f"{folder} cannot be written (No space left on device); make room.")
        made.append(number)
        return real(folder, number, particle, **how)

    words = f"particles generate {model} --count 4 --work {tmp_path / 'w'} --out {tmp_path / 'o'}".split()
    with monkeypatch.context() as patch:
        patch.setattr(export, "write_particle", full)
        assert main(words) == 2
    assert "No space left on device" in told_of(capsys)
    assert not (tmp_path / "o" / "summary.json").exists()
    with monkeypatch.context() as patch:
        patch.setattr(export, "write_particle", lambda *a, **k: made.append(a[1]) or real(*a, **k))
        assert main(words) == 0
    assert made == [1, 2, 3, 4]
    assert len(pd.read_csv(tmp_path / "o" / "particles.csv")) == 4


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("--count 0", "at least 1"),
        ("--first 0", "at least 1"),
        ("--seed -1", "must not be negative"),
        ("--export obj", "takes vtu"),
        ("--voxel-size -1", "--voxel-size"),
        ("--voxel-size 50", "no shape on voxels of 50 um"),
        ("--voxel-size 0.1,0.1,0.2", "cubes"),
        ("--cell-size 0", "--cell-size"),
        ("--pores 1.5", "--pores is a share"),
        ("--cracks -0.1", "--cracks is a share"),
        ("--c-spread 100", "--c-spread"),
    ],
)
def test_bad_options(model, words, said, tmp_path, capsys):
    assert main(["particles", "generate", str(model), *words.split(), "--out", str(tmp_path / "o")]) == 2
    assert said in told_of(capsys)
    assert not (tmp_path / "o").exists()


def test_no_model(tmp_path, capsys):
    assert main(["particles", "generate", str(tmp_path / "none"), "--out", str(tmp_path / "o")]) == 2
    assert "nmc811-like" in told_of(capsys)
    (tmp_path / "empty").mkdir()
    assert main(["particles", "generate", str(tmp_path / "empty"), "--out", str(tmp_path / "o")]) == 2
    assert "model.safetensors" in told_of(capsys)
