"""Map the oxidation state of registered particles from Python: read, put references on one axis, fit, describe.

    python examples/06_map_oxidation_states.py REGISTERED REFERENCES

REGISTERED is the folder that `morpholith xanes register` wrote. Without it a virtual electrode is scanned twice while
it is charged, and registered.
"""

import sys
from pathlib import Path

import numpy as np

from morpholith import measure, read, results, specimens
from morpholith.workflows import virtual_scan, xanes_register


def virtual_electrode(folder: Path) -> tuple[Path, Path]:
    """Write two virtual scans with spectra of their end members, register them, and return both folders."""
    made = specimens.scan(
        specimens.Scan.of(
            "easy", shape=(220, 260), n_energies=61, n_scans=2, n_particles=5, diameter_px=(44.0, 60.0)
        ),
        rng=1,
    )  # fmt: skip
    results.write(virtual_scan.virtual_scan(made), folder / "scan", command="virtual scan", options={})
    found = xanes_register.register([folder / "scan" / "scan.h5"])
    results.write(found, folder / "registered", command="xanes register", options={})
    return folder / "registered", folder / "scan" / "references"


def main() -> None:
    given = [Path(a) for a in sys.argv[1:3]]
    registered, references = given if len(given) == 2 else virtual_electrode(Path("electrode"))
    found = read.registered(registered)
    energies = found.energies_ev
    spectra = np.concatenate([pixels(one) for one in found.particles.values()])

    element = measure.element_of(energies, measure.mean_spectrum(spectra).tolist())
    chemistry = measure.edge_of_scan(energies, measure.mean_spectrum(spectra), element=element)
    print(f"{element} K edge at {chemistry.ranges.e0_ev:.1f} eV. {chemistry.ranges.text()}")
    known = {n: (s.energy_ev, s.mu, s.normalised) for n, s in read.references(references).items()}
    prepared = measure.prepare_references(known, e0_ev=chemistry.ranges.e0_ev, element=element, valences={})
    groups = measure.spectral_groups(spectra, energies, chemistry.ranges)
    chemistry = measure.with_references(chemistry, groups, energies, prepared, shift_ev=None)
    print(f"shift of the energy axis {chemistry.shift_ev:+.3f} +- {chemistry.shift_se:.3f} eV")
    print(f"the state is the {chemistry.scale}")

    for number, one in found.particles.items():
        for scan, stack in enumerate(one.stack):
            maps = measure.state_map(stack, one.mask, energies, chemistry, margin_px=2)
            shape = measure.state_pattern(
                maps.free, maps.state_se, one.mask, span=chemistry.span, margin_px=2, noise_px=maps.noise_px
            )
            print(
                f"particle {number}, scan {scan}: state {shape.mean:.3f} +- {shape.mean_se:.3f}, spread "
                f"{shape.sd:.3f}, {shape.verdict}"
            )


def pixels(one) -> np.ndarray:
    """Return the spectra (n, e) of the pixels of a particle in all scans, without its rim."""
    inner = one.mask & (measure.depth_within(one.mask)[0] >= 2)
    return np.moveaxis(np.asarray(one.stack, float)[:, :, inner], 1, -1).reshape(-1, one.stack.shape[1])


if __name__ == "__main__":
    main()
