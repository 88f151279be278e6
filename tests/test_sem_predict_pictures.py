"""Tables of recipes for `morpholith sem predict`: which pictures are drawn, and that numbers follow the recipes."""

import numpy as np
import pandas as pd
import pytest
from _reactor_model import RECIPE, TYPED, ReactorModel, in_the_place_of_every_model

from morpholith.report import to_png
from morpholith.specimens import reactor_truth
from morpholith.workflows.sem_predict import predict

QUICK = {"images": 1, "size": 64, "view": ["3000x"]}


@pytest.fixture
def stand_in(monkeypatch):
    """Return a function that puts a `ReactorModel` in the place of whatever model is named."""
    return lambda **settings: in_the_place_of_every_model(ReactorModel(**{"plain": True, **settings}), monkeypatch)


def table_of(folder, rows):
    pd.DataFrame(rows).to_csv(folder / "t.csv", index=False)
    return folder / "t.csv"


@pytest.mark.parametrize(
    ("columns", "figures"),
    [
        ({"ph": [9.9, 10.5, 11.2]}, {"curves", "strip_3000x"}),
        ({"ph": [9.9, 10.9, 9.9, 10.9], "atmosphere": ["N2", "N2", "O2", "O2"]}, {"curves"}),
        ({"ph": [9.9, 10.9, 9.9, 10.9], "time_min": [60, 60, 240, 240]}, {"map", "grid_3000x"}),
        ({"ph": [9.9, 10.2, 10.9], "time_min": [60, 240, 120]}, {"map", "grid_3000x"}),
        ({"atmosphere": ["N2", "O2"]}, {"conditions"}),
        ({"ph": [9.9, 10.9], "atmosphere": ["N2", ""]}, {"conditions"}),
    ],
)
def test_pictures_follow_what_varies(stand_in, tmp_path, columns, figures):
    stand_in()
    path = table_of(tmp_path, columns)
    rest = [t for t in TYPED if t.partition("=")[0] not in columns]
    found = predict("m", conditions=path, condition=rest, **QUICK)
    assert set(found.figures) - {"drawn_3000x", "size_distribution"} == figures
    for name in figures:
        assert len(to_png(found.figures[name].picture)) > 5000
    table = found.tables["predictions"]
    assert list(table.index) == [f"row{k + 1}" for k in range(len(table))]
    assert found.summary["d50_max_um"].value == pytest.approx(table["d50_um"].max())
    assert found.summary["n_images"].value == len(table) == len([f for f in found.files if f.startswith("images/")])


def test_d50_falls_with_ph_as_in_the_reactor(stand_in, tmp_path):
    stand_in(plain=False)
    path = table_of(tmp_path, {"condition": ["low", "high"], "ph": [9.9, 11.0]})
    found = predict("m", conditions=path, condition=TYPED[1:], images=4, size=192, view=["3000x"])
    truth = reactor_truth(pd.DataFrame([{**RECIPE, "ph": p} for p in (9.9, 11.0)]))["d50_um"].to_numpy()
    np.testing.assert_allclose(found.tables["predictions"].loc[["low", "high"], "d50_um"], truth, rtol=0.08)
    assert {f.split("_")[0] for f in found.files if f.startswith("images/")} == {"images/low", "images/high"}
