"""Scans from files: the optical density that was written comes back, at its energies, from every format."""

import pickle
import shutil
import struct
import tracemalloc

import _scan_files as files
import h5py
import numpy as np
import olefile
import pytest
import tifffile
import zarr
from _scan_files import DARK, EDGE_UM, ENERGIES, FORMATS, SIZE, counts, dark_frames, density, energy_list, flats
from _volume_files import truncated, zeiss
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from morpholith import read
from morpholith.errors import InputError
from morpholith.measure import K_EDGES_EV, edges_within, element_of

ROUNDED = 1.2e-4  # of an optical density whose counts (8000 at least) and flats are whole numbers


def floats(path, n_scans=1, **options):
    """Write optical densities as a float TIFF."""
    od = density(n_scans).astype(np.float32)
    tifffile.imwrite(path, od if n_scans > 1 else od[0], **options)
    return od


# --- every format ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", FORMATS)
def test_density_and_energies_come_back(tmp_path, name):
    od = density()[0]
    image = read.scan(**FORMATS[name](tmp_path / "in", od))
    assert image.axes == "eyx"
    assert image.shape == (len(ENERGIES), *SIZE)
    assert image.array.dtype == np.float32
    np.testing.assert_allclose(image.coordinates["e"], ENERGIES, atol=1e-3)
    np.testing.assert_allclose(np.asarray(image.array), od, atol=ROUNDED)
    assert image.provenance["energies_from"]
    assert "flat" in image.provenance["flats_from"]
    assert "dark" in image.provenance["darks_from"]


@pytest.mark.parametrize("name", FORMATS)
def test_parts_are_those_of_the_whole_and_it_travels(tmp_path, name):
    array = read.scan(**FORMATS[name](tmp_path / "in", density()[0])).array
    whole = np.asarray(array)
    lazy = pickle.loads(pickle.dumps(array))
    for key in [
        2,
        -1,
        (1, slice(None), 3),
        (slice(1, 4), slice(2, 6), slice(3, 8)),
        (slice(None, None, 2), slice(None, None, -1), slice(7, 1, -3)),
        (slice(None, None, -1), 4),
        (..., 4),
        (slice(4, 2), 0),
        (-2, -3, -4),
    ]:
        np.testing.assert_array_equal(lazy[key], whole[key], err_msg=str(key))
    with pytest.raises(IndexError):
        lazy[0, 0, 0, 0]


def test_several_scans_are_one_stack_from_four_axes_and_from_files(tmp_path):
    od = density(3)
    tifffile.imwrite(tmp_path / "all.tif", counts(od), metadata={"axes": "TZYX"}, imagej=True)
    one = read.scan(tmp_path / "all.tif", energies=ENERGIES, flat=flats(), dark=dark_frames())
    for k in range(3):
        tifffile.imwrite(tmp_path / f"scan{k}.tif", counts(od[k]))
    two = read.scan([tmp_path / f"scan{k}.tif" for k in range(3)], energies=ENERGIES, flat=flats(), dark=dark_frames())
    for k in range(3):
        files.xrm_folder(tmp_path / "xrm", od[k], scan=f"scan{k:02d}")
    three = read.scan(tmp_path / "xrm")
    for image in (one, two, three):
        assert image.axes == "teyx"
        assert image.shape == (3, len(ENERGIES), *SIZE)
        np.testing.assert_allclose(np.asarray(image.array), od, atol=ROUNDED)
        np.testing.assert_allclose(image.array[1:, 2, 5:9, ::7], od[1:, 2, 5:9, ::7], atol=ROUNDED)
    assert np.abs(od[1] - od[0]).max() > 0.2  # the scans differ, so that an exchange would show


def test_each_scan_gets_the_flats_of_its_name(tmp_path):
    od = density(2)
    files.xrm_folder(tmp_path, od[0], scan="scan01")
    files.xrm_folder(tmp_path, od[1], scan="scan02")
    for energy, flat in zip(ENERGIES, flats(), strict=True):  # the beam of the second scan was half as bright
        told = f"{energy:.2f}".replace(".", "_")
        half = ((flat.astype(int) - DARK) // 2 + DARK).astype(np.uint16)
        files.xrm(tmp_path / f"ref_scan02_{told}eV.xrm", half, energy)
    found = np.asarray(read.scan(tmp_path).array)
    np.testing.assert_allclose(found[0], od[0], atol=ROUNDED)
    np.testing.assert_allclose(found[1], od[1] - np.log(2), atol=2 * ROUNDED)


def test_a_stack_of_scan_and_energy_exchanged_is_told_by_the_energies(tmp_path):
    od = density(3)
    np.save(tmp_path / "a.npy", counts(od).transpose(1, 0, 2, 3))
    image = read.scan(tmp_path / "a.npy", energies=ENERGIES, flat=flats(), dark=dark_frames())
    np.testing.assert_allclose(np.asarray(image.array), od, atol=ROUNDED)


def test_folders_are_scans(tmp_path):
    od = density(2)
    for k in range(2):
        folder = tmp_path / f"cycle{k}"
        folder.mkdir()
        for energy, frame in zip(ENERGIES, od[k].astype(np.float32), strict=True):
            tifffile.imwrite(folder / f"a_{energy:.2f}eV.tif", frame)
    image = read.scan(tmp_path)
    assert image.axes == "teyx"
    np.testing.assert_array_equal(np.asarray(image.array), od.astype(np.float32))


# --- energies -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "unit"),
    [
        ("8250\n8333.25\n8340\n", "eV"),
        ("# taken in May\n\n8.250\n8.33325\n8.340\n", "keV"),
        ("energy,dwell\n8250,1\n8333.25,1\n8340,2\n", "eV"),
        ("index;energy_keV\n0;8.25\n1;8.33325\n2;8.34\n", "keV"),
        ("8250 eV\r\n8333.25 eV\r\n8340 eV", "eV"),
        ("8.25 0.1\t\n8.33325 0.2\n8.340 0.1\n", "keV"),
    ],
)
def test_lists_of_energies(tmp_path, text, unit):
    (tmp_path / "list.txt").write_text(text)
    found, how = read.energies(tmp_path / "list.txt")
    np.testing.assert_allclose(found, [8250, 8333.25, 8340])
    assert how == f"list.txt, 3 values in {unit}"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("8250\n8353\n8340\n", "line 3 (8340 eV) comes after 8353 eV"),
        ("8353\n8340\n8345\n8250\n", "line 3"),
        ("8250\n8250\n8340\n", "line 1 and line 2 are both 8250 eV"),
        ("8250\n-3\n", "line 2 is -3"),
        ("8250\nnan\n", "line 2 is nan"),
        ("8250\n8260\nend\n", "line 3 ('end') is no number"),
        ("8.25\n8260\n8270\n", "mixes units: line 1"),
        ("# nothing\n", "holds no number"),
        ("1e9\n2e9\n", "no X-ray energy"),
    ],
)
def test_lists_that_are_none(tmp_path, text, said):
    (tmp_path / "list.txt").write_text(text)
    with pytest.raises(InputError) as told:
        read.energies(tmp_path / "list.txt")
    assert said in str(told.value)
    assert "list.txt" in str(told.value)


def test_a_missing_list_and_one_that_is_no_text(tmp_path):
    with pytest.raises(InputError, match="is not there"):
        read.energies(tmp_path / "none.txt")
    (tmp_path / "b.txt").write_bytes(bytes(range(256)))
    with pytest.raises(InputError, match="no text"):
        read.energies(tmp_path / "b.txt")


def test_falling_energies_turn_the_stack_round(tmp_path):
    od = floats(tmp_path / "a.tif")
    image = read.scan(tmp_path / "a.tif", energies=ENERGIES[::-1])
    np.testing.assert_array_equal(image.coordinates["e"], ENERGIES)
    np.testing.assert_array_equal(np.asarray(image.array), od[0, ::-1])
    assert any("turned round" in w for w in image.warnings)


def test_flats_in_order_turn_round_with_falling_frames(tmp_path):
    od = density()[0]
    np.save(tmp_path / "a.npy", counts(od)[::-1])
    image = read.scan(tmp_path / "a.npy", energies=ENERGIES[::-1], flat=flats()[::-1], dark=dark_frames())
    np.testing.assert_allclose(np.asarray(image.array), od, atol=ROUNDED)


def test_a_list_of_another_length_says_both_numbers(tmp_path):
    floats(tmp_path / "a.tif")
    with pytest.raises(InputError, match=r"4 energies are given .* for the 5 frames of a\.tif"):
        read.scan(tmp_path / "a.tif", energies=ENERGIES[:4])


def test_no_energies_names_the_list_beside_the_stack(tmp_path):
    floats(tmp_path / "a.tif")
    with pytest.raises(InputError, match=r"does not say at which energies its 5 frames .*--energies"):
        read.scan(tmp_path / "a.tif")
    energy_list(tmp_path / "energies_Ni.txt")
    with pytest.raises(InputError, match=r"energies_Ni\.txt lies beside it"):
        read.scan(tmp_path / "a.tif")


def test_energies_along_the_last_axis_are_recognised(tmp_path):
    np.save(tmp_path / "a.npy", density()[0].transpose(1, 2, 0))
    with pytest.raises(InputError, match=r"its last axis is 5 long.*\(y, x, energy\).*save it as \(energy, y, x\)"):
        read.scan(tmp_path / "a.npy", energies=ENERGIES)


def test_the_list_given_wins_over_the_headers_and_says_so(tmp_path):
    files.xrm_folder(tmp_path, density()[0])
    image = read.scan(tmp_path, energies=ENERGIES + 2.5)
    np.testing.assert_allclose(image.coordinates["e"], ENERGIES + 2.5)
    assert any("the energies given are used" in w for w in image.warnings)
    falling = read.scan(tmp_path, energies=(ENERGIES + 2.5)[::-1])
    np.testing.assert_array_equal(np.asarray(falling.array), np.asarray(image.array))


def test_labels_of_imagej_slices_are_energies(tmp_path):
    od = floats(
        tmp_path / "a.tif", imagej=True, metadata={"axes": "ZYX", "Labels": [f"Ni {e:.2f} eV" for e in ENERGIES]}
    )
    image = read.scan(tmp_path / "a.tif")
    np.testing.assert_array_equal(image.coordinates["e"], ENERGIES)
    np.testing.assert_array_equal(np.asarray(image.array), od[0])


@pytest.mark.parametrize(
    ("name", "energy"),
    [
        ("fov07_xanessoc01_8353_0eV.xrm", 8353.0),
        ("ref_2015_8353eV.tif", 8353.0),
        ("Ni_08340.5_eV_001.tif", 8340.5),
        ("a8353p25eV.tif", 8353.25),
        ("E8.353keV.tif", 8353.0),
        ("x_8_3535_keV.tif", 8353.5),
        ("scan_0042.tif", None),
    ],
)
def test_energies_in_names(tmp_path, name, energy):
    from morpholith.read.energies import in_name

    assert in_name(name)[0] == energy
    assert tmp_path.is_dir()


def test_scans_of_other_energies_are_not_mixed(tmp_path):
    floats(tmp_path / "a.tif", metadata={"axes": "ZYX", "Labels": [f"{e} eV" for e in ENERGIES]}, imagej=True)
    floats(tmp_path / "b.tif", metadata={"axes": "ZYX", "Labels": [f"{e + 9} eV" for e in ENERGIES]}, imagej=True)
    with pytest.raises(InputError, match=r"other energies than the other scans"):
        read.scan([tmp_path / "a.tif", tmp_path / "b.tif"])
    tifffile.imwrite(tmp_path / "c.tif", density()[0, :3].astype(np.float32), imagej=True,
                     metadata={"axes": "ZYX", "Labels": [f"{e} eV" for e in ENERGIES[:3]]})  # fmt: skip
    with pytest.raises(InputError, match=r"a\.tif has 5 energies, c\.tif has 3"):
        read.scan([tmp_path / "a.tif", tmp_path / "c.tif"])


# --- flats ----------------------------------------------------------------------------------------------------


def test_exposures_scale_the_reference_inside_a_file(tmp_path):
    od = density()[0]
    frames = counts(od) - DARK  # a camera that subtracts its dark
    for frame, flat, energy in zip(frames, flats(), ENERGIES, strict=True):
        files.xrm(
            tmp_path / f"a_{energy}eV.xrm", frame, energy, exposure=10, reference=flat - np.uint16(DARK), reference_s=5
        )
    image = read.scan(tmp_path)
    np.testing.assert_allclose(np.asarray(image.array), od + np.log(2), atol=ROUNDED)
    assert "scaled by exposure" in image.provenance["flats_from"]


def test_a_missing_flat_is_replaced_by_the_nearest_and_said(tmp_path):
    files.xrm_folder(tmp_path, density()[0])
    (tmp_path / "ref_scan01_8340_00eV.xrm").unlink()
    image = read.scan(tmp_path)
    (said,) = [w for w in image.warnings if "no flat of their energy" in w]
    assert "1 of 5 frames" in said
    assert "6.8 eV away (8340.0 eV)" in said


@pytest.mark.parametrize(("n", "said"), [(1, "one flat serves all 5"), (3, "3 flats for 5 frames")])
def test_fewer_flats_than_frames_are_used_with_a_warning(tmp_path, n, said):
    np.save(tmp_path / "a.npy", counts(density()[0], flats()[:1]))
    image = read.scan(tmp_path / "a.npy", energies=ENERGIES, flat=np.repeat(flats()[:1], n, axis=0), dark=dark_frames())
    np.testing.assert_allclose(np.asarray(image.array), density()[0], atol=ROUNDED)
    assert any(said in w for w in image.warnings)


def test_flats_of_another_size(tmp_path):
    np.save(tmp_path / "a.npy", counts(density()[0]))
    np.save(tmp_path / "flat.npy", flats()[:, :-2])
    with pytest.raises(InputError, match=r"flat\.npy: the flat is 46 x 60 pixels, the frames are 48 x 60"):
        read.scan(tmp_path / "a.npy", energies=ENERGIES, flat=tmp_path / "flat.npy")
    with pytest.raises(InputError, match="the dark is 60 x 48"):
        read.scan(tmp_path / "a.npy", energies=ENERGIES, flat=flats(), dark=dark_frames().transpose(0, 2, 1))


def test_counts_without_flats(tmp_path):
    np.save(tmp_path / "a.npy", counts(density()[0]))
    with pytest.raises(InputError, match=r"holds counts \(uint16\) and no flats are there.*--flat"):
        read.scan(tmp_path / "a.npy", energies=ENERGIES)
    np.save(tmp_path / "b.npy", counts(density()[0]).astype(np.float32))
    with pytest.raises(InputError, match=r"values around .* which are counts .*--flat"):
        read.scan(tmp_path / "b.npy", energies=ENERGIES)


def test_transmission_is_suspected(tmp_path):
    np.save(tmp_path / "a.npy", np.exp(-density()[0] + 0.05).astype(np.float32))
    image = read.scan(tmp_path / "a.npy", energies=ENERGIES)
    assert any("as transmission does" in w for w in image.warnings)
    np.save(tmp_path / "b.npy", (density()[0] + 0.75).astype(np.float32))  # densities around the same value
    image = read.scan(tmp_path / "b.npy", energies=ENERGIES)
    assert not any("transmission" in w for w in image.warnings)


def test_flats_of_each_scan_in_four_axes(tmp_path):
    od = density(2)
    fields = np.stack([flats(), flats()[::-1]])
    np.save(tmp_path / "a.npy", counts(od, fields))
    np.save(tmp_path / "f.npy", fields)
    for flat in (fields, tmp_path / "f.npy"):
        image = read.scan(tmp_path / "a.npy", energies=ENERGIES, flat=flat, dark=dark_frames())
        np.testing.assert_allclose(np.asarray(image.array), od, atol=ROUNDED)
    np.save(tmp_path / "b.npy", counts(od[0]))
    with pytest.raises(InputError, match="flats of 2 scans, 1 are read"):
        read.scan(tmp_path / "b.npy", energies=ENERGIES, flat=fields)


# --- frames that are not what they should be ------------------------------------------------------------------


def test_dropped_saturated_and_dark_pixels_are_nan_and_counted(tmp_path):
    od = density()[0]
    raw = counts(od)
    raw[3] = 0
    raw[1, :10, :12] = 65535
    raw[2, 40:, :] = DARK - 20
    np.save(tmp_path / "a.npy", raw)
    image = read.scan(tmp_path / "a.npy", energies=ENERGIES, flat=flats(), dark=dark_frames())
    found = np.asarray(image.array)
    lost = np.zeros(found.shape, bool)
    lost[3] = lost[1, :10, :12] = lost[2, 40:] = True
    np.testing.assert_array_equal(np.isnan(found), lost)
    np.testing.assert_allclose(found[~lost], od[~lost], atol=ROUNDED)
    said = " ".join(image.warnings)
    assert "1 of 5 frames are empty (dropped) and are left out: 8353.5 eV" in said
    assert "1 % of the pixels of 5 frames are saturated, at most 4.2 % (8333.2 eV)" in said
    assert "4.2 % of the pixels of 5 frames are not above the dark" in said
    assert "at most 17 % (8340.0 eV)" in said
    table = read.frame_faults(image)
    assert table["dead"].tolist() == [False, False, False, True, False]
    np.testing.assert_allclose(table["saturated"], [0, 120 / 2880, 0, 0, 0])
    np.testing.assert_allclose(table["not_positive"], [0, 0, 8 / 48, 0, 0])
    np.testing.assert_array_equal(table["energy_ev"], ENERGIES)


def test_a_part_of_an_empty_frame_and_a_flat_part_of_a_good_one(tmp_path):
    od = floats(tmp_path / "a.tif")[0]
    od[2] = 0
    od[1, 4:8, 4:8] = 0.5  # the same value in all of the part that is asked for: no reason to lose it
    tifffile.imwrite(tmp_path / "a.tif", od)
    array = read.scan(tmp_path / "a.tif", energies=ENERGIES).array
    assert np.isnan(array[2, 4:8, 4:8]).all()
    np.testing.assert_array_equal(array[1, 4:8, 4:8], np.float32(0.5))


def test_a_detector_that_clips_below_the_end_of_its_type(tmp_path):
    raw = counts(density()[0]) // 9
    clipped = np.minimum(raw, 4000)
    assert 0.001 < (clipped == 4000).mean() < 0.1
    np.save(tmp_path / "a.npy", clipped)
    image = read.scan(tmp_path / "a.npy", energies=ENERGIES, flat=(flats() // 10))
    assert any("are saturated" in w for w in image.warnings)
    np.testing.assert_array_equal(np.isnan(np.asarray(image.array)), (clipped == 4000))
    np.save(tmp_path / "b.npy", raw)  # the same scan, not clipped: nothing is lost
    free = read.scan(tmp_path / "b.npy", energies=ENERGIES, flat=(flats() // 10))
    assert not np.isnan(np.asarray(free.array)).any()


def test_flats_that_clip_where_the_frames_do_not(tmp_path):
    fields = np.minimum(flats() // 10, 3500)
    assert 0.01 < (fields == 3500).mean() < 0.5
    np.save(tmp_path / "a.npy", counts(density()[0] + 0.3) // 10)
    image = read.scan(tmp_path / "a.npy", energies=ENERGIES, flat=fields)
    np.testing.assert_array_equal(np.isnan(np.asarray(image.array)), fields == 3500)
    assert any("are saturated" in w for w in image.warnings)


def test_all_frames_empty_one_frame_and_one_pixel_row(tmp_path):
    np.save(tmp_path / "a.npy", np.zeros((5, *SIZE), np.float32))
    with pytest.raises(InputError, match="all of 5 frames are empty"):
        read.scan(tmp_path / "a.npy", energies=ENERGIES)
    tifffile.imwrite(tmp_path / "b.tif", density()[0, 0].astype(np.float32))
    with pytest.raises(InputError, match=r"b\.tif holds a single frame"):
        read.scan(tmp_path / "b.tif", energies=[8333.0])
    np.save(tmp_path / "c.npy", np.ones((5, 1, 9), np.float32))
    with pytest.raises(InputError, match=r"lines of 1 x 9 pixels"):
        read.scan(tmp_path / "c.npy", energies=ENERGIES)


def test_empty_flats(tmp_path):
    np.save(tmp_path / "a.npy", counts(density()[0]))
    fields = flats()
    with pytest.raises(InputError, match="its flats are empty"):
        read.scan(tmp_path / "a.npy", energies=ENERGIES, flat=np.zeros_like(fields))
    even = read.scan(tmp_path / "a.npy", energies=ENERGIES, flat=np.full((1, *SIZE), 30000, np.uint16))
    assert np.isfinite(np.asarray(even.array)).all()  # one value everywhere is a poor flat, but one
    fields[1] = 0
    image = read.scan(tmp_path / "a.npy", energies=ENERGIES, flat=fields, dark=dark_frames())
    assert any("the flats of 1 frames are empty" in w and "8333.2 eV" in w for w in image.warnings)
    assert np.isnan(image.array[1]).all()
    assert not np.isnan(image.array[2]).any()


def test_colours_complex_numbers_and_mixed_sizes(tmp_path):
    tifffile.imwrite(tmp_path / "rgb.tif", np.zeros((5, *SIZE, 3), np.uint8), photometric="rgb")
    with pytest.raises(InputError, match=r"rgb\.tif is in colour"):
        read.scan(tmp_path / "rgb.tif", energies=ENERGIES)
    np.save(tmp_path / "c.npy", np.zeros((5, *SIZE), complex))
    with pytest.raises(InputError, match="complex"):
        read.scan(tmp_path / "c.npy", energies=ENERGIES)
    folder = tmp_path / "in"
    files.tiff_folder(folder, density()[0])
    tifffile.imwrite(folder / "Ni_8.34000keV.tif", counts(density()[0])[0, :-1])
    with pytest.raises(InputError, match=r"Ni_8\.34000keV\.tif is 47 x 60 pixels"):
        read.scan(folder)


def test_folders_without_and_with_too_much(tmp_path):
    with pytest.raises(InputError, match="does not exist"):
        read.scan(tmp_path / "none")
    with pytest.raises(InputError, match="holds no frames"):
        read.scan(tmp_path)
    floats(tmp_path / "a.tif")
    np.save(tmp_path / "b.npy", density()[0])
    with pytest.raises(InputError, match=r"several kinds \(\.npy, \.tif\)"):
        read.scan(tmp_path)
    only = tmp_path / "refs"
    files.xrm_folder(only, density()[0])
    for path in only.glob("fov*"):
        path.unlink()
    with pytest.raises(InputError, match="only flats and darks"):
        read.scan(only)


def test_two_frames_of_one_energy_and_one_without(tmp_path):
    files.xrm_folder(tmp_path, density()[0])
    shutil.copy(tmp_path / "fov07_scan01_8340_00eV.xrm", tmp_path / "fov07_scan01_8341_00eV.xrm")
    with pytest.raises(InputError, match=r"are both at 8340\.0 eV"):
        read.scan(tmp_path)


# --- scale, crop ----------------------------------------------------------------------------------------------


def test_pixel_size_from_header_option_or_nowhere(tmp_path):
    files.xrm_folder(tmp_path / "x", density()[0])
    image = read.scan(tmp_path / "x")
    np.testing.assert_allclose(image.spacing, (EDGE_UM, EDGE_UM), rtol=1e-6)
    assert image.provenance["pixel_size_from"].startswith("Zeiss ImageInfo/PixelSize")
    given_one = read.scan(tmp_path / "x", pixel_size=0.05)
    assert given_one.spacing == (0.05, 0.05)
    assert any("differs from 0.039 um" in w for w in given_one.warnings)
    floats(tmp_path / "a.tif")
    image = read.scan(tmp_path / "a.tif", energies=ENERGIES)
    assert image.spacing == (1.0, 1.0)
    assert image.provenance["pixel_size_from"] == "none"
    assert any("lengths are in pixels" in w for w in image.warnings)


def test_crop_is_a_part_of_the_field(tmp_path):
    od = floats(tmp_path / "a.tif", 2)
    image = read.scan(tmp_path / "a.tif", energies=ENERGIES, crop=(3, 20, 5, 50))
    np.testing.assert_array_equal(np.asarray(image.array), od[:, :, 3:20, 5:50])
    od[0, 1, 4:8, 4:8] = 0.5
    tifffile.imwrite(tmp_path / "b.tif", od[0])
    part = read.scan(tmp_path / "b.tif", energies=ENERGIES, crop=(4, 8, 4, 8)).array
    np.testing.assert_array_equal(part[1], np.float32(0.5))  # one value in the crop, but not in the frame
    with pytest.raises(InputError, match="does not lie in the frames, 48 x 60"):
        read.scan(tmp_path / "a.tif", energies=ENERGIES, crop=(3, 49, 5, 50))
    with pytest.raises(InputError, match="four whole numbers"):
        read.scan(tmp_path / "a.tif", energies=ENERGIES, crop=(3, 9))


def test_memory_is_that_of_frames_not_of_the_scan(tmp_path):
    shape = (40, 400, 500)
    rng = np.random.default_rng(0)
    raw = np.lib.format.open_memmap(tmp_path / "a.npy", "w+", np.uint16, shape)
    raw[:] = rng.integers(2000, 4000, shape[1:], dtype=np.uint16)
    raw.flush()
    flat = np.full((1, *shape[1:]), 5000, np.uint16)
    flat[0, 0] = 4999
    tracemalloc.start()
    image = read.scan(tmp_path / "a.npy", energies=np.linspace(8250, 8400, 40), flat=flat)
    total = sum(float(image.array[k].sum()) for k in range(40))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert np.isfinite(total)
    assert peak < 6 * 4 * shape[1] * shape[2] < raw.nbytes  # a few float frames, while the counts alone are more


def test_large_scans_are_looked_at_in_samples(tmp_path, monkeypatch):
    od = np.repeat(density()[0, :1], 40, axis=0).astype(np.float32)
    od[0] = 0
    od[3] = 0  # not among the 16 that are looked at
    np.save(tmp_path / "a.npy", od)
    energies = np.linspace(8250, 8400, 40)
    (said, _) = read.scan(tmp_path / "a.npy", energies=energies).warnings
    assert "2 of 40 frames are empty" in said
    monkeypatch.setattr("morpholith.read.scan_check.LOOKED_AT_BYTES", 1000)
    image = read.scan(tmp_path / "a.npy", energies=energies)
    assert "1 of the 16 frames looked at (of 40) are empty" in image.warnings[0]
    assert np.isnan(image.array[3]).all()
    assert read.frame_faults(image)["dead"].sum() == 2


# --- Zeiss files ----------------------------------------------------------------------------------------------


def test_txrm_with_an_energy_for_each_image(tmp_path):
    od = density()[0]
    extra = {"ImageInfo/Energy": ENERGIES.astype("<f4").tobytes()}
    path = zeiss(tmp_path / "a.txrm", counts(od), EDGE_UM, angles=np.zeros(5), extra=extra)
    image = read.scan(path, flat=flats(), dark=dark_frames())
    np.testing.assert_allclose(np.asarray(image.array), od, atol=ROUNDED)
    np.testing.assert_allclose(image.coordinates["e"], ENERGIES, atol=1e-3)


def test_a_tomogram_is_no_scan(tmp_path):
    extra = {"ImageInfo/Energy": np.full(5, 9200, "<f4").tobytes()}
    path = zeiss(tmp_path / "a.txrm", counts(density()[0]), EDGE_UM, angles=np.linspace(-60, 60, 5), extra=extra)
    with pytest.raises(InputError, match=r"5 projections at -60 to 60 degrees and one energy \(9200\.0 eV\)"):
        read.scan(path, flat=flats())


def test_a_header_without_energy_leaves_the_name_to_say_it(tmp_path):
    files.xrm_folder(tmp_path, density()[0])
    files.xrm(tmp_path / "fov07_scan01_8340_00eV.xrm", counts(density()[0])[2], 0.0)
    image = read.scan(tmp_path)
    np.testing.assert_allclose(image.coordinates["e"], ENERGIES, atol=1e-3)
    assert any("the energy is taken from its name" in w for w in image.warnings)
    files.xrm(tmp_path / "fov07_scan01_8340_00eV.xrm", counts(density()[0])[2], 8345.0)
    image = read.scan(tmp_path)
    assert image.coordinates["e"][2] == 8345.0
    assert any("its header says 8345.0 eV, its name 8340.0 eV" in w for w in image.warnings)


def test_images_the_microscope_divided_already(tmp_path):
    files.xrm_folder(tmp_path, density()[0])
    extra = {"ImageInfo/OriginalDataRefCorrected": struct.pack("<i", 1)}
    files.xrm(tmp_path / "fov07_scan01_8340_00eV.xrm", counts(density()[0])[2], 8340.0, extra=extra)
    with pytest.raises(InputError, match="divided by its reference in the microscope already"):
        read.scan(tmp_path)


@pytest.mark.parametrize("share", [0.05, 0.3, 0.6, 0.95])
def test_a_cut_off_xrm_is_one_sentence(tmp_path, share):
    files.xrm_folder(tmp_path, density()[0])
    truncated(tmp_path / "fov07_scan01_8340_00eV.xrm", share)
    with pytest.raises(InputError, match=r"fov07_scan01_8340_00eV\.xrm") as told:
        np.asarray(read.scan(tmp_path).array)
    assert "\n" not in str(told.value)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(flips=st.lists(st.tuples(st.integers(0, 8191), st.integers(1, 255)), min_size=1, max_size=6))
def test_flipped_bytes_give_a_scan_or_a_sentence(tmp_path, flips):
    folder = tmp_path / "x"
    files.xrm_folder(folder, density()[0])
    victim = folder / "fov07_scan01_8340_00eV.xrm"
    raw = bytearray(victim.read_bytes())
    for at, bits in flips:
        raw[at] ^= bits
    victim.write_bytes(bytes(raw))
    try:
        np.asarray(read.scan(folder).array)
    except InputError as error:
        said = str(error)
    else:
        said = "."
    assert said.endswith(".")
    assert "\n" not in said


@pytest.mark.parametrize("name", ["tiff_stack", "exchange", "img_xanes", "npy"])
@pytest.mark.parametrize("share", [0.02, 0.4, 0.9])
def test_truncated_files_are_one_sentence(tmp_path, name, share):
    options = FORMATS[name](tmp_path / "in", density()[0])
    truncated(options["paths"], share)
    with pytest.raises(InputError) as told:
        np.asarray(read.scan(**options).array)
    assert "\n" not in str(told.value)
    assert options["paths"].name in str(told.value)


# --- HDF5 and zarr --------------------------------------------------------------------------------------------


def test_hdf5_chooses_frames_and_energies(tmp_path):
    od = density()[0].astype(np.float32)
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["entry/sample/od"] = od
        file["entry/sample/photon_energy"] = ENERGIES
        file["entry/other/energy"] = ENERGIES + 100
        file["entry/small"] = od[:, ::4, ::4]
    image = read.scan(tmp_path / "a.h5")
    np.testing.assert_array_equal(image.coordinates["e"], ENERGIES)
    assert image.provenance["dataset"] == "entry/sample/od"
    assert any("largest stack" in w for w in image.warnings)
    with pytest.raises(InputError, match="has no dataset 'nothing'"):
        read.scan(tmp_path / "a.h5", dataset="nothing")
    with h5py.File(tmp_path / "a.h5", "a") as file:
        file["entry/again"] = od
    with pytest.raises(InputError, match="2 stacks of one size.*--dataset"):
        read.scan(tmp_path / "a.h5")
    chosen = read.scan(tmp_path / "a.h5", dataset="entry/sample/od")
    np.testing.assert_array_equal(np.asarray(chosen.array), od)


def test_hdf5_of_several_scans(tmp_path):
    od = density(2)
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["exchange/data"] = counts(od)
        file["exchange/data_white"] = flats()
        file["exchange/data_dark"] = dark_frames()
        file["exchange/energy"] = ENERGIES
        file["exchange/data"].attrs["pixel_size_um"] = 0.04
    image = read.scan(tmp_path / "a.h5")
    assert image.axes == "teyx"
    assert image.spacing == (0.04, 0.04)
    np.testing.assert_allclose(np.asarray(image.array), od, atol=ROUNDED)


def test_hdf5_whose_energies_do_not_fit(tmp_path):
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["data"] = density()[0].astype(np.float32)
        file["energy"] = ENERGIES[:3]
    with pytest.raises(InputError, match="holds 5 frames and 3 energies"):
        read.scan(tmp_path / "a.h5")


def test_hdf5_takes_the_energies_that_fit(tmp_path):
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["entry/data"] = density()[0].astype(np.float32)
        file["entry/energy"] = ENERGIES[:1]  # where the monochromator stood
        file["instrument/energies"] = ENERGIES
    np.testing.assert_array_equal(read.scan(tmp_path / "a.h5").coordinates["e"], ENERGIES)


def test_zarr_whose_pictures_lie_on_their_side(tmp_path):
    od = density()[0].astype(np.float32)
    group = zarr.open_group(str(tmp_path / "a.zarr"), mode="w", zarr_format=3)
    group.create_array("0", data=np.ascontiguousarray(od.transpose(0, 2, 1)), chunks=(1, *SIZE[::-1]))
    axes = [{"name": "c", "type": "channel"}, *({"name": a, "type": "space", "unit": "micrometer"} for a in "xy")]
    steps = [{"type": "scale", "scale": [1.0, 0.05, 0.04]}]
    multiscale = {"axes": axes, "datasets": [{"path": "0", "coordinateTransformations": steps}]}
    group.attrs.update(
        {"ome": {"version": "0.5", "multiscales": [multiscale]}, "energies_kev": (ENERGIES / 1e3).tolist()}
    )
    image = read.scan(tmp_path / "a.zarr")
    np.testing.assert_array_equal(np.asarray(image.array), od)
    assert image.spacing == (0.04, 0.05)
    np.testing.assert_allclose(image.coordinates["e"], ENERGIES)


def test_zarr_with_an_array_of_energies(tmp_path):
    od = density()[0].astype(np.float32)
    group = zarr.open_group(str(tmp_path / "a.zarr"), mode="w")
    group.create_array("frames", data=od, chunks=(1, *SIZE))
    group.create_array("energy", data=ENERGIES / 1000)
    image = read.scan(tmp_path / "a.zarr")
    np.testing.assert_allclose(image.coordinates["e"], ENERGIES)
    np.testing.assert_array_equal(np.asarray(image.array), od)


# --- edges ----------------------------------------------------------------------------------------------------


def test_edges_within_a_scan():
    assert edges_within(ENERGIES) == ["Ni"]
    assert edges_within([6500, 7200]) == ["Mn", "Fe"]
    assert edges_within([7200, 7300]) == []
    assert edges_within([]) == []
    assert edges_within([np.nan, 8300, 8400]) == ["Ni"]
    assert list(K_EDGES_EV) == sorted(K_EDGES_EV, key=K_EDGES_EV.get)


def test_element_of_a_scan():
    assert element_of(ENERGIES) == "Ni"
    energies = np.arange(6500.0, 7200.0, 5)
    rise = 0.4 + 0.05 * (energies > 6545) + 0.8 * (energies > 7120)
    assert element_of(energies, rise) == "Fe"
    assert element_of(energies, 1.25 - rise) == "Mn"
    with pytest.raises(InputError, match=r"crosses 2 K edges \(Mn 6539 eV, Fe 7112 eV\).*--element"):
        element_of(energies)
    with pytest.raises(InputError, match=r"no K edge lies within .* nearest are Fe 7112 eV"):
        element_of([7200, 7300])
    with pytest.raises(InputError, match="no energy"):
        element_of([])
    with pytest.raises(InputError, match="3 values for 140 energies"):
        element_of(energies, [1, 2, 3])


# --- real files -----------------------------------------------------------------------------------------------


def test_real_frames_below_and_above_the_nickel_edge(data):
    image = read.scan(data / "xanes" / "aps_nca")
    assert image.shape == (2, 1024, 1024)
    np.testing.assert_allclose(image.coordinates["e"], [8250, 8353], atol=0.3)
    np.testing.assert_allclose(image.spacing, 0.0389, atol=1e-4)
    found = np.asarray(image.array)
    np.testing.assert_allclose(np.nanmedian(found, axis=(1, 2)), 0.40, atol=0.02)  # the background is not 0
    assert np.isnan(found).mean() < 1e-3
    assert image.provenance["flats_from"].startswith("2 flats by energy")
    # above the edge the particle absorbs much more: its darkest hundredth lies 0.3 higher
    rise = np.nanpercentile(found[1], 99) - np.nanpercentile(found[0], 99)
    assert rise > 0.2
    exchanged = [
        data / "xanes" / "aps_nca" / f"{k}_xanessoc01_{e}_0eV.xrm" for e in (8353, 8250) for k in ("ref", "fov07")
    ]
    np.testing.assert_array_equal(np.asarray(read.scan(exchanged).array), found)


def test_real_stack_of_lithium_iron_phosphate(data):
    folder = data / "xanes" / "lfp_stack"
    image = read.scan(folder, energies=folder / "test_energy.txt")
    assert image.shape == (57, 91, 95)
    assert edges_within(image.coordinates["e"]) == ["Fe"]
    np.testing.assert_array_equal(np.asarray(image.array), tifffile.imread(folder / "test_stack.tiff"))


def test_real_files_that_are_no_scan(data):
    folder = data / "xanes" / "dxchange"
    with pytest.raises(InputError, match=r"7 projections at -45\.02 to 44\.99 degrees and one energy \(9200\.0 eV\)"):
        read.scan(folder / "test_chip_tomo.txrm")
    with pytest.raises(InputError, match="single frame"):
        read.scan(folder / "test_chip00.xrm")


def test_real_reference_inside_a_file(tmp_path, data):
    raw = (data / "xanes" / "dxchange" / "test_chip00.xrm").read_bytes()
    first = struct.pack("<f", 7191.04638671875)
    assert raw.count(first) >= 1
    (tmp_path / "a_1.xrm").write_bytes(raw)
    (tmp_path / "a_2.xrm").write_bytes(raw.replace(first, struct.pack("<f", 7201.5)))
    image = read.scan(tmp_path)
    np.testing.assert_allclose(image.coordinates["e"], [7191.05, 7201.5], atol=0.01)
    assert "scaled by exposure" in image.provenance["flats_from"]  # 39.88 s against 40 s
    with olefile.OleFileIO(tmp_path / "a_1.xrm") as ole:
        frame, beam = (
            np.frombuffer(ole.openstream(name).read(), "<u2").reshape(512, 512).astype(float)
            for name in ("ImageData1/Image1", "ReferenceData/Image")
        )
    expected = -np.log(frame / (beam * 39.884727 / 40))
    np.testing.assert_allclose(image.array[0], expected, atol=1e-5)


@pytest.mark.parametrize("share", [0.001, 0.2, 0.97])
def test_real_file_cut_off(tmp_path, data, share):
    for path in (data / "xanes" / "aps_nca").glob("*.xrm"):
        (tmp_path / path.name).write_bytes(path.read_bytes())
    truncated(tmp_path / "fov07_xanessoc01_8353_0eV.xrm", share)
    with pytest.raises(InputError, match=r"fov07_xanessoc01_8353_0eV\.xrm") as told:
        np.asarray(read.scan(tmp_path).array)
    assert "\n" not in str(told.value)
