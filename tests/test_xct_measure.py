"""`morpholith xct measure` as a user runs it: a tomogram in, the contract's files and keys out, truth met."""

import json
import os
import subprocess
import sys
import tomllib

import numpy as np
import pandas as pd
import pytest
import tifffile

from morpholith.cli import main
from morpholith.image import Image
from morpholith.read import volume, write_tiff, write_zarr
from morpholith.specimens import Electrode, Tomograph, electrode, tomogram

KEYS = [
    "porosity", "tau_z", "tau_y", "tau_x", "surface_um2_per_um3", "n_particles", "d50_um", "d50_volume_um",
]  # fmt: skip
COLUMNS = "label,z_um,y_um,x_um,volume_um3,diameter_um,sphericity,touches_edge".split(",")
SPACING = (0.6, 0.5, 0.5)  # anisotropic and on unequal edges, so that swapped axes cannot pass
PARAMETERS = Electrode(size_um=(36.0, 40.0, 44.0), d50_um=8.0, geometric_sd=1.25, solid=0.5, binder=0.0, overlap=0.02)


@pytest.fixture(scope="module")
def sample(tmp_path_factory):
    """A virtual tomogram on disk, measured once with everything that can be asked for but the discharge."""
    folder = tmp_path_factory.mktemp("electrode")
    packing = electrode(PARAMETERS, rng=3)
    grey = tomogram(packing, Tomograph.of("easy", spacing=SPACING), rng=3)
    write_tiff(folder / "electrode.tif", Image(grey, "zyx", SPACING))
    out = folder / "out"
    options = ["--export", "bpx,pybamm", "--tiff", "--geometric", "--composition", "NMC811:94,carbon:2,PTFE:4"]
    line = ["xct", "measure", str(folder / "electrode.tif"), *options, "--density", "3.42", "--out", str(out)]
    assert main(line) == 0
    return folder, out, packing


@pytest.fixture(scope="module")
def summary(sample):
    return json.loads((sample[1] / "summary.json").read_text())


def test_the_contract_is_kept(sample, summary):
    _, out, _ = sample
    for key in KEYS:
        assert set(summary[key]) == {"value", "low", "high", "level", "n", "unit", "method"}
        assert summary[key]["method"]
        assert summary[key]["low"] <= summary[key]["value"] <= summary[key]["high"], key
    table = pd.read_csv(out / "particles.csv")
    assert list(table.columns[: len(COLUMNS)]) == COLUMNS
    assert len(table) == summary["n_particles"]["value"]
    recipe = tomllib.loads((out / "recipe.toml").read_text())
    assert recipe["command"] == "xct measure"
    for name in ("phases.zarr", "particles_labels.zarr", "electrode_bpx.json", "pybamm", "report.html"):
        assert (out / name).exists(), name
    labels = volume(out / "particles_labels.zarr")
    assert labels.spacing == pytest.approx(SPACING)
    assert np.asarray(labels.array).max() == len(table)
    np.testing.assert_array_equal(tifffile.imread(out / "particles_labels.tif"), np.asarray(labels.array))


def test_every_number_covers_its_truth(sample, summary):
    truth = sample[2].exact(SPACING)
    for key in ("porosity", "active_fraction", "surface_um2_per_um3", "d50_um", "d50_volume_um"):
        assert summary[key]["low"] <= truth[key] <= summary[key]["high"], (key, truth[key], summary[key])
    assert summary["porosity"]["value"] == pytest.approx(truth["porosity"], abs=0.02)
    assert summary["surface_um2_per_um3"]["value"] == pytest.approx(truth["surface_um2_per_um3"], rel=0.05)
    cracks = summary["crack_fraction_mean"]
    assert cracks["value"] < 0.003


def test_particles_are_those_of_the_specimen(sample):
    _, out, packing = sample
    labels = tifffile.imread(out / "particles_labels.tif").astype(int)
    truth = packing.labels(SPACING)
    table = packing.table(SPACING)
    whole = table.index[~table["touches_edge"]]
    shared = np.zeros((truth.max() + 1, labels.max() + 1), int)
    np.add.at(shared, (truth.ravel(), labels.ravel()), 1)
    union = shared.sum(1)[:, None] + shared.sum(0)[None] - shared
    iou = (shared / np.maximum(union, 1))[1:, 1:].max(1)
    assert (iou[whole - 1] > 0.75).mean() > 0.95


def test_tau_is_that_of_the_true_pores(sample, summary):
    from morpholith.measure import tortuosity_factor

    pores = sample[2].phases((0.3, 0.25, 0.25)) == 0  # the same electrode on voxels half as large
    for axis, name in enumerate("zyx"):
        tau = tortuosity_factor(pores, axis=axis, spacing=(0.3, 0.25, 0.25)).tau
        q = summary[f"tau_{name}"]
        assert q["low"] <= tau <= q["high"], (name, tau, q)
        assert 1 <= summary[f"tortuosity_geometric_{name}"]["value"] < q["value"]


def test_the_mass_balance_is_in_the_report(sample, summary):
    assert (
        "are not those of the electrode" in summary["warnings"][0]
    )  # 3.42 g/cm3 of NMC leave a third of pore, the image shows half
    expected = summary["porosity_mass_balance"]
    assert 0 < expected["low"] < expected["value"] < expected["high"] < 1
    page = (sample[1] / "report.html").read_text()
    for word in ("Mass balance", "Transport", "What was found", "Through the thickness"):
        assert word in page


def test_the_battery_files_are_valid_and_sum_to_one(sample):
    bpx = pytest.importorskip("bpx")
    parsed = bpx.parse_bpx_file(str(sample[1] / "electrode_bpx.json"))
    assert parsed.parameterisation.positive_electrode.porosity < 1
    data = json.loads(next((sample[1] / "pybamm").glob("*.json")).read_text())
    values = data["values"]
    total = values["Positive electrode porosity"] + values["Positive electrode active material volume fraction"]
    assert 0.5 < total <= 1.0 + 1e-9


def test_rerun_gives_the_same_numbers(sample, tmp_path):
    again = tmp_path / "again"
    assert main(["rerun", str(sample[1] / "recipe.toml"), "--out", str(again)]) == 0
    assert (again / "summary.json").read_bytes() == (sample[1] / "summary.json").read_bytes()


def test_a_segmented_volume_is_taken_as_it_is(sample, tmp_path):
    phases = sample[2].phases(SPACING)
    write_tiff(tmp_path / "phases.tif", Image((phases * 85).astype(np.uint8), "zyx", SPACING))
    out = tmp_path / "out"
    line = ["xct", "measure", str(tmp_path / "phases.tif"), "--grey-values", "0=pore,85=active", "--out", str(out)]
    assert main(line) == 0
    found = json.loads((out / "summary.json").read_text())
    assert found["porosity"]["value"] == pytest.approx((phases == 0).mean(), abs=1e-9)


def test_blocks_and_processes_give_the_same_phases_and_particles(sample, tmp_path):
    out = tmp_path / "out"
    line = ["xct", "measure", str(sample[0] / "electrode.tif"), "--workers", "2", "--tiff", "--out", str(out)]
    assert main(line) == 0
    for name in ("phases.tif", "particles_labels.tif"):
        np.testing.assert_array_equal(tifffile.imread(out / name), tifffile.imread(sample[1] / name))


# --- bad input -------------------------------------------------------------------------------------------


def _case(name, folder):
    rng = np.random.default_rng(0)
    z, y, x = np.indices((24, 28, 32)) / 4
    solid = np.sin(z) + np.sin(y + 1) + np.sin(x + 2) > 0
    grey = np.where(solid, 200, 50).astype(np.uint8) + rng.integers(0, 20, solid.shape, np.uint8)
    path = folder / "v.tif"
    options: list[str] = []
    spacing = SPACING
    if name == "no voxel size":
        tifffile.imwrite(path, grey)
        return [str(path)]
    if name == "absurd voxel size":
        options = ["--voxel-size", "1e9"]
    elif name == "wrong threshold":
        options = ["--threshold", "9999"]
    elif name == "bad export":
        options = ["--export", "comsol"]
    elif name == "bad grey values":
        options = ["--grey-values", "pore:0"]
    elif name == "composition without density":
        options = ["--composition", "NMC811:94,carbon:2,PTFE:4"]
    elif name == "single slice":
        tifffile.imwrite(path, grey[0])
        return [str(path), "--voxel-size", "0.5"]
    elif name == "constant":
        grey = np.full_like(grey, 7)
    elif name == "one phase":
        grey = rng.normal(100, 3, grey.shape).astype(np.float32)
    elif name == "nan block":
        grey = grey.astype(np.float32)
        grey[:8, :8, :8] = np.nan
    elif name == "labels as grey":
        from skimage.measure import label

        blobs = np.zeros(grey.shape, np.uint16)
        blobs[4:, 4:, 4:] = 1
        blocks = np.indices(grey.shape) // 6
        grey = (label(blobs) * (1 + blocks[0] + 5 * blocks[1] + 30 * blocks[2])).astype(np.uint16)
    elif name == "truncated":
        write_tiff(path, Image(grey, "zyx", spacing))
        path.write_bytes(path.read_bytes()[:9000])
        return [str(path)]
    elif name == "truncated zarr":
        store = folder / "v.zarr"
        write_zarr(store, Image(grey, "zyx", spacing), chunks=8)
        next(p for p in sorted(store.rglob("*")) if p.is_file() and p.name == "1").unlink()
        return [str(store)]
    elif name == "missing":
        return [str(folder / "nothing.tif")]
    elif name == "no scheduler":
        options = ["--scheduler", "tcp://127.0.0.1:9"]
    write_tiff(path, Image(grey, "zyx", spacing))
    return [str(path), *options]


BAD = {
    "no voxel size": "--voxel-size", "absurd voxel size": "voxel", "wrong threshold": "threshold", "bad export": "bpx",
    "bad grey values": "--grey-values", "composition without density": "--density", "single slice": "slice",
    "constant": "constant", "one phase": "phase", "nan block": "NaN", "labels as grey": "label", "truncated": "v.tif",
    "truncated zarr": "chunk", "missing": "nothing.tif", "no scheduler": "scheduler",
}  # fmt: skip


@pytest.mark.parametrize("name", BAD)
def test_bad_input_is_one_sentence_and_leaves_nothing(name, tmp_path, capsys):
    arguments = _case(name, tmp_path)
    out = tmp_path / "out"
    assert main(["xct", "measure", *arguments, "--out", str(out)]) == 2
    said = capsys.readouterr().err.strip()
    assert BAD[name].lower() in said.lower()
    assert "Traceback" not in said
    assert not out.exists()


def test_nothing_percolates_is_said_and_no_battery_file_is_written(tmp_path, capsys):
    wall = np.zeros((20, 22, 24), np.uint8)
    wall[:, :, 8:20] = 255
    wall[8:12] = 255  # closes every path along z
    write_tiff(tmp_path / "v.tif", Image(wall, "zyx", (1.0, 1.0, 1.0)))
    out = tmp_path / "out"
    assert main(["xct", "measure", str(tmp_path / "v.tif"), "--out", str(out)]) == 0
    found = json.loads((out / "summary.json").read_text())
    assert found["tau_z"]["value"] is None
    assert any("tau_z" in w and "infinite" in w for w in found["warnings"])
    assert found["tau_y"]["value"] == pytest.approx(1.0, abs=0.2)
    assert main(["xct", "measure", str(tmp_path / "v.tif"), "--export", "bpx", "--out", str(tmp_path / "b")]) == 2
    assert "percolate" in capsys.readouterr().err
    assert not (tmp_path / "b").exists()


def test_the_real_slices_of_a_cathode_are_refused_as_single_slices(data, tmp_path):
    line = ["xct", "measure", str(data / "xct" / "nmc_nanoct" / "394.tif"), "--voxel-size", "0.1"]
    assert main([*line, "--out", str(tmp_path / "o")]) == 2
    assert not (tmp_path / "o").exists()


def test_help_is_quick():
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    code = (
        "import sys; from morpholith.cli import main; main(['xct', 'measure', '--help']);"
        "print([m for m in ('numba', 'torch', 'dask', 'matplotlib') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=environment, check=True)
    assert done.stdout.strip().endswith("[]")


def test_projections_are_not_a_volume(data, tmp_path, capsys):
    path = data / "xanes" / "dxchange" / "test_chip_tomo.txrm"
    assert main(["xct", "measure", str(path), "--out", str(tmp_path / "o")]) == 2
    assert "reconstruct" in capsys.readouterr().err
    assert not (tmp_path / "o").exists()
