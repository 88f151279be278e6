"""What lies inside particles and layers: radial profiles, cracks, profiles through the thickness."""

import runpy
import sys
from pathlib import Path

import numpy as np
import pytest
from _solids import crowd, turn
from scipy import ndimage

from morpholith import columns as c
from morpholith.errors import InputError, InputWarning
from morpholith.measure import cracks, mean_profile, radial_profiles, solid_particles, through_thickness
from morpholith.measure.distance import depth
from morpholith.specimens import Electrode, electrode

ODD = (1.5, 1.0, 0.75)


def test_depth_of_all_labels_equals_that_of_each():
    rng = np.random.default_rng(0)
    labels = np.kron(rng.integers(0, 4, (4, 5, 3)), np.ones((5, 4, 7), int))
    found = depth(labels, spacing=ODD)
    for k in (1, 2, 3):
        alone = ndimage.distance_transform_edt(labels == k, sampling=ODD)
        np.testing.assert_allclose(found[labels == k], alone[labels == k], rtol=1e-6)
    assert (found[labels == 0] == 0).all()
    assert np.isinf(depth(np.ones((3, 4, 5), int), spacing=ODD)).all()


def test_profiles_of_graded_balls():
    rng = np.random.default_rng(1)
    spacing = (1.0, 0.8, 0.9)
    labels, centres, radii = crowd(8, 60.0, spacing, rng, radius=(9.0, 12.0))
    points = np.moveaxis(np.indices(labels.shape), 0, -1) * np.array(spacing)
    grey = np.zeros(labels.shape, np.float32)
    for k, (centre, r) in enumerate(zip(centres, radii, strict=True), start=1):
        share = 1 - np.linalg.norm(points - centre, axis=-1) / r
        grey[labels == k] = (100 + k + 40 * share)[labels == k]
    table = radial_profiles(grey, labels, spacing=spacing, bins=5)
    names = [n for n in table if n.startswith("grey_") and n[5:].isdigit()]
    assert names == ["grey_00", "grey_20", "grey_40", "grey_60", "grey_80"]
    # mean of the share over a shell of a ball, weighted by volume
    t = np.linspace(0, 1, 5001)
    shells = [np.average(t[s], weights=(1 - t[s]) ** 2) for s in ((t > a) & (t < a + 0.2) for a in np.arange(5) / 5)]
    true = 100 + table.index.to_numpy()[:, None] + 40 * np.array(shells)
    np.testing.assert_allclose(table[names], true, atol=1.6)
    np.testing.assert_allclose(table["depth_um"], radii, atol=0.9)
    assert table["grey_gradient"].mean() == pytest.approx(40, rel=0.07)
    mean = mean_profile(table)
    np.testing.assert_allclose(mean.grey, table.loc[~table[c.TOUCHES_EDGE], names].mean())
    assert ((mean.low < mean.grey) & (mean.grey < mean.high)).all()
    np.testing.assert_allclose(mean.depth, [0.1, 0.3, 0.5, 0.7, 0.9])


def test_profiles_leave_out_nan_and_cut_particles():
    labels = np.zeros((20, 24, 28), int)
    labels[0:8, 3:12, 3:12] = 5
    labels[9:18, 3:12, 12:22] = 7
    grey = np.where(labels == 5, 10.0, 20.0)
    grey[13, 7, 16] = np.nan
    table = radial_profiles(grey, labels, spacing=1.0)
    np.testing.assert_array_equal(table[c.TOUCHES_EDGE], [True, False])
    assert table["n_voxels"].tolist() == [8 * 81, 810 - 1]
    assert table.loc[5, "grey_gradient"] == pytest.approx(0, abs=1e-5)
    mean = mean_profile(table)
    assert np.nanmax(np.abs(mean.grey - 20)) < 1e-4
    assert mean.low.isna().all()
    empty = radial_profiles(grey, labels * 0, spacing=1.0)
    assert len(empty) == 0
    assert "grey_90" in empty
    assert mean_profile(empty).grey.isna().all()
    with pytest.raises(InputError, match="bins"):
        radial_profiles(grey, labels, spacing=1.0, bins=1)
    with pytest.raises(InputError, match="same shape"):
        radial_profiles(grey[1:], labels, spacing=1.0)


def cracked(width, noise, seed, *, spacing=(1.0, 1.0, 1.0), radius=14, through=False, fine=3):
    """Ball with a plane crack, blurred by one voxel: grey volume, labels, share of the ball that is crack."""
    rng = np.random.default_rng(seed)
    shape = [int(2 * radius / s) + 14 for s in spacing]
    centre = [(n / 2 + rng.uniform(-0.5, 0.5)) * s for n, s in zip(shape, spacing, strict=True)]
    axes = [((np.arange(n * fine) + 0.5) / fine - 0.5) * s - a for n, s, a in zip(shape, spacing, centre, strict=True)]
    points = np.stack(np.meshgrid(*axes, indexing="ij"), -1) @ turn(rng)
    solid = (points**2).sum(-1) <= radius**2
    gap = solid & (np.abs(points[..., 0] - 0.2 * radius) <= width / 2)
    if not through:
        gap &= (points[..., 1:] ** 2).sum(-1) <= (0.6 * radius) ** 2
    split = [k for n in shape for k in (n, fine)]
    filled = ndimage.gaussian_filter((solid & ~gap).reshape(split).mean((1, 3, 5)), 1.0)
    grey = 40 + 100 * filled + noise * rng.standard_normal(filled.shape)
    return grey, (filled > 0.5).astype(int), gap.sum() / solid.sum()


@pytest.mark.parametrize(("width", "low", "high"), [(0.5, 0.6, 1.05), (1, 0.78, 1.05), (3, 0.88, 1.05)])
@pytest.mark.parametrize("noise", [3, 8])
def test_inner_cracks_have_their_volume_however_thin(width, low, high, noise):
    found = []
    for seed in range(4):
        grey, labels, true = cracked(width, noise, seed)
        row = cracks(grey, labels, spacing=1.0).iloc[0]
        assert row["n_cracks"] >= 1
        assert row["crack_volume_um3"] == pytest.approx(row["crack_fraction"] * row["filled_volume_um3"])
        assert row["active_grey"] == pytest.approx(140, abs=1.5)
        found.append(row["crack_fraction"] / true)
    assert low < np.mean(found) < high
    # a threshold sees nothing of a gap of half a voxel
    assert width > 1 or (labels == 0)[ndimage.binary_erosion(labels, iterations=3)].sum() == 0


def test_open_cracks_are_found_and_underestimated():
    found = [cracks(g, k, spacing=1.0)["crack_fraction"].iloc[0] / t for g, k, t in (cracked(2, 4, s, through=True)
             for s in range(3))]  # fmt: skip
    assert 0.7 < np.mean(found) < 0.95


def test_sound_particles_have_no_crack():
    for seed in range(5):
        for noise, spacing in ((3, (1.0, 1.0, 1.0)), (8, (1.0, 1.0, 1.0)), (4, (1.5, 1.0, 1.0))):
            grey, labels, _ = cracked(0, noise, seed, spacing=spacing)
            assert cracks(grey, labels, spacing=spacing)["crack_fraction"].iloc[0] < 0.002


def test_a_radial_gradient_is_no_crack_and_hides_none():
    grey, labels, true = cracked(1, 3, 1)
    away = ndimage.distance_transform_edt(labels)
    table = cracks(grey + np.where(labels, 12 * (away / away.max()) ** 2, 0), labels, spacing=1.0)
    assert table["crack_fraction"].iloc[0] == pytest.approx(true, rel=0.35)
    sound, labels, _ = cracked(0, 3, 1)
    away = ndimage.distance_transform_edt(labels)
    table = cracks(sound - np.where(labels, 12 * (away / away.max()) ** 2, 0), labels, spacing=1.0)
    assert table["crack_fraction"].iloc[0] < 0.004


def test_cracks_name_what_is_wrong():
    grey, labels, _ = cracked(1, 3, 0)
    assert cracks(grey, labels * 0, spacing=1.0).empty
    tiny = np.zeros_like(labels)
    tiny[5:8, 5:8, 5:8] = 1
    assert cracks(grey, tiny, spacing=1.0)["crack_fraction"].isna().all()
    with pytest.raises(InputError, match="NaN"):
        cracks(np.where(labels, np.nan, grey), labels, spacing=1.0)
    with pytest.raises(InputError, match="pore_grey"):
        cracks(grey, labels * 0 + 1, spacing=1.0)
    with pytest.warns(InputWarning, match="no brighter"):
        found = cracks(-grey, labels, spacing=1.0)
    assert found["crack_fraction"].isna().all()


@pytest.fixture(scope="module")
def packing():
    return electrode(Electrode(size_um=(24.0, 34.0, 38.0), d50_um=8.0, solid=0.5, binder=0.05), rng=1)


def test_layers_of_an_electrode(packing):
    spacing = (0.5, 0.4, 0.45)
    phases = packing.phases(spacing)
    particles = solid_particles(packing.labels(spacing), spacing=spacing)
    table = through_thickness(phases, spacing=spacing, n_layers=6, particles=particles)
    assert len(table) == 6
    np.testing.assert_allclose(table["thickness_um"], 4.0)
    np.testing.assert_allclose(table["position_um"], np.arange(6) * 4 + 2)
    for name, phase in (("porosity", 0), ("active_fraction", 1), ("binder_fraction", 2)):
        np.testing.assert_allclose(table[name], [(phases[8 * k : 8 * k + 8] == phase).mean() for k in range(6)])
        assert ((table[f"{name}_low"] < table[name]) & (table[name] < table[f"{name}_high"])).all()
    truth = packing.exact(spacing)
    # a layer's interval is for an endless layer: the whole electrode's fraction lies in nearly all of them
    inside = (table["porosity_low"] < truth["porosity"]) & (truth["porosity"] < table["porosity_high"])
    assert inside.sum() >= 4
    assert table["surface_um2_per_um3"].mean() == pytest.approx(truth["surface_um2_per_um3"], rel=0.05)
    centre = particles[c.Z]
    chosen = particles[(centre + 0.25 >= 4) & (centre + 0.25 < 8)]
    mean = np.average(chosen[c.DIAMETER], weights=chosen[c.VOLUME])
    assert table[c.DIAMETER].iloc[1] == pytest.approx(mean)


def test_layers_along_other_axes_and_of_little():
    phases = np.zeros((6, 20, 24), np.uint8)
    phases[:, 5:9] = 1
    phases[:, 15:] = 2
    table = through_thickness(phases, spacing=ODD, axis="y", n_layers=4)
    np.testing.assert_allclose(table["active_fraction"], [0, 0.8, 0, 0])
    np.testing.assert_allclose(table["binder_fraction"], [0, 0, 0, 1])
    np.testing.assert_allclose(table["position_um"], [2.5, 7.5, 12.5, 17.5])
    assert table["porosity_low"].isna().all()  # nothing varies within a layer
    # two interfaces, at 5 and at 9: the step at 5 belongs half to either layer
    assert table["surface_um2_per_um3"].sum() * 5 == pytest.approx(2, rel=0.05)
    assert len(through_thickness(phases[:3], spacing=ODD)) == 3
    assert len(through_thickness(phases[:0], spacing=ODD)) == 0
    assert table[c.DIAMETER].isna().all()
    with pytest.raises(InputError, match="n_layers"):
        through_thickness(phases, spacing=ODD, n_layers=0)
    with pytest.raises(InputError, match="phase numbers"):
        through_thickness(phases * 0.5, spacing=ODD)


def test_bench_runs_as_a_toy(monkeypatch, capsys):
    path = Path(__file__).resolve().parents[1] / "bench" / "bench_radial.py"
    monkeypatch.setattr(sys, "argv", [str(path), "--toy"])
    runpy.run_path(str(path), run_name="__main__")
    out = capsys.readouterr().out
    assert "CPU time of radial_profiles" in out
    assert "nan" not in out
