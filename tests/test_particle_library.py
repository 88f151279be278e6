"""Libraries on disk, and what they measure."""

import numpy as np
import pandas as pd
import pytest

from morpholith import export
from morpholith.errors import InputError
from morpholith.generate import MarkerLaw, fill_shell, fit_shell
from morpholith.measure import distribution_distance, library_numbers, over_particles


@pytest.fixture(scope="module")
def made():
    shell = fit_shell(np.full(642, 0.8), degree=2)
    return fill_shell(shell, MarkerLaw(20.0, radial_ratio=1.5), voxel_um=0.08, rng=np.random.default_rng(1))


def test_what_was_written_comes_back(made, tmp_path):
    export.write_particle(tmp_path / "library.zarr", 12, made, extra={"c_axis": np.eye(3)})
    labels, field, rest = export.read_particle(tmp_path / "library.zarr", 12)
    np.testing.assert_array_equal(labels, made.labels)
    np.testing.assert_array_equal(field.seeds, made.field.seeds)
    np.testing.assert_array_equal(field.matrices, made.field.matrices)
    np.testing.assert_array_equal(rest["shell"], made.shell_um)
    np.testing.assert_array_equal(rest["c_axis"], np.eye(3))
    np.testing.assert_allclose(rest["origin_um"], made.origin_um)
    assert rest["n_grains"] == made.n_grains


def test_labels_are_ome_zarr(made, tmp_path):
    from morpholith import read

    place = export.write_particle(tmp_path / "library.zarr", 3, made)
    image = read.volume(place)
    assert image.spacing == pytest.approx((0.08,) * 3)
    np.testing.assert_array_equal(np.asarray(image.array), made.labels)


def test_copy_takes_those_asked_for(made, tmp_path):
    for k in (1, 2, 3):
        export.write_particle(tmp_path / "a.zarr", k, made)
    export.copy_particles(tmp_path / "a.zarr", tmp_path / "b.zarr", [1, 3])
    export.read_particle(tmp_path / "b.zarr", 3)
    with pytest.raises(InputError, match="no particle 2"):
        export.read_particle(tmp_path / "b.zarr", 2)


def test_a_full_disk_leaves_nothing_that_looks_whole(made, tmp_path, monkeypatch):
    import zarr

    def full(*_args, **_kwargs):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(zarr.Group, "create_array", full)
    with pytest.raises(InputError, match=r"No space left on device.*(choose another folder|make room)"):
        export.write_particle(tmp_path / "library.zarr", 1, made)
    assert not (tmp_path / "library.zarr" / export.particle_name(1)).exists()


def test_interval_over_particles_knows_that_grains_of_one_are_alike():
    """Means of particles scatter by 1; 500 grains each do not make that better known."""
    rng = np.random.default_rng(0)
    inside = 0
    for k in range(60):
        means = rng.normal(10, 1, 12)
        values = np.repeat(means, 500) + rng.normal(0, 0.1, 6000)
        q = over_particles(values, np.repeat(np.arange(12), 500), rng=k)
        inside += q.low <= 10 <= q.high
        assert q.high - q.low > 0.5
    assert inside >= 50


def test_over_particles_of_few_or_none():
    assert np.isnan(over_particles(np.full(3, np.nan), np.arange(3)).value)
    q = over_particles(np.array([1.0, 2, 3, 9]), np.array([1, 1, 2, 2]), statistic="median")
    assert q.value == 2
    assert q.low is None
    with pytest.raises(InputError, match="mean"):
        over_particles(np.ones(2), np.ones(2), statistic="mode")


def test_library_numbers():
    particles = pd.DataFrame(
        {
            "diameter_um": [1.0, 2, 3, 4, 5], "volume_um3": [1.0, 1, 1, 1, 1], "sphericity": 0.9, "aspect": 1.2,
            "compactness": 0.95, "n_grains": [10, 10, 10, 10, 20], "fragment_share": [0, 0, 0, 0, 0.5],
            "shells_tried": [1, 2, 1, 1, 5],
        },
        index=pd.Index(range(1, 6), name="particle"),
    )  # fmt: skip
    grains = pd.DataFrame(
        {
            "particle": np.repeat([1, 2, 3, 4, 5], [10, 10, 10, 10, 20]), "diameter_um": 0.4, "axis_ratio_3d": 2.0,
            "radial_ratio": np.r_[np.full(59, 1.5), np.nan], "alpha_long_deg": 20.0,
        }
    )  # fmt: skip
    q = library_numbers(particles, grains)
    assert q["d50_um"].value == 3
    assert q["n_grains"].value == 60
    assert q["shell_acceptance"].value == 0.5
    assert q["fragment_share"].value == pytest.approx(0.1)
    assert q["grain_radial_ratio"].value == 1.5


class TestDistance:
    def test_a_known_shift(self):
        rng = np.random.default_rng(0)
        a, b = rng.normal(0, 2, 20000), rng.normal(1, 2, 20000)
        d = distribution_distance(a, b)
        assert d.wasserstein == pytest.approx(0.5, abs=0.03)
        assert d.shift == pytest.approx(0.5, abs=0.04)
        assert d.ks == pytest.approx(0.1974, abs=0.02)  # 2 Phi(0.25) - 1
        assert d.low < 0.5 < d.high
        assert d.wasserstein > d.floor

    def test_the_same_distribution_lies_at_the_floor(self):
        rng = np.random.default_rng(1)
        below = 0
        for k in range(20):
            means = rng.normal(0, 1, (2, 12))
            values = np.repeat(means, 50, axis=1) + rng.normal(0, 0.3, (2, 600))
            groups = np.repeat(np.arange(12), 50)
            d = distribution_distance(values[0], values[1], first_groups=groups, second_groups=groups, rng=k)
            below += d.wasserstein <= d.floor
        assert below >= 16

    def test_groups_widen_the_floor(self):
        rng = np.random.default_rng(2)
        values = np.repeat(rng.normal(0, 1, 6), 100) + rng.normal(0, 0.1, 600)
        other = rng.permutation(values)
        groups = np.repeat(np.arange(6), 100)
        apart = distribution_distance(values, other)
        together = distribution_distance(values, other, first_groups=groups, second_groups=groups)
        assert together.floor > 3 * apart.floor

    def test_nothing_to_compare(self):
        assert np.isnan(distribution_distance(np.array([np.nan]), np.ones(3)).wasserstein)
        assert np.isnan(distribution_distance(np.ones(5), np.ones(3)).wasserstein)
        with pytest.raises(InputError, match="first_groups"):
            distribution_distance(np.ones(3), np.ones(3), first_groups=np.ones(2))
