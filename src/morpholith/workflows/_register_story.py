"""What `xanes register` tells: numbers, words of caution and of method, pictures and the film."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from ..image import Image, Quantity
from ..results import ReportFigure

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd

    from ..checkpoint import Store
    from ..track import Deformation, Joined

SHOWN = 5  # frames in the overlay
FILM_FRAMES = 60


def numbers(motion: pd.DataFrame, deformation: Deformation, before, after, image: Image) -> dict[str, Quantity]:
    import numpy as np

    good = motion[motion["status"] == "measured"]
    n = motion["particle"].nunique()
    sigma = good["sigma_position_px"]
    both = {name: _mean_of(parts) for name, parts in (("after", after), ("before", before))}
    residual = float(np.sqrt((sigma**2).mean())) if len(sigma) else float("nan")
    told = (
        "neighbouring frames of each region after a Gaussian of 2 px, mean over particles; interval: Student over them"
    )
    moved = good.groupby("particle")[["dy_px", "dx_px"]].apply(lambda d: float(np.hypot(d.dy_px, d.dx_px).max()))
    frames, energies = deformation.frames, image.coordinates["e"]
    strain = float(frames[["strain_yy", "strain_xx", "strain_xy"]].abs().max().max())
    own = float(frames["residual_rms_px"].max())
    lying = "no frame shows {} particles that are not in a line"
    return {
        "n_particles": Quantity(n, n=n, method="followed through at least one scan"),
        "n_frames": Quantity(len(motion) // max(n, 1), method="energies times scans"),
        "n_measured": Quantity(len(good), n=len(motion), method="particle and frame pairs that were measured"),
        "n_refused": Quantity(int((motion["status"] == "refused").sum()), n=len(motion), method="evidence too weak"),
        "residual_px": Quantity(
            residual, low=float(sigma.quantile(0.025)) if len(sigma) else None,
            high=float(sigma.quantile(0.975)) if len(sigma) else None, n=len(sigma), unit="px",
            method="root mean square standard error of the positions per axis; interval: 95 % of the frames",
        ),
        "ssim_mean": _interval(both["after"], f"SSIM of {told}"),
        "ssim_before": _interval(both["before"], f"the same of regions that stay in place: {told}"),
        "largest_displacement_px": Quantity(
            float(moved.max()) if len(moved) else float("nan"), n=n, unit="px", method="from the first frame, any"
        ),
        "largest_strain": Quantity(
            strain, n=len(frames), method="of the field as a whole, any component and frame",
            warning=None if strain == strain else f"not resolved: {lying.format('three')}",
        ),
        "own_motion_px": Quantity(
            own, n=len(frames), unit="px", warning=None if own == own else f"not resolved: {lying.format('four')}",
            method="what single particles did beyond shift, rotation and strain: root mean square per axis, any frame",
        ),
        "energy_low_ev": Quantity(float(energies[0]), unit="eV", method=image.provenance["energies_from"]),
        "energy_high_ev": Quantity(float(energies[-1]), unit="eV", method=image.provenance["energies_from"]),
    }  # fmt: skip


def _mean_of(parts) -> np.ndarray:
    import numpy as np

    means = [np.mean(p[np.isfinite(p)]) for p in parts.values() if np.isfinite(p).any()]
    return np.array(means)


def _interval(values, method) -> Quantity:
    from scipy import stats

    if len(values) < 2:
        return Quantity(float(values[0]) if len(values) else float("nan"), n=len(values), method=method)
    half = stats.t.ppf(0.975, len(values) - 1) * values.std(ddof=1) / len(values) ** 0.5
    mean = float(values.mean())
    return Quantity(mean, low=mean - float(half), high=min(mean + float(half), 1.0), n=len(values), method=method)


def empty_scans(found: Joined) -> list[str]:
    empty = [str(t) for t, scan in enumerate(found.scans) if not scan]
    return [f"No particle was found in {len(empty)} of {len(found.scans)} scans ({', '.join(empty)})."] if empty else []


def cautions(motion: pd.DataFrame, inflation: list[float]) -> list[str]:
    """Return what a reader of the numbers has to know."""
    told = []
    wide = motion[(motion["status"] == "measured") & (motion["sigma_position_px"] > 0.1)]
    n = len(motion)
    if len(wide) > 0.02 * n:
        low, high = wide["energy_ev"].min(), wide["energy_ev"].max()
        told.append(
            f"In {len(wide) / n:.0%} of the frames a position is known to no better than 0.1 px (worst "
            f"{wide['sigma_position_px'].max():.2f} px), between {low:.1f} and {high:.1f} eV: see motion.csv."
        )
    refused = motion[motion["status"] == "refused"]
    if len(refused):
        told.append(
            f"{len(refused)} of {n} positions were refused, the evidence in the frame being too weak, and are "
            f"predicted from the others ({refused['energy_ev'].min():.1f} to {refused['energy_ev'].max():.1f} eV)."
        )
    if max(inflation) > 1.3:
        told.append(
            f"Positions scatter {max(inflation):.1f} times more than the frames alone explain; standard errors were "
            "enlarged by that."
        )
    if motion["particle"].nunique() < 3:
        told.append("Strain of the field is not identifiable from fewer than three particles.")
    return told


def how_it_was_done(image: Image, inflation: list[float]) -> str:
    where = image.provenance
    return (
        f"Energies: {where['energies_from']}. Flats: {where['flats_from']}. Pixel size: {where['pixel_size_from']}.\n\n"
        "Each particle is registered to one template made of all its frames, after what is wider than a few pixels "
        "was taken out of them, with shift, rotation and breathing of its own in every frame. Standard errors come "
        "from the residuals of the frame, summed over tiles of 8 px so that correlated noise counts, times "
        f"{max(inflation):.2f} so that they agree with the scatter of the positions."
    )


def figures(
    found: Joined, image: Image, kept: Store, motion, paths, deformation, before, after
) -> dict[str, ReportFigure]:
    import numpy as np

    from ..report import motion as draw

    first = np.asarray(image.array[0, -1] if image.axes == "teyx" else image.array[-1], np.float32)
    ends = _ends(found, kept)
    masks = {number: found.masks[number] for number in ends}
    spacing = spacing_of(image)
    told = motion.assign(sigma_px=motion["sigma_position_px"])
    drawn = {
        "particles": draw.overlay(_outlined(found, image), spacing=spacing),
        "paths": draw.paths(told, paths, deformation.frames),
        "velocities": draw.velocities(told, deformation.frames),
        "similarity": draw.similarity(before, after),
        "differences": draw.differences(ends, masks),
        "sigma": draw.sigmas(told),
        "trajectories": draw.trajectories(told, deformation.frames, image=first, spacing=spacing),
        "deformation": draw.strains(deformation.frames),
        "residuals": draw.residual_map(told, deformation.particles, image=first, spacing=spacing),
    }
    drawn["film"] = _moving(found, kept, image.coordinates["e"])
    return drawn


def _outlined(found: Joined, image: Image) -> dict:
    """Return frames across the scan, each with the outlines where the particles were found in it."""
    import numpy as np

    from .. import track

    energies = image.coordinates["e"]
    out = {}
    for e in np.unique(np.linspace(0, len(energies) - 1, SHOWN).round().astype(int)):
        frame = np.asarray(image.array[0, e] if image.axes == "teyx" else image.array[e], np.float32)
        out[f"{energies[e]:.1f} eV"] = (frame, track.outlines_in(found, frame.shape, 0, int(e)))
    return out


def _ends(found: Joined, kept: Store) -> dict[int, tuple[np.ndarray, np.ndarray]]:
    """Return a particle's first scan before and after alignment, (e, y, x) each, for a dozen particles at most."""
    out = {}
    for number in found.numbers[:12]:
        t = next(t for t, scan in enumerate(found.scans) if number in scan)
        parts = kept.get(f"regions_{t:04d}", [f"{number}_before", f"{number}"])
        out[number] = (parts[f"{number}_before"], parts[f"{number}"])
    return out


def _montages(found: Joined, kept: Store, energies):
    """Return the regions of particles in their first scan, side by side, before and after, in at most sixty frames."""
    import numpy as np

    from ..report.film import montage

    chosen = np.unique(np.linspace(0, len(energies) - 1, min(FILM_FRAMES, len(energies))).round().astype(int))
    ends = _ends(found, kept)
    before, after = (montage({n: pair[k][chosen] for n, pair in ends.items()}) for k in (0, 1))
    masks = montage({n: np.where(found.masks[n][None], 1.0, 0.0) for n in ends})[0]
    return before, after, np.nan_to_num(masks).astype(int), energies[chosen]


def write_film(path: Path, found: Joined, kept: Store, energies) -> None:
    from ..report.film import film

    before, after, masks, shown = _montages(found, kept, energies)
    film(path, before, after, energies_ev=shown, outlines=masks)


def _moving(found: Joined, kept: Store, energies) -> ReportFigure:
    from ..report.film import film_figure

    before, after, masks, shown = _montages(found, kept, energies)
    return film_figure(before, after, energies_ev=shown, outlines=masks)


def spacing_of(image: Image) -> tuple[float, ...] | None:
    """Return the pixel size; None where nobody told it."""
    return None if image.provenance["pixel_size_from"] == "none" else image.spacing
