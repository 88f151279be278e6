"""The virtual reactor: its trends are the paper's, and what it calls true is what is measured."""

import warnings

import numpy as np
import pandas as pd
import pytest

from morpholith import measure, specimens
from morpholith.errors import InputError
from morpholith.specimens.reactor import DESCRIPTORS, REACTOR_VARIABLES
from morpholith.specimens.reactor_texture import TEXTURE, lamella_texture, lamella_thickness, lamellae

FINE = {"ph": 10.0, "naoh": 0.25, "nh4oh": 0.09}
COARSE = {"ph": 11.0, "naoh": 0.08, "nh4oh": 0.29}
LATE = [120.0, 240.0, 480.0, 960.0, 1440.0]


def truth(*recipes):
    return specimens.reactor_truth(pd.DataFrame(list(recipes)))


def anywhere(n, *, rng=0):
    """Draw recipes from the whole range of the reactor."""
    rng = np.random.default_rng(rng)
    table = {k: rng.uniform(*edges, n) for k, edges in specimens.REACTOR_BOUNDS.items()}
    return pd.DataFrame({**table, "atmosphere": rng.choice(specimens.REACTOR_ATMOSPHERES, n)})


def moved(variable, low, high):
    """Return the truth of recipes from everywhere with one variable at `low`, and the same at `high`."""
    table = anywhere(400)
    return (specimens.reactor_truth(table.assign(**{variable: value})) for value in (low, high))


def test_texture_is_high_and_low_where_the_paper_says():
    found = truth(*({**FINE, "time_min": t} for t in LATE), *({**COARSE, "time_min": t} for t in LATE))["texture_mean"]
    assert (found.iloc[:5] >= 0.7).all()
    assert (found.iloc[5:] < 0.3).all()
    assert found.iloc[5:].min() > 0.15
    table = anywhere(400).assign(atmosphere="O2")
    in_oxygen, in_air, in_nitrogen = (
        specimens.reactor_truth(table.assign(atmosphere=gas))["texture_mean"] for gas in ("O2", "air", "N2")
    )
    assert (in_oxygen < 0.3).all()
    assert (in_oxygen < in_air).all()
    assert (in_air < in_nitrogen).all()
    assert truth({**FINE, "atmosphere": "O2"}).loc["0", "texture_mean"] < 0.3


def test_spheres_form_with_time_and_become_alike():
    table = pd.concat([anywhere(60).assign(time_min=t) for t in (15, 30, 60, 120, 240, 480, 960, 1440)], keys=range(8))
    found = specimens.reactor_truth(table.reset_index(drop=True))
    mean, sd = (found[c].to_numpy().reshape(8, 60) for c in ("circularity_mean", "circularity_sd"))
    assert (np.diff(mean, axis=0) > 0).all()
    assert (np.diff(sd, axis=0) < 0).all()
    assert (mean[-1] - mean[0]).mean() > 0.02
    assert (sd[0] / sd[-1]).mean() > 1.5


def test_soda_makes_rounder_particles_and_acid_or_oxygen_less_round_ones():
    for variable, rounder, less_round in (("naoh", 0.25, 0.08), ("ph", 11.0, 9.8), ("atmosphere", "N2", "O2")):
        more, less = moved(variable, rounder, less_round)
        assert (more["circularity_mean"] > less["circularity_mean"]).all(), variable
        assert (more["circularity_mean"] - less["circularity_mean"]).mean() > 0.01, variable


def test_size_falls_with_ph_and_ammonia():
    for variable, low, high in (("ph", 9.8, 11.0), ("nh4oh", 0.09, 0.57)):
        low_end, high_end = moved(variable, low, high)
        assert (high_end["d50_um"] < 0.85 * low_end["d50_um"]).all()
    # along Fig. S6 the size falls all the way, and sphericity stays what it is
    steps = np.linspace(0, 1, 9)
    diagonal = truth(*({"ph": 10 + s, "nh4oh": 0.29 + 0.28 * s} for s in steps))
    assert (diagonal["d50_um"].diff().iloc[1:] < 0).all()
    assert np.ptp(diagonal["circularity_mean"]) < 0.01
    assert diagonal["d50_um"].iloc[-1] < 0.75 * diagonal["d50_um"].iloc[0]


def test_texture_relaxes_within_two_hours_and_coarsens_slowly_later():
    for recipe in (FINE, {}, COARSE):
        found = truth(*({**recipe, "time_min": t} for t in (15, 60, 120, 480, 960, 1440)))["texture_mean"].to_numpy()
        assert (np.diff(found) < 0).all()
        rate = -np.diff(found) / np.diff([15, 60, 120, 480, 960, 1440])
        assert rate[:2].min() > 8 * rate[3:].max()
        assert found[0] - found[2] > 0.5 * (found[0] - found[-1])


def test_truth_is_that_of_the_population():
    found = truth(FINE, COARSE)
    for name in found.index:
        row = found.loc[name]
        powder = specimens.Powder(row["d50_um"], row["geometric_sd"], row["outline_mean"], row["outline_sd"])
        assert powder.circularity_truth == pytest.approx((row["circularity_mean"], row["circularity_sd"]), rel=1e-9)
        assert powder.diameter_quantile(0.5, basis="volume") == pytest.approx(row["d50_volume_um"])
        drawn = powder.draw(60_000, np.random.default_rng(1))
        assert drawn["circularity"].mean() == pytest.approx(row["circularity_mean"], abs=3e-4)
        assert drawn["circularity"].std() == pytest.approx(row["circularity_sd"], rel=0.015)
        assert drawn["diameter_um"].median() == pytest.approx(row["d50_um"], rel=0.01)
        assert drawn["diameter_um"].quantile(0.1) == pytest.approx(row["d10_um"], rel=0.01)
        assert lamella_texture(row["thickness_um"]) == pytest.approx(row["texture_mean"], abs=1e-4)


def test_every_corner_can_be_made():
    everywhere = pd.concat([anywhere(300), pd.DataFrame([FINE, COARSE])], ignore_index=True)
    ends = [
        {
            **{k: edges[(bits >> i) & 1] for i, (k, edges) in enumerate(specimens.REACTOR_BOUNDS.items())},
            "atmosphere": g,
        }
        for bits in range(32)
        for g in specimens.REACTOR_ATMOSPHERES
    ]
    table = pd.concat([everywhere, pd.DataFrame(ends)], ignore_index=True)
    found = specimens.reactor_truth(table)
    assert np.isfinite(found.to_numpy()).all()
    assert found["texture_mean"].between(TEXTURE[-1], TEXTURE[0]).all()
    assert found["d50_um"].between(2.0, 9.5).all()
    lots = specimens.synthesise(table, lots=2, rng=3)
    assert len(lots) == 2 * len(table)
    low, high = specimens.ReactorLaw().texture_range
    assert all(low <= lot.truth["texture_mean"] <= high for lot in lots)


def test_descriptors_do_not_follow_each_other_too_closely():
    found = specimens.reactor_truth(specimens.reactor_design().drop(columns="part"))[list(DESCRIPTORS)]
    r = found.corr().to_numpy() - np.eye(4)
    assert np.abs(r).max() < 0.85
    assert np.ptp(found["texture_mean"]) > 0.5
    assert found["d50_um"].max() > 1.8 * found["d50_um"].min()
    assert np.ptp(found["circularity_mean"]) > 0.08
    assert found["circularity_sd"].max() > 2 * found["circularity_sd"].min()


def test_lots_scatter_as_told_and_only_so():
    lots = specimens.synthesise(FINE, lots=400, rng=5)
    made = pd.DataFrame([lot.truth for lot in lots])
    told = specimens.reactor_truth(FINE).iloc[0]
    for name in DESCRIPTORS:
        sd = told[f"{name}_lot_sd"]
        assert made[name].mean() == pytest.approx(told[name], abs=4 * sd / 20), name
        assert made[name].std() == pytest.approx(sd, rel=0.15), name
    assert np.abs(made[list(DESCRIPTORS)].corr().to_numpy()[0, 1]) < 0.15
    alike = specimens.synthesise(FINE, lots=3, lot_scatter=0, rng=5)
    for lot in alike:
        assert lot.truth["d50_um"] == pytest.approx(told["d50_um"])
        assert lot.truth["texture_mean"] == pytest.approx(told["texture_mean"])
        assert lot.truth["circularity_sd"] == pytest.approx(told["circularity_sd"])
    again = specimens.synthesise(FINE, lots=400, rng=5)
    assert [lot.truth for lot in again] == [lot.truth for lot in lots]


def test_default_design_is_the_papers():
    table = specimens.reactor_design()
    assert table.shape == (55, 7)
    assert not table[list(REACTOR_VARIABLES)].duplicated().any()
    base = table[(table["naoh"] == 0.15) & (table["nh4oh"] == 0.2) & (table["stirring_rpm"] == 800)]
    series = base[(base["ph"] == 10.4) & (base["atmosphere"] == "N2")]
    assert sorted(series["time_min"]) == [15, 30, 60, 120, 240, 480, 960, 1440]
    assert {9.8, 10.0, 10.7, 11.0} <= set(base["ph"])
    assert not (base["ph"] == 10.5).any()
    for recipe in (FINE, COARSE):
        assert (table[list(recipe)] == pd.Series(recipe)).all(axis=1).any()
    assert set(table["atmosphere"]) == {"N2", "air", "O2"}
    few, many = specimens.reactor_design(5), specimens.reactor_design(80)
    assert (few.iloc[0][["ph", "naoh", "nh4oh"]] == pd.Series(FINE)).all()
    assert few[list(REACTOR_VARIABLES)].merge(table, on=list(REACTOR_VARIABLES)).shape[0] == 5
    pd.testing.assert_frame_equal(many.iloc[:55], table)
    specimens.reactor_variables(many.drop(columns="part"))


def test_recipes_may_be_short_and_in_any_case():
    short = specimens.reactor_variables({"pH": 10.7, "Atmosphere": "o2"})
    assert short.iloc[0].to_dict() == {**specimens.REACTOR_BASE, "ph": 10.7, "atmosphere": "O2"}
    named = specimens.reactor_variables(pd.DataFrame({"condition": ["x", "y"], "naoh": [0.1, np.nan]}))
    assert list(named.index) == ["x", "y"]
    assert list(named["naoh"]) == [0.1, 0.15]
    none = specimens.reactor_truth(pd.DataFrame({"ph": []}))
    assert len(none) == 0
    assert set(DESCRIPTORS) <= set(none.columns)
    assert specimens.synthesise(pd.DataFrame({"ph": []})) == []


@pytest.mark.parametrize(
    ("recipe", "message"),
    [
        ({"ph": 12.0}, "ph = 12"),
        ({"ph": "ten"}, "ph = ten"),
        ({"time_min": np.inf}, "time_min = inf"),
        ({"temperature": 50.0}, "'temperature'"),
        ({"atmosphere": "argon"}, "'argon'"),
    ],
)
def test_impossible_recipes_say_why(recipe, message):
    with pytest.raises(InputError, match=message):
        specimens.reactor_truth(recipe)


def test_impossible_lots_and_images_say_why():
    with pytest.raises(InputError, match="'a'"):
        specimens.reactor_truth(pd.DataFrame({"condition": ["a", "a"]}))
    with pytest.raises(InputError, match="`lots`"):
        specimens.synthesise(FINE, lots=0)
    with pytest.raises(InputError, match="`lot_scatter`"):
        specimens.synthesise(FINE, lot_scatter=-1.0)
    with pytest.raises(InputError, match="2 to"):
        specimens.reactor_design(1)
    (lot,) = specimens.synthesise(FINE)
    with pytest.raises(InputError, match="`width`"):
        specimens.lot_micrograph(lot, width=64)


def test_images_are_of_the_lot_and_repeat():
    (lot,) = specimens.synthesise(FINE, rng=1)
    first = list(specimens.lot_micrographs(lot, magnification=3000.0, images=2, width=256, rng=7))
    assert [p.shape for p, _ in first] == [(192, 256)] * 2
    assert first[0][1].spacing[0] == pytest.approx(128_000 / 3000 / 256)
    more = list(specimens.lot_micrographs(lot, magnification=3000.0, images=3, width=256, rng=7))
    assert np.array_equal(first[1][0], more[1][0])
    assert not np.array_equal(more[1][0], more[2][0])
    aimed = [f for _, f in specimens.lot_micrographs(lot, magnification=15000.0, images=4, width=256, rng=7)]
    largest = [np.bincount(f.labels.ravel())[1:].max() / f.labels.size for f in aimed]
    assert min(largest) > 0.2
    diameters = np.concatenate(
        [
            f.truth["diameter_um"][~f.truth["touches_edge"]]
            for _, f in specimens.lot_micrographs(lot, images=8, width=192, rng=1)
        ]
    )
    assert np.median(diameters) == pytest.approx(lot.truth["d50_um"], rel=0.06)


@pytest.mark.parametrize("target", [0.25, 0.5, 0.75])
def test_texture_that_is_called_true_is_what_is_measured(target):
    """On micrographs of particles of any size, with the true outlines."""
    found = []
    for d50 in (3.5, 6.5):
        powder = specimens.Powder(d50_um=d50, geometric_sd=1.25, habit=lamellae(target), coverage=0.45, clustering=0.0)
        lot = specimens.Lot("x", 0, {}, {}, powder)
        for picture, field in specimens.lot_micrographs(lot, magnification=15000.0, images=3, width=320, rng=2):
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                found += list(measure.texture(picture, field.labels, spacing=field.spacing)["texture"].dropna())
    assert len(found) >= 7
    assert np.mean(found) == pytest.approx(target, abs=0.035)


def test_lamellae_and_texture_are_inverse():
    textures = np.linspace(TEXTURE[-1], TEXTURE[0], 40)
    np.testing.assert_allclose(lamella_texture(lamella_thickness(textures)), textures, atol=2e-4)
    assert (np.diff(lamella_thickness(textures)) < 0).all()
    assert lamella_thickness(0.0) == pytest.approx(lamella_thickness(TEXTURE[-1]))
