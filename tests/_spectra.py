"""Absorption spectra and particles whose edges, states and noise are known exactly."""

import json

import numpy as np
import pandas as pd

E0 = 8340.0
ENERGIES = np.concatenate(
    [np.arange(8230.0, 8325.0, 5.0), np.arange(8325.0, 8365.0, 1.0), np.arange(8365.0, 8520.0, 4.0)]
)


def edge(energy, e0=E0, *, width=1.5, white=0.7, lag=4.5, sd=3.0):
    """Arctangent step of one with a Gaussian white line `lag` eV behind it."""
    step = 0.5 + np.arctan((energy - e0) / width) / np.pi
    return step + white * np.exp(-0.5 * ((energy - e0 - lag) / sd) ** 2)


def low(energy):
    """Return the spectrum of the reduced end member."""
    return edge(energy, E0)


def high(energy):
    """Return the spectrum of the oxidised end member."""
    return edge(energy, E0 + 3, white=0.9)


def mixed(energy, state, *, step=0.6, offset=0.3, slope=-2e-4):
    """Optical densities (..., e) of fractions `state` of the oxidised end member, on a background line."""
    state = np.asarray(state, float)[..., None]
    line = offset + slope * (energy - E0)
    return step * ((1 - state) * low(energy) + state * high(energy)) + line


def disc(shape=(46, 58), radius=19.0, centre=(21.5, 30.0)):
    """Mask of a disc, and offsets dy, dx from its centre over its radius."""
    y, x = np.indices(shape)
    dy, dx = (y - centre[0]) / radius, (x - centre[1]) / radius
    return dy**2 + dx**2 <= 1, dy, dx


def patterns():
    """State maps by name on the disc: the higher state is named."""
    mask, dy, dx = disc()
    r = np.hypot(dy, dx)
    return mask, {
        "core-shell": 0.3 + 0.4 * (r > 0.6),
        "one-sided": 0.5 + 0.25 * (0.6 * dy + 0.8 * dx),
        "uniform": np.full(mask.shape, 0.5),
    }


def write_references(folder):
    """Write both end members as two columns, eV and normalised absorption."""
    folder.mkdir(exist_ok=True)
    energy = np.arange(8150.0, 8700.0, 0.5)
    np.savetxt(folder / "NiO.txt", np.column_stack([energy, low(energy)]))
    np.savetxt(folder / "LiNiO2.txt", np.column_stack([energy, high(energy)]))
    return folder


def write_registered(folder, states, mask, *, sigma, rng, energies=ENERGIES, scans=1, charge=0.0, shift=0.0):
    """Write what `xanes register` writes of particles with these state maps; `charge` is added in each scan."""
    from morpholith import read

    folder.mkdir(exist_ok=True)
    rows = []
    for number, state in states.items():
        seen = [mixed(energies - shift, state + charge * t) for t in range(scans)]
        stack = np.moveaxis(np.array(seen), -1, 1) * mask + 0.3 * ~mask
        stack = stack + sigma * rng.standard_normal(stack.shape)
        read.write_aligned(
            folder, number, stack.astype(np.float32), mask, corner_px=(40.0 * number, 25.0), spacing=(0.04, 0.04),
            energies_ev=energies, tiff=False,
        )  # fmt: skip
        n = scans * len(energies)
        walk = np.cumsum(0.02 * number * rng.standard_normal((n, 2)), axis=0)
        rows.append(
            pd.DataFrame(
                {
                    "particle": number, "scan": np.arange(n) // len(energies), "frame": np.arange(n),
                    "energy_ev": np.tile(energies, scans), "y_px": 60.0 + walk[:, 0], "x_px": 50.0 + walk[:, 1],
                    "dy_px": walk[:, 0], "dx_px": walk[:, 1], "vy_px": 0.0, "vx_px": 0.0, "ay_px": 0.0, "ax_px": 0.0,
                    "sigma_px": 0.02, "angle_deg": 0.0, "breathing": 0.0, "status": "measured",
                }
            )
        )  # fmt: skip
    pd.concat(rows).to_csv(folder / "motion.csv", index=False)
    pd.DataFrame({"particle": list(states)}).to_csv(folder / "particles.csv", index=False)
    np.savetxt(folder / "energies.txt", energies)
    (folder / "summary.json").write_text(json.dumps({"warnings": []}))
    return folder
