"""Registered particles: what is written is read back, also by other programs; what is not whole is said."""

import json
import shutil
import tracemalloc

import numpy as np
import pandas as pd
import pytest
import tifffile
import zarr
from _volume_files import truncated

from morpholith import read
from morpholith.errors import InputError
from morpholith.read.registered import MOTION_COLUMNS

ENERGIES = np.array([8250.0, 8333.25, 8340.0, 8353.5])
SPACING = (0.039, 0.041)


def particle(number, n_scans=2, size=(17, 23)):
    """Return a stack with NaN in it, and its mask."""
    rng = np.random.default_rng(number)
    stack = rng.normal(0.5, 0.2, (n_scans, len(ENERGIES), *size)).astype(np.float32)
    stack[-1, 1, :3] = np.nan
    mask = np.zeros(size, bool)
    mask[4:12, 5 + number : 20] = True
    return stack, mask


def result(folder, *, n=2, n_scans=2, spacing=SPACING, **options):
    """Write what `xanes register` does."""
    folder.mkdir(exist_ok=True)
    frames = n_scans * len(ENERGIES)
    rows = [(p, f // len(ENERGIES), f, ENERGIES[f % len(ENERGIES)], *[0.5 * f] * 8, 0.05, 0.0, 0.0, "measured")
            for p in range(1, n + 1) for f in range(frames)]  # fmt: skip
    pd.DataFrame(rows, columns=MOTION_COLUMNS).to_csv(folder / "motion.csv", index=False)
    pd.DataFrame({"particle": range(1, n + 1), "y_px": 1.5, "x_px": 2.5}).to_csv(folder / "particles.csv", index=False)
    (folder / "energies.txt").write_text("".join(f"{e:.3f}\n" for e in ENERGIES))
    (folder / "recipe.toml").write_text('command = "xanes register"\n')
    (folder / "summary.json").write_text(json.dumps({"n_particles": {"value": n}, "warnings": []}))
    for number in range(1, n + 1):
        stack, mask = particle(number, n_scans)
        read.write_aligned(folder, number, stack, mask, corner_px=(10.5 * number, -3.25), spacing=spacing,
                           energies_ev=ENERGIES, **options)  # fmt: skip
    return folder


@pytest.mark.parametrize("n_scans", [1, 2, 3])
def test_everything_comes_back(tmp_path, n_scans):
    found = read.registered(result(tmp_path / "r", n_scans=n_scans))
    assert list(found.particles) == [1, 2]
    np.testing.assert_array_equal(found.energies_ev, ENERGIES)
    np.testing.assert_allclose(found.spacing, SPACING)
    assert found.scaled
    assert found.warnings == ()
    assert found.summary["n_particles"]["value"] == 2
    assert list(found.motion.columns) == list(MOTION_COLUMNS)
    assert len(found.motion) == 2 * n_scans * len(ENERGIES)
    assert found.table["particle"].tolist() == [1, 2]
    for number, one in found.particles.items():
        stack, mask = particle(number, n_scans)
        assert one.number == number
        assert one.stack.dtype == np.float32
        np.testing.assert_array_equal(one.stack, stack)
        assert one.mask.dtype == bool
        np.testing.assert_array_equal(one.mask, mask)
        assert one.corner_px == (10.5 * number, -3.25)


def test_one_scan_without_its_axis(tmp_path):
    stack, mask = particle(1, 1)
    folder = result(tmp_path / "r", n=1, n_scans=1)
    read.write_aligned(folder, 1, stack[0], mask, corner_px=(0, 0), spacing=SPACING, energies_ev=ENERGIES)
    np.testing.assert_array_equal(read.registered(folder).particles[1].stack, stack)


def test_without_a_pixel_size(tmp_path):
    found = read.registered(result(tmp_path / "r", spacing=None))
    assert found.spacing == (1.0, 1.0)
    assert not found.scaled


def test_other_programs_read_the_stack_the_outline_and_the_scale(tmp_path):
    folder = result(tmp_path / "r") / "aligned"
    stack, mask = particle(2)
    group = zarr.open_group(str(folder / "particle_002.zarr"), mode="r")
    np.testing.assert_array_equal(group["0"][:], stack)
    ome = group.attrs["ome"]
    assert ome["version"] == "0.5"
    (multiscale,) = ome["multiscales"]
    assert [(a["name"], a["type"]) for a in multiscale["axes"]] == [
        ("t", "time"),
        ("e", "energy"),
        ("y", "space"),
        ("x", "space"),
    ]
    scale, move = multiscale["datasets"][0]["coordinateTransformations"]
    np.testing.assert_allclose(scale["scale"], [1, 1, *SPACING])
    np.testing.assert_allclose(move["translation"], [0, 0, 21 * SPACING[0], -3.25 * SPACING[1]])
    with tifffile.TiffFile(folder / "particle_002.tif") as file:
        assert file.is_imagej
        np.testing.assert_array_equal(file.asarray(), stack)
    np.testing.assert_array_equal(tifffile.imread(folder / "particle_002_mask.tif"), mask.astype(np.uint8))


def test_a_written_stack_is_a_scan_again(tmp_path):
    folder = result(tmp_path / "r") / "aligned"
    stack, _ = particle(1)
    for name in ("particle_001.tif", "particle_001.zarr"):
        image = read.scan(folder / name)
        assert image.axes == "teyx"
        np.testing.assert_allclose(image.coordinates["e"], ENERGIES)
        np.testing.assert_array_equal(np.asarray(image.array), stack)
        np.testing.assert_allclose(image.spacing, SPACING, rtol=1e-4)


def test_files_for_a_result_are_the_same(tmp_path):
    stack, mask = particle(1)
    files = read.aligned_files(1, stack, mask, corner_px=(1, 2), spacing=SPACING, energies_ev=ENERGIES, tiff=False)
    assert set(files) == {"aligned/particle_001_mask.tif", "aligned/particle_001.zarr"}
    files["aligned/particle_001.zarr"](tmp_path / "x.zarr")
    np.testing.assert_array_equal(zarr.open_group(str(tmp_path / "x.zarr"), mode="r")["0"][:], stack)


def test_writing_again_replaces_and_leaves_nothing_behind(tmp_path):
    folder = result(tmp_path / "r")
    stack, mask = particle(1)
    written = read.write_aligned(folder, 1, stack + 1, mask, corner_px=(0, 0), spacing=SPACING, energies_ev=ENERGIES)
    assert [p.name for p in written] == ["particle_001_mask.tif", "particle_001.tif", "particle_001.zarr"]
    np.testing.assert_array_equal(read.registered(folder).particles[1].stack, stack + 1)
    assert not [p for p in (folder / "aligned").iterdir() if p.name.startswith(".")]


def test_memory_is_that_of_one_scan(tmp_path):
    class Lazy:
        shape, ndim, dtype = (6, 20, 200, 240), 4, np.dtype(np.float32)

        def __getitem__(self, t):
            return np.full(self.shape[1:], t, np.float32)

    energies = np.linspace(8250, 8400, 20)
    mask = np.ones((200, 240), bool)
    one = 4 * 20 * 200 * 240
    for tiff in (False, True):
        tracemalloc.start()
        read.write_aligned(tmp_path, 1, Lazy(), mask, corner_px=(0, 0), spacing=None, energies_ev=energies, tiff=tiff)
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert peak < 4.5 * one
    np.testing.assert_array_equal(tifffile.imread(tmp_path / "aligned" / "particle_001.tif")[:, 3, 4, 5], np.arange(6))


# --- what is not whole ----------------------------------------------------------------------------------------


def test_no_particle_gives_an_empty_mapping(tmp_path):
    found = read.registered(result(tmp_path / "r", n=0))
    assert dict(found.particles) == {}
    assert len(found.motion) == 0
    assert "no registered particle" in found.warnings[0]


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (lambda f: shutil.rmtree(f), "is not a folder"),
        (lambda f: (f / "summary.json").unlink(), "has no summary.json: it was not written to the end"),
        (lambda f: (f / "motion.csv").unlink(), "has no motion.csv"),
        (lambda f: (f / "motion.csv").write_text("a,b\n1,2\n"), "lacks the columns particle, scan"),
        (lambda f: (f / "motion.csv").write_text(""), "motion.csv is no readable table"),
        (lambda f: (f / "recipe.toml").write_text('command = "xct measure"\n'), "a result of `xct measure`, not of"),
        (lambda f: (f / "recipe.toml").write_text("command = "), "damaged"),
        (lambda f: (f / "summary.json").write_text("{"), "damaged"),
        (
            lambda f: shutil.rmtree(f / "aligned" / "particle_002.zarr"),
            "lists 2 particles, the stacks of 1 are missing",
        ),
        (lambda f: shutil.rmtree(f / "aligned"), "lists 2 particles, the stacks of 2 are missing"),
        (lambda f: (f / "aligned" / "particle_001_mask.tif").unlink(), "particle_001_mask.tif is missing"),
        (lambda f: (f / "energies.txt").write_text("8000\n8100\n8200\n8300\n"), "other energies than the rest"),
        (lambda f: (f / "aligned" / "particle_001.zarr" / "zarr.json").unlink(), "particle_001.zarr"),
        (lambda f: (f / "aligned" / "particle_001.zarr" / "0" / "c" / "1" / "0" / "0" / "0").unlink(), "truncated"),
    ],
)
def test_folders_that_are_not_whole(tmp_path, spoil, said):
    folder = result(tmp_path / "r")
    spoil(folder)
    with pytest.raises(InputError) as told:
        read.registered(folder)
    assert said in str(told.value)
    assert "\n" not in str(told.value)


def test_a_folder_that_is_something_else(tmp_path):
    with pytest.raises(InputError, match="is no result of `morpholith xanes register`"):
        read.registered(tmp_path)


def test_damage_inside_shows_when_the_particle_is_read(tmp_path):
    folder = result(tmp_path / "r")
    truncated(folder / "aligned" / "particle_001_mask.tif", 0.6)
    truncated(folder / "aligned" / "particle_002.zarr" / "0" / "c" / "0" / "0" / "0" / "0", 0.5)
    found = read.registered(folder)
    with pytest.raises(InputError, match="particle_001_mask.tif"):
        found.particles[1]
    with pytest.raises(InputError, match="particle_002.zarr"):
        found.particles[2]


def test_particles_of_two_runs(tmp_path):
    folder = result(tmp_path / "r")
    stack, mask = particle(2, 3)
    read.write_aligned(folder, 2, stack, mask, corner_px=(0, 0), spacing=SPACING, energies_ev=ENERGIES)
    with pytest.raises(InputError, match="have .2, 3. scans"):
        read.registered(folder)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"mask": np.ones((3, 4), bool)}, "`stack` must be"),
        ({"energies_ev": ENERGIES[:3]}, "`stack` must be"),
        ({"energies_ev": ENERGIES[::-1]}, "must rise"),
        ({"number": 0}, "starts at 1"),
    ],
)
def test_what_cannot_be_written(tmp_path, change, said):
    stack, mask = particle(1)
    options = {
        "number": 1,
        "stack": stack,
        "mask": mask,
        "corner_px": (0, 0),
        "spacing": SPACING,
        "energies_ev": ENERGIES,
    }
    options |= change
    with pytest.raises(InputError, match=said):
        read.write_aligned(tmp_path, **options)
    assert not list(tmp_path.iterdir())


def test_a_place_that_cannot_be_written(tmp_path):
    stack, mask = particle(1)
    (tmp_path / "aligned").write_text("a file where the folder should be")
    with pytest.raises(InputError, match="cannot be written"):
        read.write_aligned(tmp_path, 1, stack, mask, corner_px=(0, 0), spacing=SPACING, energies_ev=ENERGIES)
