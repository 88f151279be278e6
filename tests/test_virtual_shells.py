"""Virtual nano-CT volumes: shapes, volumes and contacts are what their coefficients say."""

import json

import numpy as np
import pandas as pd
import pytest
import tifffile
from scipy import ndimage as ndi

from morpholith import generate, specimens
from morpholith.cli import main
from morpholith.errors import InputError
from morpholith.specimens.cuts import spread_directions
from morpholith.specimens.star_shapes import RadiusTable, harmonics, star_coefficients, star_measures, star_radius


@pytest.fixture(scope="module")
def made():
    params = specimens.Shells(n_particles=24, radius_um=1.2)
    look = specimens.NanoCt.of("typical", size_um=(9.0, 11.0, 13.0), voxel_um=0.15, touching=0.5)
    return specimens.virtual_shells(params, look, rng=2)


def test_harmonics_are_those_of_the_generator():
    u = spread_directions(60)
    np.testing.assert_allclose(harmonics(u, 9), generate.real_harmonics(u, degree=9), atol=1e-12)
    wide = spread_directions(20_000)
    gram = harmonics(wide, 4).T @ harmonics(wide, 4) * 4 * np.pi / len(wide)
    np.testing.assert_allclose(gram, np.eye(25), atol=1e-3)


def test_shapes_are_centred_and_measured_exactly(made):
    a, truth = made.coefficients, made.truth
    np.testing.assert_allclose(generate.shell_volume(a), truth["volume_um3"], rtol=1e-9)
    assert np.abs(generate.shell_centroid(a)).max() < 2e-3
    assert np.abs(a[:, 4:]).max() > 0.1
    # an ellipsoid's surface is not at hand; a sphere's is, and a thin bump adds what theory says
    sphere = np.zeros(100)
    sphere[0] = 2 * np.sqrt(4 * np.pi)
    known = star_measures(sphere)
    assert known["volume_um3"] == pytest.approx(4 / 3 * np.pi * 8)
    assert known["surface_um2"] == pytest.approx(16 * np.pi)
    assert known["sphericity"] == pytest.approx(1)
    assert (known["d_max_um"], known["d_min_um"]) == pytest.approx((4, 4))
    e, l = 0.01, 5  # noqa: E741
    bumpy = sphere.copy()
    bumpy[l * l + l + 2] = e
    # area = 4 pi r^2 + e^2 (1 + l (l + 1) / 2) to second order
    assert star_measures(bumpy)["surface_um2"] - 16 * np.pi == pytest.approx(e**2 * (1 + l * (l + 1) / 2), rel=1e-3)


def test_labels_are_the_shapes(made):
    truth, voxel = made.truth, made.instrument.voxel_um
    free = truth[~truth["touches_edge"]]
    assert len(free) > 3
    np.testing.assert_allclose(free["n_voxels"] * voxel**3, free["volume_um3"], rtol=0.03)
    for label in free.index:
        centroid = np.array(ndi.center_of_mass(made.labels == label)) * voxel
        np.testing.assert_allclose(centroid, made.centres_um[label - 1], atol=0.25 * voxel)
        at = np.argwhere(made.labels == label) * voxel - made.centres_um[label - 1]
        r = np.linalg.norm(at, axis=1)
        assert (r <= star_radius(made.coefficients[label - 1], at / r[:, None]) + 1e-9).all()


def test_touching_particles_touch_and_others_do_not(made):
    truth, labels = made.truth, made.labels
    assert truth["n_contacts"].sum() >= 8
    pieces, n = ndi.label(labels > 0)
    together = [len(np.unique(labels[pieces == k])) for k in range(1, n + 1)]
    assert max(together) >= 2
    alone = truth.index[(truth["n_contacts"] == 0) & (truth["n_voxels"] > 0)]
    for label in alone:
        around = ndi.binary_dilation(labels == label)
        assert set(np.unique(labels[around])) <= {0, label}
    on_face = np.unique(np.concatenate([np.take(labels, k, a).ravel() for a in range(3) for k in (0, -1)]))
    assert set(truth.index[truth["touches_edge"]]) == set(on_face[on_face > 0])
    assert 2 < truth["touches_edge"].sum() < len(truth)


def test_grey_values_and_noise(made):
    look = made.instrument
    deep = ndi.binary_erosion(made.labels > 0, iterations=4)
    far = ndi.binary_erosion(made.labels == 0, iterations=4)
    assert made.grey.dtype == np.uint16
    assert made.grey.shape == made.labels.shape == (60, 73, 87)
    assert made.grey[far].mean() == pytest.approx(look.air, rel=0.01)
    assert made.grey[deep].mean() == pytest.approx(look.active, rel=0.04)
    assert made.grey[far].std() == pytest.approx(look.noise * (look.active - look.air), rel=0.03)


def test_radius_table_is_close_to_the_radius(made):
    u = spread_directions(333)
    for a in made.coefficients[:4]:
        r = star_radius(a, u)
        np.testing.assert_allclose(RadiusTable(a).at(3.0 * u, np.full(len(u), 3.0)), r, rtol=0.01)


def test_coefficients_follow_what_was_asked():
    tight = star_coefficients(specimens.Shells(n_particles=5, geometric_sd=1.0, roughness=0.0), rng=1)
    np.testing.assert_allclose(tight[:, 0], 1.5 * np.sqrt(4 * np.pi), rtol=1e-6)
    assert np.abs(tight[:, 1:]).max() < 1e-6
    loose = star_coefficients(specimens.Shells(n_particles=150, roughness=0.3, tails=0.0), rng=1)
    spread = np.log(loose[:, 0] / np.sqrt(4 * np.pi))
    assert spread.std() == pytest.approx(np.log(1.3), rel=0.2)
    assert np.exp(np.median(spread)) == pytest.approx(1.5, rel=0.1)
    assert loose[:, 4:9].std() == pytest.approx(2.79 * 0.3 * 0.128, rel=0.1)

    def goes_with_size(coupling):
        a = star_coefficients(
            specimens.Shells(n_particles=60, roughness=0.2, tails=0.0, coupling=coupling, geometric_sd=1.8), rng=3
        )
        return np.corrcoef(np.log(a[:, 0]), np.log(np.linalg.norm(a[:, 9:49], axis=1)))[0, 1]

    assert goes_with_size(1.0) > 0.85 > 0.4 > abs(goes_with_size(0.0))


def test_no_particle_and_no_room():
    look = specimens.NanoCt(size_um=(2.0, 3.0, 4.0))
    empty = specimens.virtual_shells(specimens.Shells(n_particles=0), look, rng=0)
    assert not empty.labels.any()
    assert len(empty.truth) == 0
    assert empty.grey.std() > 0
    with pytest.raises(InputError, match="fit into the volume"):
        specimens.virtual_shells(specimens.Shells(n_particles=60), specimens.NanoCt(size_um=(4.0, 5.0, 6.0)), rng=0)
    look = specimens.NanoCt(size_um=(2.0, 5.0, 6.0), cut=False)
    with pytest.raises(InputError, match="too large"):
        specimens.virtual_shells(specimens.Shells(n_particles=1), look, rng=0)
    for wrong in ({"roughness": -1.0}, {"tails": 1.0}, {"degree": 12}, {"n_particles": -1}, {"radius_um": 0.0}):
        with pytest.raises(InputError):
            specimens.Shells(**wrong)


SMALL = {"--particles": "8", "--size": "8,9,11", "--voxel-size": "0.2", "--radius": "1", "--roughness": "0.5"}


def command(folder, *options):
    given = [f"{k}={v}" for k, v in SMALL.items() if k not in options]
    return main(["virtual", "shells", *given, *options, "--out", str(folder)])


def test_the_command_writes_what_it_says(tmp_path):
    out = tmp_path / "shells"
    assert command(out, "--whole") == 0
    grey, labels = (tifffile.imread(out / f"shells{end}.tif") for end in ("", "_labels"))
    assert grey.shape == labels.shape == (40, 45, 55)
    truth = pd.read_csv(out / "truth.csv", index_col="label")
    coefficients = pd.read_csv(out / "coefficients.csv", index_col="label")
    assert not truth["touches_edge"].any()
    np.testing.assert_array_equal(truth["n_voxels"], np.bincount(labels.ravel())[1:])
    assert coefficients.columns[5] == "a_2_-1"
    np.testing.assert_allclose(generate.shell_volume(coefficients.to_numpy()), truth["volume_um3"], rtol=1e-6)
    summary = json.loads((out / "summary.json").read_text())
    assert summary["n_whole"]["value"] == 8
    assert summary["solid_fraction"]["value"] == pytest.approx((labels > 0).mean())
    for name in ("slices", "particles", "shapes"):
        assert (out / "figures" / f"{name}.png").stat().st_size > 15_000
    assert command(tmp_path / "none", "--particles", "0") == 0
    assert not tifffile.imread(tmp_path / "none" / "shells_labels.tif").any()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--particles", "-1"], "--particles"),
        (["--size", "900"], "more than"),
        (["--voxel-size", "0"], "--voxel-size"),
        (["--roughness", "9"], "`roughness`"),
        (["--size", "0.5"], "too small"),
    ],
)
def test_impossible_shells_say_why(tmp_path, options, message, capsys):
    assert command(tmp_path / "out", *options) != 0
    assert message in capsys.readouterr().err
    assert not (tmp_path / "out").exists()
