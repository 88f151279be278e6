"""Grains in 3D and statistics of sections: ellipsoids of known axes and directions, boundaries counted by hand."""

import numpy as np
import pytest

from morpholith import measure
from morpholith.errors import InputError
from morpholith.segment import Section


def ellipsoid(shape, step, centre, axes, rotation):
    """Return where an ellipsoid lies; centre in um, axes as radii, rows of `rotation` their directions (z, y, x)."""
    place = np.stack(np.meshgrid(*(s * np.arange(n) for s, n in zip(step, shape, strict=True)), indexing="ij"), -1)
    return (np.square((place - centre) @ np.asarray(rotation).T / axes)).sum(-1) <= 1


def turned(rng):
    q = np.linalg.qr(rng.standard_normal((3, 3)))[0]
    return q * np.sign(np.linalg.det(q))


@pytest.mark.parametrize("seed", range(4))
def test_an_ellipsoid_has_its_axes_volume_and_angles_to_the_radius(seed):
    rng = np.random.default_rng(seed)
    rotation, step, centre = turned(rng), (0.05, 0.04, 0.06), np.array([1.5, 1.4, 1.6])
    mask = ellipsoid((62, 72, 54), step, centre, (1.2, 0.7, 0.4), rotation)
    middle = np.array([-3.0, 9.0, 4.0])
    found = measure.grain_shapes_3d(mask.astype(int) * 5, spacing=step, centre_um=middle).loc[5]
    assert found[["z_um", "y_um", "x_um"]].to_numpy(float) == pytest.approx(centre, abs=0.005)
    assert found[["major_um", "middle_um", "minor_um"]].to_numpy(float) == pytest.approx([2.4, 1.4, 0.8], rel=0.01)
    assert found["elongation_3d"] == pytest.approx(12 / 7, rel=0.01)
    assert found["flatness_3d"] == pytest.approx(7 / 4, rel=0.01)
    assert found["axis_ratio_3d"] == pytest.approx(3, rel=0.01)
    assert found["volume_um3"] == pytest.approx(4 / 3 * np.pi * 1.2 * 0.7 * 0.4, rel=0.01)
    assert found["diameter_um"] == pytest.approx(2 * np.cbrt(1.2 * 0.7 * 0.4), rel=0.004)
    out = (centre - middle) / np.linalg.norm(centre - middle)
    for name, axis in (("alpha_long_deg", rotation[0]), ("alpha_short_deg", rotation[2])):
        assert found[name] == pytest.approx(np.rad2deg(np.arccos(abs(axis @ out))), abs=0.6)
    variance = np.square((1.2, 0.7, 0.4))
    along = np.square(rotation @ out) @ variance
    assert found["radial_ratio"] == pytest.approx(np.sqrt(along / ((variance.sum() - along) / 2)), rel=0.01)
    assert found["distance_um"] == pytest.approx(np.linalg.norm(centre - middle), abs=0.01)
    assert not found["touches_edge"]
    assert found["at_surface"]


def test_a_voxel_is_a_block_and_directions_that_are_not_there_are_nan():
    labels = np.zeros((5, 6, 7), int)
    labels[2, 3, 3] = 4
    found = measure.grain_shapes_3d(labels, spacing=0.5, centre_um=(0, 0, 0)).loc[4]
    assert found["major_um"] == pytest.approx(found["minor_um"])
    assert found["radial_ratio"] == pytest.approx(1)
    assert np.isnan(found["alpha_long_deg"])
    assert np.isnan(found["alpha_short_deg"])
    here = measure.grain_shapes_3d(labels, spacing=0.5).loc[4]  # its own centroid is the centre
    assert np.isnan(here["radial_ratio"])


def test_grains_at_the_edge_and_beside_nothing_are_told():
    labels = np.zeros((9, 8, 7), int)
    labels[2:7, 2:6, 1:6] = 2
    labels[4, 4, 3] = 3  # buried
    labels[0, 7, 6] = 9
    found = measure.grain_shapes_3d(labels, spacing=1.0)
    assert found["touches_edge"].to_dict() == {2: False, 3: False, 9: True}
    assert found["at_surface"].to_dict() == {2: True, 3: False, 9: True}
    assert found["n_voxels"].to_dict() == {2: 99, 3: 1, 9: 1}


def test_no_grains_give_an_empty_table_with_the_same_columns():
    some = measure.grain_shapes_3d(np.ones((2, 2, 2), int), spacing=1.0)
    for shape in ((3, 4, 5), (0, 4, 5)):
        none = measure.grain_shapes_3d(np.zeros(shape, int), spacing=1.0)
        assert len(none) == 0
        assert list(none.columns) == list(some.columns)


@pytest.mark.parametrize(
    ("labels", "centre"),
    [(np.zeros((3, 3), int), None), (np.zeros((3, 3, 3)), None), (np.ones((2, 2, 2), int), (0, 1))],
)
def test_what_is_no_volume_of_labels_is_refused(labels, centre):
    with pytest.raises(InputError):
        measure.grain_shapes_3d(labels, spacing=1.0, centre_um=centre)


# --- sections -------------------------------------------------------------------------------------------------


def bricks(radial, step=0.1, n=(110, 130), radius=5.0):
    """Rings of grains around the centre: `radial` long along the radius, about 0.5 across."""
    centre = (54.0, 61.0)
    y, x = (step * (np.arange(k) - c) for k, c in zip(n, centre, strict=True))
    distance, angle = np.hypot(y[:, None], x), np.arctan2(y[:, None], x) + np.pi
    ring = (distance / radial).astype(int)
    around = np.maximum(np.round(2 * np.pi * (ring + 0.5) * radial / 0.5), 1)
    labels = 1 + 1000 * ring + np.floor(angle / (2 * np.pi + 1e-9) * around).astype(int)
    inside = distance < radius
    return Section(np.where(inside, labels, 0).astype(np.int32), inside, step, centre)


def test_grains_along_the_radius_and_across_it_are_told_apart():
    along, across = (measure.section_statistics([bricks(radial)]) for radial in (1.5, 0.25))
    assert list(along.index) == measure.statistic_names()
    assert np.isfinite(across).all()
    for ring in ("inner", "outer"):
        assert along[f"order2_{ring}"] > 0.9
        assert across[f"order2_{ring}"] < -0.9
        # a boundary every 1.5 um along the radius, every 0.25 um in the other section
        assert np.exp(across[f"log_boundary_along_{ring}"]) > 3 * np.exp(along[f"log_boundary_along_{ring}"])
    assert along["log_radial_ratio_outer"] == pytest.approx(np.log(3), abs=0.2)
    assert across["log_radial_ratio_outer"] == pytest.approx(np.log(0.5), abs=0.15)
    assert np.exp(along["log_area_outer"]) == pytest.approx(0.75, rel=0.2)
    assert np.exp(along["log_number_inner"]) == pytest.approx(1 / 0.75, rel=0.1)


def test_two_sections_are_pooled_and_told_apart_when_asked():
    one, two = bricks(1.5), bricks(0.25)
    both = measure.section_statistics([one, two], each=True)
    alone = measure.section_statistics([two], each=True)
    assert len(both) == len(alone) + 5
    assert both["order2_outer_section1"] > 0.9
    assert both["order2_outer_section2"] == alone["order2_outer_section1"]
    assert measure.section_statistics([one])["order2_outer"] > both["order2_outer"] > alone["order2_outer"]


def test_unindexed_boundaries_and_specks_change_little():
    section, rng = bricks(1.5), np.random.default_rng(3)
    labels = section.labels.copy()
    edge = np.zeros(labels.shape, bool)
    edge[:, 1:] = labels[:, 1:] != labels[:, :-1]
    labels[edge & (rng.uniform(size=edge.shape) < 0.4)] = 0
    specks = rng.integers(0, labels.size, 30)
    labels.ravel()[specks[section.inside.ravel()[specks]]] = 90_000 + np.arange(section.inside.ravel()[specks].sum())
    whole = measure.section_statistics([section])
    seen = measure.section_statistics([Section(labels, section.inside, section.step_um, section.centre_px)])
    assert np.abs(seen - whole).drop([n for n in whole.index if "sd" in n or "_and_" in n]).max() < 0.12


def test_sections_without_grains_are_refused():
    empty = Section(np.zeros((5, 6), np.int32), np.ones((5, 6), bool), 0.1, (2.0, 2.0), name="map 3")
    with pytest.raises(InputError, match="map 3"):
        measure.section_statistics([empty])
    with pytest.raises(InputError, match="no sections"):
        measure.section_statistics([])
