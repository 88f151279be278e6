"""The tour and the virtual specimens as commands."""

import json

import numpy as np
import pandas as pd
import pytest
import tifffile

from morpholith.cli import main
from morpholith.workflows import tour as tours


def test_tour_measures_its_campaign_and_meets_the_truth(tmp_path, monkeypatch):
    monkeypatch.setattr(tours, "TIMES_MIN", (30, 120, 360, 720))
    monkeypatch.setattr(tours, "FIELDS", ((3000.0, 1),))
    assert main(["tour", "--out", str(tmp_path / "tour"), "--seed", "3"]) == 0
    summary = json.loads((tmp_path / "tour/summary.json").read_text())
    compared = pd.read_csv(tmp_path / "tour/compared_with_truth.csv")
    assert summary["intervals_that_cover_the_truth"]["value"] >= 0.8
    assert len(compared) == 24
    shape = compared[compared.descriptor == "circularity_mean"]
    assert (shape.measured - shape.truth).abs().max() < 0.02
    assert (tmp_path / "tour/campaign/campaign.csv").exists()
    assert (tmp_path / "tour/figures/trend_time_min.png").exists()


def test_virtual_powder_brings_its_truth(tmp_path):
    out = tmp_path / "powder"
    options = ["--d50", "3", "--images", "2", "--habit", "needle", "--seed", "5", "--data-bar"]
    assert main(["virtual", "powder", *options, "--out", str(out)]) == 0
    truth = pd.read_csv(out / "truth.csv")
    population = json.loads((out / "truth.json").read_text())
    assert population["d50_um"] == pytest.approx(3)
    assert population["habit"] == "needle"
    assert set(truth.image) == {"powder_000.tif", "powder_001.tif"}
    image, labels = (tifffile.imread(out / f"powder_001{end}.tif") for end in ("", "_labels"))
    assert image.shape[0] > labels.shape[0] == 960
    assert (image[960:] == 0).mean() > 0.5
    mine = truth[truth.image == "powder_001.tif"].set_index("label")
    area = np.bincount(labels.ravel())[1:] * (0.1 / 3) ** 2
    free = mine[~mine.touches_edge & (mine.hidden_fraction == 0)]
    np.testing.assert_allclose(area[free.index - 1], free.area_um2, rtol=0.02)


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (["--d50", "0"], "--d50"),
        (["--images", "0"], "--images"),
        (["--geometric-sd", "0.5"], "geometric_sd"),
        (["--circularity", "1.5"], "circularity"),
        (["--thickness", "2", "--length", "1"], "thickness"),
        (["--habit", "cube"], "cube"),
    ],
)
def test_impossible_specimens_are_refused(tmp_path, capsys, options, says):
    assert main(["virtual", "powder", *options, "--out", str(tmp_path / "x")]) == 2
    assert says in capsys.readouterr().err
