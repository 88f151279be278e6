"""The virtual electrode as a command: what it writes is what it says."""

import itertools
import json

import numpy as np
import pandas as pd
import pytest
import tifffile

from morpholith.cli import main
from morpholith.specimens import exact

SMALL = ["--size", "20,24,28", "--voxel-size", "0.8,0.6,0.5", "--d50", "6", "--seed", "3"]


@pytest.fixture(autouse=True)
def fewer_points(monkeypatch):
    monkeypatch.setattr(exact, "LATTICE_POINTS", 300_000)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    out = tmp_path_factory.mktemp("virtual") / "electrode"
    options = ["--solid", "0.45", "--binder", "0.05", "--expansion", "0.12", "--cracked", "0.2"]
    assert main(["virtual", "electrode", *SMALL, *options, "--out", str(out)]) == 0
    return out


def read(folder, name):
    return tifffile.imread(folder / name)


def test_volumes_fit_each_other_and_their_truth(folder):
    grey, phases, labels = (read(folder, f"electrode{kind}.tif") for kind in ("", "_phases", "_labels"))
    truth = json.loads((folder / "truth.json").read_text())
    table = pd.read_csv(folder / "truth.csv", index_col="label")
    assert grey.shape == phases.shape == labels.shape == (25, 40, 56)
    assert grey.dtype == np.uint16
    np.testing.assert_array_equal(labels > 0, phases == 1)
    assert (phases == 0).mean() == pytest.approx(truth["porosity"], abs=0.005)
    assert (phases == 2).mean() == pytest.approx(truth["binder_fraction"], abs=0.005)
    assert truth["active_fraction"] == pytest.approx(0.45, abs=0.02)
    levels = [grey[phases == k].mean() for k in (0, 2, 1)]
    assert levels == sorted(levels)
    assert set(np.unique(labels)[1:]) <= set(table.index)
    whole = table[~table.touches_edge]
    counted = np.bincount(labels.ravel(), minlength=table.index.max() + 1)[whole.index] * 0.8 * 0.6 * 0.5
    # overlaps and cracks are taken off what the voxels show
    assert (counted <= 1.04 * whole.volume_um3).all()
    assert counted.sum() == pytest.approx((whole.volume_um3 - whole.crack_volume_um3).sum(), rel=0.05)


def test_voxel_size_is_inside(folder):
    with tifffile.TiffFile(folder / "electrode.tif") as file:
        tags = file.pages[0].tags
        assert file.imagej_metadata["spacing"] == pytest.approx(0.8)
        assert tags["YResolution"].value[1] / tags["YResolution"].value[0] == pytest.approx(0.6, rel=1e-4)
        assert tags["XResolution"].value[1] / tags["XResolution"].value[0] == pytest.approx(0.5, rel=1e-4)


def test_cycled_electrode_has_the_same_labels_and_the_growth_asked_for(folder):
    before, after = (pd.read_csv(folder / f"truth{end}.csv", index_col="label") for end in ("", "_cycled"))
    summary = json.loads((folder / "summary.json").read_text())
    both = before.index.intersection(after.index)
    assert len(both) > 0.9 * len(before)
    np.testing.assert_allclose(
        after.volume_um3[both] / before.volume_um3[both] - 1, after.expansion[both], rtol=1e-6
    )  # fmt: skip
    whole = both[~before.touches_edge[both] & ~after.touches_edge[both]]
    assert summary["n_matched"]["value"] == len(whole)
    assert summary["expansion_matched"]["value"] == pytest.approx(after.expansion[whole].mean())
    assert after.expansion.mean() == pytest.approx(0.12, abs=0.02)
    assert (after.crack_volume_um3 > 0).sum() >= (before.loc[both].crack_volume_um3 > 0).sum()
    one, two = read(folder, "electrode_labels.tif"), read(folder, "electrode_cycled_labels.tif")
    assert ((one == two) & (one > 0)).sum() > 0.5 * (one > 0).sum()


def test_summary_says_how_sure_the_truth_is(folder):
    summary = json.loads((folder / "summary.json").read_text())
    porosity = summary["porosity"]
    assert porosity["low"] < porosity["value"] < porosity["high"]
    assert porosity["high"] - porosity["low"] < 0.002
    assert summary["d50_um"]["value"] == 6
    assert summary["d50_um"]["low"] is None
    assert any("computed" in text for text in summary["warnings"])
    assert (folder / "figures/electrode_cycled.png").stat().st_size > 20_000


def test_same_seed_same_files_and_without_cycling_no_second_state(tmp_path):
    for name, seed in (("a", "3"), ("b", "3"), ("c", "4")):
        options = ["--size", "12", "--voxel-size", "0.8", "--d50", "5", "--seed", seed, "--out", str(tmp_path / name)]
        assert main(["virtual", "electrode", *options]) == 0
    a, b, other = (tifffile.imread(tmp_path / n / "electrode.tif") for n in "abc")
    np.testing.assert_array_equal(a, b)
    assert (a != other).mean() > 0.9
    assert not (tmp_path / "a/electrode_cycled.tif").exists()


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (["--d50", "0"], "--d50"),
        (["--voxel-size", "0"], "--voxel-size"),
        (["--size", "2", "--voxel-size", "1"], "2 x 2 x 2 voxels"),
        (["--size", "500", "--voxel-size", "0.1"], "at most"),
        (["--solid", "0.95"], "solid"),
        (["--binder", "0.5"], "binder"),
        (["--lost", "1"], "--lost"),
        (["--expansion", "-0.99"], "without volume"),
        (["--difficulty", "impossible"], "impossible"),
    ],
)
def test_impossible_electrodes_are_refused(tmp_path, capsys, options, says):
    small = {"--size": "12", "--voxel-size": "1", "--d50": "5", **dict(zip(options[::2], options[1::2], strict=True))}
    assert main(["virtual", "electrode", *itertools.chain(*small.items()), "--out", str(tmp_path / "x")]) == 2
    assert says in capsys.readouterr().err
