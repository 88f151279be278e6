"""Follow the particles of an electrode through a XANES scan from Python: read, find, register, judge.

    python examples/05_follow_a_working_electrode.py scan.h5

Without a file it makes a virtual one, so that there is something to follow.
"""

import sys
from pathlib import Path

import numpy as np

from morpholith import read, segment, specimens, track


def virtual_scan(path: Path) -> tuple[Path, Path]:
    """Write optical densities and energies of a virtual scan and return their paths."""
    made = specimens.scan(
        specimens.Scan.of("typical", shape=(220, 260), n_energies=41, n_particles=5, diameter_px=(44.0, 60.0)), rng=1
    )
    np.save(path, made.optical_density()[0])
    energies = path.with_suffix(".txt")
    np.savetxt(energies, made.energies_ev)
    made.truth.to_csv(path.with_suffix(".csv"), index=False)
    return path, energies


def main() -> None:
    path, energies = (Path(sys.argv[1]), None) if len(sys.argv) > 1 else virtual_scan(Path("scan.npy"))
    image = read.scan(path, energies=energies)  # frames are read when they are asked for
    ev = image.coordinates["e"]
    print(f"{path}: {image.shape} frames, {ev[0]:.1f} to {ev[-1]:.1f} eV from {image.provenance['energies_from']}")

    stack = np.asarray(image.array[0] if image.axes == "teyx" else image.array[...])
    labels = segment.find_particles(stack, method="pooled", min_diameter_px=25)
    followed = track.follow(
        stack, labels
    )  # linked, registered to one template each, smoothed as far as they are smooth
    found = track.join([followed])  # several scans would be joined here
    motion = track.motion_of(found, ev)
    good = motion[motion["status"] == "measured"]
    print(good[["particle", "energy_ev", "y_px", "x_px", "dy_px", "dx_px", "sigma_px"]].head(6).to_string(index=False))
    print(f"{len(found.numbers)} particles, {len(good)} of {len(motion)} positions measured")
    print(f"standard error of a position, root mean square: {(good['sigma_position_px'] ** 2).mean() ** 0.5:.3f} px")

    seen = np.where(found.gathered("status") == "measured", 1.0, np.nan)
    sigma = np.sqrt((found.gathered("sigma_px") ** 2).mean(-1)) * seen
    field = track.decompose(found.gathered("centre_px") * seen[..., None], sigma_px=sigma, energies_ev=ev).frames
    last = field.iloc[-1]
    print(f"strain along y in the last frame: {last['strain_yy']:+.4f} +- {last['strain_yy_se']:.4f}")
    regions = track.cut(stack, found, 0)
    for number in found.numbers:
        before, after = (np.nanmean(regions[f"{number}_ssim{kind}"]) for kind in ("_before", ""))
        shape = regions[f"{number}"].shape
        print(f"particle {number}: region {shape}, SSIM of neighbouring frames {before:.3f}, aligned {after:.3f}")

    if energies is not None:
        print(f"error against the truth: {error(motion, path.with_suffix('.csv')):.3f} px per axis")


def error(motion, truth: Path) -> float:
    """Return the root mean square error of displacements; particles are matched by their places."""
    import pandas as pd

    true = pd.read_csv(truth)
    squares = []
    for _, own in motion.groupby("particle"):
        first = own.iloc[0]
        start = true[true["frame"] == 0]
        near = start.loc[np.hypot(start["y_px"] - first["y_px"], start["x_px"] - first["x_px"]).idxmin(), "particle"]
        off = own[["y_px", "x_px"]].to_numpy() - true.loc[true["particle"] == near, ["y_px", "x_px"]].to_numpy()
        squares.append(((off - off.mean(0)) ** 2).mean())
    return float(np.sqrt(np.mean(squares)))


if __name__ == "__main__":
    main()
