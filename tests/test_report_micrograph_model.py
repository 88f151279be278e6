"""Figures of a micrograph model hold what they say, also where something is lacking."""

from io import BytesIO

import numpy as np
import pandas as pd
import pytest

from morpholith.image import Quantity
from morpholith.measure import memorisation
from morpholith.report import micrograph_model as pictures
from morpholith.report import to_png
from morpholith.report.style import style

RNG = np.random.default_rng(0)
VIEWS = {"3000x": 0.2, "15000x": 0.04}


def pixels(figure):
    """The picture as grey levels, to see that it is not blank."""
    from matplotlib.image import imread

    return imread(BytesIO(to_png(figure.picture)))[..., :3].mean(axis=-1)


def drawn_in(figure):
    with style():
        return figure.picture()


def left_out(n=12):
    real = RNG.uniform(3, 7, n)
    return pd.DataFrame(
        {
            "d50_um": real, "d50_um_se": 0.1, "d50_um_drawn": real + 0.2, "d50_um_drawn_se": 0.05,
            "d50_um_gp": real - 0.3,
            "d50_um_gp_sd": 0.2, "texture_mean": real / 10, "texture_mean_drawn": real / 10,
        }
    )  # fmt: skip


def test_parity_shows_both_predictions_and_sd_over_images():
    figure = pictures.parity(
        left_out(), ["d50_um", "texture_mean"], r2={"d50_um": Quantity(0.93, 0.9, 0.96)}, images=100
    )
    fig = drawn_in(figure)
    axes = np.array(fig.axes).reshape(2, 2)
    assert "R² 0.93" in axes[0, 0].texts[0].get_text()
    assert "standard deviations over drawn images" in figure.caption
    bars = axes[0, 0].containers[0].lines[2][1].get_segments()[0]
    assert np.ptp(bars[:, 1]) == pytest.approx(2 * 0.05 * 10)  # 100 draws: ten standard errors either way
    assert len(axes[1, 1].containers) == 0  # no baseline for texture
    assert pixels(figure).std() > 0.05


def test_the_sheet_pairs_real_and_drawn_in_both_views():
    image = RNG.integers(0, 255, (60, 80)).astype(np.uint8)
    real = {"a": {"3000x": image, "15000x": image}}
    square = RNG.integers(0, 255, (96, 96)).astype(np.uint8)
    drawn = {"a": {"3000x": square, "15000x": square}, "b": {"3000x": square}}
    figure = pictures.sample_sheet(real, drawn, pixel_um=VIEWS, left_out=["b"])
    axes = np.array(drawn_in(figure).axes).reshape(2, 4)
    assert [ax.get_title(loc="left") for ax in axes[0]] == [
        "real, 3000x",
        "drawn, 3000x",
        "real, 15000x",
        "drawn, 15000x",
    ]
    np.testing.assert_array_equal(axes[0, 0].images[0].get_array(), image)
    np.testing.assert_array_equal(axes[0, 1].images[0].get_array(), square[:60, :80])
    assert not axes[1, 0].images
    assert axes[1, 1].images
    assert "left out" in axes[1, 0].get_ylabel()
    assert "left out" in figure.caption
    assert pixels(figure).std() > 0.05


def test_memorisation_shows_the_verdict_and_the_pairs():
    from scipy import ndimage as ndi

    training = [ndi.gaussian_filter(RNG.standard_normal((70, 70)), 2) for _ in range(12)]
    copies = memorisation([a[:, ::-1] for a in training[:6]], training, patches=8)
    unknown = memorisation(training[:2], training, patches=2)
    figure = pictures.memorisation({"3000x": copies, "15000x": unknown})
    assert copies.sentence in figure.caption
    fig = drawn_in(figure)
    titles = [ax.get_title(loc="left") for part in fig.subfigs for sub in part.subfigs for ax in sub.axes]
    assert "3000x: copies its training images" in titles
    assert "15000x: cannot be said" in titles
    assert pixels(figure).std() > 0.05


def scan(values=(10.0, 10.5, 11.0), others=(0.1,)):
    rows = [{"ph": p, "nh4oh": n, "gas": "N2"} for p in values for n in others]
    table = pd.DataFrame(rows)
    table["d50_um"] = 5 - (table["ph"] - 10) + table["nh4oh"]
    table["d50_um_se"], table["d50_um_n"] = 0.1, 4
    table["trained"] = table["ph"] != 10.5
    return table


def test_over_one_variable_draws_each_condition_once_from_one_seed():
    asked = []

    def draw(condition, *, view, images, seed):
        asked.append((condition, view, images, seed))
        return np.full((1, 40, 50), 10 * len(asked), np.uint8)

    table = scan()
    table["d50_um_gp"], table["d50_um_gp_sd"] = table["d50_um"] + 0.1, 0.2
    figure = pictures.over_one(draw, table, "ph", ["d50_um"], views=VIEWS, real=table.iloc[[0, 2]], seed=7)
    assert not asked  # nothing is drawn before the report needs it
    top, bottom = drawn_in(figure).subfigs
    assert len(asked) == 6
    assert asked[0] == ({"ph": 10.0, "nh4oh": 0.1, "gas": "N2"}, "3000x", 1, 7)
    assert [ax.get_title(loc="left") for ax in top.axes[:3]] == ["ph 10", "ph 10.5 (not trained)", "ph 11"]
    curve = bottom.axes[0].lines
    np.testing.assert_allclose(curve[0].get_ydata(), table["d50_um"])
    assert {t.get_text() for t in bottom.legends[0].get_texts()} == {"drawn", "Gaussian process", "real"}
    assert "not how far a made powder may lie off" in figure.caption
    assert "open ones lie between" in figure.caption
    plain = pictures.over_one(draw, table.drop(columns="trained"), "ph", ["d50_um"], views=VIEWS)
    assert "open ones" not in plain.caption
    assert [ax.get_title(loc="left") for ax in drawn_in(plain).subfigs[0].axes[:3]] == ["ph 10", "ph 10.5", "ph 11"]


def test_over_one_takes_a_model_and_words():
    class Model:
        def draw(self, *_, **__):
            return np.zeros((1, 32, 32), np.uint8)

    table = scan()
    table["gas"] = ["N2", "air", "O2"]
    figure = pictures.over_one(Model(), table, "gas", ["d50_um"], views=VIEWS, real=table.iloc[[2]])
    bottom = drawn_in(figure).subfigs[1]
    assert [t.get_text() for t in bottom.axes[0].get_xticklabels()] == ["N2", "air", "O2"]
    assert bottom.axes[0].containers[0].lines[0].get_xdata()[0] == 2


def test_over_two_variables_places_conditions_and_frames_trained_ones():
    def draw(condition, **_):
        return np.full((1, 32, 32), round(100 * (condition["ph"] - 10) + 100 * condition["nh4oh"]), np.uint8)

    figure = pictures.over_two(draw, scan(others=(0.1, 0.3)), ("ph", "nh4oh"), ["d50_um"], view="3000x", pixel_um=0.2)
    left, right = drawn_in(figure).subfigs
    axes = np.array(left.axes).reshape(2, 3)
    found = [[ax.images[0].get_array()[0, 0] for ax in row] for row in axes]
    assert found == [[30, 80, 130], [10, 60, 110]]  # more NH4OH upwards, higher pH to the right
    assert [ax.spines["top"].get_visible() for ax in axes[0]] == [True, False, True]
    assert len(right.axes[0].lines) == 6
    assert [t.get_text() for t in right.legends[0].get_texts()] == ["0.1", "0.3"]


def test_the_training_curve_smooths_and_marks_the_checks():
    loss = np.exp(-np.arange(500) / 60) + 0.05
    figure = pictures.training_curve(loss, checks={250: 0.2})
    ax = drawn_in(figure).axes[0]
    line = ax.lines[0].get_ydata()
    assert len(line) == 491
    assert line[0] == pytest.approx(loss[:10].mean())
    assert ax.get_yscale() == "log"
    assert "learn by heart" in figure.caption
    assert drawn_in(pictures.training_curve([])).axes[0].texts[0].get_text() == "no steps"
