"""`morpholith xanes register` as a user runs it: files, keys, several scans, going on after a stop, bad input."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time

import numpy as np
import pandas as pd
import pytest
import tifffile

from morpholith import read, results, specimens
from morpholith.cli import main
from morpholith.workflows import virtual_scan

SMALL = {"shape": (190, 236), "n_energies": 24, "n_particles": 4, "diameter_px": (44.0, 56.0), "debris": 2}
COLUMNS = "particle,frame,energy_ev,y_px,x_px,dy_px,dx_px,vy_px,vx_px,ay_px,ax_px,sigma_px".split(",")


def _write(folder, difficulty, seed, **changes):
    made = specimens.scan(specimens.Scan.of(difficulty, **{**SMALL, **changes}), rng=seed)
    results.write(virtual_scan.virtual_scan(made), folder, command="virtual scan", options={})
    return folder


@pytest.fixture(scope="module")
def scan(tmp_path_factory):
    return _write(tmp_path_factory.mktemp("scan") / "one", "typical", 3)


@pytest.fixture(scope="module")
def two_scans(tmp_path_factory):
    return _write(tmp_path_factory.mktemp("scan") / "two", "typical", 5, n_scans=2)


@pytest.fixture(scope="module")
def result(scan, tmp_path_factory):
    out = tmp_path_factory.mktemp("result") / "r"
    assert main(["xanes", "register", str(scan / "scan.h5"), "--tiff", "--out", str(out)]) == 0
    return out


def _errors(out, truth):
    """Return (P, F, 2) errors of the positions, each particle matched to the true one that is nearest."""
    motion, true = pd.read_csv(out / "motion.csv"), pd.read_csv(truth / "truth.csv")
    places = {p: g.set_index("frame")[["y_px", "x_px"]].to_numpy() for p, g in true.groupby("particle")}
    found = {p: g.set_index("frame")[["y_px", "x_px"]].to_numpy() for p, g in motion.groupby("particle")}
    errors = []
    for place in found.values():
        away = {q: np.nanmedian(np.hypot(*(place - t).T)) for q, t in places.items()}
        errors.append(place - places[min(away, key=away.get)])
    return np.array(errors)


def test_files_and_keys_of_the_contract(result):
    summary = json.loads((result / "summary.json").read_text())
    for key in ("n_particles", "n_frames", "ssim_mean", "residual_px"):
        assert set(summary[key]) == {"value", "low", "high", "level", "n", "unit", "method"}
    assert summary["n_particles"]["value"] == 4
    assert summary["n_frames"]["value"] == 24
    motion = pd.read_csv(result / "motion.csv")
    assert [c for c in motion.columns if c in COLUMNS] == COLUMNS
    assert len(motion) == 4 * 24
    assert {"film.gif", "energies.txt", "deformation.csv", "particles.csv"} <= {p.name for p in result.iterdir()}
    assert (result / "report.html").stat().st_size > 50_000


def test_positions_are_true_and_errors_honest(result, scan):
    errors = _errors(result, scan)
    own = errors - errors.mean(1, keepdims=True)
    motion = pd.read_csv(result / "motion.csv")
    sigma = motion["sigma_position_px"].to_numpy().reshape(4, 24)
    assert np.sqrt((own**2).mean()) < 0.1
    assert np.abs(errors.mean(1)).max() < 1.0  # the centre of the outline is the true one
    assert 0.5 < (np.abs(own) < sigma[..., None]).mean() < 0.95


def test_aligned_stacks_read_back_and_stand_still(result):
    found = read.registered(result)
    assert sorted(found.particles) == [1, 2, 3, 4]
    one = found.particles[2]
    np.testing.assert_allclose(found.energies_ev, np.loadtxt(result / "energies.txt"))
    assert one.stack.shape[:2] == (1, 24)
    assert one.stack.shape[2:] == one.mask.shape
    # the centre of what absorbs above its surroundings, where chemistry is even, does not move
    from scipy import ndimage as ndi

    clear = one.stack[0, -6:] - np.median(one.stack[0, -6:][:, ~one.mask], axis=1)[:, None, None]
    centres = np.array([ndi.center_of_mass(np.where(one.mask, f, 0)) for f in clear])
    assert centres.std(axis=0).max() < 0.1
    with tifffile.TiffFile(result / "aligned" / "particle_002.tif") as tiff:
        assert np.asarray(tiff.asarray()).size == one.stack.size


def test_two_scans_keep_their_particles(two_scans, tmp_path):
    out = tmp_path / "r"
    assert main(["xanes", "register", str(two_scans / "scan.h5"), "--out", str(out)]) == 0
    errors = _errors(out, two_scans)
    assert errors.shape == (4, 48, 2)
    own = errors - errors.mean(1, keepdims=True)
    assert np.sqrt((own**2).mean()) < 0.15  # one pose for both scans, and nobody swapped
    motion = pd.read_csv(out / "motion.csv")
    assert sorted(motion["scan"].unique()) == [0, 1]
    assert motion.groupby("particle")["frame"].max().eq(47).all()


def test_processes_give_the_same_bytes(two_scans, tmp_path):
    runs = []
    for name, more in (("one", []), ("two", ["--workers", "2"])):
        assert main(["xanes", "register", str(two_scans / "scan.h5"), "--out", str(tmp_path / name), *more]) == 0
        runs.append((tmp_path / name / "motion.csv").read_bytes())
    assert runs[0] == runs[1]


@pytest.mark.skipif(os.name != "posix", reason="needs SIGKILL")
def test_a_killed_run_goes_on_and_ends_the_same(two_scans, tmp_path):
    work, out = tmp_path / "work", tmp_path / "r"
    line = ["xanes", "register", str(two_scans / "scan.h5"), "--work", str(work)]
    command = [sys.executable, "-m", "morpholith", *line, "--out", str(out)]
    run = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    end = time.monotonic() + 120
    while not list(work.glob("*/scan_0000.npz")) and run.poll() is None and time.monotonic() < end:
        time.sleep(0.02)
    run.send_signal(signal.SIGKILL)
    run.wait()
    assert not (out / "summary.json").exists()
    first = next(work.glob("*/scan_0000.npz"))
    stamp = first.stat().st_mtime_ns
    assert main([*line, "--out", str(out)]) == 0
    assert first.stat().st_mtime_ns == stamp  # taken from where it was kept
    assert main(["xanes", "register", str(two_scans / "scan.h5"), "--out", str(tmp_path / "plain")]) == 0
    assert (out / "motion.csv").read_bytes() == (tmp_path / "plain" / "motion.csv").read_bytes()


def test_other_options_do_not_take_what_was_kept(scan, tmp_path):
    work = tmp_path / "work"
    for k, more in enumerate(([], ["--single-frames"])):
        line = ["xanes", "register", str(scan / "scan.h5"), "--work", str(work), *more]
        assert main([*line, "--out", str(tmp_path / str(k))]) == 0
    a, b = (pd.read_csv(tmp_path / str(k) / "motion.csv") for k in (0, 1))
    assert np.abs(a["y_px"] - b["y_px"]).max() > 1e-3
    assert b["sigma_position_px"].mean() > a["sigma_position_px"].mean()


@pytest.mark.parametrize("more", [["--align", "mask"], ["--find", "classical"], ["--find", "supervised"]])
def test_other_ways_find_the_same_particles(scan, tmp_path, more):
    out = tmp_path / "r"
    assert main(["xanes", "register", str(scan / "scan.h5"), "--out", str(out), *more]) == 0
    assert json.loads((out / "summary.json").read_text())["n_particles"]["value"] == 4
    errors = _errors(out, scan)
    measured = (pd.read_csv(out / "motion.csv")["status"] == "measured").to_numpy().reshape(4, 24)
    assert np.median(np.abs(errors[measured] - np.median(errors[measured], axis=0))) < 0.6


def test_rerun_does_it_again(result, tmp_path):
    before = (result / "motion.csv").read_bytes()
    assert main(["rerun", str(result / "recipe.toml"), "--out", str(tmp_path / "again")]) == 0
    assert (tmp_path / "again" / "motion.csv").read_bytes() == before


def test_without_a_pixel_size_nothing_is_in_micrometres(scan, tmp_path, monkeypatch):
    """A scale that nobody told is neither drawn nor written."""
    from morpholith.report import pictures

    drawn = []
    bar = pictures.scale_bar
    monkeypatch.setattr(
        pictures, "scale_bar", lambda ax, spacing, **more: (drawn.append(spacing), bar(ax, spacing, **more))
    )
    image = read.scan(scan / "scan.h5")
    tifffile.imwrite(tmp_path / "bare.tif", np.asarray(image.array[...]), photometric="minisblack")
    np.savetxt(tmp_path / "energies.txt", image.coordinates["e"])
    line = [str(tmp_path / "bare.tif"), "--energies", str(tmp_path / "energies.txt"), "--out", str(tmp_path / "r")]
    assert main(["xanes", "register", *line]) == 0
    assert drawn
    assert set(drawn) == {None}
    references = ["--references", str(scan / "references")]
    assert main(["xanes", "map", str(tmp_path / "r"), *references, "--out", str(tmp_path / "m")]) == 0
    for written in (
        tmp_path / "r" / "aligned" / "particle_001_mask.tif",
        tmp_path / "m" / "maps" / "particle_001_state.tif",
    ):
        with tifffile.TiffFile(written) as tiff:
            assert "unit" not in (tiff.imagej_metadata or {})


# --- bad input ---------------------------------------------------------------------------------------------------


def _frames(n=6, shape=(120, 150), seed=0):
    rng = np.random.default_rng(seed)
    y, x = np.indices(shape)
    step = rng.normal(0, 1.5, (n, 2, 1, 1))
    disc = np.clip(1 - ((y - 60 - step[:, 0]) ** 2 + (x - 70 - step[:, 1]) ** 2) / 24**2, 0, None) ** 0.5
    return (disc + rng.normal(0, 0.02, (n, *shape))).astype(np.float32)


def _noise():
    return np.random.default_rng(0).normal(0.4, 0.02, (6, 120, 150)).astype(np.float32)


def _tiff(folder, frames, energies=None):
    tifffile.imwrite(folder / "scan.tif", frames, photometric="minisblack")
    if energies is not None:
        (folder / "energies.txt").write_text("\n".join(map(str, energies)))
    return [str(folder / "scan.tif"), *(["--energies", str(folder / "energies.txt")] if energies is not None else [])]


BAD = {
    "energies missing": (lambda f: _tiff(f, _frames()), "energies"),
    "energies of another length": (lambda f: _tiff(f, _frames(), [8330, 8340, 8350]), "3"),
    "energies unsorted": (lambda f: _tiff(f, _frames(), [8330, 8350, 8340, 8360, 8370, 8380]), "rise"),
    "one frame": (lambda f: _tiff(f, _frames(1), [8330]), "frame"),
    "no particle": (
        lambda f: _tiff(f, _noise(), range(8330, 8390, 10)),
        "no particle",
    ),
    "constant": (lambda f: _tiff(f, np.full((6, 120, 150), 0.4, np.float32), range(8330, 8390, 10)), "empty"),
    "colours": (lambda f: _tiff(f, np.zeros((6, 120, 150, 3), np.uint8), range(8330, 8390, 10)), ""),
    "minimum diameter": (
        lambda f: [*_tiff(f, _frames(), range(8330, 8390, 10)), "--min-diameter", "-3"],
        "--min-diameter",
    ),
    "crop outside": (
        lambda f: [*_tiff(f, _frames(), range(8330, 8390, 10)), "--crop", "0", "500", "0", "20"],
        "crop",
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", BAD)
def test_bad_input_gets_one_sentence_and_exit_code_2(case, tmp_path, capsys):
    make, said = BAD[case]
    out = tmp_path / "r"
    assert main(["xanes", "register", *make(tmp_path), "--out", str(out)]) == 2
    text = capsys.readouterr().err
    assert "Traceback" not in text
    assert said in text
    assert not (out / "summary.json").exists()


def test_zero_and_nan_frames_are_predicted(tmp_path):
    frames = _frames(12)
    frames[4] = np.nan
    line = _tiff(tmp_path, frames, range(8330, 8450, 10))
    assert main(["xanes", "register", *line, "--out", str(tmp_path / "r")]) == 0
    motion = pd.read_csv(tmp_path / "r" / "motion.csv")
    assert motion.loc[motion["frame"] == 4, "status"].tolist() == ["predicted"]
    assert (motion["status"] == "measured").sum() == 11
    assert motion["sigma_position_px"][4] > motion["sigma_position_px"][5]


def test_real_frames(data, tmp_path):
    out = tmp_path / "r"
    assert main(["xanes", "register", str(data / "xanes" / "aps_nca"), "--out", str(out)]) == 0
    particles = pd.read_csv(out / "particles.csv")
    large = particles[particles["diameter_px"] > 120]
    # four large particles, as a person sees them, where a person sees them (frame of 8250 eV and that of 8353 eV)
    seen = np.array([[398, 332], [458, 618], [363, 748], [695, 698]])
    assert len(large) == 4
    for y, x in seen:
        assert np.hypot(large["y_px"] - y, large["x_px"] - x).min() < 40
    motion = pd.read_csv(out / "motion.csv")
    moved = motion[(motion["frame"] == 1) & motion["particle"].isin(large["particle"])]
    # both frames show the same electrode: one shift for all, to a pixel or two
    assert np.hypot(moved["dy_px"] - moved["dy_px"].median(), moved["dx_px"] - moved["dx_px"].median()).max() < 2.5
    shutil.rmtree(out)


# --- what odd scans taught -----------------------------------------------------------------------------------------


def test_dead_pixels_cost_no_particle(tmp_path):
    """One pixel in a hundred is no number: each was taken for a gap that bends all around it, and nothing was left."""
    frames = _frames(10)
    frames[np.random.default_rng(1).random(frames.shape) < 0.01] = np.nan
    line = _tiff(tmp_path, frames, range(8330, 8430, 10))
    assert main(["xanes", "register", *line, "--out", str(tmp_path / "r")]) == 0
    motion = pd.read_csv(tmp_path / "r" / "motion.csv")
    assert (motion["status"] == "measured").all()
    assert motion["sigma_position_px"].max() < 0.1


def test_a_particle_cut_by_the_field_in_every_frame_is_not_reported(tmp_path, capsys):
    y, x = np.indices((120, 150))
    cut = np.clip(1 - ((y - 8) ** 2 + (x - 15) ** 2) / 30**2, 0, None) ** 0.5
    line = _tiff(tmp_path, (cut + _noise()).astype(np.float32), range(8330, 8390, 10))
    assert main(["xanes", "register", *line, "--out", str(tmp_path / "r")]) == 2
    assert "whole in the field" in capsys.readouterr().err


def test_a_scan_without_particles_among_others_is_told(tmp_path, capsys):
    for name, frames in (("scan_0.tif", _noise()), ("scan_1.tif", _frames())):
        tifffile.imwrite(tmp_path / name, frames, photometric="minisblack")
    (tmp_path / "e.txt").write_text("\n".join(map(str, range(8330, 8390, 10))))
    files = [str(tmp_path / f"scan_{k}.tif") for k in (0, 1)]
    line = ["xanes", "register", *files, "--energies", str(tmp_path / "e.txt")]
    assert main([*line, "--out", str(tmp_path / "r")]) == 0
    assert "No particle was found in 1 of 2 scans (0)" in capsys.readouterr().err
    motion = pd.read_csv(tmp_path / "r" / "motion.csv")
    assert set(motion.loc[motion["scan"] == 1, "status"]) == {"measured"}
    assert set(motion.loc[motion["scan"] == 0, "status"]) == {"predicted"}


def test_no_particle_is_one_sentence(tmp_path, capsys):
    line = _tiff(tmp_path, _noise(), range(8330, 8390, 10))
    assert main(["xanes", "register", *line, "--out", str(tmp_path / "r")]) == 2
    assert "nothing to link" not in capsys.readouterr().err


def test_paths_of_smoothed_positions_grow(result, scan):
    """Noise that smoothing has removed was taken off again: paths beyond the field ran to -6 px."""
    paths, true = pd.read_csv(result / "paths.csv"), pd.read_csv(scan / "truth.csv")
    ends = paths.groupby("particle")["path_beyond_px"].last()
    assert (paths.groupby("particle")["path_beyond_px"].diff().dropna() >= 0).all()
    places = np.array([own[["y_px", "x_px"]].to_numpy() for _, own in true.groupby("particle")])
    own = np.linalg.norm(np.diff(places - np.nanmean(places, 0), axis=1), axis=2)
    assert 0.4 < ends.mean() / np.nansum(own, axis=1).mean() < 1.4


def test_what_three_particles_cannot_tell_is_said(tmp_path):
    made = _write(tmp_path / "s", "typical", 1, n_particles=3, n_energies=12, diameter_px=(40.0, 52.0))
    assert main(["xanes", "register", str(made / "scan.h5"), "--out", str(tmp_path / "r")]) == 0
    summary = json.loads((tmp_path / "r" / "summary.json").read_text())
    assert summary["own_motion_px"]["value"] is None
    assert any("own_motion_px" in w and "four particles" in w for w in summary["warnings"])


def test_a_damaged_kept_scan_is_named(scan, tmp_path, capsys):
    line = ["xanes", "register", str(scan / "scan.h5"), "--work", str(tmp_path / "w"), "--out", str(tmp_path / "r")]
    assert main(line) == 0
    part = next((tmp_path / "w").glob("*/scan_0000.npz"))
    part.write_bytes(part.read_bytes()[:500])
    assert main(line) == 2
    assert "scan_0000.npz is damaged" in capsys.readouterr().err
