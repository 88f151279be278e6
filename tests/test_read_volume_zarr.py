"""OME-Zarr: written so that others open it, read from others, and never with holes that nobody noticed."""

import json
import shutil

import _volume_files as files
import numpy as np
import pytest
import zarr
from _volume_files import SPACING, grey

from morpholith import read
from morpholith.errors import InputError
from morpholith.image import Image


def volume(shape=(40, 50, 70), dtype=np.uint16):
    return grey(shape, dtype)


# --- writing --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("dtype", "labels"),
    [(np.uint8, False), (np.uint16, True), (np.int32, True), (np.int32, False), (np.float32, False), (bool, True)],
    ids=str,
)
def test_a_volume_written_comes_back(tmp_path, dtype, labels):
    array = volume(dtype=np.uint8) > 60 if dtype is bool else volume(dtype=dtype)
    path = read.write_zarr(tmp_path / "a.zarr", Image(array, "zyx", SPACING), chunks=(16, 20, 33), labels=labels)
    again = read.volume(path)
    assert again.array.dtype == (np.uint8 if dtype is bool else dtype)
    np.testing.assert_array_equal(np.asarray(again.array), array)
    assert again.spacing == SPACING
    assert again.warnings == ()
    assert [p.name for p in tmp_path.iterdir()] == ["a.zarr"]


def test_the_metadata_are_those_of_the_specification(tmp_path):
    path = read.write_zarr(tmp_path / "a.zarr", Image(volume((70, 80, 260)), "zyx", SPACING), chunks=64)
    group = zarr.open_group(str(path), mode="r")
    assert group.metadata.zarr_format == 3
    ome = json.loads((path / "zarr.json").read_text())["attributes"]["ome"]
    assert ome["version"] == "0.5"
    (multiscale,) = ome["multiscales"]
    assert [(a["name"], a["type"], a["unit"]) for a in multiscale["axes"]] == [
        (a, "space", "micrometer") for a in "zyx"
    ]
    assert [d["path"] for d in multiscale["datasets"]] == ["0", "1", "2"]
    for level, entry in enumerate(multiscale["datasets"]):
        kinds = [step["type"] for step in entry["coordinateTransformations"]]
        assert kinds == (["scale", "translation"] if level else ["scale"])
        assert entry["coordinateTransformations"][0]["scale"] == [s * 2**level for s in SPACING]
        assert group[str(level)].metadata.dimension_names == ("z", "y", "x")
    assert [group[k].shape for k in "012"] == [(70, 80, 260), (35, 40, 130), (18, 20, 65)]
    assert multiscale["datasets"][2]["coordinateTransformations"][1]["translation"] == [s * 1.5 for s in SPACING]


@pytest.mark.parametrize("chunks", [16, 33, (7, 64, 20), 1000])
def test_levels_of_grey_values_are_means(tmp_path, chunks):
    array = volume((30, 44, 72), np.float32)
    path = read.write_zarr(tmp_path / "a.zarr", Image(array, "zyx", SPACING), chunks=chunks, levels=2)
    level = read.volume(path, dataset="1")
    expected = array.reshape(15, 2, 22, 2, 36, 2).mean((1, 3, 5))
    np.testing.assert_allclose(np.asarray(level.array), expected, rtol=1e-6)
    assert level.spacing == tuple(2 * s for s in SPACING)


def test_odd_ends_and_integers(tmp_path):
    array = np.zeros((3, 5, 71), np.uint8)
    array[2, 4, 70] = 200
    array[0, 0, :4] = [1, 4, 4, 5]
    path = read.write_zarr(tmp_path / "a.zarr", Image(array, "zyx", SPACING), levels=2)
    level = np.asarray(read.volume(path, dataset="1").array)
    assert level.shape == (2, 3, 36)
    assert level[1, 2, 35] == 200  # alone in its block
    assert level[0, 0, :2].tolist() == [1, 1]  # 5/8 and 9/8, rounded
    big = np.full((2, 2, 80), 2**30 + 1, np.int32)
    path = read.write_zarr(tmp_path / "b.zarr", Image(big, "zyx", SPACING), levels=2)
    assert zarr.open_array(str(path / "1"), mode="r")[0, 0, 0] == 2**30 + 1


def test_levels_of_labels_never_mix(tmp_path):
    labels = np.random.default_rng(0).choice([0, 7, 90000], (40, 45, 81)).astype(np.int32)
    path = read.write_zarr(tmp_path / "a.zarr", Image(labels, "zyx", SPACING), chunks=16, labels=True)
    np.testing.assert_array_equal(np.asarray(read.volume(path, dataset="1").array), labels[::2, ::2, ::2])
    ome = json.loads((path / "zarr.json").read_text())["attributes"]["ome"]
    assert "image-label" in ome
    assert [len(d["coordinateTransformations"]) for d in ome["multiscales"][0]["datasets"]] == [1, 1]


class Counting:
    """A lazy array that remembers the largest part anybody asked for."""

    def __init__(self, array):
        self.array, self.shape, self.dtype, self.ndim, self.largest = array, array.shape, array.dtype, 3, 0

    def __getitem__(self, key):
        part = self.array[key]
        self.largest = max(self.largest, part.size)
        return part


@pytest.mark.parametrize(
    "writer", [lambda p, i: read.write_zarr(p, i, chunks=16), read.write_tiff], ids=["zarr", "tiff"]
)
def test_a_lazy_volume_is_written_piece_by_piece(tmp_path, writer):
    lazy = Counting(volume())
    path = writer(tmp_path / "a", Image(lazy, "zyx", SPACING))
    assert lazy.largest <= max(16**3, 50 * 70)
    np.testing.assert_array_equal(np.asarray(read.volume(path).array), lazy.array)


def test_dask_arrays_and_other_files_are_written(tmp_path):
    import dask.array

    array = volume()
    path = read.write_zarr(
        tmp_path / "a.zarr", Image(dask.array.from_array(array, chunks=20), "zyx", SPACING), chunks=20
    )
    copy = read.write_tiff(tmp_path / "a.tif", read.volume(path))
    again = read.volume(copy)
    np.testing.assert_array_equal(np.asarray(again.array), array)
    np.testing.assert_allclose(again.spacing, SPACING, rtol=1e-6)


def test_a_store_is_replaced_and_nothing_else_is(tmp_path):
    path = tmp_path / "a.zarr"
    read.write_zarr(path, Image(volume((70, 80, 90)), "zyx", SPACING))
    read.write_zarr(path, Image(volume((6, 7, 8)), "zyx", SPACING))
    assert read.volume(path).shape == (6, 7, 8)
    assert not (path / "1").exists()
    (tmp_path / "results").mkdir()
    (tmp_path / "results" / "thesis.txt").write_text("mine")
    with pytest.raises(InputError, match="exists and is no zarr store; choose another name"):
        read.write_zarr(tmp_path / "results", Image(volume(), "zyx", SPACING))
    assert (tmp_path / "results" / "thesis.txt").read_text() == "mine"


class Failing(Counting):
    def __getitem__(self, key):
        if key[0].start:
            raise RuntimeError("power cut")
        return super().__getitem__(key)


def test_a_write_that_fails_leaves_nothing(tmp_path):
    with pytest.raises(RuntimeError, match="power cut"):
        read.write_zarr(tmp_path / "a.zarr", Image(Failing(volume()), "zyx", SPACING), chunks=16)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("image", "options", "said"),
    [
        (Image(np.zeros((3, 4)), "yx", (1, 1)), {}, "with axes 'zyx'"),
        (Image(np.zeros((0, 3, 4)), "zyx", (1, 1, 1)), {}, "at least a voxel"),
        (Image(np.zeros((2, 3, 4), complex), "zyx", (1, 1, 1)), {}, "must be numbers"),
        (Image(np.zeros((2, 3, 4)), "zyx", (1, 1, 1)), {"chunks": (1, 2)}, "`chunks` must be"),
        (Image(np.zeros((2, 3, 4)), "zyx", (1, 1, 1)), {"chunks": 0}, "`chunks` must be"),
        (Image(np.zeros((2, 3, 4)), "zyx", (1, 1, 1)), {"labels": True}, "must be integers"),
        (Image(np.zeros((2, 3, 4)), "zyx", (1, 1, 1)), {"levels": 0}, "`levels` at least 1"),
    ],
)
def test_what_cannot_be_written_as_zarr(tmp_path, image, options, said):
    with pytest.raises(InputError, match=said):
        read.write_zarr(tmp_path / "a.zarr", image, **options)
    assert list(tmp_path.iterdir()) == []


def test_nowhere_to_write_zarr(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="cannot be written"):
        read.write_zarr(tmp_path / "file" / "a.zarr", Image(volume(), "zyx", SPACING))


# --- TIFF of a volume -----------------------------------------------------------------------------------------


def test_over_2_gb_a_volume_is_a_bigtiff_with_its_scale(tmp_path, monkeypatch):
    monkeypatch.setattr("morpholith.read.tiff_out.CLASSIC_BYTES", 1000)
    array = volume()
    path = read.write_tiff(tmp_path / "a.tif", Image(array, "zyx", SPACING))
    assert path.read_bytes()[:4] == b"II+\0"
    image = read.volume(path)
    np.testing.assert_array_equal(np.asarray(image.array), array)
    assert image.spacing == SPACING
    assert image.provenance["voxel_size_from"].startswith("OME")


@pytest.mark.parametrize(("top", "stored"), [(70000, np.float32), (60000, np.uint16)])
def test_labels_of_a_volume_survive_tiff(tmp_path, top, stored):
    labels = np.arange(4 * 5 * 6).reshape(4, 5, 6).astype(np.int32)
    labels[3, 4, 5] = top
    image = read.volume(read.write_tiff(tmp_path / "a.tif", Image(labels, "zyx", SPACING)))
    assert image.array.dtype == stored
    np.testing.assert_array_equal(np.asarray(image.array), labels)


# --- stores of others -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("axes", ["zyx", "xyz", "tczyx", "yxz"])
def test_axes_in_any_order(tmp_path, axes):
    array = grey()
    order = ["zyx".index(a) for a in axes if a in "zyx"]
    stored = array.transpose(order).reshape([array.shape["zyx".index(a)] if a in "zyx" else 1 for a in axes])
    image = read.volume(files.ome_zarr4(tmp_path / "a.zarr", stored, axes=axes))
    np.testing.assert_array_equal(np.asarray(image.array), array)
    assert image.spacing == SPACING


def test_two_times_are_refused(tmp_path):
    with pytest.raises(InputError, match="several axes beside y and x, t = 2, z = 5"):
        read.volume(files.ome_zarr4(tmp_path / "a.zarr", grey((2, 1, 5, 6, 7)), axes="tczyx"))


def test_scales_of_level_and_image_multiply(tmp_path):
    path = files.ome_zarr4(tmp_path / "a.zarr", grey())
    metadata = json.loads((path / ".zattrs").read_text())
    metadata["multiscales"][0]["coordinateTransformations"] = [{"type": "scale", "scale": [2, 3, 4]}]
    (path / ".zattrs").write_text(json.dumps(metadata))
    assert read.volume(path).spacing == (1.0, 0.75, 0.5)


def test_images_one_folder_down(tmp_path):
    zarr.open_group(str(tmp_path / "a.zarr"), mode="w", zarr_format=2).attrs["bioformats2raw.layout"] = 3
    files.ome_zarr4(tmp_path / "a.zarr" / "0", grey())
    image = read.volume(tmp_path / "a.zarr")
    assert image.provenance["dataset"] == "0/0"
    assert image.spacing == SPACING
    files.ome_zarr4(tmp_path / "a.zarr" / "1", grey((6, 7, 8)))
    with pytest.raises(InputError, match=r"holds 2 images \(0, 1\): choose one with `dataset`"):
        read.volume(tmp_path / "a.zarr")
    assert read.volume(tmp_path / "a.zarr", dataset="1").shape == (6, 7, 8)
    assert read.volume(tmp_path / "a.zarr", dataset="1/0").spacing == SPACING
    with pytest.raises(InputError, match="has no array 'labels'"):
        read.volume(tmp_path / "a.zarr", dataset="labels")


def test_plain_zarr(tmp_path):
    group = zarr.open_group(str(tmp_path / "a.zarr"), mode="w")
    group.create_array("flat", data=grey((7, 9)))
    group.create_array("scan/data", data=grey())
    group.create_array("scan/half", data=grey((3, 4, 5)))
    image = read.volume(tmp_path / "a.zarr", voxel_size=1)
    assert image.provenance["dataset"] == "scan/data"
    assert image.warnings == ("a.zarr: the largest array, scan/data, is read; there are also scan/half.",)
    with pytest.raises(InputError, match=r"is one zarr array and has no `dataset`"):
        read.volume(tmp_path / "a.zarr" / "scan" / "data", dataset="0")
    with pytest.raises(InputError, match="is a single slice"):
        read.volume(tmp_path / "a.zarr", voxel_size=1, dataset="flat")
    shutil.rmtree(tmp_path / "a.zarr" / "scan")
    with pytest.raises(InputError, match=r"holds no volume; it has flat \(7, 9\)"):
        read.volume(tmp_path / "a.zarr", voxel_size=1)


# --- chunks that are missing ----------------------------------------------------------------------------------


def _chunk(path, *index):
    """Return the file of a chunk, in any layout."""
    names = {"/".join(map(str, index)), ".".join(map(str, index)), "c/" + "/".join(map(str, index))}
    return next(f for f in (path / "0").rglob("*") if f.relative_to(path / "0").as_posix() in names)


def _store(kind, folder, array):
    path = folder / "a.zarr"
    if kind == "own":
        return read.write_zarr(path, Image(array, "zyx", SPACING), chunks=8)
    if kind == "v2-slash":
        return files.ome_zarr4(path, array, chunks=8, chunk_key_encoding={"name": "v2", "separator": "/"})
    if kind == "v2-dot":
        return files.ome_zarr4(path, array, chunks=8)
    group = zarr.open_group(str(path), mode="w", zarr_format=3)
    sharded = {"shards": (16, 16, 16)} if kind == "v3-sharded" else {}
    group.create_array("0", data=array, chunks=(8, 8, 8), **sharded)
    return path


@pytest.mark.parametrize("kind", ["own", "v2-slash", "v2-dot", "v3", "v3-sharded"])
def test_a_lost_chunk_is_noticed(tmp_path, kind):
    path = _store(kind, tmp_path, grey((24, 32, 40)))
    options = {"voxel_size": 1} if kind.startswith("v3") else {}
    np.testing.assert_array_equal(np.asarray(read.volume(path, **options).array), grey((24, 32, 40)))
    _chunk(path, 1, 1, 0).unlink()
    expected = 12 if kind == "v3-sharded" else 60
    with pytest.raises(
        InputError, match=rf"^a\.zarr lacks 1 of the {expected} chunks of its array '0': it is truncated"
    ):
        read.volume(path, **options)


@pytest.mark.parametrize("kind", ["own", "v2-dot", "v3"])
def test_a_copy_that_stopped_half_way_is_noticed(tmp_path, kind):
    path = _store(kind, tmp_path, grey((24, 32, 40)))
    for k in range(4):
        for i in range(5):
            _chunk(path, 2, k, i).unlink()
    with pytest.raises(InputError, match="lacks 20 of the 60 chunks"):
        read.volume(path, voxel_size=1)


def test_nothing_but_metadata(tmp_path):
    path = _store("v3", tmp_path, grey((24, 32, 40)))
    shutil.rmtree(path / "0" / "c")
    with pytest.raises(InputError, match="lacks 60 of the 60 chunks"):
        read.volume(path, voxel_size=1)


def _masked():
    """Return a scan of which only a cylinder was reconstructed: zero outside, whole chunks of it."""
    z, y, x = np.ogrid[:24, :64, :64]
    return np.where((y - 31) ** 2 + (x - 33) ** 2 + 0 * z < 20**2, grey((24, 64, 64)), 0).astype(np.uint16)


@pytest.mark.parametrize("version", [2, 3])
def test_empty_chunks_that_were_never_written_are_only_said(tmp_path, version):
    path = tmp_path / "a.zarr"
    group = zarr.open_group(str(path), mode="w", zarr_format=version)
    out = group.create_array(
        "0", shape=(24, 64, 64), dtype="u2", chunks=(8, 8, 8), config={"write_empty_chunks": False}
    )
    out[...] = _masked()
    image = read.volume(path, voxel_size=1)
    np.testing.assert_array_equal(np.asarray(image.array), _masked())
    (said,) = image.warnings
    assert said.startswith("a.zarr lacks ")
    assert "read as 0, which the voxels around them bear out" in said
    _chunk(path, 1, 4, 4).unlink()  # and one in the middle of the sample
    for k in range(3):
        _chunk(path, k, 3, 4).unlink()
        _chunk(path, k, 4, 3).unlink()
    with pytest.raises(InputError, match="it is truncated"):
        read.volume(path, voxel_size=1)


def test_our_own_empty_chunks_are_there(tmp_path):
    path = read.write_zarr(tmp_path / "a.zarr", Image(_masked(), "zyx", SPACING), chunks=8)
    assert read.volume(path).warnings == ()
    _chunk(path, 0, 0, 0).unlink()  # zeros: harmless, but a sign
    with pytest.raises(InputError, match="lacks 1 of the 192 chunks"):
        read.volume(path)


@pytest.mark.parametrize("kind", ["own", "v2-dot", "v3"])
def test_a_chunk_of_no_bytes_or_of_others(tmp_path, kind):
    path = _store(kind, tmp_path, grey((24, 32, 40)))
    chunk = _chunk(path, 1, 2, 3)
    whole = chunk.read_bytes()
    chunk.write_bytes(whole[: len(whole) // 2])
    lazy = read.volume(path, voxel_size=1).array
    np.testing.assert_array_equal(lazy[:8], grey((24, 32, 40))[:8])
    with pytest.raises(InputError, match=r"a\.zarr is a damaged or incomplete zarr store"):
        lazy[8:16]
    chunk.write_bytes(b"")
    with pytest.raises(InputError, match=r"lacks 1 of the 60 chunks"):
        read.volume(path, voxel_size=1)


@pytest.mark.parametrize("name", ["zarr.json", "0/zarr.json"])
def test_metadata_cut_off_or_gone(tmp_path, name):
    path = _store("own", tmp_path, grey((24, 32, 40)))
    whole = (path / name).read_bytes()
    (path / name).write_bytes(whole[: len(whole) // 2])
    with pytest.raises(InputError, match=r"a\.zarr is a damaged or incomplete zarr"):
        read.volume(path)
    (path / name).unlink()
    with pytest.raises(InputError, match=r"a\.zarr (is|holds no volume)"):
        read.volume(path)


def test_a_folder_that_is_only_called_zarr(tmp_path):
    (tmp_path / "a.zarr").mkdir()
    with pytest.raises(InputError, match=r"a\.zarr is a damaged or incomplete zarr store"):
        read.volume(tmp_path / "a.zarr")
