"""Sections of particles: found in maps and label images, with outline, centre and step; and what is refused."""

import numpy as np
import pytest

from morpholith import read, segment
from morpholith.errors import InputError
from morpholith.segment import Section

STEP = 0.05


def sectors(shape, centre, radius, *, n=12, rows=STEP, shift=None):
    """Return a disc of `n` sectors, 1 to n, on points `rows` and `STEP` apart; lengths in um."""
    y, x = np.indices(shape).astype(float)
    x = x + (0.5 * (y % 2 == shift) if shift is not None else 0)
    y, x = y * rows - centre[0], x * STEP - centre[1]
    angle = np.arctan2(y, x) % (2 * np.pi)
    return np.where(np.hypot(y, x) <= radius, (angle / (2 * np.pi) * n).astype(int) + 1, 0).astype(np.int32)


def as_map(labels, *, phases=("made",), phase=None, grid="square", rows=STEP, confidence=None):
    """Return an orientation map whose grains are turned by 13 degrees against each other."""
    turned = np.deg2rad(13.0) * labels
    euler = np.stack([turned, np.zeros(labels.shape), np.zeros(labels.shape)], axis=-1)
    phase = (labels > 0).astype(np.int32) if phase is None else np.where(labels > 0, phase, 0).astype(np.int32)
    kinds = tuple(read.CrystalPhase(name, "-1") for name in phases)
    return read.OrientationMap(euler, phase, (rows, STEP), grid, kinds, labels > 0, None, confidence)


def test_a_particle_is_found_with_its_centre_and_outline():
    labels = sectors((120, 90), (3.4, 2.1), 1.5)
    (found,) = segment.sections(labels * 7, step_um=STEP, name="a")
    assert found.name == "a"
    assert found.step_um == STEP
    assert found.height_um is None
    assert found.n_grains == 12
    assert set(np.unique(found.labels)) == set(range(13))
    centre = [(c + k) * STEP for c, k in zip(found.centre_px, found.corner_px, strict=True)]
    assert centre == pytest.approx([3.4, 2.1], abs=0.01)
    assert found.radius_um == pytest.approx(1.5, rel=0.01)
    assert found.missing == 0
    assert found.warnings == ()
    r, c = found.corner_px
    cut = labels[r + 1 : r + found.labels.shape[0] - 1, c + 1 : c + found.labels.shape[1] - 1]
    assert np.array_equal(found.labels[1:-1, 1:-1] > 0, cut > 0)


def test_missing_pixels_are_of_the_particle_and_pores_are_not():
    labels = sectors((120, 90), (3.0, 2.2), 1.9)
    y, x = np.indices(labels.shape)
    pore = np.hypot(y - 60, x - 44) < 8
    labels[pore] = 0
    speck = np.random.default_rng(0).random(labels.shape) < 0.1
    labels[:, 30:32] = 0  # an unindexed line across it
    seen = np.where(speck, 0, labels)
    (found,) = segment.sections(seen, step_um=STEP)
    r, c = found.corner_px
    deep = np.hypot(y - 60, x - 44) < 5
    assert not found.inside[60 - r - 2 : 60 - r + 3, 44 - c - 2 : 44 - c + 3].any()
    whole = np.hypot(y * STEP - 3.0, x * STEP - 2.2) < 1.8
    inside = np.zeros(labels.shape, bool)
    inside[r : r + found.inside.shape[0], c : c + found.inside.shape[1]] = found.inside[: 120 - r, : 90 - c]
    assert inside[whole & ~(np.hypot(y - 60, x - 44) < 11)].all()
    assert not inside[deep].any()
    assert found.missing == pytest.approx(0.1 + 2 / 60, abs=0.03)
    filled = segment.filled_labels(found)
    assert (filled[found.inside] > 0).all()
    assert not filled[~found.inside].any()
    assert np.array_equal(filled[found.labels > 0], found.labels[found.labels > 0])
    # the pore does not move the centre
    centre = [(a + k) * STEP for a, k in zip(found.centre_px, found.corner_px, strict=True)]
    assert centre == pytest.approx([3.0, 2.2], abs=0.04)


def test_several_particles_come_largest_first_and_debris_is_told():
    labels = sectors((150, 130), (2.0, 2.0), 1.2)
    other = sectors((150, 130), (5.2, 4.2), 1.8)
    labels = np.where(other > 0, other + 20, labels)
    labels[2:6, 110:116] = 99
    found = segment.sections(labels, step_um=STEP, name="map")
    assert [one.name for one in found] == ["map 1", "map 2"]
    assert [one.radius_um for one in found] == pytest.approx([1.8, 1.2], rel=0.02)
    assert all("1 regions of fewer than 10 grains" in one.warnings[0] for one in found)


def test_particles_that_touch_are_parted_and_grains_stay_whole():
    labels = sectors((100, 160), (2.5, 2.2), 1.6)
    other = sectors((100, 160), (2.6, 5.3), 1.7, n=14)
    labels = np.where(other > 0, other + 20, labels)
    found = segment.sections(labels, step_um=STEP)
    assert [one.n_grains for one in found] == [14, 12]
    assert [one.radius_um for one in found] == pytest.approx([1.7, 1.6], rel=0.03)
    assert "parted at a neck" in found[0].warnings[0]
    (together,) = segment.sections(labels, step_um=STEP, part=False)
    assert together.n_grains == 26


@pytest.mark.parametrize("shift", [0, 1])
def test_a_hexagonal_grid_becomes_square_pixels_of_the_same_area(shift):
    rows = STEP * np.sqrt(3) / 2
    labels = sectors((140, 100), (3.0, 2.4), 1.9, rows=rows, shift=shift)
    one = as_map(labels, grid="hexagonal", rows=rows)
    one = read.OrientationMap(one.euler_rad, one.phase, one.spacing, one.grid, one.phases, one.valid, shifted_row=shift)
    (found,) = segment.sections(one)
    assert found.step_um == pytest.approx(np.sqrt(rows * STEP))
    assert found.radius_um == pytest.approx(1.9, rel=0.01)
    centre = [(c + k) * found.step_um for c, k in zip(found.centre_px, found.corner_px, strict=True)]
    # the first pixel lies half a step further along x than the first point
    assert centre == pytest.approx([3.0, 2.4 - STEP / 2], abs=0.02)
    y, x = (np.indices(found.inside.shape) + np.array(found.corner_px)[:, None, None]) * found.step_um
    true = np.hypot(y - 3.0, x - 2.4 + STEP / 2) <= 1.9
    # rows shifted the wrong way would make 1.2 % or more
    assert np.sum(found.inside != true) < 0.0105 * true.sum()
    area = np.bincount(found.labels.ravel())[1:] * found.step_um**2
    # two of the boundaries lie on a row of points
    assert area == pytest.approx(np.full(12, np.pi * 1.9**2 / 12), rel=0.06)


def test_oblong_pixels_become_square():
    labels = sectors((60, 110), (2.6, 2.4), 1.8, rows=2 * STEP)
    (found,) = segment.sections(labels, step_um=(2 * STEP, STEP))
    assert found.step_um == pytest.approx(np.sqrt(2) * STEP)
    assert found.radius_um == pytest.approx(1.8, rel=0.015)
    height, width = (np.ptp(np.flatnonzero(found.inside.any(1 - a))) + 1 for a in (0, 1))
    assert abs(height - width) <= 2


def test_a_particle_cut_by_the_edge_is_told():
    labels = sectors((60, 90), (0.7, 2.2), 1.6)
    (found,) = segment.sections(labels, step_um=STEP)
    assert "edge of the map" in found.warnings[0]


def test_two_phases_are_refused_until_one_is_named():
    labels = sectors((90, 80), (2.1, 1.9), 1.7)
    phase = np.where(labels > 8, 2, 1)
    one = as_map(labels, phases=("layered", "rock salt"), phase=phase)
    with pytest.raises(InputError, match=r"two phases or more: 1 \(layered\) 6\d%, 2 \(rock salt\) 3\d%"):
        segment.sections(one)
    (found,) = segment.sections(one, phase=1, min_grains=5)
    assert found.n_grains == 8
    with pytest.raises(InputError, match="no point of the map has phase 3"):
        segment.sections(one, phase=3)


def test_a_few_points_of_another_phase_count_as_missing():
    labels = sectors((90, 80), (2.1, 1.9), 1.7)
    phase = np.ones(labels.shape, int)
    phase[40:46, 38:41] = 2
    (found,) = segment.sections(as_map(labels, phases=("a", "b"), phase=phase))
    assert "18 points of other phases than 1" in found.warnings[0]
    assert found.missing == pytest.approx(18 / found.inside.sum(), rel=0.2)


def test_what_shows_no_particle_is_refused():
    labels = sectors((90, 80), (2.1, 1.9), 1.7)
    nothing = as_map(np.zeros((20, 30), np.int32))
    with pytest.raises(InputError, match="shows no particle: .*no point of the map is indexed"):
        segment.sections(nothing)
    with pytest.raises(InputError, match="a single grain"):
        segment.sections((labels > 0).astype(int), step_um=STEP)
    with pytest.raises(InputError, match="8 grains at most"):
        segment.sections(sectors((90, 80), (2.1, 1.9), 1.7, n=8), step_um=STEP)
    with pytest.raises(InputError, match="no grain of at least 5 pixels"):
        segment.sections(np.arange(400).reshape(20, 20), step_um=STEP)
    with pytest.raises(InputError, match="no step of its own"):
        segment.sections(labels)
    with pytest.raises(InputError, match="knows its step"):
        segment.sections(as_map(labels), step_um=STEP)


def test_confidence_of_zero_everywhere_is_told_or_refused():
    labels = sectors((90, 80), (2.1, 1.9), 1.7)
    one = as_map(labels, confidence=np.zeros(labels.shape, np.float32))
    (found,) = segment.sections(one)
    assert "confidence index is 0 at every point" in found.warnings[0]
    with pytest.raises(InputError, match="confidence index is 0 at every point"):
        segment.sections(one, min_confidence=0.1)


def test_a_section_checks_its_arrays():
    with pytest.raises(InputError, match="same shape"):
        Section(np.zeros((3, 4), np.int32), np.ones((4, 3), bool), STEP, (1.0, 1.0))
    with pytest.raises(InputError, match="step_um"):
        Section(np.zeros((3, 4), np.int32), np.ones((3, 4), bool), 0.0, (1.0, 1.0))
    empty = Section(np.zeros((3, 4), np.int32), np.zeros((3, 4), bool), STEP, (1.0, 1.0))
    assert empty.n_grains == 0
    assert np.isnan(empty.radius_um)
    assert np.isnan(empty.missing)


def test_real_maps_are_one_section_that_fills_the_frame(data):
    (found,) = segment.sections(read.orientations(data / "ebsd/defdap/testDataEBSD.ctf"))
    assert found.n_grains == 115
    assert found.labels.shape == (245, 361)
    assert found.inside[1:-1, 1:-1].mean() > 0.999
    assert "100% of the section's outline" in found.warnings[-1]
    with pytest.raises(InputError, match="two phases or more"):
        segment.sections(read.orientations(data / "ebsd/duplex_steel/sdss_ferrite_austenite.ang"))
