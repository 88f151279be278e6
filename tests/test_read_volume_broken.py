"""Files that are cut off, spoilt or something else: one sentence that names the file, and never half a volume."""

import tracemalloc

import _volume_files as files
import numpy as np
import pytest
import tifffile
from _volume_files import FORMATS, grey, slices, truncated, written
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image as Picture

from morpholith import read
from morpholith.errors import InputError

SINGLE = [name for name in FORMATS if not name.startswith("zarr")]
TEXT = ("mha-text", "nrrd-text", "amira-text")  # a cut inside the last number cannot be seen


def data_file(path):
    """Return the file with the voxels: the one beside a header, or the file itself."""
    return next((p for s in (".raw", ".bin") for p in [path.with_suffix(s)] if p.exists()), path)


def sentence(path):
    """Return what reading all of a volume is refused with, or nothing."""
    try:
        lazy = read.volume(path, voxel_size=1).array
        assert lazy.nbytes < 1e9
        np.asarray(lazy)
    except InputError as error:
        return str(error)
    return ""


@pytest.mark.parametrize("share", [0.02, 0.3, 0.6, 0.9])
@pytest.mark.parametrize("name", SINGLE)
def test_a_file_that_is_cut_off(tmp_path, name, share):
    path = written(name, tmp_path, grey((12, 14, 18)))
    cut = truncated(data_file(path), share)
    assert sentence(path).startswith((path.name, cut.name, str(cut)))


@pytest.mark.parametrize("lost", [1, 2, 3, 9, 40])
@pytest.mark.parametrize("name", [n for n in SINGLE if n not in TEXT])
def test_a_file_that_lost_its_last_bytes_is_refused_or_whole(tmp_path, name, lost):
    """The end may be padding, or a remark: then every voxel is still there."""
    array = grey((12, 14, 18), np.uint8)
    path = written(name, tmp_path, array)
    data = data_file(path)
    data.write_bytes(data.read_bytes()[:-lost])
    if not sentence(path):
        np.testing.assert_array_equal(np.asarray(read.volume(path, voxel_size=1).array), array)
    if lost == 40:
        assert sentence(path) or name in ("txm", "tiff-imagej", "tiff-ome", "tiff-lzw", "tiff-big", "hdf5-gzip")


@pytest.mark.parametrize(
    "name", ["tiff-imagej", "tiff-big", "mha", "nrrd", "mhd-big", "amira", "hdf5", "nrrd-gzip", "txm"]
)
def test_a_cut_shows_when_the_file_is_opened(tmp_path, name):
    path = written(name, tmp_path, grey((12, 14, 18)))
    truncated(data_file(path), 0.7)
    with pytest.raises(InputError, match="cut off|damaged or incomplete"):
        read.volume(path, voxel_size=1)


def test_a_stack_that_lost_its_last_pages(tmp_path):
    with tifffile.TiffWriter(tmp_path / "a.tif") as file:
        for one in grey((12, 14, 18)):
            file.write(one, contiguous=False, metadata=None)
    truncated(tmp_path / "a.tif", 0.7)
    with pytest.raises(InputError, match=r"a\.tif is cut off: some of its pages are missing"):
        read.volume(tmp_path / "a.tif", voxel_size=1)


@pytest.mark.parametrize("name", ["mha", "nrrd"])
def test_a_compressed_stream_that_does_not_say_how_long_it_is(tmp_path, name):
    array = np.zeros((12, 14, 18), np.uint16)  # so short when compressed that a decoder may not even complain
    array[3, 4, 5] = 7
    if name == "mha":
        path = files.metaimage(tmp_path / "a.mha", array, packed=True)
        lines = path.read_bytes().split(b"\n")
        path.write_bytes(b"\n".join(line for line in lines if not line.startswith(b"CompressedDataSize")))
    else:
        path = files.nrrd(tmp_path / "a.nrrd", array, encoding="bzip2")
    np.testing.assert_array_equal(np.asarray(read.volume(path).array), array)
    path.write_bytes(path.read_bytes()[:-12])
    with pytest.raises(InputError, match=rf"{path.name} is cut off: 6048 bytes expected, \d+ came out"):
        np.asarray(read.volume(path).array)


@pytest.mark.parametrize("suffix", [".tif", ".png"])
def test_a_slice_that_is_cut_off(tmp_path, suffix):
    folder = tmp_path / "scan"
    slices(folder, grey((5, 60, 70), np.uint8))
    if suffix == ".png":
        for path in sorted(folder.iterdir()):
            Picture.fromarray(tifffile.imread(path)).save(path.with_suffix(".png"))
            path.unlink()
    truncated(folder / f"slice_3{suffix}", 0.6)
    with pytest.raises(InputError, match=rf"slice_3\{suffix} is (cut off|a damaged)"):
        read.volume(folder, voxel_size=1)


@pytest.mark.parametrize("name", SINGLE)
@settings(max_examples=12, deadline=None, suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_a_spoilt_file_is_read_or_refused_in_a_sentence(tmp_path, name, data):
    """Any bytes of the header changed: values may differ, but nothing else than an InputError is raised."""
    path = written(name, tmp_path, grey((4, 5, 6), np.uint8))
    raw = bytearray(path.read_bytes())
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(0, min(len(raw), 1500) - 1))
        raw[at] = data.draw(st.sampled_from([0, 1, 45, 46, 48, 57, 101, 255]) | st.integers(0, 255))
    path.write_bytes(raw)
    assert "\n" not in sentence(path)


@pytest.mark.parametrize(
    ("name", "old", "new"),
    [
        ("mha", b"DimSize = 9 7 5", b"DimSize = 90000 70000 50000"),
        ("mha-zlib", b"DimSize = 9 7 5", b"DimSize = 90000 70000 50000"),
        ("mha-text", b"DimSize = 9 7 5", b"DimSize = 90000 70000 50000"),
        ("nrrd", b"sizes: 9 7 5", b"sizes: 90000 70000 50000"),
        ("nrrd-gzip", b"sizes: 9 7 5", b"sizes: 90000 70000 50000"),
        ("nrrd-text", b"sizes: 9 7 5", b"sizes: 90000 70000 50000"),
        ("amira", b"Lattice 9 7 5", b"Lattice 90000 70000 50000"),
        ("amira-zip", b"Lattice 9 7 5", b"Lattice 90000 70000 50000"),
        ("amira-text", b"Lattice 9 7 5", b"Lattice 90000 70000 50000"),
        ("tiff-imagej", b"images=5\nslices=5", b"images=9\nslices=9"),
        ("tiff-ome", b'SizeZ="5"', b'SizeZ="9"'),
    ],
)
def test_a_header_that_lies_takes_no_memory(tmp_path, name, old, new):
    path = written(name, tmp_path)
    raw = path.read_bytes()
    assert old in raw
    path.write_bytes(raw.replace(old, new))
    tracemalloc.start()
    with pytest.raises(InputError, match="is cut off"):
        np.asarray(read.volume(path, voxel_size=1).array)
    assert tracemalloc.get_traced_memory()[1] < 2**24
    tracemalloc.stop()


@pytest.mark.parametrize("name", ["tiff", "folder"])
def test_a_compressed_page_of_impossible_size_takes_no_memory(tmp_path, name):
    (tmp_path / "scan").mkdir()
    for k in range(2):
        path = tmp_path / "scan" / f"{k}.tif"
        shape = (2, 64, 64) if name == "tiff" else (64, 64)
        tifffile.imwrite(path, grey(shape, np.uint8), photometric="minisblack", compression="deflate")
        with tifffile.TiffFile(path, mode="r+b") as file:
            for page in file.pages:
                for tag in ("ImageWidth", "ImageLength", "RowsPerStrip"):
                    page.tags[tag].overwrite(60000)
    tracemalloc.start()
    with pytest.raises(InputError, match="60000 x 60000 .*cannot come out of"):
        np.asarray(read.volume(tmp_path / "scan" if name == "folder" else path, voxel_size=1).array)
    assert tracemalloc.get_traced_memory()[1] < 2**26
    tracemalloc.stop()


# --- something else ---------------------------------------------------------------------------------------------


def test_missing_empty_or_text(tmp_path):
    with pytest.raises(InputError, match=r"absent\.tif does not exist; check the spelling"):
        read.volume(tmp_path / "absent.tif")
    for name in ("a.tif", "a.h5", "a.nrrd", "a.txm", "a.raw"):
        (tmp_path / name).write_bytes(b"")
        with pytest.raises(InputError, match=rf"{name} is empty \(0 bytes\)"):
            read.volume(tmp_path / name, voxel_size=1)
    for name in ("b.tif", "b.h5", "b.mha"):
        (tmp_path / name).write_text("my notes on the scan\n" * 300)
        with pytest.raises(
            InputError, match=rf"{name} is not a volume \(it is text\): expected TIFF, a folder of slices"
        ):
            read.volume(tmp_path / name, voxel_size=1)
    (tmp_path / "c.vol").write_bytes(bytes([200, 201, 0, 3]) * 99)
    with pytest.raises(InputError, match=r"starts with the bytes c8 c9 00 03.*; raw numbers need `shape` and `dtype`"):
        read.volume(tmp_path / "c.vol", voxel_size=1)
    (tmp_path / "d.npz").write_bytes(b"PK\3\4" + bytes(99))
    with pytest.raises(InputError, match="is a zip archive; unpack it"):
        read.volume(tmp_path / "d.npz", voxel_size=1)
    (tmp_path / "e").mkdir()
    with pytest.raises(InputError, match=r"e holds no slices; looked for \.tif"):
        read.volume(tmp_path / "e", voxel_size=1)


def test_one_slice_is_no_volume(tmp_path):
    one = grey((7, 9), np.uint8)
    tifffile.imwrite(tmp_path / "a.tif", one)
    np.save(tmp_path / "a.npy", one)
    np.save(tmp_path / "b.npy", one[None])
    np.save(tmp_path / "c.npy", one[:, None])
    Picture.fromarray(one).save(tmp_path / "a.png")
    files.zeiss(tmp_path / "a.xrm", one[None])
    files.nrrd(tmp_path / "a.nrrd", one[None])
    files.metaimage(tmp_path / "a.mha", one[None])
    for path in sorted(tmp_path.iterdir()):
        with pytest.raises(InputError, match=rf"{path.name} is a single slice .*a volume is needed: give"):
            read.volume(path, voxel_size=1)
    with pytest.raises(InputError, match="is a single slice"):
        read.volume(files.hdf5(tmp_path / "a.h5", one, (1, 1, 1)), voxel_size=1, dataset="exchange/data")
    (tmp_path / "scan").mkdir()
    tifffile.imwrite(tmp_path / "scan" / "a.tif", one)
    with pytest.raises(InputError, match=r"scan holds a single slice, a\.tif; a volume is needed"):
        read.volume(tmp_path / "scan", voxel_size=1)


def test_what_are_no_real_numbers(tmp_path):
    np.save(tmp_path / "a.npy", grey().astype(np.complex64))
    with pytest.raises(InputError, match="holds complex numbers; a volume of real grey levels or labels is needed"):
        read.volume(tmp_path / "a.npy", voxel_size=1)
    np.save(tmp_path / "b.npy", np.full((2, 3, 4), None), allow_pickle=True)
    with pytest.raises(InputError, match="holds object, not numbers"):
        read.volume(tmp_path / "b.npy", voxel_size=1)
    np.save(tmp_path / "c.npy", np.zeros((3, 0, 4)))
    with pytest.raises(InputError, match=r"array of zero size, \(3, 0, 4\)"):
        read.volume(tmp_path / "c.npy", voxel_size=1)
    path = files.hdf5(tmp_path / "a.h5", grey().astype(np.complex64), attribute="")
    with pytest.raises(InputError, match="holds no volume"):
        read.volume(path, voxel_size=1)
    with pytest.raises(InputError, match="complex"):
        read.volume(path, voxel_size=1, dataset="exchange/data")


def test_pages_of_unequal_size(tmp_path):
    with tifffile.TiffWriter(tmp_path / "a.tif") as file:
        for one in (grey((8, 9)), grey((8, 9)), grey((8, 7)), grey((8, 9))):
            file.write(one, contiguous=False, metadata=None)
    with pytest.raises(InputError, match=r"a\.tif is no volume: page 2 is 8 x 7 uint16, page 0 is 8 x 9 uint16"):
        read.volume(tmp_path / "a.tif", voxel_size=1)


def test_a_folder_of_two_formats_or_of_stacks(tmp_path):
    folder = slices(tmp_path / "scan", grey((3, 8, 9), np.uint8))
    (folder / "slice_2.tif").write_bytes(b"")
    with pytest.raises(InputError, match=r"slice_2\.tif is empty"):
        read.volume(folder, voxel_size=1)
    Picture.fromarray(grey((8, 9), np.uint8)).save(folder / "slice_2.tif", "PNG")
    with pytest.raises(InputError, match=r"slice_2\.tif is PNG, slice_1\.tif is TIFF; give slices of one format"):
        read.volume(folder, voxel_size=1)
    tifffile.imwrite(folder / "slice_2.tif", grey((4, 8, 9), np.uint8), photometric="minisblack")
    with pytest.raises(InputError, match=r"slice_2\.tif holds several images"):
        read.volume(folder, voxel_size=1)


def test_a_file_that_vanishes_after_it_was_opened(tmp_path):
    for name in ("tiff-imagej", "tiff-lzw", "hdf5", "nrrd-gzip", "txm"):
        (tmp_path / name).mkdir()
        path = written(name, tmp_path / name)
        lazy = read.volume(path).array
        path.unlink()
        with pytest.raises(InputError, match=path.name):
            lazy[1]
