"""Descriptors with standard errors between images: the same values as `describe`, errors that hold."""

import numpy as np
import pandas as pd
import pytest

from morpholith import columns as c
from morpholith.errors import InputError
from morpholith.measure import clustered_descriptors, describe

FRAME = (40.0, 40.0)
NAMES = ("d50_um", "circularity_mean", "circularity_sd", "texture_mean")


def sample(images, each, rng, between=0.0):
    """Particles of several images; `between` is how much images differ, in standard deviations of a particle."""
    rows = []
    for k in range(images):
        shift = between * rng.standard_normal(3)
        n = rng.poisson(each) + 1
        x = rng.standard_normal((n, 3)) + shift
        size = 5 * np.exp(0.2 * x[:, 0])
        rows.append(
            pd.DataFrame(
                {
                    c.IMAGE: f"i{k}", c.SIZE: size, "height_um": size, "width_um": size, c.REJECTED: "",
                    c.CIRCULARITY: 0.9 + 0.02 * x[:, 1], c.TEXTURE: 0.5 + 0.05 * x[:, 2], c.ANISOTROPY: 0.2,
                    c.TOUCHES_EDGE: False,
                }
            )
        )  # fmt: skip
    return pd.concat(rows, ignore_index=True), {f"i{k}": FRAME for k in range(images)}


def test_values_are_those_of_describe():
    table, frames = sample(4, 12, np.random.default_rng(0))
    table.loc[3, c.REJECTED] = "hidden by another"
    table.loc[5, c.SIZE] = np.nan
    table.loc[7, c.TEXTURE] = np.nan
    found = clustered_descriptors(table, frames=frames, names=[*NAMES, "texture_sd", "d10_um", "d90_um"])
    full = describe(table, frames=frames)
    for name, estimate in found.items():
        assert estimate.value == pytest.approx(full[name].value, rel=1e-12), name
        assert estimate.images == 4


@pytest.mark.parametrize(("images", "between"), [(1, 0.0), (3, 0.0), (12, 0.0), (12, 1.0)])
def test_errors_are_as_wide_as_repeats_scatter(images, between):
    rng = np.random.default_rng(1)
    repeats = 150
    found = []
    for _ in range(repeats):
        table, frames = sample(images, 15, rng, between)
        found.append(clustered_descriptors(table, frames=frames, names=NAMES))
    for name in NAMES:
        values = np.array([f[name].value for f in found])
        errors = np.array([f[name].se for f in found])
        ratio = np.sqrt(np.mean(errors**2)) / values.std(ddof=1)
        assert 0.8 < ratio < 1.3, (name, ratio)


def test_images_that_differ_widen_the_error():
    rng = np.random.default_rng(2)
    alike, frames = sample(12, 15, rng)
    differ, _ = sample(12, 15, rng, between=2.0)
    one, two = (
        clustered_descriptors(t, frames=frames, names=["texture_mean"])["texture_mean"] for t in (alike, differ)
    )
    assert two.se > 4 * one.se


def test_nothing_one_and_an_unknown_name():
    table, frames = sample(2, 5, np.random.default_rng(3))
    none = clustered_descriptors(table.iloc[:0], frames=frames, names=NAMES)
    assert all(np.isnan(e.value) and np.isnan(e.se) and e.images == 0 for e in none.values())
    one = clustered_descriptors(table.iloc[:1], frames=frames, names=NAMES)
    assert one["d50_um"].value == pytest.approx(table[c.SIZE].iloc[0])
    assert np.isnan(one["d50_um"].se)
    assert np.isnan(one["circularity_mean"].se)
    assert np.isnan(one["circularity_sd"].value)
    with pytest.raises(InputError, match="descriptor 'roundness' is not known"):
        clustered_descriptors(table, frames=frames, names=["roundness"])
