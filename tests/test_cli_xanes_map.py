"""`morpholith xanes map`: from registered particles, or one aligned scan, to tables, maps and a report."""

import json
import shutil

import numpy as np
import pandas as pd
import pytest
import tifffile
from _spectra import ENERGIES, disc, mixed, patterns, write_references, write_registered

from morpholith.cli import main
from morpholith.measure import depth_within
from morpholith.workflows.xanes_map import map_states

MASK, STATES = patterns()
CONTRACT = ["particle", "edge_ev", "edge_sd_ev", "white_line_ev", "state_mean", "state_sd"]


@pytest.fixture(scope="module")
def references(tmp_path_factory):
    return write_references(tmp_path_factory.mktemp("xanes") / "references")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Two scans of six particles; the fifth lags behind."""
    states = {1: "core-shell", 2: "one-sided", 3: "uniform", 4: "uniform", 5: "uniform", 6: "uniform"}
    maps = {n: STATES[name] - 0.3 * (n == 5) for n, name in states.items()}
    rng = np.random.default_rng(1)
    place = tmp_path_factory.mktemp("xanes") / "registered"
    return write_registered(place, maps, MASK, sigma=0.02, rng=rng, scans=2, charge=0.1, shift=-0.5)


@pytest.fixture(scope="module")
def out(folder, references, tmp_path_factory):
    place = tmp_path_factory.mktemp("xanes") / "out"
    assert main(["xanes", "map", str(folder), "--references", str(references), "--out", str(place), "--debug"]) == 0
    return place


def summary(out):
    return json.loads((out / "summary.json").read_text())


def refuses(argv, text, capsys):
    assert main(["xanes", "map", *map(str, argv)]) == 2
    err = capsys.readouterr().err
    assert text in " ".join(err.split())
    assert "Traceback" not in err


def test_numbers_are_those_that_went_in(out):
    found = summary(out)
    assert found["n_particles"]["value"] == 6
    assert found["energy_shift_ev"]["value"] == pytest.approx(0.5, abs=0.06)
    assert found["energy_shift_ev"]["low"] < 0.5 < found["energy_shift_ev"]["high"]
    table = pd.read_csv(out / "particles.csv")
    assert set(CONTRACT) <= set(table.columns)
    assert table["scan"].eq(1).all()
    inner = MASK & (depth_within(MASK)[0] >= 2)
    truth = [2.1 + STATES[n][inner].mean() for n in ("core-shell", "one-sided", "uniform", "uniform")]
    np.testing.assert_allclose(table["state_mean"][:4], truth, atol=0.03)
    assert table["state_mean"][4] == pytest.approx(2.3, abs=0.03)
    assert found["state_mean"]["value"] == pytest.approx(table["state_mean"].mean())
    shares = [found[f"fraction_{name}"]["value"] for name in ("NiO", "LiNiO2")]
    assert sum(shares) == pytest.approx(1)
    assert 2 + shares[1] == pytest.approx(table["state_bulk"].mean(), abs=0.01)
    np.testing.assert_allclose(table["y_px"], 40 * table["particle"] + 21.5, atol=0.5)
    np.testing.assert_allclose(table["x_px"], 25 + 30, atol=0.5)


def test_patterns_are_named(out):
    table = pd.read_csv(out / "particles.csv").set_index("particle")
    assert table.loc[1, "verdict"] == "core-shell"
    assert table.loc[2, "verdict"] == "one-sided"
    assert table.loc[3, "verdict"] == "uniform"
    assert table.loc[5, "verdict"] == "deactivated"
    found = summary(out)
    assert [found[f"n_{k}"]["value"] for k in ("core_shell", "one_sided", "uniform", "deactivated")] == [1, 1, 3, 1]


def test_every_scan_has_a_row_and_charging_shows(out):
    states = pd.read_csv(out / "states.csv")
    assert len(states) == 12
    by_scan = states.pivot(index="particle", columns="scan", values="state_mean")
    np.testing.assert_allclose(by_scan[1] - by_scan[0], 0.1, atol=0.02)
    edges = states.pivot(index="particle", columns="scan", values="edge_ev")
    assert (edges[1] > edges[0]).all()


def test_radial_profiles_rise_where_the_shell_is_higher(out):
    rings = pd.read_csv(out / "radial_profiles.csv")
    own = rings.query("particle == 1 and scan == 1 and n > 0").sort_values("ring")
    assert own["radius"].is_monotonic_increasing
    assert own["state"].iloc[0] == pytest.approx(2.4, abs=0.03)
    assert own["state"].iloc[-1] == pytest.approx(2.8, abs=0.03)


def test_maps_are_float_pictures_with_their_scale(out):
    state, se = (tifffile.imread(out / "maps" / f"particle_002_{n}.tif") for n in ("state", "state_se"))
    assert state.shape == se.shape == (2, *MASK.shape)
    assert state.dtype == np.float32
    np.testing.assert_array_equal(np.isfinite(state[1]), MASK)
    z = ((state[1] - 2.1 - STATES["one-sided"]) / se[1])[MASK]
    assert 0.85 < z.std() < 1.15
    with tifffile.TiffFile(out / "maps" / "particle_002_state.tif") as tif:
        numerator, denominator = tif.pages[0].tags["XResolution"].value
        assert denominator / numerator == pytest.approx(0.04, rel=1e-3)


def test_motion_is_related_to_chemistry(out):
    table, found = pd.read_csv(out / "particles.csv"), summary(out)
    assert table["motion_rms_px"].notna().all()
    q = found["motion_state_correlation"]
    assert -1 <= q["low"] <= q["value"] <= q["high"] <= 1
    assert any("say little about a correlation" in w for w in found["warnings"])


def test_pictures_and_report(out):
    for name in ("maps", "spectra", "radial", "evolution", "in_place", "motion"):
        assert (out / "figures" / f"{name}.png").stat().st_size > 5000
    page = (out / "report.html").read_text()
    assert "projection" in page
    assert "energies were shifted by +0.5" in page
    assert "Normalisation" in page


def test_without_references_edges_are_mapped_and_the_state_is_not(folder):
    found = map_states(folder)
    assert any("No reference spectra were given" in w for w in found.all_warnings())
    table = found.tables["particles"]
    assert set(CONTRACT) <= set(table.columns)
    assert table["state_mean"].isna().all()
    assert np.isnan(found.summary["state_mean"].value)
    assert table["edge_ev"].between(8338, 8344).all()
    assert "maps/particle_001_state.tif" not in found.files
    assert "maps/particle_001_edge.tif" in found.files
    assert table.set_index("particle").loc[1, "verdict"] == "core-shell"
    assert "white_line_ev" in found.tables["radial_profiles"]


@pytest.fixture(scope="module")
def scan(tmp_path_factory):
    """One aligned scan of two particles of unlike state, and its energies in keV."""
    place = tmp_path_factory.mktemp("scan")
    left, right = disc((60, 90), 18, (28, 22))[0], disc((60, 90), 20, (31, 65))[0]
    state = np.where(left, 0.2, 0.8)
    rng = np.random.default_rng(2)
    stack = np.moveaxis(mixed(ENERGIES, state), -1, 0) * (left | right)
    stack = stack + 0.02 * rng.standard_normal(stack.shape)
    tifffile.imwrite(place / "stack.tif", stack.astype(np.float32))
    np.savetxt(place / "energies.txt", ENERGIES / 1000, fmt="%.6f")
    return place


def test_an_aligned_scan_is_split_into_its_particles(scan, references, tmp_path):
    argv = ["xanes", "map", str(scan / "stack.tif"), "--energies", str(scan / "energies.txt"), "--split"]
    argv += ["--references", str(references), "--pixel-size", "0.05", "--shift", "0", "--out", str(tmp_path / "o")]
    assert main(argv) == 0
    table = pd.read_csv(tmp_path / "o" / "particles.csv")
    np.testing.assert_allclose(table["state_mean"], [2.2, 2.8], atol=0.02)
    np.testing.assert_allclose(table[["y_px", "x_px"]], [[28, 22], [31, 65]], atol=0.6)
    found = summary(tmp_path / "o")
    assert found["energy_shift_ev"]["value"] == 0
    assert any("taken as aligned" in w for w in found["warnings"])
    assert "motion_state_correlation" not in found


def test_an_aligned_scan_is_one_particle_unless_split(scan, references, tmp_path):
    argv = ["xanes", "map", str(scan / "stack.tif"), "--energies", str(scan / "energies.txt")]
    argv += ["--references", str(references), "--valence", "NiO=0", "--valence", "LiNiO2=1"]
    assert main([*argv, "--out", str(tmp_path / "o")]) == 0
    table = pd.read_csv(tmp_path / "o" / "particles.csv")
    assert len(table) == 1
    assert table["state_sd"][0] == pytest.approx(0.3, abs=0.02)
    assert table["verdict"][0] in ("one-sided", "patchy")
    assert 0.45 < table["state_mean"][0] < 0.6
    assert any("pixel size is unknown" in w for w in summary(tmp_path / "o")["warnings"])


def test_an_edge_outside_the_energies_says_which_fit(folder, tmp_path, capsys):
    out = ["--out", tmp_path / "o"]
    refuses([folder, "--element", "Fe", *out], "K edge of Fe (7112 eV) does not lie within the energies", capsys)
    refuses([folder, "--element", "fe", *out], "the K edge of Ni does", capsys)
    assert not (tmp_path / "o").exists()


def test_bad_options_are_one_sentence(folder, scan, references, tmp_path, capsys):
    out = ["--out", tmp_path / "o"]
    refuses([folder, "--margin", "-1", *out], "--margin", capsys)
    refuses([folder, "--post-edge", "50", *out], "two energies relative to E0", capsys)
    refuses([folder, "--valence", "NiO=2", *out], "give them with --references", capsys)
    refuses([folder, "--references", references, "--valence", "NiO", *out], "NAME=STATE", capsys)
    refuses([folder, "--references", references, "--valence", "CoO=2", *out], "no reference named 'CoO'", capsys)
    refuses([folder, "--energies", scan / "energies.txt", *out], "registered already", capsys)
    refuses([folder, "--pixel-size", "0", *out], "--pixel-size", capsys)
    refuses([folder, "--order", "4", *out], "order 0, 1 or 2", capsys)
    refuses([folder, "--element", "Xx", *out], "is not known", capsys)
    refuses([folder, "--references", references, "--shift", "nan", *out], "--shift", capsys)
    refuses([folder, "--pre-edge=-900,-700", *out], "no energies are left for the pre-edge", capsys)
    refuses([folder, "--post-edge=900,1000", *out], "no energies are left for the post-edge", capsys)


def test_a_motion_table_cut_short_is_refused(folder, tmp_path, capsys):
    """Half a table was taken for one in which particles do not move."""
    copy = tmp_path / "copy"
    shutil.copytree(folder, copy)
    text = (copy / "motion.csv").read_text()
    (copy / "motion.csv").write_text("".join(text.splitlines(keepends=True)[:20]))
    refuses([copy, "--out", tmp_path / "o"], "motion.csv has 19 rows", capsys)


def test_one_reference_is_told_once(folder, tmp_path, references):
    one = tmp_path / "NiO.txt"
    one.write_text(next(references.glob("*NiO*")).read_text())
    assert main(["xanes", "map", str(folder), "--references", str(one), "--out", str(tmp_path / "o")]) == 0
    told = [w for w in summary(tmp_path / "o")["warnings"] if "state" in w.lower() and "reference" in w.lower()]
    assert len(told) == 1


def test_a_scan_without_signal_and_one_of_other_things(scan, tmp_path, capsys):
    rng = np.random.default_rng(3)
    noise = 0.1 * rng.standard_normal((len(ENERGIES), 24, 31))
    tifffile.imwrite(tmp_path / "noise.tif", noise.astype(np.float32))
    argv = [tmp_path / "noise.tif", "--energies", scan / "energies.txt", "--out", tmp_path / "o"]
    assert main(["xanes", "map", *map(str, argv)]) == 2
    assert len(capsys.readouterr().err.splitlines()) <= 2


def test_the_lfp_stack(data, tmp_path):
    folder = data / "xanes" / "lfp_stack"
    argv = ["xanes", "map", str(folder / "test_stack.tiff"), "--energies", str(folder / "test_energy.txt")]
    assert main([*argv, "--references", str(folder / "Fe_library.nor"), "--out", str(tmp_path / "o")]) == 0
    found = summary(tmp_path / "o")
    shift = found["energy_shift_ev"]
    assert shift["value"] == pytest.approx(1.8, abs=0.15)
    assert shift["low"] < 2.0
    assert found["r_factor"]["value"] < 2e-3
    assert found["fraction_LiFe_II_PO4"]["value"] > 0.94
    assert found["derivative_ev"]["value"] == pytest.approx(7120.4, abs=0.3)
    assert any("after the edge" in w for w in found["warnings"])
