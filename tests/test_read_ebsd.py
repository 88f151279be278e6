"""Orientation maps from files: grids, order, headers that lie, files that end early, units, phases."""

import h5py
import numpy as np
import pytest
from _ebsd_files import (
    ang_header,
    ang_rows,
    ctf_lines,
    hexagonal,
    square,
    write,
    write_edax_h5,
    write_h5oina,
)

from morpholith import read
from morpholith.errors import InputError

SHAPE, STEP = (5, 8), (0.5, 0.25)


def angles(n, seed=0):
    """Return Euler angles that differ at every point, to five digits."""
    rng = np.random.default_rng(seed)
    return np.round(rng.uniform(0, [6.28, 3.14, 6.28], (n, 3)), 5)


def square_ang(path, *, order=slice(None), header=None, keep=slice(None), **points):
    y, x = square(SHAPE, STEP)
    euler = angles(len(y))
    lines = ang_rows(y, x, euler, **points)
    said = {"step": STEP, "columns": (SHAPE[1], SHAPE[1]), "rows": SHAPE[0]} | (header or {})
    lines = [lines[k] for k in np.arange(len(y))[order][keep]]
    return write(path, ang_header(**said) + lines), euler.reshape(*SHAPE, 3)


def test_a_square_ang_lies_as_its_coordinates_say(tmp_path):
    path, euler = square_ang(tmp_path / "a.ang", confidence=np.linspace(0, 0.9, 40))
    found = read.orientations(path)
    assert found.shape == SHAPE
    assert found.spacing == STEP
    assert found.grid == "square"
    assert found.phases == (read.CrystalPhase("nickel", "m-3m", "43", "a"),)
    assert np.abs(found.euler_rad - euler).max() < 1e-9
    assert found.confidence[0, 1] == pytest.approx(0.023, abs=1e-6)
    assert found.confidence[4, 7] == pytest.approx(0.9)
    assert found.quality[1, 0] == 101.0
    assert found.valid.all()
    assert found.warnings == ()
    assert found.provenance["step_from"] == "header and coordinates"


@pytest.mark.parametrize("extra", [0, 1, 2, 4])
def test_any_number_of_columns(tmp_path, extra):
    path, euler = square_ang(tmp_path / "a.ang", extra=extra)
    assert np.abs(read.orientations(path).euler_rad - euler).max() < 1e-9


def test_five_columns_have_neither_confidence_nor_quality(tmp_path):
    y, x = square(SHAPE, STEP)
    lines = [" ".join(line.split()[:5]) for line in ang_rows(y, x, angles(40))]
    found = read.orientations(write(tmp_path / "a.ang", ang_header(step=STEP, columns=(8, 8), rows=5) + lines))
    assert found.confidence is None
    assert found.quality is None
    assert (found.phase == 1).all()


def test_named_columns_move(tmp_path):
    y, x = square(SHAPE, STEP)
    lines = [f"{line} 0.75" for line in ang_rows(y, x, angles(40), extra=0)]
    named = "# COLUMN_HEADERS: phi1, PHI, phi2, x, y, IQ, Fit, Phase index, CI"
    header = ang_header(step=STEP, columns=(8, 8), rows=5, more=(named,))
    found = read.orientations(write(tmp_path / "a.ang", header + lines))
    assert found.confidence == pytest.approx(np.full(SHAPE, 0.75))


def test_wrong_order_is_put_right_and_said(tmp_path):
    order = np.random.default_rng(3).permutation(40)
    path, euler = square_ang(tmp_path / "a.ang", order=order)
    found = read.orientations(path)
    assert np.abs(found.euler_rad - euler).max() < 1e-9
    assert any("not in the order of rows" in w for w in found.warnings)


def test_a_short_file_says_what_is_missing(tmp_path):
    path, euler = square_ang(tmp_path / "a.ang", keep=slice(0, 28))
    found = read.orientations(path)
    assert found.shape == (4, 8)
    assert found.valid.sum() == 28
    assert not found.valid[3, 4:].any()
    assert np.isnan(found.euler_rad[3, 4:]).all()
    assert np.abs(found.euler_rad[:3] - euler[:3]).max() < 1e-9
    assert any("28 of the 40 points" in w for w in found.warnings)


def test_a_file_cut_within_a_line_loses_that_line_alone(tmp_path):
    path, _ = square_ang(tmp_path / "a.ang", extra=4)
    raw = path.read_bytes()
    path.write_bytes(raw[: len(raw.rstrip()) - 30])
    found = read.orientations(path)
    assert found.valid.sum() == 39
    assert any("cut off" in w for w in found.warnings)
    assert any("39 of the 40" in w for w in found.warnings)


def test_numbers_of_rows_and_columns_that_lie(tmp_path):
    path, euler = square_ang(tmp_path / "a.ang", header={"columns": (10, 10), "rows": 4})
    found = read.orientations(path)
    assert found.shape == SHAPE
    assert np.abs(found.euler_rad - euler).max() < 1e-9
    assert any("says 4 x 10 points (y, x), the coordinates span 5 x 8" in w for w in found.warnings)


@pytest.mark.parametrize("axis", [0, 1])
def test_a_step_that_lies_is_refused_and_can_be_given(tmp_path, axis):
    said = [0.5, 0.25]
    said[axis] *= 1.2
    path, euler = square_ang(tmp_path / "a.ang", header={"step": said})
    with pytest.raises(InputError, match=f"step along {'yx'[axis]} .* lie {STEP[axis]:g} um apart; give .*`step_um`"):
        read.orientations(path)
    found = read.orientations(path, step_um=(0.6, 0.3))
    assert found.spacing == (0.6, 0.3)
    assert found.provenance["step_from"] == "given"
    assert np.abs(found.euler_rad - euler).max() < 1e-9


def test_a_single_row_needs_its_step_from_the_header(tmp_path):
    y, x = square((1, 9), STEP)
    lines = ang_rows(y, x, angles(9))
    header = ang_header(step=STEP, columns=(9, 9), rows=1)
    found = read.orientations(write(tmp_path / "a.ang", header + lines))
    assert (found.shape, found.spacing, found.warnings) == ((1, 9), STEP, ())
    with pytest.raises(InputError, match="single row .* give `step_um`"):
        read.orientations(write(tmp_path / "b.ang", lines))
    assert read.orientations(tmp_path / "b.ang", step_um=0.25).spacing == (0.25, 0.25)


@pytest.mark.parametrize(("wrong", "refused"), [(1.03, True), (0.99, True), (1.001, False)])
def test_steps_differ_by_more_than_rounding_or_not(tmp_path, wrong, refused):
    y, x = square((4, 90), STEP)
    lines = ang_rows(y, x, angles(360))[::-1]
    header = ang_header(step=(STEP[0], STEP[1] * wrong), columns=(90, 90), rows=4)
    path = write(tmp_path / "a.ang", header + lines)
    if refused:
        with pytest.raises(InputError, match="step along x"):
            read.orientations(path)
    else:
        assert read.orientations(path).spacing == pytest.approx((0.5, 0.25025))


def test_without_header_the_coordinates_give_the_step(tmp_path):
    y, x = square(SHAPE, STEP)
    found = read.orientations(write(tmp_path / "a.ang", ang_rows(y, x, angles(40))))
    assert found.spacing == pytest.approx(STEP)
    assert found.provenance["step_from"] == "coordinates"
    assert found.phases[0].laue == ""
    assert any("no header" in w for w in found.warnings)


@pytest.mark.parametrize("short", [True, False])
@pytest.mark.parametrize("shifted", [0, 1])
@pytest.mark.parametrize("said", ["HexGrid", "SqrGrid"])
def test_hexagonal_grids(tmp_path, short, shifted, said):
    rows, columns, step = 5, 7, 0.3
    y, x = hexagonal(rows, columns, step, short=short, shifted=shifted)
    euler = angles(len(y))
    even = columns - short
    widths = (columns, even) if shifted else (even, columns)
    header = ang_header(grid=said, step=(step * np.sqrt(3) / 2, step), columns=widths, rows=rows)
    found = read.orientations(write(tmp_path / "a.ang", header + ang_rows(y, x, euler)))
    assert found.grid == "hexagonal"
    assert found.shape == (rows, columns)
    assert found.shifted_row == shifted
    assert found.spacing == pytest.approx((0.259808, 0.3))
    assert found.valid.sum() == len(y)
    assert found.valid[shifted::2, -1].any() != short
    row = np.repeat(np.arange(rows), [widths[r % 2] for r in range(rows)])
    for k in range(rows):
        assert np.abs(found.euler_rad[k, : widths[k % 2]] - euler[row == k]).max() < 1e-9
    assert len(found.warnings) == (said == "SqrGrid")


def test_what_was_not_indexed(tmp_path):
    confidence = np.full(40, 0.4)
    confidence[[3, 17]] = -1
    path, _ = square_ang(tmp_path / "a.ang", confidence=confidence)
    found = read.orientations(path)
    assert np.flatnonzero(~found.valid.ravel()).tolist() == [3, 17]
    assert (found.phase.ravel()[[3, 17]] == 0).all()
    assert np.isnan(found.euler_rad.reshape(-1, 3)[3]).all()


def test_one_phase_is_numbered_0_or_1_and_among_two_0_is_none(tmp_path):
    path, _ = square_ang(tmp_path / "a.ang", phase=np.zeros(40, int))
    assert (read.orientations(path).phase == 1).all()
    phase = np.arange(40) % 3
    two = {"phases": (("one", "43"), ("two", "32"))}
    found = read.orientations(square_ang(tmp_path / "b.ang", phase=phase, header=two)[0])
    assert np.array_equal(found.phase.ravel(), phase)
    assert [p.laue for p in found.phases] == ["m-3m", "-3m"]


def test_an_unknown_group_and_a_phase_without_header_are_said(tmp_path):
    path, _ = square_ang(
        tmp_path / "a.ang", phase=np.where(np.arange(40) < 4, 2, 1), header={"phases": (("odd", "99"),)}
    )
    found = read.orientations(path)
    assert [p.laue for p in found.phases] == ["", ""]
    assert any("Laue group of phase 1 (odd) is unknown ('99')" in w for w in found.warnings)
    assert any("phase 2 has 4 points, but no header" in w for w in found.warnings)


def test_phases_numbered_from_0_and_phases_left_out_of_the_header(tmp_path):
    path, _ = square_ang(tmp_path / "a.ang", phase=np.arange(40) % 2, header={"phases": (("one", "43"), ("two", "62"))})
    raw = path.read_text()
    path.write_text(raw.replace("# Phase 1", "# Phase 0").replace("# Phase 2", "# Phase 1"))
    found = read.orientations(path)
    assert np.array_equal(found.phase.ravel(), np.arange(40) % 2 + 1)
    assert [p.laue for p in found.phases] == ["m-3m", "6/mmm"]
    path.write_text(raw.replace("# Phase 1", "# Phase 3"))
    found = read.orientations(path)
    assert [p.laue for p in found.phases] == ["", "6/mmm", "m-3m"]


@pytest.mark.parametrize("suffix", ["ang", "ctf", "h5oina"])
def test_no_damage_ends_in_anything_but_a_sentence(tmp_path, suffix):
    path = tmp_path / f"a.{suffix}"
    if suffix == "ang":
        square_ang(path)
    elif suffix == "ctf":
        write(path, ctf_lines(SHAPE, STEP, np.rad2deg(angles(40))))
    else:
        write_h5oina(path, SHAPE, STEP, angles(40))
    whole, rng, ends = path.read_bytes(), np.random.default_rng(9), []
    for _ in range(150):
        broken = bytearray(whole[: rng.integers(0, len(whole))] if rng.random() < 0.3 else whole)
        for at in rng.integers(0, max(len(broken), 1), 3 if broken else 0):
            broken[at] = rng.choice(list(b"0123456789.-e#\t\n\0 ,x"))
        path.write_bytes(bytes(broken))
        try:
            ends.append(read.orientations(path).shape)
        except InputError as error:
            ends.append(str(error))
    said = [end for end in ends if isinstance(end, str)]
    assert said
    assert all(len(one.splitlines()) == 1 for one in said)
    assert SHAPE in ends


def test_degrees_in_an_ang_are_refused(tmp_path):
    y, x = square(SHAPE, STEP)
    lines = ang_rows(y, x, np.rad2deg(angles(40)))
    path = write(tmp_path / "a.ang", ang_header(step=STEP, columns=(8, 8), rows=5) + lines)
    with pytest.raises(InputError, match="radians"):
        read.orientations(path)


@pytest.mark.parametrize(
    ("damage", "words"),
    [
        (lambda lines: [*lines[:30], lines[30] + " 7", *lines[31:]], "line 31 has 11 columns"),
        (lambda lines: [*lines[:30], lines[30].replace(".", "?"), *lines[31:]], "line 31 has .* number was expected"),
        (lambda lines: [*lines[:30], " ".join(lines[30].split()[:4]), *lines[31:]], "line 31 has 4 columns"),
        (lambda lines: [*lines, lines[-1]], "1 points at places that other points have"),
        (lambda lines: [*lines[:30], lines[30].replace(" 0.50000", " nan"), *lines[31:]], "'nan'"),
        (lambda lines: [*lines[:30], lines[30].replace(" 1.25000", " 1e9"), *lines[31:]], "scattered"),
        (lambda lines: [*lines[:30], lines[30].replace(" 0.50000", " -1e300"), *lines[31:]], "scattered"),
        (lambda lines: [*lines[:30], lines[30][:-10] + "900  1 0.531", *lines[31:]], "phase|columns"),
        (lambda lines: [x.replace("# Phase 1", "# Phase 99999999") for x in lines], "phase 99999999 in its header"),
        (lambda lines: [x.replace("NROWS: 5", "NROWS: -5") for x in lines], "header without sense"),
        (lambda lines: lines[:17], "no points"),
        (lambda lines: lines[:18], "no two points beside"),
        (lambda lines: [*lines[:17], "1 2 3"], "has 3 columns"),
    ],
)
def test_broken_ang_files(tmp_path, damage, words):
    path, _ = square_ang(tmp_path / "a.ang")
    lines = path.read_text().splitlines()
    assert not lines[17].startswith("#")
    assert lines[16].startswith("#")
    with pytest.raises(InputError, match=words):
        read.orientations(write(path, damage(lines)))


def test_points_off_any_grid(tmp_path):
    rng = np.random.default_rng(1)
    y, x = square((20, 20), (1.0, 1.0))
    lines = ang_rows(y, x + rng.uniform(-0.5, 0.5, 400), angles(400))
    with pytest.raises(InputError, match="off the grid|in no regular order"):
        read.orientations(write(tmp_path / "a.ang", ang_header(columns=(20, 20), rows=20) + lines))


@pytest.mark.parametrize("comma", [False, True])
@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_a_ctf(tmp_path, comma, end):
    euler = np.round(np.rad2deg(angles(40)), 4)
    phase = np.ones(40, int)
    phase[5] = 0
    lines = ctf_lines(SHAPE, STEP, euler, phase=phase, laue=7, space_group=166, comma=comma)
    found = read.orientations(write(tmp_path / "a.ctf", lines, end))
    assert found.shape == SHAPE
    assert found.spacing == STEP
    assert found.phases == (read.CrystalPhase("metal", "-3m", "7", "a*"),)
    expected = np.deg2rad(euler).reshape(*SHAPE, 3)
    assert np.nanmax(np.abs(found.euler_rad - expected)) < 1e-9
    assert np.flatnonzero(~found.valid.ravel()).tolist() == [5]
    assert found.confidence is None
    assert found.quality[0, 3] == 53
    assert found.warnings == ()


def test_coordinates_rounded_to_five_digits_follow_the_header(tmp_path):
    shape, step = (3, 30), (0.12, 0.12)
    lines = ctf_lines(shape, step, np.round(np.rad2deg(angles(90)), 4))
    for k in range(-90, 0):
        cells = lines[k].split("\t")
        cells[1] = f"{1000 + float(cells[1]):.1f}"  # 1003.4: a tenth, where the step is 0.12
        lines[k] = "\t".join(cells)
    found = read.orientations(write(tmp_path / "a.ctf", lines))
    assert found.shape == shape
    assert found.spacing == step
    assert found.valid.all()


def test_a_ctf_with_space_group_312_has_its_axes_between_the_a_axes(tmp_path):
    lines = ctf_lines(SHAPE, STEP, np.rad2deg(angles(40)), laue=7, space_group=149)
    assert read.orientations(write(tmp_path / "a.ctf", lines)).phases[0].laue == "-31m"


def test_ctf_cells_and_steps_that_lie(tmp_path):
    euler = np.rad2deg(angles(40))
    found = read.orientations(write(tmp_path / "a.ctf", ctf_lines(SHAPE, STEP, euler, cells=(8, 5))))
    assert found.shape == SHAPE
    assert any("says 8 x 5 points" in w for w in found.warnings)
    with pytest.raises(InputError, match="step along y"):
        read.orientations(write(tmp_path / "b.ctf", ctf_lines(SHAPE, STEP, euler, said_step=(0.6, 0.25))))


def test_ctf_files_that_are_none(tmp_path):
    lines = ctf_lines(SHAPE, STEP, np.rad2deg(angles(40)))
    with pytest.raises(InputError, match="names its columns"):
        read.orientations(write(tmp_path / "a.ctf", lines[:8]))
    with pytest.raises(InputError, match="lacks the columns euler2"):
        read.orientations(write(tmp_path / "b.ctf", [x.replace("Euler2", "Other") for x in lines]))
    with pytest.raises(InputError, match="no points"):
        read.orientations(write(tmp_path / "c.ctf", lines[:15]))
    radians = ctf_lines(SHAPE, STEP, angles(40))
    assert any("radians?" in w for w in read.orientations(write(tmp_path / "d.ctf", radians)).warnings)


@pytest.mark.parametrize("coordinates", [True, False])
def test_h5oina(tmp_path, coordinates):
    euler = angles(40)
    path = write_h5oina(tmp_path / "a.h5oina", SHAPE, STEP, euler, coordinates=coordinates)
    found = read.orientations(path)
    assert found.shape == SHAPE
    assert found.spacing == pytest.approx(STEP)
    assert np.abs(found.euler_rad - euler.reshape(*SHAPE, 3)).max() < 1e-6
    assert found.phases == (read.CrystalPhase("NMC811", "-3m", "7", "a*"),)
    assert found.quality[2, 1] == 17
    assert found.warnings == ()


def test_several_scans_in_a_file_are_named(tmp_path):
    path = write_h5oina(tmp_path / "a.h5oina", SHAPE, STEP, angles(40), scans=2)
    assert any("2 scans (1/EBSD, 2/EBSD)" in w for w in read.orientations(path).warnings)


def test_edax_hdf5_on_a_hexagonal_grid(tmp_path):
    y, x = hexagonal(6, 9, 0.05)
    euler, confidence = angles(len(y)), np.full(len(y), 0.3)
    confidence[7] = -1
    step = (0.05 * np.sqrt(3) / 2, 0.05)
    path = write_edax_h5(
        tmp_path / "a.h5", y, x, euler, grid="HexGrid", rows=6, columns=9, step=step, confidence=confidence
    )
    found = read.orientations(path)
    assert found.grid == "hexagonal"
    assert found.shape == (6, 9)
    assert found.valid.sum() == 6 * 9 - 3 - 1
    assert not found.valid[0, 7]
    assert np.abs(found.euler_rad[1, :8] - euler[9:17]).max() < 1e-6
    assert found.phases == (read.CrystalPhase("NMC811", "-3m", "32", "a"),)


def test_hdf5_files_that_are_none(tmp_path):
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["image"] = np.zeros((3, 4))
    with pytest.raises(InputError, match="no group EBSD"):
        read.orientations(tmp_path / "a.h5")
    whole = write_h5oina(tmp_path / "b.h5oina", SHAPE, STEP, angles(40)).read_bytes()
    (tmp_path / "b.h5oina").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(InputError, match="damaged"):
        read.orientations(tmp_path / "b.h5oina")
    path = write_h5oina(tmp_path / "c.h5oina", (4, 8), STEP, angles(40))
    with pytest.raises(InputError, match=r"32|40"):
        read.orientations(path)


def test_files_that_are_not_there_or_no_maps(tmp_path):
    with pytest.raises(InputError, match="not there"):
        read.orientations(tmp_path / "a.ang")
    (tmp_path / "a.png").write_bytes(b"x")
    with pytest.raises(InputError, match="no orientation map by its name"):
        read.orientations(tmp_path / "a.png")
    (tmp_path / "b.ang").write_bytes(b"\0\1\2" * 50)
    with pytest.raises(InputError, match="no text"):
        read.orientations(tmp_path / "b.ang")
    (tmp_path / "c.ang").write_bytes(b"")
    with pytest.raises(InputError, match="no points"):
        read.orientations(tmp_path / "c.ang")


def test_real_maps(data):
    folder = data / "ebsd"
    nickel = read.orientations(folder / "defdap" / "testDataEBSD.ctf")
    assert nickel.shape == (243, 359)
    assert nickel.spacing == (0.12, 0.12)
    assert nickel.warnings == ()
    steel = read.orientations(folder / "duplex_steel" / "sdss_ferrite_austenite.ang")
    assert steel.shape == (100, 117)
    assert (steel.phase == 1).mean() == pytest.approx(0.484, abs=5e-4)
    assert (steel.phase == 2).mean() == pytest.approx(0.516, abs=5e-4)
    sheet = read.orientations(folder / "mtex" / "DC06_2uniax.ang")
    assert sheet.shape == (101, 51)
    assert sheet.confidence[0, 0] == pytest.approx(0.971)
    twins = read.orientations(folder / "mtex" / "twins.ctf")
    assert (twins.shape, twins.phases[0].laue, twins.spacing) == ((137, 167), "6/mmm", (0.3, 0.3))
