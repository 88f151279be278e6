"""States of particles from scans that were registered, end to end, and edges of measured spectra.

    MORPHOLITH_DATA=... python bench/bench_xanes_chemistry.py [--toy]

xanes_chemistry.csv: virtual scans go through `xanes register` and `xanes map` as files; the state of each particle (0
to 1) is compared with the mean over the particle of its true projected state, the same rim of 2 px left out. Besides
rows a particle it holds edge energies of measured reference spectra against tabulated ones (first derivative, and the
maximum of the white line), and the measured stack of LiFePO4. States stand there twice, with the shift of the energy
axis fitted and with it given; common_error is what the error of the shift does to all of them, which standard_error
leaves out, as the tables of the product do. off_same_area is the error against the truth of as many pixels as the
product counted, the deepest ones: what is left of it where an outline is too tight. Rows of measured data are left
out where the data are not there.
"""

from __future__ import annotations

import argparse
import os
import tempfile
import warnings
from dataclasses import replace
from pathlib import Path

import numpy as np
from bench_xanes import TOY

RESULTS = Path(__file__).parent / "results"
DATA = Path(os.environ.get("MORPHOLITH_DATA", Path(__file__).resolve().parents[2] / "shared" / "data"))
RIM = 2.0  # px, the default of `xanes map`
TABULATED = (
    ("ref_NiO.txt", 8342.5, 8347.5), ("ref_LiNiO2.txt", 8347.0, 8349.5), ("xdi/Ni_metal_rt_01.xdi", 8331.5, None),
    ("xdi/Ni_metal_rt_02.xdi", 8331.5, None), ("xdi/co_metal_rt.xdi", 7709.0, None),
    ("xdi/MnO_rt_01.xdi", 6544.0, None), ("xdi/Mn3O4_rt_01.xdi", 6546.3, None),
    ("xdi/Fe_Foil_rt_2016Foils.xdi", 7110.8, None), ("xdi/Fe_metal_rt_01.xdi", 7111.25, None),
)  # fmt: skip


def written(result, folder, command):
    """Write what a command of the product finds, without pictures."""
    from morpholith import results

    files = {name: work for name, work in result.files.items() if name != "film.gif"}
    return results.write(replace(result, figures={}, files=files), folder, command=command, options={})


def mapped(difficulty, seed, folder, **changes):
    """Return rows of the particles of one virtual scan that was registered and mapped, and of the scan."""
    import pandas as pd

    from morpholith.measure import depth_within
    from morpholith.specimens import Scan, scan
    from morpholith.workflows.virtual_scan import virtual_scan
    from morpholith.workflows.xanes_map import map_states
    from morpholith.workflows.xanes_register import register

    made = scan(Scan.of(difficulty, **changes), rng=seed)
    drawn = written(virtual_scan(made), folder / "scan", "virtual scan")
    registered = written(register([drawn / "scan.h5"]), folder / "registered", "xanes register")
    valences = ["state_0=0", "state_1=1"]
    motion = pd.read_csv(registered / "motion.csv")
    places = motion[motion.status == "measured"].groupby("particle")[["y_px", "x_px"]].median()
    rows = []
    for what, shift in (("state", None), ("state, shift given", 0.0)):
        result = map_states(registered, references=drawn / "references", valence=valences, shift=shift)
        states, about = result.tables["particles"], result.summary
        common = about["state_shift_error"].value if "state_shift_error" in about else 0.0
        for i, body in enumerate(made.bodies, start=1):
            name = f"{difficulty}, seed {seed}, particle {i}, {body.pattern}"
            own = states[states.particle == nearest(made, i, places)]
            if not len(own):
                rows.append({"what": what, "specimen": name})
                continue
            state, depth = made.states[i, 0], depth_of(np.isfinite(made.states[i, 0]), depth_within)
            own = own.iloc[0]
            row = about_error(what, name, state[depth >= RIM].mean(), own.state_mean, own.state_se, common=common)
            deepest = np.argsort(depth, axis=None, kind="stable")[::-1][: int(own.n_px)]
            rows.append(row | {"off_same_area": float(own.state_mean - np.nanmean(state.ravel()[deepest]))})
        if shift is None:
            rows.append(shift_row(f"{difficulty}, seed {seed}", 0.0, about["energy_shift_ev"]))
    return rows


def depth_of(inside, depth_within):
    """Return the depth (px) of each pixel below an outline that may reach the rim of the picture."""
    return depth_within(np.pad(inside, 2))[0][2:-2, 2:-2]


def nearest(made, particle, places):
    """Return the number of what was found where a true particle is, or 0."""
    place = made.truth.loc[made.truth.particle == particle, ["y_px", "x_px"]].median().to_numpy()
    away = np.hypot(*(places.to_numpy() - place).T)
    near = len(away) and away.min() < made.bodies[particle - 1].diameter / 3
    return places.index[away.argmin()] if near else 0


def about_error(what, specimen, truth, found, error=None, *, common=None):
    """Return a row; `common` is the part of the error that all particles of a scan share."""
    row = {"what": what, "specimen": specimen, "truth": float(truth), "found": float(found)}
    row |= {"standard_error": error, "common_error": common, "off": float(found - truth)}
    whole = None if error is None else np.hypot(error, common or 0.0)
    off = abs(row["off"])
    return row | {
        "within": None if error is None else bool(off <= error),
        "within_with_common": None if error is None else bool(off <= whole),
    }


def shift_row(specimen, truth, shift):
    return about_error("energy shift (eV)", specimen, truth, shift.value, (shift.high - shift.low) / 2 / 1.96)


def edges():
    """Return rows of measured reference spectra: first derivative and white line against tabulated ones."""
    from morpholith.measure import absorption_edges, edge_ranges, find_e0

    rows = []
    for name, e0, white in TABULATED:
        table = np.loadtxt(DATA / "xanes" / "references" / name)
        if name.endswith(".txt"):
            energy, mu = table[:, 0] * 1000, table[:, 1]
        else:  # columns: energy, then the beam before and behind, the other way round in one file
            i0, behind = (2, 1) if "2016" in name else (1, 2)
            energy, mu = table[:, 0], np.log(table[:, i0] / table[:, behind])
        found = absorption_edges(mu, energy, edge_ranges(energy, find_e0(energy, mu)))
        short = Path(name).stem.removeprefix("ref_")
        rows.append(about_error("edge (eV)", short, e0, found.derivative_ev[0]))
        if white:
            rows.append(about_error("white line (eV)", short, white, found.white_line_ev[0]))
    return rows


def lfp():
    """Return rows of the measured stack of LiFePO4 with the library of eleven references."""
    from morpholith.workflows.xanes_map import map_states

    where = DATA / "xanes" / "lfp_stack"
    given = {"energies": where / "test_energy.txt", "references": where / "Fe_library.nor"}
    found = map_states(where / "test_stack.tiff", **given).summary
    name = "LiFePO4 stack, 11 references"
    return [
        about_error("share of LiFePO4", name, 0.94, found["fraction_LiFe_II_PO4"].value),
        shift_row(name, 2.0, found["energy_shift_ev"]),
    ]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--toy", action="store_true", help="seconds' worth")
    parser.add_argument("--seeds", default="1301,1302")
    parser.add_argument("--results", type=Path, default=RESULTS)
    options = parser.parse_args()
    import pandas as pd

    options.results.mkdir(parents=True, exist_ok=True)
    rows = []
    with tempfile.TemporaryDirectory() as place, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        folder = Path(place)
        if options.toy:
            rows += mapped("easy", 1300, folder / "toy", **TOY | {"n_energies": 40})
        else:
            for seed in map(int, options.seeds.split(",")):
                rows += mapped("typical", seed, folder / str(seed))
        if (DATA / "xanes").is_dir():
            rows += edges()
            if not options.toy:
                rows += lfp()
    table = pd.DataFrame(rows)
    table.to_csv(options.results / "xanes_chemistry.csv", index=False, float_format="%.6g")
    print(table.round(4).to_string(index=False))
    for what, part in table[table.what.str.startswith("state")].groupby("what"):
        print(
            f"{what}: RMSE {np.sqrt((part.off**2).mean()):.4f}, {part.within.mean():.2f} within a standard error, "
            f"{part.within_with_common.mean():.2f} with that of the shift; RMSE over the same area "
            f"{np.sqrt((part.off_same_area**2).mean()):.4f}"
        )


if __name__ == "__main__":
    main()
