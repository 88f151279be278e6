"""The virtual scan as a command: what it writes is what it says."""

import json

import h5py
import numpy as np
import pandas as pd
import pytest
import tifffile

from morpholith import read
from morpholith.cli import main
from morpholith.errors import InputError
from morpholith.specimens import Chemistry
from morpholith.workflows.virtual_scan import end_members

SMALL = {"--shape": "110,170", "--n-energies": "9", "--particles": "3", "--diameter": "28,36", "--seed": "4"}


def command(folder, options):
    given = [f"{k}={v}" for k, v in SMALL.items() if k not in options]
    return main(["virtual", "scan", *given, *options, "--out", str(folder)])


def made(folder, *options):
    assert command(folder, options) == 0
    return folder


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    options = ["--scans", "2", "--dropped", "1", "--jitter", "2.5", "--tiff", "--labels", "--pixel-size", "0.05"]
    return made(tmp_path_factory.mktemp("virtual") / "scan", *options)


def test_frames_flats_and_energies_are_data_exchange(folder):
    with h5py.File(folder / "scan.h5") as file:
        group = file["exchange"]
        data, white, dark, energy = (group[k][...] for k in ("data", "data_white", "data_dark", "energy"))
        assert group["energy"].attrs["units"] == "eV"
        np.testing.assert_allclose(group["data"].attrs["pixel_size_um"], 0.05)
        assert file.attrs["implements"] == "exchange"
    assert data.shape == (2, 9, 110, 170)
    assert white.shape == (9, 110, 170)
    assert dark.shape == (1, 110, 170)
    assert data.dtype == white.dtype == np.uint16
    assert (energy[0], energy[-1]) == (8200, 8600)
    dropped = json.loads((folder / "truth.json").read_text())["dropped_frames"]
    assert dropped == np.flatnonzero(~data.reshape(18, -1).any(1)).tolist()
    assert len(dropped) == 2
    # the density that --tiff writes is that of these counts
    for t in range(2):
        density = tifffile.imread(folder / f"scan_{t:03d}.tif")
        light = np.maximum(white - dark.astype(np.float32), 1)
        expected = -np.log(np.maximum(data[t] - dark.astype(np.float32), 1) / light)
        seen = data[t].any((1, 2))
        np.testing.assert_allclose(density[seen], expected[seen], atol=1e-5)
        assert np.isnan(density[~seen]).all()
    np.testing.assert_allclose(np.loadtxt(folder / "energies.txt"), energy, atol=1e-3)


def test_truth_fits_the_labels(folder):
    truth = pd.read_csv(folder / "truth.csv")
    assert len(truth) == 3 * 2 * 9
    for t in range(2):
        labels = tifffile.imread(folder / f"scan_labels_{t:03d}.tif")
        assert labels.shape == (9, 110, 170)
        for row in truth[(truth.scan == t) & (truth.visible == "whole")].itertuples():
            y, x = np.nonzero(labels[row.frame - 9 * t] == row.particle)
            assert (y.mean(), x.mean()) == pytest.approx((row.y_px, row.x_px), abs=0.15)
    assert truth.groupby("particle").y_px.std().min() > 1
    particles = pd.read_csv(folder / "truth_particles.csv")
    assert particles.diameter_px.between(28, 36).all()
    assert (particles.state_1 > particles.state_0).all()


def test_states_and_spectra_are_beside_them(folder):
    particles = pd.read_csv(folder / "truth_particles.csv")
    for row in particles.itertuples():
        maps = tifffile.imread(folder / "states" / f"particle_{row.particle:03d}.tif")
        assert maps.shape[0] == 2
        assert maps.shape[1] == maps.shape[2] > row.diameter_px
        assert np.nanmean(maps[1]) == pytest.approx(row.state_1, abs=1e-5)
        assert np.isfinite(maps[0]).sum() == pytest.approx(row.area_px, rel=0.02)
    for state in (0, 1):
        e, mu = np.loadtxt(folder / "references" / f"state_{state}.txt").T
        np.testing.assert_allclose(mu, Chemistry().end_members(e)[state], atol=1e-6)
    truth = json.loads((folder / "truth.json").read_text())
    np.testing.assert_allclose(truth["edge_half_height_ev"], Chemistry().edge_energy(truth["state"]), atol=1e-3)
    summary = json.loads((folder / "summary.json").read_text())
    assert "edge_oxidised_ev" in json.dumps(summary)


def test_pictures_are_drawn(folder):
    for name in ("frames", "motion", "states"):
        picture = folder / "figures" / f"{name}.png"
        assert picture.stat().st_size > 20_000, name


def test_same_seed_same_bytes(folder, tmp_path):
    options = ["--scans", "2", "--dropped", "1", "--jitter", "2.5", "--pixel-size", "0.05"]
    again = made(tmp_path / "again", *options)
    with h5py.File(folder / "scan.h5") as one, h5py.File(again / "scan.h5") as two:
        np.testing.assert_array_equal(one["exchange/data"][...], two["exchange/data"][...])
    assert (folder / "truth.csv").read_bytes() == (again / "truth.csv").read_bytes()
    assert not (again / "scan_000.tif").exists()


def test_large_scans_are_written_frame_by_frame(folder, tmp_path, monkeypatch):
    from morpholith.specimens import VirtualScan
    from morpholith.workflows import virtual_scan

    monkeypatch.setattr(virtual_scan, "KEPT_BYTES", 0)
    monkeypatch.setattr(VirtualScan, "counts", property(lambda _: pytest.fail("all frames in memory")))
    options = ["--scans", "2", "--dropped", "1", "--jitter", "2.5", "--pixel-size", "0.05"]
    streamed = made(tmp_path / "streamed", *options)
    with h5py.File(folder / "scan.h5") as one, h5py.File(streamed / "scan.h5") as two:
        np.testing.assert_array_equal(one["exchange/data"][...], two["exchange/data"][...])


@pytest.mark.parametrize(
    "options",
    [
        ["--n-energies", "1"],
        ["--particles", "0"],
        ["--difficulty", "faint", "--entering", "1", "--leaving", "1", "--overlapping", "0"],
        ["--difficulty", "hard", "--saturated", "1", "--particles", "4", "--overlapping", "1", "--touching", "0"],
    ],
)
def test_other_scans_are_whole_too(tmp_path, options):
    out = made(tmp_path / "out", *options)
    assert (out / "summary.json").exists()
    assert len(list((out / "states").glob("*.tif"))) == pd.read_csv(out / "truth_particles.csv").shape[0]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--shape", "8"], "--shape of at least 16"),
        (["--shape", "100.5,80"], "whole numbers"),
        (["--shape", "nan"], "whole numbers"),
        (["--seed", "-1"], "--seed must not be negative"),
        (["--scans", "450000"], "more than 64 GB"),
        (["--walk", "-1"], "--walk must not be negative"),
        (["--diameter", "100,120"], "do not fit"),
        (["--dropped", "99"], "exceed 9"),
        (["--pixel-size", "0"], "positive"),
    ],
)
def test_impossible_scans_say_why(tmp_path, options, message, capsys):
    assert command(tmp_path / "out", options) != 0
    assert message in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_the_package_reads_back_what_it_wrote(folder):

    image = read.scan(folder / "scan.h5")
    assert image.axes == "teyx"
    assert image.spacing == pytest.approx((0.05, 0.05))
    np.testing.assert_allclose(image.coordinates["e"], np.loadtxt(folder / "energies.txt"), atol=1e-3)
    written = tifffile.imread(folder / "scan_001.tif")
    np.testing.assert_allclose(np.asarray(image.array[1, 6]), written[6], atol=1e-5)


def test_measured_end_members_show_in_the_spectra(data, tmp_path):
    folder = tmp_path / "references"
    folder.mkdir()
    for name in ("ref_NiO.txt", "ref_LiNiO2.txt"):
        (folder / name).write_bytes((data / "xanes" / "references" / name).read_bytes())
    reduced, oxidised = end_members(folder)
    assert reduced[0][np.argmax(reduced[1])] == pytest.approx(8347.5, abs=0.6)  # NiO comes first
    assert oxidised[0][np.argmax(oxidised[1])] == pytest.approx(8349.5, abs=0.6)
    (folder / "third.txt").write_bytes((folder / "ref_NiO.txt").read_bytes())
    with pytest.raises(InputError, match="two end members.* 3 "):
        end_members(folder)
