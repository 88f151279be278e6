"""Shapes of grain sections: ellipses of known axes, directions to a known centre, chords counted by hand."""

import numpy as np
import pytest

from morpholith import measure
from morpholith.errors import InputError


def ellipse(shape, centre, axes, degrees, step=(1.0, 1.0), grid="square", shifted=1):
    """Return where an ellipse lies; centre (y, x), axes (major, minor) as radii and angle from +x to +y, in um."""
    row, column = np.indices(shape)
    y = row * step[0] - centre[0]
    x = (column + (0.5 * (row % 2 == shifted) if grid == "hexagonal" else 0)) * step[1] - centre[1]
    c, s = np.cos(np.deg2rad(degrees)), np.sin(np.deg2rad(degrees))
    return ((x * c + y * s) / axes[0]) ** 2 + ((y * c - x * s) / axes[1]) ** 2 <= 1


@pytest.mark.parametrize("degrees", [0, 20, 45, 90, 130, 179])
@pytest.mark.parametrize("grid", ["square", "hexagonal"])
def test_an_ellipse_has_its_axes_and_direction(degrees, grid):
    step = (0.05 * np.sqrt(3) / 2, 0.05) if grid == "hexagonal" else (0.05, 0.04)
    mask = ellipse((150, 190), (3.1, 4.2), (2.4, 0.8), degrees, step, grid)
    found = measure.grain_shapes(mask.astype(int) * 7, spacing=step, grid=grid, centre_um=(3.1, 0.0)).loc[7]
    assert found["y_um"] == pytest.approx(3.1, abs=0.01)
    assert found["x_um"] == pytest.approx(4.2, abs=0.01)
    assert found["major_um"] == pytest.approx(4.8, rel=0.01)
    assert found["minor_um"] == pytest.approx(1.6, rel=0.01)
    assert found["axis_ratio"] == pytest.approx(3.0, rel=0.015)
    assert found["elongation"] == pytest.approx(found["axis_ratio"] ** 2)
    assert abs((found["axis_deg"] - degrees + 90) % 180 - 90) < 0.3
    assert found["area_um2"] == pytest.approx(np.pi * 2.4 * 0.8, rel=0.01)
    assert found["diameter_um"] == pytest.approx(2 * np.sqrt(2.4 * 0.8), rel=0.01)
    assert found["distance_um"] == pytest.approx(4.2, abs=0.01)
    assert found["alpha_deg"] == pytest.approx(min(degrees, 180 - degrees), abs=0.5)  # the centre lies along x


@pytest.mark.parametrize("tilt", [0, 35, 90])
def test_alpha_is_the_angle_to_the_centre_wherever_the_grain_lies(tilt):
    labels = np.zeros((220, 300), int)
    around = np.deg2rad([10, 80, 150, 200, 290, 340])
    for k, angle in enumerate(around, start=1):
        place = 105 + 75 * np.sin(angle), 148 + 75 * np.cos(angle)
        labels[ellipse(labels.shape, place, (20, 6), np.rad2deg(angle) + tilt)] = k
    found = measure.grain_shapes(labels, spacing=1.0, centre_um=(105, 148))
    assert found["alpha_deg"].to_numpy() == pytest.approx(np.full(6, tilt), abs=0.5)
    assert found["distance_um"].to_numpy() == pytest.approx(np.full(6, 75), abs=0.2)


def test_the_centre_is_that_of_all_grains_unless_given():
    labels = np.zeros((40, 70), int)
    labels[10:14, 10:30] = 1
    labels[10:30, 50:54] = 2
    found = measure.grain_shapes(labels, spacing=(0.1, 0.2))
    centre = np.array([(1.15 + 1.95) / 2, (3.9 + 10.3) / 2])
    away = found[["y_um", "x_um"]].to_numpy() - centre
    assert found["distance_um"].to_numpy() == pytest.approx(np.hypot(*away.T))
    lean = np.rad2deg(np.arctan2(np.abs(away[:, 0]), np.abs(away[:, 1])))
    assert found["alpha_deg"].to_numpy() == pytest.approx([lean[0], 90 - lean[1]])


def test_equation_4_as_printed():
    rng = np.random.default_rng(6)
    labels = (rng.random((9, 14)) < 0.4).astype(int)
    found = measure.grain_shapes(labels, spacing=1.0, centre_um=(-3.0, 2.0), pixel_extent=False).loc[1]
    positions = np.argwhere(labels)[:, ::-1]
    e, v = np.linalg.eigh(np.cov(positions.T, bias=True))
    c = positions.mean(axis=0) - [2.0, -3.0]
    alpha = np.arccos(abs(v[:, 1] @ c) / np.linalg.norm(c))
    assert found["alpha_deg"] == pytest.approx(np.rad2deg(alpha))
    assert found["elongation"] == pytest.approx(e[1] / e[0])


def test_pixels_have_an_extent_unless_taken_as_points():
    labels = np.zeros((6, 9), int)
    labels[1, 1] = 1
    labels[3, 2:6] = 2
    wide = measure.grain_shapes(labels, spacing=1.0)
    assert wide.loc[1, "elongation"] == pytest.approx(1)
    assert wide.loc[2, "axis_ratio"] == pytest.approx(4)
    assert np.isnan(wide.loc[1, ["axis_deg", "alpha_deg"]].astype(float)).all()
    points = measure.grain_shapes(labels, spacing=1.0, pixel_extent=False)
    assert np.isnan(points.loc[1, "elongation"])
    assert np.isinf(points.loc[2, "elongation"])


def test_a_pixel_of_a_hexagonal_grid_is_round():
    labels = np.zeros((6, 9), int)
    labels[2, 3] = 1
    found = measure.grain_shapes(labels, spacing=(np.sqrt(3) / 2, 1.0), grid="hexagonal").loc[1]
    assert found["elongation"] == pytest.approx(1)
    assert found["area_um2"] == pytest.approx(np.sqrt(3) / 2)
    assert found["major_um"] == pytest.approx(4 * np.sqrt(5 / 72))


@pytest.mark.parametrize("shifted", [0, 1])
def test_shifted_rows_lie_half_a_step_further(shifted):
    labels = np.zeros((4, 6), int)
    labels[1, 2], labels[2, 2] = 1, 2
    found = measure.grain_shapes(labels, spacing=(0.8, 0.4), grid="hexagonal", shifted_row=shifted)
    assert found["x_um"].to_numpy() == pytest.approx([1.0, 0.8] if shifted else [0.8, 1.0])
    assert found["y_um"].to_numpy() == pytest.approx([0.8, 1.6])


def test_a_grain_at_the_centre_has_no_alpha():
    labels = np.zeros((21, 31), int)
    labels[10, 5:26] = 1
    found = measure.grain_shapes(labels, spacing=0.5).loc[1]
    assert found["distance_um"] == pytest.approx(0)
    assert np.isnan(found["alpha_deg"])
    assert found["axis_deg"] == pytest.approx(0)


def test_grains_at_the_edge_of_the_map_are_marked():
    labels = np.array(
        [
            [1, 0, 2, 2, 0, 0],
            [0, 3, 3, 0, 4, 0],
            [5, 0, 6, 0, 4, 0],
            [0, 0, 0, 0, 0, 7],
        ]
    )
    assert measure.grain_shapes(labels, spacing=1.0)["touches_edge"].tolist() == [
        True,
        True,
        False,
        False,
        True,
        False,
        True,
    ]
    # the second and fourth row of a hexagonal grid may be one point shorter: 4 then ends at the edge
    shorter = np.where(labels == 7, 0, labels)
    assert measure.grain_shapes(shorter, spacing=1.0, grid="hexagonal").loc[4, "touches_edge"]
    assert not measure.grain_shapes(labels, spacing=1.0, grid="hexagonal").loc[4, "touches_edge"]


def test_chords_counted_by_hand():
    labels = np.array([[1, 1, 2, 0, 2, 2], [0, 3, 3, 3, 1, 0]])
    along = measure.grain_chords(labels, spacing=(2.0, 0.5), axis="x")
    assert along["label"].tolist() == [1, 2, 2, 3, 1]
    assert along["length_um"].tolist() == [1.0, 0.5, 1.0, 1.5, 0.5]
    assert along["cut"].tolist() == [True, False, True, False, False]
    down = measure.grain_chords(labels, spacing=(2.0, 0.5), axis="y")
    assert down["label"].tolist() == [1, 1, 3, 2, 3, 3, 2, 1, 2]
    assert (down["length_um"] == 2.0).all()
    assert down["cut"].all()
    merged = measure.grain_chords(np.full((3, 4), 8), spacing=(2.0, 0.5), axis="y")
    assert merged["length_um"].tolist() == [6.0] * 4


@pytest.mark.parametrize("axis", ["x", "y"])
def test_chords_add_up_to_the_areas(axis):
    labels = np.random.default_rng(5).integers(0, 4, (37, 52)).repeat(2, axis=1)
    chords = measure.grain_chords(labels, spacing=(0.3, 0.7), axis=axis)
    area = chords.groupby("label")["length_um"].sum() * (0.3 if axis == "x" else 0.7)
    shapes = measure.grain_shapes(labels, spacing=(0.3, 0.7))
    assert area.to_numpy() == pytest.approx(shapes["area_um2"].to_numpy())


@pytest.mark.parametrize("shape", [(0, 0), (4, 7)])
def test_no_grains_give_empty_tables(shape):
    empty = np.zeros(shape, int)
    found = measure.grain_shapes(empty, spacing=1.0)
    assert len(found) == 0
    assert list(found.columns) == list(measure.grain_shapes(np.ones((2, 3), int), spacing=1.0).columns)
    assert len(measure.grain_chords(empty, spacing=1.0, axis="x")) == 0


def test_what_cannot_be_measured():
    labels = np.ones((4, 7), int)
    with pytest.raises(InputError, match="no columns along y"):
        measure.grain_chords(labels, spacing=1.0, axis="y", grid="hexagonal")
    with pytest.raises(InputError, match="integer labels"):
        measure.grain_shapes(labels * 1.5, spacing=1.0)
    with pytest.raises(InputError, match="`grid`"):
        measure.grain_shapes(labels, spacing=1.0, grid="cubic")
    with pytest.raises(InputError, match="positive lengths"):
        measure.grain_shapes(labels, spacing=(0.0, 1.0))
