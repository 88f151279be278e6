"""`morpholith sem predict` as a user runs it, with a stand-in that draws what the virtual reactor makes."""

import json
import os
import shutil

import numpy as np
import pandas as pd
import pytest
from _reactor_model import (
    DESCRIPTORS,
    RECIPE,
    TYPED,
    VIEWS,
    ReactorModel,
    in_the_place_of_every_model,
    training_conditions,
)

from morpholith import model_file, read
from morpholith.cli import main
from morpholith.errors import InputError
from morpholith.generate import MicrographModel, View, expectation, process_table
from morpholith.recipe import read_recipe
from morpholith.specimens import reactor_truth
from morpholith.workflows._drawn import describe_drawn
from morpholith.workflows.sem_predict import predict


@pytest.fixture(scope="module")
def one(tmp_path_factory):
    """One recipe drawn by a model whose particles are all 10 % too large, which it knows of."""
    out = tmp_path_factory.mktemp("one") / "out"
    model = ReactorModel(bias=1.1, error={"circularity_sd": 0.9, "texture_mean": 0.2})
    with pytest.MonkeyPatch.context() as patch:
        in_the_place_of_every_model(model, patch)
        line = ["sem", "predict", "m", "--condition", *TYPED, "--images", "5", "--size", "192", "--out", str(out)]
        assert main(line) == 0
    return out, model


def run(out, *words):
    return main(["sem", "predict", "m", *map(str, words), "--out", str(out)])


def summary_of(out):
    return json.loads((out / "summary.json").read_text())


def warnings_of(out):
    return summary_of(out)["warnings"]


# --- one recipe --------------------------------------------------------------------------------------------------


def test_contract(one):
    out, _ = one
    table = pd.read_csv(out / "predictions.csv")
    summary = summary_of(out)
    assert list(table["condition"]) == ["predicted"]
    for name, value in RECIPE.items():
        assert table[name][0] == value
    for d in DESCRIPTORS:
        q = summary[d]
        assert set(q) == {"value", "low", "high", "level", "n", "unit", "method"}
        assert table[d][0] == q["value"]
        assert table[f"{d}_low"][0] == q["low"] < q["value"] < q["high"]
        assert q["unit"] == ("um" if d == "d50_um" else "")
        assert table[f"{d}_interval"][0] == "draws and error on conditions left out"
    assert list(summary)[:4] == list(DESCRIPTORS)
    assert {"extrapolation", "extrapolates", "beyond", "nearest", "training_distance"} <= set(table.columns)
    for name in ("drawn_3000x", "drawn_15000x", "size_distribution"):
        assert (out / "figures" / f"{name}.png").stat().st_size > 5000
    assert len(pd.read_csv(out / "size_distribution.csv")) == 101


def test_what_the_reactor_makes_lies_in_the_interval(one):
    out, model = one
    truth = reactor_truth(RECIPE).iloc[0]
    summary = summary_of(out)
    for d in ("d50_um", "texture_mean"):
        assert summary[d]["low"] < truth[d] < summary[d]["high"], d
    # nobody would be helped by an interval over everything
    assert summary["d50_um"]["high"] - summary["d50_um"]["low"] < 0.2 * truth["d50_um"]
    assert summary["texture_mean"]["high"] - summary["texture_mean"]["low"] < 0.3
    assert model.bias * truth["d50_um"] > summary["d50_um"]["high"]  # so it was the correction


def test_size_distribution_is_that_of_the_corrected_diameters(one):
    out, _ = one
    curve = pd.read_csv(out / "size_distribution.csv")
    d50 = np.exp(np.interp(0.5, curve["number"], np.log(curve["diameter_um"])))
    assert d50 == pytest.approx(summary_of(out)["d50_um"]["value"], rel=0.02)


def test_images_are_those_drawn_with_their_pixel_size(one):
    out, model = one
    files = sorted(p.name for p in (out / "images").iterdir())
    assert files == sorted(f"predicted_{v}_{k}.tif" for v in ("3000x", "15000x") for k in range(1, 6))
    seed = int(np.random.default_rng([0, 0]).integers(2**31))
    drawn = model.draw(RECIPE, view="3000x", images=5, seed=seed, shape=(192, 192))
    image = read.image(out / "images" / "predicted_3000x_2.tif")
    np.testing.assert_array_equal(image.array, drawn[1])
    assert image.spacing == pytest.approx((0.2, 0.2))
    assert read.image(out / "images" / "predicted_15000x_1.tif").spacing == pytest.approx((0.04, 0.04))


def test_measured_again_they_say_the_same_without_the_correction(one, tmp_path):
    out, model = one
    again = tmp_path / "again"
    files = [str(p) for p in sorted((out / "images").glob("*_3000x_*"))]
    assert main(["sem", "measure", *files, "--out", str(again)]) == 0
    for d, factor in (("d50_um", model.bias), ("circularity_mean", 1.0), ("circularity_sd", 1.0)):
        assert summary_of(again)[d]["value"] == pytest.approx(factor * summary_of(out)[d]["value"], rel=1e-4), d


def test_images_are_a_campaign(one):
    out, _ = one
    plan = read.campaign([out / "campaign.csv"])
    assert len(plan.images) == 10
    assert list(plan.conditions.index) == ["predicted"]
    assert plan.conditions.loc["predicted", "ph"] == 10.5
    listed = pd.read_csv(out / "campaign.csv")
    assert list(listed["magnification"].unique()) == ["3000x", "15000x"]


def test_poor_descriptors_are_said_and_the_others_are_not(one):
    out, _ = one
    poor = [w for w in warnings_of(out) if "poorly" in w]
    assert len(poor) == 1
    assert poor[0].startswith("circularity_sd: ")
    assert "0.19" in poor[0]
    table = pd.read_csv(out / "model_error.csv").set_index("descriptor")
    assert table.loc["circularity_sd", "r2"] == pytest.approx(1 - 0.9**2)
    assert table.loc["d50_um", "r2"] == pytest.approx(1 - 0.05**2)
    assert (table["n_left_out"] == 12).all()
    assert not any("xtrapolat" in w or "not given" in w for w in warnings_of(out))


def test_it_is_what_a_search_is_told(monkeypatch):
    model = in_the_place_of_every_model(ReactorModel(views=VIEWS[:1]), monkeypatch)
    described, _ = describe_drawn(model, RECIPE, images=1, seed=4)
    row = predict("m", condition=TYPED, images=1, seed=4).tables["predictions"].iloc[0]
    for d in ("d50_um", "circularity_mean"):
        assert (row[d], row[f"{d}_se"]) == pytest.approx((described[d].mean, described[d].se), rel=1e-12)


def test_report_names_the_nearest_condition(one):
    out, model = one
    row = pd.read_csv(out / "predictions.csv").iloc[0]
    space, taught = model.table.space(), model.table.conditions
    apart = space.distance(space.encode([RECIPE]), space.encode(taught))[0]
    assert row["nearest"] == taught.index[apart.argmin()]
    assert row["training_distance"] == pytest.approx(apart.min())
    assert "micrographs of 192 x 192 pixels" in (out / "report.html").read_text()


# --- real files --------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def stored(tmp_path_factory):
    """An untrained network in the files that `sem learn` writes."""
    import torch

    from morpholith.nets.micrograph_net import MicrographNet, NetConfig
    from morpholith.nets.micrograph_store import described

    table = process_table(training_conditions(9))
    measured = reactor_truth(table.conditions)[["d50_um"]]
    beliefs = expectation(table, measured, ["d50_um"])
    torch.manual_seed(0)
    config = NetConfig(code=len(beliefs.names), channels=(4, 4))
    weights, settings = described(MicrographNet(config).state_dict(), config)
    views = (View("3000x", 0.2, ("d50_um",)),)
    folder = tmp_path_factory.mktemp("stored")
    MicrographModel(table, views, beliefs, "flow", weights, settings, measured).save(folder / "model")
    return folder


def test_a_stored_model_is_drawn_from(stored, tmp_path):
    out = tmp_path / "o"
    words = ["--condition", "ph=10.4", "--images", "1", "--size", "64", "--out", str(out)]
    assert main(["sem", "predict", str(stored), *words]) == 0
    assert read.image(out / "images" / "predicted_3000x_1.tif").array.shape == (64, 64)
    inputs = [entry["path"] for entry in read_recipe(out / "recipe.toml")["inputs"]]
    assert {os.path.basename(p) for p in inputs} == {"model.safetensors", "model.json"}
    found = predict(str(stored / "model.json"), condition=["ph=10.4"], images=1, size=64)
    assert found.tables["predictions"]["nearest"].iloc[0] == pd.read_csv(out / "predictions.csv")["nearest"][0]


def test_models_that_are_none(stored, tmp_path):
    with pytest.raises(InputError, match="nor one that is shipped"):
        predict("no-such-model", condition=["ph=10"])
    model_file.save(tmp_path / "other", {"a": np.zeros(2)}, {"kind": "particle model", "format": 1})
    with pytest.raises(InputError, match="particle model, not a micrograph model"):
        predict(str(tmp_path / "other"), condition=["ph=10"])
    shutil.copytree(stored, tmp_path / "copy")
    whole = (tmp_path / "copy" / "model.safetensors").read_bytes()
    (tmp_path / "copy" / "model.safetensors").write_bytes(whole[:-100])
    with pytest.raises(InputError, match="damaged"):
        predict(str(tmp_path / "copy"), condition=["ph=10"])
