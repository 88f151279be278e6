"""Size distributions of known law: estimates, and intervals that cover."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from morpholith.errors import InputError, InputWarning
from morpholith.measure import iso13322_count, miles_lantuejoul_weights, size_curve, size_distribution

Z90 = 1.2815515655446004


def lognormal(n, sigma=0.3, rng=0, median=5.0):
    return median * np.exp(sigma * np.random.default_rng(rng).standard_normal(n))


@pytest.mark.parametrize(("basis", "power"), [("number", 0), ("area", 2), ("volume", 3)])
def test_lognormal_law_is_found(basis, power):
    sigma = 0.3
    got = size_distribution(lognormal(20_000, sigma), basis=basis, n_boot=50)
    median = 5 * np.exp(power * sigma**2)
    assert got["d50_um"].value == pytest.approx(median, rel=0.01)
    assert got["d10_um"].value == pytest.approx(median * np.exp(-Z90 * sigma), rel=0.015)
    assert got["d90_um"].value == pytest.approx(median * np.exp(Z90 * sigma), rel=0.02)
    assert got["span"].value == pytest.approx(2 * np.sinh(Z90 * sigma), rel=0.03)
    assert got["geometric_sd"].value == pytest.approx(np.exp(sigma), rel=0.01)
    assert got["d43_um"].value == pytest.approx(5 * np.exp(3.5 * sigma**2), rel=0.02)
    assert got["d32_um"].value == pytest.approx(5 * np.exp(2.5 * sigma**2), rel=0.02)
    for q in got.values():
        assert q.low <= q.value <= q.high
        assert q.n == 20_000
        assert q.warning is None


def test_five_particles_by_hand():
    got = size_distribution([1.0, 2.0, 4.0, 8.0, 16.0], n_boot=20)
    assert got["d50_um"].value == pytest.approx(4)
    assert got["d10_um"].value == pytest.approx(1)
    assert size_distribution([1.0, 3.0], basis="volume")["d43_um"].value == pytest.approx(82 / 28)


def test_quantiles_by_any_name():
    got = size_distribution(lognormal(50), quantiles=(0.05, 0.5, 0.999), n_boot=20)
    assert list(got) == ["d05_um", "d50_um", "d99_9_um", "span", "geometric_sd", "d43_um", "d32_um"]
    assert "not resolved" in got["d99_9_um"].warning


@pytest.mark.parametrize(("n", "sigma"), [(20, 0.2), (50, 0.5), (200, 0.35)])
def test_number_median_interval_covers(n, sigma):
    """The full study, 400 repeats of every case, is `bench/bench_size_coverage.py`."""
    hits = 0
    for k in range(120):
        q = size_distribution(lognormal(n, sigma, rng=k), n_boot=300, rng=k)["d50_um"]
        hits += q.low <= 5 <= q.high
    assert 0.89 <= hits / 120 <= 1


def test_smoothing_is_what_makes_the_volume_interval_cover(monkeypatch):
    from morpholith.measure import size

    def coverage():
        hits = 0
        for k in range(60):
            q = size_distribution(lognormal(50, 0.35, rng=k), basis="volume", n_boot=200, rng=k)["d90_um"]
            hits += q.low <= 5 * np.exp(3 * 0.35**2 + Z90 * 0.35) <= q.high
        return hits / 60

    assert coverage() > 0.8
    monkeypatch.setitem(size.KERNEL, "volume", 0.0)
    assert coverage() < 0.65


def test_alike_images_widen_the_interval():
    """Ten images of 30 particles, each image with its own median: particles alone know nothing of it."""
    rng = np.random.default_rng(3)
    image = np.repeat(np.arange(10), 30)
    d = 5 * np.exp(rng.normal(0, 0.15, 10)[image] + rng.normal(0, 0.2, 300))
    alone = size_distribution(d, n_boot=400)["d50_um"]
    clustered = size_distribution(d, groups=[f"image {k}" for k in image], n_boot=400)["d50_um"]
    assert clustered.high - clustered.low > 2 * (alone.high - alone.low)
    assert "10 images" in clustered.method
    assert clustered.warning is None
    few = size_distribution(d[:90], groups=image[:90], n_boot=50)["d50_um"]
    assert "rests on 3" in few.warning


def test_images_of_unequal_size_keep_their_share():
    d = np.concatenate([np.full(90, 2.0), np.full(10, 8.0)]) * np.exp(np.linspace(-0.01, 0.01, 100))
    image = (np.arange(100) >= 90).astype(int)
    got = size_distribution(d, groups=image, n_boot=300)["d50_um"]
    assert got.value == pytest.approx(2, rel=0.01)
    assert got.high > 7  # a quarter of the resamples hold the second image alone


def test_weights_count_particles():
    d = np.array([1.0, 2.0, 3.0, 4.0, 5.0, 6.0])
    w = np.array([1, 1, 3, 1, 2, 0])
    weighted = size_distribution(d, weights=w, n_boot=20)
    assert weighted["d50_um"].n == 5
    assert weighted["d32_um"].value == pytest.approx(size_distribution(np.repeat(d, w), n_boot=20)["d32_um"].value)
    even = size_distribution(d, weights=np.full(6, 2.5), n_boot=20)
    assert even["d50_um"] == size_distribution(d, n_boot=20)["d50_um"]


@settings(max_examples=30, deadline=None)
@given(st.lists(st.floats(0.01, 100), min_size=1, max_size=40), st.floats(0.01, 100))
def test_laws_of_scale_and_order(d, factor):
    base = size_distribution(d, n_boot=10, rng=0)
    scaled = size_distribution(np.array(d[::-1]) * factor, n_boot=10, rng=0)
    for name in ("d10_um", "d50_um", "d90_um", "d43_um"):
        assert scaled[name].value == pytest.approx(factor * base[name].value, rel=1e-9)
    assert base["d10_um"].value <= base["d50_um"].value <= base["d90_um"].value
    assert min(d) * 0.999 <= base["d50_um"].value <= max(d) * 1.001


def test_same_seed_same_interval():
    d = lognormal(40)
    assert size_distribution(d, n_boot=50, rng=4) == size_distribution(d, n_boot=50, rng=4)
    assert size_distribution(d, n_boot=50, rng=4) != size_distribution(d, n_boot=50, rng=5)


def test_none_one_and_identical():
    for d, text in (([], "no particles"), ([3.0], "needs 5"), ([3.0] * 8, "identical")):
        for q in size_distribution(d, basis="volume").values():
            assert q.low is None
            assert q.high is None
            assert text in q.warning
            assert q.n == len(d)
    assert np.isnan(size_distribution([])["d50_um"].value)
    assert size_distribution([3.0])["d50_um"].value == pytest.approx(3)
    assert size_distribution([3.0] * 8)["span"].value == 0


def test_what_a_quantile_needs():
    wide = size_distribution(lognormal(60, 0.5), basis="volume", n_boot=20)
    assert "not resolved" in wide["d90_um"].warning
    assert size_distribution(lognormal(60, 0.2), n_boot=20)["d90_um"].warning is None


def test_curve_runs_from_nothing_to_all():
    d = lognormal(80)
    curve = size_curve(d, n_boot=60)
    assert len(curve) == 101
    for basis in ("number", "volume"):
        assert (np.diff(curve[basis]) >= 0).all()
        assert curve[basis].iloc[0] == 0
        assert curve[basis].iloc[-1] == 1
        assert (curve[f"{basis}_low"] <= curve[basis]).all()
        assert (curve[basis] <= curve[f"{basis}_high"]).all()
    middle = size_distribution(d, n_boot=10)["d50_um"].value
    assert np.interp(middle, curve.diameter_um, curve.number) == pytest.approx(0.5, abs=0.01)
    on = size_curve(d, grid_um=[1.0, 5.0, 50.0], n_boot=10)
    np.testing.assert_allclose(on.number.iloc[[0, 2]], [0, 1])
    assert size_curve(d[:3], n_boot=10).number_low.isna().all()
    assert list(size_curve([], n_boot=10)) == list(curve)
    assert len(size_curve([])) == 0


def boolean_field(sigma, seed, frame=(30.0, 40.0), density=0.05):
    """Discs of log-normal size thrown over a frame and beyond: diameters, boxes, and which the frame cuts."""
    rng = np.random.default_rng(seed)
    margin = 12.0
    n = rng.poisson(density * (frame[0] + 2 * margin) * (frame[1] + 2 * margin))
    d = lognormal(n, sigma, rng=rng)
    y, x = (rng.uniform(-margin, side + margin, n) for side in frame)
    sees = (y + d / 2 > 0) & (y - d / 2 < frame[0]) & (x + d / 2 > 0) & (x - d / 2 < frame[1])
    cut = (y - d / 2 < 0) | (y + d / 2 > frame[0]) | (x - d / 2 < 0) | (x + d / 2 > frame[1])
    return d[sees], cut[sees], frame


def test_frame_hides_large_particles_and_the_weights_bring_them_back():
    whole, corrected = [], []
    for seed in range(60):
        d, cut, frame = boolean_field(0.35, seed)
        w = miles_lantuejoul_weights(d, d, frame_um=frame, touches_edge=cut)
        assert ((w == 0) == cut).all()
        whole.append(size_distribution(d[~cut], n_boot=1, basis="volume")["d50_um"].value)
        corrected.append(size_distribution(d, weights=w, n_boot=1, basis="volume")["d50_um"].value)
    truth = 5 * np.exp(3 * 0.35**2)
    assert np.mean(whole) < 0.96 * truth
    assert np.mean(corrected) == pytest.approx(truth, rel=0.015)


def test_weight_by_hand_and_its_limits():
    w = miles_lantuejoul_weights([5.0, 0.0], [10.0, 0.0], frame_um=(10, 20))
    np.testing.assert_allclose(w, [4, 1])
    assert miles_lantuejoul_weights([10.0], [3.0], frame_um=(10, 20)).tolist() == [0]
    with pytest.warns(InputWarning, match="tenfold"):
        miles_lantuejoul_weights([9.5], [1.0], frame_um=(10, 20))
    assert len(miles_lantuejoul_weights([], [], frame_um=(1, 1))) == 0
    with pytest.raises(InputError, match="one value for each"):
        miles_lantuejoul_weights([1.0], [1.0, 2.0], frame_um=(10, 20))


def test_iso_asks_for_its_six_thousand():
    assert iso13322_count(1.6) == 6092
    assert iso13322_count(1.6, exact=True) == 9684
    assert iso13322_count(1.0) == 1
    assert iso13322_count(1.3, basis="number") < iso13322_count(1.3, basis="area") < iso13322_count(1.3)
    assert iso13322_count(1.3, error=0.01) == pytest.approx(25 * iso13322_count(1.3), rel=0.01)


def test_iso_count_holds_by_simulation():
    """The mean volume of that many particles is within 5 % in 95 % of samples."""
    sigma = np.log(1.25)
    n = iso13322_count(1.25, exact=True)
    volume = lognormal(n * 1000, sigma, rng=0, median=1.0).reshape(1000, n) ** 3
    within = np.abs(volume.mean(axis=1) / np.exp(4.5 * sigma**2) - 1) < 0.05
    assert within.mean() == pytest.approx(0.95, abs=0.025)


def test_wrong_input_is_told():
    with pytest.raises(InputError, match="positive lengths"):
        size_distribution([1.0, -2.0])
    with pytest.raises(InputError, match="positive lengths"):
        size_distribution([np.nan])
    with pytest.raises(InputError, match="basis"):
        size_distribution([1.0], basis="mass")
    with pytest.raises(InputError, match="weights"):
        size_distribution([1.0, 2.0], weights=[1.0])
    with pytest.raises(InputError, match="groups"):
        size_distribution([1.0, 2.0], groups=["a"])
    with pytest.raises(InputError, match="quantiles"):
        size_distribution([1.0, 2.0], quantiles=(50,))
    with pytest.raises(InputError, match="level"):
        size_distribution([1.0, 2.0], level=95)
    with pytest.raises(InputError, match="geometric SD"):
        iso13322_count(0.5)
