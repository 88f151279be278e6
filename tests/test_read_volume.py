"""Volumes from files: every format gives the same voxels in the same order, with a size that has an origin."""

import pickle
import shutil
import subprocess
import sys

import _volume_files as files
import h5py
import numpy as np
import pytest
import tifffile
import zarr
from _volume_files import CUBIC, FORMATS, SHAPE, SPACING, grey, slices, written
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image as Picture

from morpholith import read
from morpholith.errors import InputError
from morpholith.image import Image

# --- every format ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float32], ids=str)
@pytest.mark.parametrize("name", FORMATS)
def test_voxels_order_and_scale_come_back(tmp_path, name, dtype):
    array = grey(dtype=dtype)
    image = read.volume(written(name, tmp_path, array))
    assert image.axes == "zyx"
    assert image.array.shape == image.shape == SHAPE
    assert image.array.ndim == 3
    assert image.array.dtype == dtype
    assert image.array.dtype.isnative
    np.testing.assert_array_equal(np.asarray(image.array), array)
    expected = (SPACING[2],) * 3 if name in CUBIC else SPACING
    np.testing.assert_allclose(image.spacing, expected, rtol=1e-7)
    assert image.warnings == ()
    assert image.provenance["voxel_size_from"] not in ("", "option")
    assert image.provenance["format"]


@pytest.mark.parametrize("name", FORMATS)
def test_parts_are_those_of_an_array_and_it_travels(tmp_path, name):
    array = grey()
    lazy = pickle.loads(pickle.dumps(read.volume(written(name, tmp_path, array)).array))
    for key in [
        2,
        -1,
        (1, slice(None), 3),
        (slice(1, 4), slice(2, 6), slice(3, 8)),
        (slice(None, None, 2), slice(None, None, -1), slice(7, 1, -3)),
        (..., 4),
        (slice(4, 2), 0),
        (-2, -3, -4),
    ]:
        np.testing.assert_array_equal(lazy[key], array[key], err_msg=str(key))


@pytest.mark.parametrize("name", ["tiff-imagej", "tiff-lzw", "hdf5-gzip", "nrrd-gzip", "zarr5"])
def test_another_process_reads_it(tmp_path, name):
    array = grey()
    lazy = read.volume(written(name, tmp_path, array)).array
    (tmp_path / "lazy").write_bytes(pickle.dumps(lazy))
    code = f"import pickle; print(pickle.load(open({str(tmp_path / 'lazy')!r}, 'rb'))[1:4].sum())"
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert int(out.stdout) == int(array[1:4].sum())


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_any_slice_is_that_of_the_array(tmp_path, data):
    array = grey()
    path = tmp_path / "a.npy"
    if not path.exists():
        np.save(path, array)
    lazy = read.volume(path, voxel_size=1).array
    key = tuple(data.draw(st.one_of(st.slices(n), st.integers(-n, n - 1))) for n in SHAPE)
    np.testing.assert_array_equal(lazy[key], array[key])


def test_what_is_no_basic_index_is_refused(tmp_path):
    np.save(tmp_path / "a.npy", grey())
    lazy = read.volume(tmp_path / "a.npy", voxel_size=1).array
    with pytest.raises(TypeError, match="integers and slices"):
        lazy[[1, 2]]
    with pytest.raises(IndexError, match="out of bounds"):
        lazy[5]
    with pytest.raises(IndexError, match="too many"):
        lazy[1, 2, 3, 4]
    with pytest.raises(ValueError, match="copy"):
        np.array(lazy, copy=False)


def test_dask_reads_it_by_blocks_and_names_it_by_content(tmp_path):
    import dask.array
    from dask.base import tokenize

    array = grey((20, 30, 40))
    lazy = read.volume(written("tiff-lzw", tmp_path, array)).array
    blocks = dask.array.from_array(lazy, chunks=(8, 16, 16))
    assert int(blocks.astype(np.int64).sum().compute(scheduler="synchronous")) == int(array.sum())
    again = read.volume(tmp_path / "volume.tif").array
    assert tokenize(lazy) == tokenize(again)
    written("tiff-lzw", tmp_path, array[:, :, 1:])
    assert tokenize(read.volume(tmp_path / "volume.tif").array) != tokenize(lazy)


def test_nothing_is_read_before_it_is_asked_for(tmp_path):
    path = tmp_path / "a.npy"
    with path.open("wb") as file:  # 64 GiB that take no room on disk
        header = {"descr": "<u2", "fortran_order": False, "shape": (2048, 4096, 4096)}
        np.lib.format.write_array_header_1_0(file, header)
        file.truncate(file.tell() + 2 * 2048 * 4096 * 4096)
    lazy = read.volume(path, voxel_size=0.1).array
    assert lazy.nbytes == 2**36
    assert lazy[1000, 2000:2004, 3000:3005].tolist() == [[0] * 5] * 4


# --- how large a voxel is -------------------------------------------------------------------------------------


def test_the_user_wins_and_a_difference_is_said(tmp_path):
    path = written("tiff-ome", tmp_path)
    same = read.volume(path, voxel_size=tuple(s * 1.0009 for s in SPACING))
    assert same.warnings == ()
    assert same.provenance["voxel_size_from"] == "option"
    other = read.volume(path, voxel_size=(0.5, 0.25, 0.126))
    assert other.spacing == (0.5, 0.25, 0.126)
    assert len(other.warnings) == 1
    assert "0.5 x 0.25 x 0.126 um" in other.warnings[0]
    assert "0.5 x 0.25 x 0.125 um" in other.warnings[0]
    one = read.volume(path, voxel_size=0.3)
    assert one.spacing == (0.3, 0.3, 0.3)


@pytest.mark.parametrize("value", [0, -1, np.nan, np.inf, 9e-5, 1.1e4, (1, 2), (1, 2, 3, 4), (1, 0, 1), "a", [[1]] * 2])
def test_an_absurd_option_is_refused(tmp_path, value):
    with pytest.raises(
        InputError, match=r"--voxel-size UM or Z,Y,X.* must be one or three lengths of 0\.0001 to 10000 um"
    ):
        read.volume(tmp_path / "absent", voxel_size=value)


@pytest.mark.parametrize(
    ("name", "spacing"),
    [
        ("tiff-ome", (5e4, 1, 1)),
        ("hdf5", (1, 1, 2e-5)),
        ("hdf5", (1, -1, 1)),
        ("hdf5", (np.nan, 1, 1)),
        ("mha", (1, 0, 1)),
        ("nrrd", (2e4, 2e4, 2e4)),
        ("zarr4", (1, 1, 1e6)),
        ("amira", (1, 1, 1e5)),
        ("txm", (1, 1, -3.0)),
    ],
)
def test_an_absurd_size_in_the_file_is_refused_unless_the_user_knows_better(tmp_path, name, spacing):
    path = written(name, tmp_path, spacing=spacing)
    with pytest.raises(InputError, match=rf"{path.name} says that a voxel is .* which cannot be: give --voxel-size"):
        read.volume(path)
    image = read.volume(path, voxel_size=0.4)
    assert image.spacing == (0.4,) * 3
    assert len(image.warnings) == 1


def _no_unit(name, folder):
    array = grey()
    return {
        "mha": lambda: files.metaimage(folder / "a.mha", array, unit=""),
        "mha-odd": lambda: files.metaimage(folder / "a.mha", array, unit="?"),
        "nrrd": lambda: files.nrrd(folder / "a.nrrd", array, unit=""),
        "nrrd-directions": lambda: files.nrrd(folder / "a.nrrd", array, unit="", directions=True),
        "amira": lambda: files.amira(folder / "a.am", array, unit=""),
        "hdf5": lambda: files.hdf5(folder / "a.h5", array, attribute="voxel_size"),
        "zarr": lambda: files.ome_zarr4(folder / "a.zarr", array, unit=""),
    }[name]()


@pytest.mark.parametrize("name", ["mha", "mha-odd", "nrrd", "nrrd-directions", "amira", "hdf5", "zarr"])
def test_a_length_without_a_unit_is_no_length(tmp_path, name):
    path = _no_unit(name, tmp_path)
    with pytest.raises(read.MissingVoxelSize, match=r"does not say how large .* unit.*: give --voxel-size UM or Z,Y,X"):
        read.volume(path)
    assert read.volume(path, voxel_size=(1, 2, 3)).warnings == ()


@pytest.mark.parametrize("name", ["npy", "raw", "tiff", "dpi", "hdf5", "folder", "zarr", "txm"])
def test_no_length_at_all(tmp_path, name):
    array, more = grey(), {}
    path = tmp_path / "a.bin"
    if name == "npy":
        path = tmp_path / "a.npy"
        np.save(path, array)
    elif name == "raw":
        array.tofile(path)
        more = {"shape": SHAPE, "dtype": "uint16"}
    elif name in ("tiff", "dpi"):
        tifffile.imwrite(path, array, **({"resolution": (300, 300)} if name == "dpi" else {}))
    elif name == "hdf5":
        files.hdf5(path, array, attribute="")
    elif name == "folder":
        path = slices(tmp_path / "scan", array)
    elif name == "txm":
        files.zeiss(path, array, edge=None)
    else:
        path = tmp_path / "a.zarr"
        zarr.save_array(str(path), array)
    with pytest.raises(read.MissingVoxelSize, match=rf"^{path.name} does not say .*: give --voxel-size UM or Z,Y,X"):
        read.volume(path, **more)
    image = read.volume(path, voxel_size=(3, 2, 1), **more)
    assert image.spacing == (3, 2, 1)
    np.testing.assert_array_equal(np.asarray(image.array), array)


def test_a_tiff_that_knows_x_and_y_but_not_z(tmp_path):
    tifffile.imwrite(tmp_path / "a.tif", grey(), imagej=True, resolution=(8, 4), metadata={"unit": "um", "axes": "ZYX"})
    with pytest.raises(
        read.MissingVoxelSize, match=r"along y and x .*0\.25 x 0\.125 um.* but not along z: give --voxel-size Z,Y,X"
    ):
        read.volume(tmp_path / "a.tif")
    image = read.volume(tmp_path / "a.tif", voxel_size=(1, 0.25, 0.125))
    assert image.warnings == ()
    assert len(read.volume(tmp_path / "a.tif", voxel_size=1).warnings) == 1


@pytest.mark.parametrize(("unit", "um"), [("nm", 1e-3), ("µm", 1), ("micron", 1), ("mm", 1e3)])
def test_imagej_units(tmp_path, unit, um):
    metadata = {"unit": unit.replace("µ", "\\u00B5"), "spacing": str(0.5 / um), "axes": "ZYX"}
    tifffile.imwrite(tmp_path / "a.tif", grey(), imagej=True, resolution=(um / 0.125, um / 0.25), metadata=metadata)
    np.testing.assert_allclose(read.volume(tmp_path / "a.tif").spacing, SPACING, rtol=1e-6)


@pytest.mark.parametrize(("unit", "um"), [("nanometer", 1e-3), ("angstrom", 1e-4), ("millimeter", 1e3), ("meter", 1e6)])
def test_units_written_out(tmp_path, unit, um):
    steps = tuple(s / um for s in SPACING)
    for path in (
        files.ome_zarr4(tmp_path / "a.zarr", grey(), steps, unit=unit),
        files.nrrd(tmp_path / "a.nrrd", grey(), steps, unit=unit),
    ):
        np.testing.assert_allclose(read.volume(path).spacing, SPACING, rtol=1e-5)


# --- TIFF -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "options",
    [
        {"compression": "deflate"},
        {"compression": "packbits"},
        {"compression": "lzw", "predictor": True},
        {"tile": (16, 16)},
        {"rowsperstrip": 3},
        {"byteorder": ">"},
        {"bigtiff": True},
        {"imagej": True},
        {"contiguous": False},
    ],
    ids=str,
)
def test_tiff_stacks_of_every_build(tmp_path, options):
    array = grey((4, 33, 21))
    path = tmp_path / "a.tif"
    if "contiguous" not in options:
        axes = {"metadata": {"axes": "ZYX"}} if "imagej" in options else {}
        tifffile.imwrite(path, array, photometric="minisblack", **options, **axes)
    else:
        with tifffile.TiffWriter(path) as file:
            for k, one in enumerate(array):
                file.write(one, contiguous=False, description="x" * (k**3), metadata=None)
    image = read.volume(path, voxel_size=1)
    np.testing.assert_array_equal(np.asarray(image.array), array)
    assert image.warnings == ()


def test_an_uncompressed_stack_is_mapped_and_a_compressed_one_decoded_by_page(tmp_path):
    array = grey((4, 33, 21))
    tifffile.imwrite(tmp_path / "a.tif", array, photometric="minisblack")
    tifffile.imwrite(tmp_path / "b.tif", array, photometric="minisblack", compression="deflate")
    raw = bytearray((tmp_path / "b.tif").read_bytes())
    with tifffile.TiffFile(tmp_path / "b.tif") as file:
        at = file.pages[3].dataoffsets[0]
    raw[at : at + 40] = bytes(40)  # the last page is spoilt
    (tmp_path / "b.tif").write_bytes(raw)
    assert type(read.volume(tmp_path / "a.tif", voxel_size=1).array.source).__name__ == "Mapped"
    lazy = read.volume(tmp_path / "b.tif", voxel_size=1).array
    np.testing.assert_array_equal(lazy[:3], array[:3])
    with pytest.raises(InputError, match=r"b\.tif is a damaged or incomplete"):
        lazy[3]


@pytest.mark.parametrize("options", [{}, {"compression": "deflate"}], ids=["mapped", "decoded"])
def test_white_is_zero_turned_round(tmp_path, options):
    array = grey(dtype=np.uint8)
    tifffile.imwrite(tmp_path / "a.tif", 255 - array, photometric="miniswhite", **options)
    np.testing.assert_array_equal(read.volume(tmp_path / "a.tif", voxel_size=1).array[1:], array[1:])


def test_truth_values_are_nought_and_one(tmp_path):
    mask = grey((4, 16, 24)) > 60
    tifffile.imwrite(tmp_path / "a.tif", mask, photometric="minisblack")
    np.save(tmp_path / "a.npy", mask)
    for path in (tmp_path / "a.tif", tmp_path / "a.npy"):
        lazy = read.volume(path, voxel_size=1).array
        assert lazy.dtype == np.uint8
        np.testing.assert_array_equal(np.asarray(lazy), mask)


@pytest.mark.parametrize("dtype", [np.int8, np.int16, np.int32, np.uint32, np.float64, ">f4", ">i4"])
def test_other_types(tmp_path, dtype):
    array = grey().astype(dtype)
    np.save(tmp_path / "a.npy", array)
    lazy = read.volume(tmp_path / "a.npy", voxel_size=1).array
    assert lazy.dtype == (np.float32 if array.dtype.kind == "f" else array.dtype.newbyteorder("="))
    assert lazy[1].dtype == lazy.dtype
    np.testing.assert_array_equal(np.asarray(lazy), array)


def test_a_volume_in_one_page(tmp_path):
    array = grey((16, 32, 48))
    tifffile.imwrite(tmp_path / "a.tif", array, volumetric=True, tile=(16, 16, 16), compression="deflate")
    np.testing.assert_array_equal(read.volume(tmp_path / "a.tif", voxel_size=1).array[3:9, 5], array[3:9, 5])


def test_thumbnails_are_left_out_and_said(tmp_path):
    array = grey((4, 32, 48))
    with tifffile.TiffWriter(tmp_path / "a.tif") as file:
        for one in array:
            file.write(one, contiguous=False, metadata=None)
            file.write(one[::2, ::2], subfiletype=1, contiguous=False, metadata=None)
    image = read.volume(tmp_path / "a.tif", voxel_size=1)
    np.testing.assert_array_equal(np.asarray(image.array), array)
    assert "4 reduced images beside the 4 slices" in image.warnings[0]


def test_labels_with_a_table_of_colours(tmp_path):
    labels = grey(dtype=np.uint8)
    table = np.random.default_rng(0).integers(0, 65536, (3, 256)).astype(np.uint16)
    with tifffile.TiffWriter(tmp_path / "a.tif") as file:
        for one in labels:
            file.write(one, photometric="palette", colormap=table, contiguous=False, metadata=None)
    image = read.volume(tmp_path / "a.tif", voxel_size=1)
    np.testing.assert_array_equal(np.asarray(image.array), labels)
    assert "table of colours" in image.warnings[0]


@pytest.mark.parametrize("axes", ["TYX", "CYX"])
def test_slices_called_something_else(tmp_path, axes):
    tifffile.imwrite(tmp_path / "a.tif", grey(), imagej=True, metadata={"axes": axes})
    image = read.volume(tmp_path / "a.tif", voxel_size=1)
    np.testing.assert_array_equal(np.asarray(image.array), grey())
    assert "taken as slices along z" in image.warnings[0]


@pytest.mark.parametrize(
    ("axes", "shape", "options"),
    [("ZCYX", (4, 2, 8, 9), {"imagej": True}), ("TZYX", (2, 4, 8, 9), {"ome": True}), ("QRYX", (2, 4, 8, 9), {})],
)
def test_several_channels_or_times_are_refused(tmp_path, axes, shape, options):
    tifffile.imwrite(
        tmp_path / "a.tif", grey(shape), photometric="minisblack", metadata={"axes": axes} if options else {}, **options
    )
    with pytest.raises(InputError, match=r"a\.tif has several axes beside y and x, .* export one volume of them"):
        read.volume(tmp_path / "a.tif", voxel_size=1)


# --- colours --------------------------------------------------------------------------------------------------


def _coloured(name, folder, array):
    if name == "tiff":
        tifffile.imwrite(folder / "a.tif", array, photometric="rgb", compression="deflate")
        return folder / "a.tif"
    if name == "imagej":
        tifffile.imwrite(folder / "a.tif", array, imagej=True, metadata={"axes": "ZYXS"})
        return folder / "a.tif"
    if name == "npy":
        np.save(folder / "a.npy", array)
        return folder / "a.npy"
    return slices(folder / "scan", array, photometric="rgb")


@pytest.mark.parametrize("name", ["tiff", "imagej", "npy", "folder"])
def test_colour_that_is_grey_and_colour_that_is_not(tmp_path, name):
    array = grey(dtype=np.uint8)
    rgb = np.repeat(array[..., None], 3, -1)
    path = _coloured(name, tmp_path, rgb)
    image = read.volume(path, voxel_size=1)
    np.testing.assert_array_equal(np.asarray(image.array), array)
    np.testing.assert_array_equal(image.array[2, 1:5:2, 4], array[2, 1:5:2, 4])
    assert "stored in colour but is grey" in image.warnings[0]
    rgb[-1, 3, 3, 1] += 1
    if path.is_dir():
        shutil.rmtree(path)
    with pytest.raises(InputError, match=r"is a colour volume; tomograms are grey"):
        read.volume(_coloured(name, tmp_path, rgb), voxel_size=1)


def test_four_channels_that_are_no_colours(tmp_path):
    np.save(tmp_path / "a.npy", grey((4, 5, 6, 7)))
    with pytest.raises(InputError, match=r"shape \(4, 5, 6, 7\); expected three axes"):
        read.volume(tmp_path / "a.npy", voxel_size=1)


# --- folders --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float32], ids=str)
def test_a_folder_in_the_order_of_its_numbers(tmp_path, dtype):
    array = grey((12, 7, 9), dtype)
    folder = slices(tmp_path / "scan", array)
    (folder / "notes.txt").write_text("about")
    (folder / ".hidden.tif").write_text("about")
    image = read.volume(folder, voxel_size=SPACING)
    np.testing.assert_array_equal(np.asarray(image.array), array)
    np.testing.assert_array_equal(image.array[2:11:3, 1], array[2:11:3, 1])
    assert image.warnings == ()
    assert image.provenance["slices"] == "slice_1.tif to slice_12.tif"


def test_a_folder_of_png(tmp_path):
    array = grey((4, 7, 9), np.uint8)
    for k, one in enumerate(array):
        Picture.fromarray(one).save(tmp_path / f"{k}.png")
    image = read.volume(tmp_path, voxel_size=1)
    assert image.array.dtype == np.uint8
    np.testing.assert_array_equal(np.asarray(image.array), array)


def test_gaps_and_steps_in_the_numbers_are_said(tmp_path):
    folder = slices(tmp_path / "scan", grey((9, 7, 9)))
    (folder / "slice_4.tif").unlink()
    (folder / "slice_5.tif").unlink()
    image = read.volume(folder, voxel_size=1)
    assert image.shape[0] == 7
    assert "2 slices are missing in the numbering (4, 5)" in image.warnings[0]
    for k in (2, 6, 8):
        (folder / f"slice_{k}.tif").unlink()
    assert "numbered in steps of 2" in read.volume(slices_of(folder, (1, 3)), voxel_size=1).warnings[0]


def slices_of(folder, kept):
    for path in folder.iterdir():
        if int(path.stem.split("_")[1]) not in kept:
            path.unlink()
    return folder


def test_the_odd_slice_is_named(tmp_path):
    folder = slices(tmp_path / "scan", grey((6, 7, 9)))
    tifffile.imwrite(folder / "slice_1.tif", grey((7, 8)))
    with pytest.raises(InputError, match=r"slice_1\.tif is 7 x 8 uint16, the other slices are 7 x 9 uint16"):
        read.volume(folder, voxel_size=1)
    tifffile.imwrite(folder / "slice_1.tif", grey((7, 9)))
    tifffile.imwrite(folder / "slice_4.tif", grey((7, 9), np.uint8))
    with pytest.raises(InputError, match=r"slice_4\.tif is 7 x 9 uint8, the other slices are 7 x 9 uint16"):
        read.volume(folder, voxel_size=1)


def test_two_series_need_a_pattern(tmp_path):
    folder = slices(tmp_path / "scan", grey())
    for k in range(5):
        tifffile.imwrite(folder / f"slice_{k + 1}_label.tif", grey(dtype=np.uint8)[k])
    with pytest.raises(InputError, match=r"2 series of images .*with a pattern: scan/slice_#\.tif"):
        read.volume(folder, voxel_size=1)
    np.testing.assert_array_equal(np.asarray(read.volume(folder / "slice_#.tif", voxel_size=1).array), grey())
    assert read.volume(str(folder / "*_label.tif"), voxel_size=1).array.dtype == np.uint8
    with pytest.raises(InputError, match="names no file"):
        read.volume(folder / "other_*.tif", voxel_size=1)


def test_a_folder_knows_the_scale_of_its_slices_but_not_their_distance(tmp_path):
    folder = slices(tmp_path / "scan", grey(), imagej=True, resolution=(8, 4), metadata={"unit": "um"})
    with pytest.raises(read.MissingVoxelSize, match="but not along z"):
        read.volume(folder)
    assert read.volume(folder, voxel_size=(3, 0.25, 0.125)).warnings == ()


# --- npy and raw ----------------------------------------------------------------------------------------------


def test_fortran_order_and_axes_of_length_one(tmp_path):
    array = grey()
    np.save(tmp_path / "f.npy", np.asfortranarray(array))
    np.testing.assert_array_equal(np.asarray(read.volume(tmp_path / "f.npy", voxel_size=1).array), array)
    np.save(tmp_path / "s.npy", array[None, ..., None])
    np.testing.assert_array_equal(read.volume(tmp_path / "s.npy", voxel_size=1).array[2:], array[2:])


@pytest.mark.parametrize("dtype", ["uint8", ">u2", "float32", "<f8", "i2"])
def test_raw_numbers(tmp_path, dtype):
    array = grey().astype(dtype)
    array.tofile(tmp_path / "a.raw")
    image = read.volume(tmp_path / "a.raw", voxel_size=SPACING, shape=SHAPE, dtype=dtype)
    np.testing.assert_array_equal(np.asarray(image.array), array)
    assert image.spacing == SPACING


@pytest.mark.parametrize(
    ("shape", "dtype", "said"),
    [
        ((5, 7, 8), "u2", r"has 630 bytes, `shape` \(5, 7, 8\) of uint16 needs 560; a header of 70 bytes\?"),
        ((5, 7, 10), "u2", r"has 630 bytes, `shape` \(5, 7, 10\) of uint16 needs 700: check shape and dtype"),
        ((10**7, 10**7, 10**7), "u2", r"has 630 bytes"),
        ((5, 7), "u2", r"`shape` must be three positive whole numbers \(z, y, x\), got \(5, 7\)"),
        ((5, 0, 9), "u2", r"`shape` must be"),
        (("a", 7, 9), "u2", r"`shape` must be"),
        (None, "u2", r"`shape` \(z, y, x\) is needed too"),
        (SHAPE, None, r"`dtype` .* is needed too"),
        (SHAPE, "grey", r"`dtype` must be a type of numbers"),
        (SHAPE, "O", r"`dtype` must be a type of numbers"),
        (SHAPE, "complex64", r"`dtype` must be a type of numbers"),
    ],
)
def test_raw_numbers_that_do_not_fit(tmp_path, shape, dtype, said):
    grey().tofile(tmp_path / "a.raw")
    with pytest.raises(InputError, match=said):
        read.volume(tmp_path / "a.raw", voxel_size=1, shape=shape, dtype=dtype)


def test_options_that_do_not_belong(tmp_path):
    path = written("tiff-ome", tmp_path)
    with pytest.raises(InputError, match="is TIFF and has its own shape and type"):
        read.volume(path, shape=SHAPE, dtype="u2")
    with pytest.raises(InputError, match="`dataset` names an array inside HDF5 or zarr"):
        read.volume(path, dataset="0")


# --- HDF5 -----------------------------------------------------------------------------------------------------


def test_the_dataset_is_found_or_chosen(tmp_path):
    path = tmp_path / "a.h5"
    with h5py.File(path, "w") as file:
        file["entry/flat"] = np.zeros((1, 7, 9), np.uint16)
        file["entry/angles"] = np.arange(5.0)
        file["entry/data"] = grey()
        file["entry/name"] = "text"
    image = read.volume(path, voxel_size=1)
    assert image.provenance["dataset"] == "entry/data"
    assert image.warnings == ()
    with h5py.File(path, "a") as file:
        file["small"] = grey((4, 5, 6))
    image = read.volume(path, voxel_size=1)
    assert image.shape == SHAPE
    assert image.warnings == (
        "a.h5: the largest dataset, entry/data (5, 7, 9), is read; there are also small (4, 5, 6).",
    )
    chosen = read.volume(path, voxel_size=1, dataset="/small")
    assert (chosen.shape, chosen.warnings) == ((4, 5, 6), ())
    assert read.volume(path, voxel_size=1, dataset="entry").shape == SHAPE
    with pytest.raises(InputError, match=r"has no dataset 'absent'; it has .*entry/data \(5, 7, 9\)"):
        read.volume(path, voxel_size=1, dataset="absent")
    with pytest.raises(InputError, match="single slice"):
        read.volume(path, voxel_size=1, dataset="entry/flat")
    with pytest.raises(InputError, match="holds object, not grey levels"):
        read.volume(path, voxel_size=1, dataset="entry/name")


@pytest.mark.parametrize(
    ("attributes", "above", "expected"),
    [
        ({"element_size_um": SPACING}, {}, SPACING),
        ({"voxel_size_nm": 250.0}, {}, (0.25,) * 3),
        ({"voxel_size": 0.3, "voxel_size_units": "micron"}, {}, (0.3,) * 3),
        ({"pixel_size": np.array([2e-4]), "pixel_size_unit": b"mm"}, {}, (0.2,) * 3),
        ({"pixel_size": 0.7, "units": "um"}, {}, (0.7,) * 3),
        ({}, {"voxel_size_um": 0.4}, (0.4,) * 3),
        ({"voxel_size": 0.3}, {"voxel_size_um": 0.4}, (0.4,) * 3),
    ],
)
def test_attributes_that_say_how_large(tmp_path, attributes, above, expected):
    path = files.hdf5(tmp_path / "a.h5", grey(), attribute="")
    with h5py.File(path, "a") as file:
        file["exchange/data"].attrs.update(attributes)
        file["exchange"].attrs.update(above)
    np.testing.assert_allclose(read.volume(path).spacing, expected, rtol=1e-12)


def test_a_length_in_a_dataset_beside_it(tmp_path):
    path = files.hdf5(tmp_path / "a.h5", grey(), attribute="")
    with h5py.File(path, "a") as file:
        file["exchange/pixel_size"] = 65.0
        file["exchange/pixel_size"].attrs["units"] = "nm"
    image = read.volume(path)
    np.testing.assert_allclose(image.spacing, (0.065,) * 3, rtol=1e-12)
    assert image.provenance["voxel_size_from"] == "HDF5 /exchange/pixel_size"


def test_axis_tags_put_the_axes_in_order(tmp_path):
    path = files.hdf5(tmp_path / "a.h5", grey().transpose(2, 1, 0)[None, ..., None], attribute="")
    with h5py.File(path, "a") as file:
        file["exchange/data"].attrs["axistags"] = files.vigra_tags("txyzc")
    np.testing.assert_array_equal(read.volume(path, voxel_size=1).array[1:, 2], grey()[1:, 2])


def test_what_hdf5_would_fill_in_is_said(tmp_path):
    with h5py.File(tmp_path / "a.h5", "w") as file:
        data = file.create_dataset("data", (8, 8, 8), "u1", chunks=(4, 4, 4), fillvalue=7)
        file.create_dataset("never", (4, 4, 4), "u1", chunks=(4, 4, 4))
        data[:4] = 1
    image = read.volume(tmp_path / "a.h5", voxel_size=1, dataset="data")
    assert image.warnings == ("a.h5: 4 of the 8 chunks of data were never written; they are read as 7.",)
    with pytest.raises(InputError, match="nothing was ever written to its dataset never"):
        read.volume(tmp_path / "a.h5", voxel_size=1, dataset="never")


def test_a_compression_that_is_not_installed(tmp_path, monkeypatch):
    path = files.hdf5(tmp_path / "a.h5", grey(), chunks=(2, 3, 4), compression="gzip")
    monkeypatch.setattr("h5py.h5z.filter_avail", lambda _: False)
    with pytest.raises(InputError, match=r"exchange/data is compressed with deflate, which is not installed here"):
        read.volume(path)


def test_a_virtual_dataset_without_its_files(tmp_path):
    with h5py.File(tmp_path / "part.h5", "w") as file:
        file["data"] = grey()
    layout = h5py.VirtualLayout(SHAPE, "u2")
    layout[...] = h5py.VirtualSource("part.h5", "data", SHAPE)
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file.create_virtual_dataset("data", layout)
    np.testing.assert_array_equal(np.asarray(read.volume(tmp_path / "a.h5", voxel_size=1).array), grey())
    (tmp_path / "part.h5").unlink()
    with pytest.raises(InputError, match=r"takes data from other files; part\.h5 .* is missing"):
        read.volume(tmp_path / "a.h5", voxel_size=1)


# --- the others -----------------------------------------------------------------------------------------------


def test_run_lengths_with_long_runs_and_literals(tmp_path):
    labels = np.zeros((9, 11, 13), np.uint8)
    labels[2:5, 3:9, 1:12] = 1
    labels[7] = grey((11, 13), np.uint8)
    path = files.amira(tmp_path / "a.am", labels, packing="HxByteRLE")
    assert path.stat().st_size < 1200
    np.testing.assert_array_equal(np.asarray(read.volume(path).array), labels)


@pytest.mark.parametrize(
    ("packing", "replaced", "said"),
    [
        ("HxByteRLE", (b"ushort", b"ushort"), "is packed with HxByteRLE"),
        ("HxZip", (b"HxZip", b"HxOth"), "is packed with HxOth"),
        ("", (b"ushort Data", b"float[3] Data"), r"holds float\[3\] a voxel; export one number a voxel"),
        ("", (b"define Lattice 9 7 5", b"define Points 9 7 5"), "holds no lattice"),
        ("", (b"BoundingBox", b"BoxBounding"), "has no BoundingBox"),
    ],
)
def test_amira_that_is_no_grey_volume(tmp_path, packing, replaced, said):
    path = files.amira(tmp_path / "a.am", grey(), packing=packing)
    path.write_bytes(path.read_bytes().replace(*replaced))
    with pytest.raises(InputError, match=said):
        read.volume(path)


def test_nrrd_with_colours_a_vector_axis_or_turned_axes(tmp_path):
    rgb = np.repeat(grey(dtype=np.uint8)[..., None], 3, -1)
    path = files.nrrd(tmp_path / "a.nrrd", rgb, (*SPACING, 1), extra=["kinds: RGB-color domain domain domain"], unit="")
    np.testing.assert_array_equal(np.asarray(read.volume(path, voxel_size=1).array), grey())
    path = files.nrrd(tmp_path / "b.nrrd", rgb, (*SPACING, 1), extra=["kinds: vector domain domain domain"], unit="")
    with pytest.raises(InputError, match="several axes beside y and x, z = 5, c = 3"):
        read.volume(path, voxel_size=1)
    path = files.nrrd(tmp_path / "c.nrrd", grey(), directions=True)
    turned = path.read_bytes().replace(b"(0.125,0,0)", b"(0.1,0.075,0)")
    path.write_bytes(turned)
    image = read.volume(path)
    np.testing.assert_allclose(image.spacing, SPACING, rtol=1e-12)
    assert "turned in space" in image.warnings[0]


def test_nrrd_skips_what_its_header_says(tmp_path):
    path = files.nrrd(tmp_path / "a.nhdr", grey(), extra=["line skip: 1", "byte skip: 3"])
    data = tmp_path / "a.bin"
    data.write_bytes(b"a line\nabc" + data.read_bytes())
    np.testing.assert_array_equal(np.asarray(read.volume(path).array), grey())
    path = files.nrrd(tmp_path / "b.nhdr", grey(), extra=["byte skip: -1"])
    data = tmp_path / "b.bin"
    data.write_bytes(b"anything" + data.read_bytes())
    np.testing.assert_array_equal(np.asarray(read.volume(path).array), grey())


@pytest.mark.parametrize("name", ["mhd", "nhdr"])
def test_a_header_without_its_data(tmp_path, name):
    path = (files.metaimage if name == "mhd" else files.nrrd)(tmp_path / f"a.{name}", grey())
    other = next(p for p in tmp_path.iterdir() if p != path)
    with pytest.raises(InputError, match=rf"a\.{name} beside it describes it: give that|is not a volume"):
        read.volume(other, voxel_size=1)
    other.unlink()
    with pytest.raises(InputError, match=r"keeps its voxels in a\.\w+, which is not beside it; copy both files"):
        read.volume(path)


def test_metaimage_at_the_end_of_its_file_and_turned(tmp_path):
    turned = "TransformMatrix = 0 1 0 1 0 0 0 0 1"
    path = files.metaimage(tmp_path / "a.mha", grey(), extra=f"HeaderSize = -1\n{turned}")
    image = read.volume(path)
    np.testing.assert_array_equal(np.asarray(image.array), grey())
    assert "TransformMatrix" in image.warnings[0]


def test_zeiss_projections_are_no_volume(tmp_path):
    path = files.zeiss(tmp_path / "a.txrm", grey((130, 6, 7)), angles=np.linspace(-60, 60, 130))
    image = read.volume(path)
    np.testing.assert_array_equal(image.array[97:103], grey((130, 6, 7))[97:103])
    assert "holds 130 projections at -60 to 60 degrees, not a reconstructed volume" in image.warnings[0]


def test_zeiss_of_another_kind(tmp_path):
    with pytest.raises(InputError, match=r"type 9; expected 8 or 16 bits or float"):
        read.volume(files.zeiss(tmp_path / "a.txm", grey(), code=9))
    with pytest.raises(InputError, match=r"is no Zeiss tomogram: it has no ImageInfo/ImageWidth"):
        read.volume(files.ole(tmp_path / "b.doc", {"Word/Document": b"text"}))


# --- real files -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "shape", "dtype", "mean"),
    [
        ("cell_18650/cellvol_bin2_68um.tif", (50, 364, 364), "uint8", None),
        ("cement/cement_128x128x128.tif", (128, 128, 128), "uint8", None),
        ("fiberform/100_fiberform.tif", (100, 100, 100), "uint8", None),
        ("nrel_nmc/nmc-1-cal_generatedCBD_bridge.tif", (251, 301, 301), "uint8", 0.6995),
        ("superres/NMC_lr_input.tif", (128, 128, 128), "int8", None),
        ("superres/Separator_hr_input_rods.tif", (32, 300, 300), "int8", None),
        ("taufactor_reference/electrode.tiff", (256, 256, 256), "uint8", None),
        ("nanopores/nanopores3d.npy", (200, 200, 200), "uint8", None),
    ],
)
def test_real_volumes(data, name, shape, dtype, mean):
    path = data / "xct" / name
    with pytest.raises(read.MissingVoxelSize, match=rf"^{path.name} does not say how large its voxels are"):
        read.volume(path)
    image = read.volume(path, voxel_size=(0.3, 0.4, 0.5))
    assert (image.shape, image.array.dtype, image.warnings) == (shape, np.dtype(dtype), ())
    whole = np.load(path) if path.suffix == ".npy" else tifffile.imread(path)
    np.testing.assert_array_equal(np.asarray(image.array), whole)
    if mean is not None:  # fractions .4005, .4995, .1000 of labels 0, 1, 2
        assert abs(whole.mean(dtype=float) - mean) < 2e-4


def test_real_raw_volumes_and_slices(data):
    image = read.volume(data / "xct/ggg40/ggg40_100.raw", voxel_size=1, shape=(100,) * 3, dtype="u1")
    assert np.unique(image.array[:]).tolist() == [87, 182]
    image = read.volume(data / "xct/berea/berea_pore.raw", voxel_size=1, shape=(110,) * 3, dtype="u1")
    assert int((image.array[:] == 0).sum()) == 236764
    for name in ("cell_18650/im_1.tif", "nmc_holotomo/example_xy.tif"):
        with pytest.raises(InputError, match="is a single slice"):
            read.volume(data / "xct" / name, voxel_size=1)
    with pytest.raises(InputError, match=r"2 series of images \(#\.tif, #_label\.tif\)"):
        read.volume(data / "xct/nmc_nanoct", voxel_size=1)
    with pytest.raises(InputError, match=r"510\.tif is 500 x 572 float32, the other slices are 500 x 500 float32"):
        read.volume(data / "xct/nmc_nanoct/#.tif", voxel_size=1)


def test_real_zeiss_files(data):
    image = read.volume(data / "xanes/dxchange/test_chip_tomo.txrm")
    assert image.shape == (7, 256, 256)
    np.testing.assert_allclose(image.spacing, (0.1557895,) * 3, rtol=1e-6)
    assert image.array[0, 0, :4].tolist() == [10, 11, 16, 17]
    assert "7 projections at -45.02 to 44.99 degrees" in image.warnings[0]
    for name in ("xanes/dxchange/test_chip00.xrm", "xanes/aps_nca/fov07_xanessoc01_8250_0eV.xrm"):
        with pytest.raises(InputError, match="is a single slice"):
            read.volume(data / name)


def test_the_image_of_a_volume_is_an_image(tmp_path):
    image = read.volume(written("tiff-ome", tmp_path))
    assert isinstance(image, Image)
    assert image.with_array(np.asarray(image.array), "a sentence").warnings == ("a sentence",)
