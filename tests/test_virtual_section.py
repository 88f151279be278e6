"""Virtual sections as a command: what it writes is what it says."""

import json

import numpy as np
import pandas as pd
import pytest
import tifffile

from morpholith import read, segment
from morpholith.cli import main

SMALL = {"--diameter": "3", "--size": "0.6", "--step": "0.06", "--seed": "4"}


def command(folder, options):
    given = [f"{k}={v}" for k, v in SMALL.items() if k not in options]
    return main(["virtual", "section", *given, *options, "--out", str(folder)])


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    out = tmp_path_factory.mktemp("virtual") / "section"
    options = ["--kind", "plates", "--particles", "2", "--cuts", "2", "--difficulty", "exact", "--ctf", "--volume",
               "--height", "0.6"]  # fmt: skip
    assert command(out, options) == 0
    return out


def test_maps_fall_into_the_grains_that_are_told(folder):
    table = pd.read_csv(folder / "sections.csv")
    truth = pd.read_csv(folder / "truth.csv")
    assert table["particle"].tolist() == [0, 0, 1, 1]
    assert table["height_um"].abs().max() <= 0.6 * 1.5
    assert table["height_um"].std() > 0.05
    for row in table.itertuples():
        labels = tifffile.imread(folder / row.file.replace(".ang", "_labels.tif"))
        for end in ("ang", "ctf"):
            found = segment.grains(read.orientations(folder / row.file.replace("ang", end)))
            assert found.labels.shape == labels.shape
            assert len(found.table) == row.n_grain_sections
            np.testing.assert_array_equal(found.labels > 0, labels > 0)
        grains = np.unique(labels)[1:]
        assert len(grains) == row.n_grains
        known = truth[truth["particle"] == row.particle].set_index("label")
        assert set(grains) <= set(known.index)
        # a grain that is cut lies within its own reach of the plane
        normal = np.array([row.normal_z, row.normal_y, row.normal_x])
        away = known.loc[grains, ["z_um", "y_um", "x_um"]].to_numpy() @ normal - row.height_um
        assert (np.abs(away) < 0.8 * known.loc[grains, "major_um"]).all()


def test_volume_and_summary_agree_with_the_truth(folder):
    truth = pd.read_csv(folder / "truth.csv")
    summary = json.loads((folder / "summary.json").read_text())
    table = pd.read_csv(folder / "sections.csv")
    for k in range(2):
        with tifffile.TiffFile(folder / f"particle_{k:03d}_labels.tif") as file:
            volume = file.asarray()
        of_this = truth[truth["particle"] == k].set_index("label")
        counted = np.bincount(volume.ravel())[1:] * 0.06**3
        assert counted.sum() == pytest.approx(of_this["volume_um3"].sum(), rel=0.02)
        assert set(np.unique(volume)[1:]) <= set(of_this.index)
    assert summary["n_grains"]["value"] == len(truth)
    assert summary["n_grain_sections"]["value"] == table["n_grain_sections"].sum()
    assert summary["alpha_short_mean_deg"]["value"] == pytest.approx(truth["alpha_short_deg"].mean())
    told = json.loads((folder / "truth.json").read_text())
    assert told["specimen"]["kind"] == "plates"
    assert told["instrument"]["noise_deg"] == 0
    for name in ("section_000", "particle", "grains_3d"):
        assert (folder / "figures" / f"{name}.png").stat().st_size > 20_000


def test_hexagonal_maps_of_two_phases_and_the_same_seed(tmp_path):
    options = ["--grid", "hexagonal", "--kind", "needles", "--second-phase", "0.3", "--cut-surface", "--no-confidence"]
    one, two = tmp_path / "one", tmp_path / "two"
    assert command(one, options) == 0
    assert command(two, options) == 0
    texts = [(p / "section_000.ang").read_bytes() for p in (one, two)]
    assert texts[0] == texts[1]
    found = read.orientations(one / "section_000.ang")
    assert found.grid == "hexagonal"
    assert not np.nan_to_num(found.confidence).any()  # NaN where shorter rows have no point
    assert set(np.unique(found.phase)) == {0, 1, 2}
    assert pd.read_csv(one / "sections.csv")["height_um"].tolist() == [0.0]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--particles", "0"], "at least 1"),
        (["--size", "2"], "leaves no grains"),
        (["--diameter", "100", "--size", "0.5"], "at most 200000"),
        (["--height", "1"], "share of the radius"),
        (["--ctf", "--grid", "hexagonal"], "--grid square"),
        (["--aspect", "0.2"], "`aspect`"),
        (["--step", "0"], "--step"),
        (["--second-phase", "2"], "`second_phase`"),
        (["--seed", "-1"], "--seed"),
    ],
)
def test_impossible_sections_say_why(tmp_path, options, message, capsys):
    assert command(tmp_path / "out", options) != 0
    assert message in capsys.readouterr().err
    assert not (tmp_path / "out").exists()
