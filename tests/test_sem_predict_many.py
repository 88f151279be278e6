"""What `morpholith sem predict` says first, and what it makes of tables of recipes."""

import numpy as np
import pandas as pd
import pytest
from _reactor_model import RECIPE, TYPED, ReactorModel, in_the_place_of_every_model

from morpholith.generate import process_table
from morpholith.report import to_png
from morpholith.workflows._predict_story import image_names
from morpholith.workflows.sem_predict import predict, recipes

QUICK = {"images": 1, "size": 64, "view": ["3000x"]}


@pytest.fixture
def stand_in(monkeypatch):
    """Return a function that puts a `ReactorModel` in the place of whatever model is named."""
    return lambda **settings: in_the_place_of_every_model(ReactorModel(**{"plain": True, **settings}), monkeypatch)


def variable(model, name):
    return next(v for v in model.table.variables if v.name == name)


def table_of(folder, rows):
    pd.DataFrame(rows).to_csv(folder / "t.csv", index=False)
    return folder / "t.csv"


# --- what is said first ------------------------------------------------------------------------------------------


def test_extrapolation_names_the_variable_and_how_far(stand_in):
    ph = variable(stand_in(), "ph")
    typed = [t for t in TYPED if not t.startswith(("ph", "time"))]
    found = predict("m", condition=[*typed, "ph=11.5", "time_min=960"], **QUICK)
    share = (11.5 - ph.high) / (ph.high - ph.low)
    assert f"ph = 11.5 is 0.5 above the trained range {ph.low:g} to 11 ({share:.0%} of its width)" in found.warnings[0]
    assert "time_min = 960 is above the trained range 17 to 480 by a factor of 2." in found.warnings[1]
    row = found.tables["predictions"].iloc[0]
    assert row["extrapolates"]
    assert row["beyond"] == "ph, time_min"


def test_both_ends_are_named_each_with_its_conditions(stand_in, tmp_path):
    stand_in()
    path = table_of(tmp_path, {"condition": ["a", "b", "c"], "ph": [9.0, 10.5, 11.2]})
    said = predict("m", conditions=path, condition=TYPED[1:], **QUICK).warnings
    assert said[0].startswith("Extrapolated (a): ph = 9 is 0.87 below")
    assert said[1].startswith("Extrapolated (c): ph = 11.2 is 0.2 above")
    assert not any("(b" in text for text in said)


def test_far_from_every_condition_is_extrapolation_too(stand_in):
    ph = [*np.linspace(9.8, 10.0, 40), 11.0]
    table = process_table(pd.DataFrame({"ph": ph, "naoh": [0.1, 0.2] * 20 + [0.1]}, index=[f"c{k}" for k in range(41)]))
    stand_in(table=table)
    found = predict("m", condition=["ph=10.6", "naoh=0.1"], **QUICK)
    # neighbours of one word are 0.4 / 39 apart in pH, on a range of 1.2; the nearest to 10.6 is 0.4 away
    factor = 0.4 / (2 * 0.2 / 39)
    assert f"(c40) is {factor:.2g} times as far as trained conditions usually are" in found.warnings[0]
    assert found.summary["extrapolation"].value == pytest.approx(factor)


def test_a_trained_condition_is_its_own_nearest(stand_in, tmp_path):
    model = stand_in()
    chosen = model.table.conditions.iloc[[4, 1]]
    chosen.to_csv(tmp_path / "t.csv")
    found = predict("m", conditions=tmp_path / "t.csv", **QUICK)
    table = found.tables["predictions"]
    assert list(table["nearest"]) == list(table.index) == list(chosen.index)
    assert (table["training_distance"] == 0).all()
    assert not any("xtrapolat" in text for text in found.warnings)


def test_missing_values_are_said_and_the_distance_is_over_the_others(stand_in):
    model = stand_in()
    found = predict("m", condition=["ph=10.5", "naoh=0.15", "time_min="], **QUICK)
    for name in ("nh4oh", "time_min", "stirring_rpm", "atmosphere"):
        assert sum(text.startswith(f"{name} was not given") for text in found.warnings) == 1
    row = found.tables["predictions"].iloc[0]
    apart = []
    for name in ("ph", "naoh"):
        v = variable(model, name)
        apart.append((model.table.conditions[name] - RECIPE[name]) / (v.high - v.low))
    assert row["training_distance"] == pytest.approx(np.sqrt((apart[0] ** 2 + apart[1] ** 2) / 2).min())
    assert np.isnan(row["nh4oh"])


def test_untested_models_say_so(stand_in):
    stand_in(tested=False)
    found = predict("m", condition=TYPED, **{**QUICK, "images": 2, "size": 128})
    assert any("not tested on conditions left out" in text for text in found.all_warnings())
    row = found.tables["predictions"].iloc[0]
    assert row["d50_um_interval"] == "draws alone"
    assert row["d50_um_low"] < row["d50_um"] < row["d50_um_high"]


def test_empty_micrographs_are_said(stand_in):
    stand_in(blank=("3000x",))
    found = predict("m", condition=TYPED, **{**QUICK, "images": 2})
    assert any("No particle was found in 2 of 2 micrographs drawn at 3000x" in text for text in found.warnings)
    assert np.isnan(found.summary["d50_um"].value)
    assert "texture_mean" not in found.summary
    said = "d50_um, circularity_mean, circularity_sd: could not be measured"
    assert any(text.startswith(said) for text in found.all_warnings())
    assert set(found.figures) == {"drawn_3000x"}
    assert len(to_png(found.figures["drawn_3000x"].picture)) > 5000


def test_poor_descriptors_are_said_once_for_all_conditions(stand_in, tmp_path):
    stand_in(error={"circularity_sd": 0.9})
    path = table_of(tmp_path, {"ph": [10.2, 10.8]})
    found = predict("m", conditions=path, condition=TYPED[1:], **{**QUICK, "images": 2, "size": 128})
    poor = [text for text in found.all_warnings() if "poorly" in text]
    assert len(poor) == 1
    assert poor[0].startswith("circularity_sd: the model predicts this poorly")


def test_large_particles_in_small_pictures_are_said(stand_in):
    stand_in()
    found = predict("m", condition=TYPED, **{**QUICK, "images": 3})
    assert any("12.8 um wide" in text and "--size" in text for text in found.warnings)


# --- tables of recipes, work that is kept --------------------------------------------------------------------------


def test_a_campaign_table_gives_each_of_its_conditions_once(stand_in, tmp_path):
    model = stand_in()
    rows = [
        {"image": f"{k}.tif", "condition": "a" if k < 3 else "b", "magnification": "3000x", "lot": k, **RECIPE}
        | ({"ph": 10.8} if k >= 3 else {})
        for k in range(5)
    ]
    found = recipes(model.table, None, table_of(tmp_path, rows))
    assert list(found.index) == ["a", "b"]
    assert list(found["ph"]) == [10.5, 10.8]
    assert list(found.columns) == list(model.table.names)


def test_image_names_are_safe_and_apart():
    names = image_names(["pH 10", "pH/10", "PH_10", "é"], ["3000x", "15 kx"], 10)
    assert len({n.casefold() for n in names.values()}) == len(names) == 80
    assert names["pH 10", "15 kx", 0] == "pH_10_15_kx_01.tif"
    assert all(n.isascii() and n.replace("_", "").replace("-", "").replace(".", "").isalnum() for n in names.values())


def test_kept_work_is_not_done_again(stand_in, tmp_path):
    model = stand_in()
    how = {"condition": TYPED, "images": 1, "size": 64, "work": str(tmp_path / "w")}
    first = predict("m", **how)
    assert [call[0] for call in model.calls] == ["3000x", "15000x"]
    again = predict("m", **how)
    assert len(model.calls) == 2
    pd.testing.assert_frame_equal(first.tables["predictions"], again.tables["predictions"])
    other = predict("m", **how, seed=1)
    assert len(model.calls) == 4
    assert other.summary["texture_mean"].value != first.summary["texture_mean"].value


def test_a_condition_alone_is_the_same_as_among_others(stand_in, tmp_path):
    stand_in()
    path = table_of(tmp_path, [{**RECIPE, "ph": 9.9}, RECIPE])
    several = predict("m", conditions=path, **QUICK).tables["predictions"]
    alone = predict("m", condition=TYPED, **QUICK).tables["predictions"]
    pd.testing.assert_series_equal(several.iloc[1], alone.iloc[0], check_names=False)
