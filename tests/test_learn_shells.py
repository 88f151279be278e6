"""Learning the model of shells: shells of a known model give it back, within the errors that are stated."""

import numpy as np
import pytest
from scipy import stats

from morpholith import generate, measure
from morpholith.errors import InputError
from morpholith.generate import Family, ShellModel
from morpholith.generate._family_fit import fitted, log_density, parameters, scores

MIXED = ShellModel(
    (
        Family("log_normal", 40.0, 5.0, 0.3),
        Family("student_t", 1.5, shape=3.0),
        Family("normal", 2.5),
        Family("student_t", 0.8, shape=2.5),
        Family("normal", 0.4),
    )
)
"""Families of both kinds; 5 % of the draws are no shells."""


@pytest.mark.parametrize(
    "family",
    [Family("normal", 2.0, 1.0), Family("student_t", 1.5, -0.5, 3.0), Family("log_normal", 3.0, -4.0, 0.4)],
)
def test_densities_are_those_of_scipy_and_scores_their_slopes(family):
    x = np.linspace(-3, 6, 13)
    frozen = {
        "normal": stats.norm(family.loc, family.scale),
        "student_t": stats.t(family.shape, family.loc, family.scale),
        "log_normal": stats.lognorm(family.shape, family.loc, family.scale),
    }[family.kind]
    np.testing.assert_allclose(log_density(family, x), frozen.logpdf(x), rtol=1e-12)
    got = scores(family, x, shifted=True)
    names = parameters(family.kind, shifted=True)
    assert len(got) == len(names)
    h = 1e-6
    for row, name in zip(got, names, strict=True):
        ends = []
        for sign in (-h, h):
            p = {"scale": family.scale, "loc": family.loc, "shape": family.shape}
            p[name] = p[name] + sign if name == "loc" else p[name] * np.exp(sign)
            ends.append(log_density(Family(family.kind, **p), x))
        np.testing.assert_allclose(row, (ends[1] - ends[0]) / (2 * h), rtol=1e-5, atol=1e-7)
    if family.kind != "log_normal":
        np.testing.assert_array_equal(scores(family, x, shifted=False), got[:-1])


@pytest.mark.parametrize("kind", ["normal", "student_t", "log_normal"])
def test_the_peak_of_the_likelihood_is_found_and_weights_count(kind):
    rng = np.random.default_rng(0)
    true = Family(kind, 2.0, 3.0, 2.5 if kind == "student_t" else 0.5)
    x = true.draw(3000, rng)
    w = rng.integers(0, 3, len(x)).astype(float)
    got = fitted(kind, x, w, shifted=True)
    np.testing.assert_allclose(scores(got, x, shifted=True) @ w / w.sum(), 0, atol=2e-4)
    again = fitted(kind, np.repeat(x, w.astype(int)), np.ones(int(w.sum())), shifted=True)
    for name in ("scale", "loc", "shape"):
        assert getattr(got, name) == pytest.approx(getattr(again, name), rel=1e-3)
        if name != "shape" or kind != "normal":
            assert getattr(got, name) == pytest.approx(getattr(true, name), rel=0.15)


@pytest.fixture(scope="module")
def repeats():
    """Ten populations of 300 shells and what is learnt of each."""
    out = []
    for seed in range(10):
        a = generate.draw_shells(MIXED, 300, rng=seed).coefficients
        out.append(generate.learn_shells(a, rng=seed))
    return out


def test_families_of_a_known_model_are_recognised(repeats):
    kinds = np.array([[f.kind for f in r.model.families] for r in repeats])
    right = (kinds == [f.kind for f in MIXED.families]).mean(0)
    assert (right[[0, 1, 3]] == 1).all()
    assert (right >= 0.75).all()  # AIC takes a t for a normal in up to 16 of 100
    chosen = repeats[0].families[repeats[0].families["chosen"]]
    assert chosen["degree"].tolist() == [0, 1, 2, 3, 4]
    assert (chosen["delta_aic"] == 0).all()
    assert len(repeats[0].families) == 15


def test_parameters_come_back_within_their_errors_in_the_right_share_of_repeats(repeats):
    inside, off = [], []
    for r in repeats:
        for degree, true in enumerate(MIXED.families):
            row = r.parameters.loc[degree]
            if row["kind"] != true.kind:
                continue
            for name in ("scale",) if true.kind == "normal" else ("scale", "shape"):
                value = getattr(true, name)
                inside.append(row[f"{name}_low"] <= value <= row[f"{name}_high"])
                off.append((row[name] - value) / row[f"{name}_se"])
                assert row[f"{name}_se"] / row[name] < 0.6
    assert len(inside) > 70
    assert 0.88 <= np.mean(inside) <= 1
    assert 0.7 < np.sqrt(np.mean(np.square(off))) < 1.35


def test_what_rejection_did_to_the_tails_is_undone():
    """With 30 % of the draws rejected, the likelihood alone finds tails too thin by several standard errors."""
    true = ShellModel(generate.published_shell_model(scale=70.0).families[:4])
    alone, corrected, errors = [], [], []
    for seed in range(3):
        a = generate.draw_shells(true, 400, rng=seed).coefficients
        got = generate.learn_shells(a, rng=seed)
        assert got.corrected
        p = got.parameters.loc[1]
        alone.append(p["shape_uncorrected"])
        corrected.append(p["shape"])
        errors.append(p["shape_se"])
    nu = true.families[1].shape
    assert np.mean(alone) - nu > 2 * np.mean(errors)
    assert abs(np.mean(corrected) - nu) < 1.5 * np.mean(errors)
    plain = generate.learn_shells(a, correct=False)
    assert not plain.corrected
    assert plain.model.families[1].shape == pytest.approx(alone[-1])
    assert plain.acceptance.low < plain.acceptance.value < plain.acceptance.high


def test_weights_stand_for_repeats():
    a = generate.draw_shells(MIXED, 120, rng=1).coefficients
    w = np.random.default_rng(0).integers(1, 4, 120)
    one = generate.learn_shells(a, weights=w, correct=False)
    two = generate.learn_shells(np.repeat(a, w, axis=0), correct=False)
    for f, g in zip(one.model.families, two.model.families, strict=True):
        assert f.kind == g.kind
        assert f.scale == pytest.approx(g.scale, rel=1e-3)
    # repeats look like more data than there are; weights do not
    assert (one.parameters["scale_se"] > 0.95 * two.parameters["scale_se"]).all()


def test_dependence_on_size_is_seen_and_said():
    rng = np.random.default_rng(2)
    a = generate.draw_shells(MIXED, 400, rng=rng).coefficients
    free = generate.learn_shells(a, correct=False)
    assert free.warnings == ()
    assert free.dependence["p_value"].min() > 0.01 / 24
    assert free.dependence["distance_correlation"].between(0, 0.25).all()
    assert free.dependence["degree"].tolist() == [1] * 3 + [2] * 5 + [3] * 7 + [4] * 9
    assert free.dependence["order"].tolist()[:8] == [-1, 0, 1, -2, -1, 0, 1, 2]
    a[:, 4:9] *= (a[:, :1] / a[:, 0].mean()) ** 3
    a = a[generate.are_shells(a)]
    tied = generate.learn_shells(a, correct=False)
    assert any("degree 2 depend on the size of the particle" in w for w in tied.warnings)
    assert (tied.dependence.set_index("degree").loc[2, "p_value"] < 1e-3).all()


def test_distance_correlation_is_that_of_its_definition():
    rng = np.random.default_rng(0)
    x, y = rng.standard_normal((2, 31))
    y = y + 0.5 * x**2

    def centred(v):
        d = np.abs(v[:, None] - v)
        return d - d.mean(0) - d.mean(1)[:, None] + d.mean()

    def unbiased(v):
        d, n = np.abs(v[:, None] - v), len(v)
        u = d - (d.sum(0) + d.sum(1)[:, None]) / (n - 2) + d.sum() / ((n - 1) * (n - 2))
        np.fill_diagonal(u, 0)
        return u

    a, b, ua, ub = centred(x), centred(y), unbiased(x), unbiased(y)
    got = measure.distance_correlations(x, np.stack([y, 3 - 2 * x, np.ones(31)], 1))
    want = np.sqrt((a * b).mean() / np.sqrt((a * a).mean() * (b * b).mean()))
    assert got["distance_correlation"][0] == pytest.approx(want)
    corrected = (ua * ub).sum() / np.sqrt((ua**2).sum() * (ub**2).sum())
    assert got["squared_corrected"][0] == pytest.approx(corrected)
    assert got["p_value"][0] == pytest.approx(stats.chi2.sf(31 * corrected + 1, 1))
    assert got["distance_correlation"][1] == pytest.approx(1)
    assert got["distance_correlation"][2] == 0
    assert measure.distance_correlations(x[:3], y[:3, None]).isna().all(axis=None)


def test_distance_correlation_keeps_its_level():
    rng = np.random.default_rng(5)
    p = measure.distance_correlations(rng.standard_normal(80), rng.standard_t(3, (80, 400)))["p_value"]
    assert 0.01 < (p < 0.05).mean() < 0.075


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"coefficients": np.ones((5, 25))}, "10 particles at least, got 0"),
        ({"coefficients": np.full((20, 25), np.nan)}, "finite"),
        ({"coefficients": np.ones((20, 24))}, "last axis"),
        ({"weights": np.ones(3)}, "`weights`"),
        ({"families": ("gamma",)}, "`families`"),
    ],
)
def test_bad_populations_are_said(change, message):
    a = generate.draw_shells(MIXED, 20, rng=0).coefficients
    with pytest.raises(InputError, match=message):
        generate.learn_shells(**({"coefficients": a} | change))


def test_balls_and_single_shells_are_said():
    a = np.zeros((20, 4))
    a[:, 0] = np.linspace(5, 9, 20)
    with pytest.raises(InputError, match="degree 1 do not vary"):
        generate.learn_shells(a)
    with pytest.raises(InputError, match="all shells are the same"):
        generate.learn_shells(np.tile(a[:1], (200, 1)))


def test_few_shells_and_rows_that_are_none_are_said():
    a = generate.draw_shells(MIXED, 40, rng=0).coefficients
    a[0, 0] = -5
    got = generate.learn_shells(a)
    assert got.n == 39
    assert any("1 of 40 rows have a radius of 0 or less" in w for w in got.warnings)
    assert any("39 particles say little" in w for w in got.warnings)
