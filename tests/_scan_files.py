"""A scan of known optical density, written the ways beamlines write it."""

import struct
from pathlib import Path

import h5py
import numpy as np
import tifffile
import zarr
from _volume_files import zeiss

SIZE = (48, 60)  # not square; a frame of 16 bits does not fit into the small streams of an OLE container
ENERGIES = np.array([8250.0, 8333.25, 8340.0, 8353.5, 8400.0])
DARK = 100
EDGE_UM = 0.039


def density(n_scans=1, *, energies=ENERGIES):
    """Return (t, e, y, x) optical densities: a disc that moves by scan and absorbs more above the edge."""
    y, x = np.mgrid[: SIZE[0], : SIZE[1]]
    out = np.empty((n_scans, len(energies), *SIZE))
    for t in range(n_scans):
        for k, energy in enumerate(energies):
            disc = np.hypot(y - 20 - 3 * t, x - 33) < 9
            out[t, k] = 0.05 + 0.15 * x / SIZE[1] + disc * (0.3 + 0.5 / (1 + np.exp(-(energy - 8345) / 3)))
    return out


def flats(energies=ENERGIES):
    """Return (e, y, x) uint16 flats: a slope that turns with the energy, 20000 to 40000 counts over the dark."""
    y, x = np.mgrid[: SIZE[0], : SIZE[1]]
    turn = (np.asarray(energies) - energies[0]) / 40
    fields = [30000 + 9000 * np.sin(y / 17 + a) * np.cos(x / 23 - a) for a in turn]
    return (np.rint(fields) + DARK).astype(np.uint16)


def counts(od, fields=None):
    """Return uint16 counts of optical densities (..., e, y, x)."""
    fields = flats() if fields is None else fields
    return np.rint((fields.astype(float) - DARK) * np.exp(-od) + DARK).astype(np.uint16)


def dark_frames(n=3):
    """Return n dark frames whose mean is exactly 100."""
    steps = np.arange(n) - (n - 1) // 2
    return np.array([np.full(SIZE, DARK + s) for s in steps], np.uint16)


def energy_list(path: Path, energies=ENERGIES, *, factor=1.0):
    """Write one energy a line."""
    path.write_text("".join(f"{e * factor:.6f}\n" for e in energies))
    return path


def xrm(path: Path, frame, energy, *, edge=EDGE_UM, exposure=None, reference=None, reference_s=None, extra=None):
    """Write one picture as .xrm."""
    more = {"ImageInfo/Energy": struct.pack("<f", energy), **(extra or {})}
    if exposure is not None:
        more["ImageInfo/ExpTimes"] = struct.pack("<f", exposure)
    if reference is not None:
        more["ReferenceData/Image"] = reference.tobytes()
        more["ReferenceData/DataType"] = struct.pack("<i", 5)
        if reference_s is not None:
            more["ReferenceData/ExpTime"] = struct.pack("<f", reference_s)
    return zeiss(path, frame[None], edge, extra=more)


def xrm_folder(folder: Path, od, *, scan="scan01"):
    """Write a series of .xrm with flats, and darks, as they lie in a folder of a beamline."""
    folder.mkdir(exist_ok=True)
    for frame, flat, energy in zip(counts(od), flats(), ENERGIES, strict=True):
        told = f"{energy:.2f}".replace(".", "_")
        xrm(folder / f"fov07_{scan}_{told}eV.xrm", frame, energy)
        xrm(folder / f"ref_{scan}_{told}eV.xrm", flat, energy)
    for k, one in enumerate(dark_frames()):
        xrm(folder / f"dark_{k}.xrm", one, 0.0)
    return {"paths": folder}


def tiff_folder(folder: Path, od):
    """Write TIFFs with the energy in their names, flats and darks beside them."""
    folder.mkdir(exist_ok=True)
    for frame, flat, energy in zip(counts(od), flats(), ENERGIES, strict=True):
        tifffile.imwrite(folder / f"Ni_{energy / 1000:.5f}keV.tif", frame)
        tifffile.imwrite(folder / f"flat_Ni_{energy / 1000:.5f}keV.tif", flat)
    tifffile.imwrite(folder / "dark.tif", dark_frames(1)[0])
    return {"paths": folder}


def tiff_stack(folder: Path, od):
    """Write a stack, and its flats, darks and energies as files of their own."""
    folder.mkdir(exist_ok=True)
    tifffile.imwrite(folder / "a.tif", counts(od), compression="zlib")
    tifffile.imwrite(folder / "b.tif", flats())
    np.save(folder / "c.npy", dark_frames())
    listed = energy_list(folder / "energies.txt", factor=1e-3)
    return {"paths": folder / "a.tif", "flat": folder / "b.tif", "dark": folder / "c.npy", "energies": listed}


def exchange(folder: Path, od):
    """Write data-exchange HDF5 with two flats a frame and three darks."""
    folder.mkdir(exist_ok=True)
    with h5py.File(folder / "scan.h5", "w") as file:
        file["exchange/data"] = counts(od)
        file["exchange/data_white"] = np.repeat(flats(), 2, axis=0)
        file["exchange/data_dark"] = dark_frames()
        file["exchange/energy"] = ENERGIES / 1000
        file["exchange/energy"].attrs["units"] = "keV"
        file["exchange/theta"] = np.zeros(len(ENERGIES))
    return {"paths": folder / "scan.h5"}


def img_xanes(folder: Path, od):
    """Write HDF5 as one beamline names it: img_xanes, img_bkg, img_dark, eng_list."""
    folder.mkdir(exist_ok=True)
    with h5py.File(folder / "fxi.h5", "w") as file:
        file["img_xanes"] = counts(od)
        file["img_bkg"] = flats()
        file["img_dark"] = dark_frames()
        file["eng_list"] = ENERGIES / 1000
    return {"paths": folder / "fxi.h5"}


def zarr_store(folder: Path, od):
    """Write zarr with energies in the attributes; flats given in memory."""
    folder.mkdir(exist_ok=True)
    store = zarr.create_array(str(folder / "scan.zarr"), data=counts(od), chunks=(1, *SIZE))
    store.attrs["energies_ev"] = ENERGIES.tolist()
    return {"paths": folder / "scan.zarr", "flat": flats(), "dark": dark_frames()}


def npy(folder: Path, od):
    """Write npy, energies given as numbers."""
    folder.mkdir(exist_ok=True)
    np.save(folder / "scan.npy", counts(od))
    np.save(folder / "flats.npy", flats())
    return {"paths": folder / "scan.npy", "flat": folder / "flats.npy", "dark": dark_frames(), "energies": ENERGIES}


FORMATS = {f.__name__: f for f in (xrm_folder, tiff_folder, tiff_stack, exchange, img_xanes, zarr_store, npy)}
