"""The same particles in several scans, each in one pose and one table."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from .follow import MARGIN, Followed, aligned_region, common_poses, in_common_pose
from .linking import link_scans
from .motion import motion_table
from .registration import MEASURED, PREDICTED, Registered
from .similarity import series_ssim

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True)
class Joined:
    """N particles through T scans of E frames.

    Parameters
    ----------
    scans : list of mapping of int to Registered
        For each scan, what was followed by the number of the particle, in the pose that all scans share.
    masks : mapping of int to (h, w) bool array
        Outline in that pose; its centroid lies in the middle of the region.
    """

    scans: list[dict[int, Registered]]
    masks: dict[int, np.ndarray]

    @property
    def numbers(self) -> list[int]:
        """Numbers of the particles, ascending from 1."""
        return sorted(self.masks)

    def gathered(self, name: str, *, missing: float | str = np.nan) -> np.ndarray:
        """Return a field of `Registered` as (N, T * E, ...); what is `missing` where a scan lacks a particle."""
        rows = []
        for number in self.numbers:
            parts = [getattr(scan[number], name) if number in scan else None for scan in self.scans]
            like = next(p for p in parts if p is not None)
            blank = np.full(like.shape, missing, like.dtype)
            rows.append(np.concatenate([blank if p is None else p for p in parts]))
        return np.array(rows)

    def corner_px(self, number: int) -> tuple[float, float]:
        """Where the region of a particle lies in the field, in the first frame in which it was measured (y, x)."""
        for scan in self.scans:
            if number in scan and (scan[number].status == MEASURED).any():
                first = scan[number].centre_px[np.argmax(scan[number].status == MEASURED)]
                y, x = first - (np.array(self.masks[number].shape) - 1) / 2
                return float(y), float(x)
        return float("nan"), float("nan")


def join(scans: Sequence[Followed]) -> Joined:
    """Find the same particles in several scans and bring each to the pose of the first that shows it.

    Parameters
    ----------
    scans : sequence of Followed
        As many frames each.
    """
    rows = link_scans([scan.table() for scan in scans]) if len(scans) > 1 else None
    which: list[dict[int, int]] = [{} for _ in scans]
    if rows is None:
        which[0] = {k + 1: k for k in range(len(scans[0].particles))}
    else:
        for scan, number, row in zip(rows["scan"], rows["particle"], rows["detection"], strict=True):
            if row >= 0:
                which[scan][int(number)] = int(row)
    numbers = sorted({n for one in which for n in one})
    out: list[dict[int, Registered]] = [{} for _ in scans]
    masks = {}
    for number in numbers:
        there = [t for t, one in enumerate(which) if number in one]
        found = [scans[t].particles[which[t][number]] for t in there]
        poses = common_poses([f.template for f in found], np.array([f.centre for f in found]), found[0].mask)
        for t, particle, pose in zip(there, found, poses, strict=True):
            out[t][number] = in_common_pose(particle, pose)
        masks[number] = _centred(found[0].mask, poses[0].centre_px)
    return Joined(out, masks)


def _centred(mask, centre) -> np.ndarray:
    """Return the mask in a region of odd size with its centre in the middle (to half a pixel) and a margin."""
    rows, columns = (np.flatnonzero(mask.any(axis)) for axis in (1, 0))
    middle = np.rint(centre).astype(int)
    half = [int(max(m - r[0], r[-1] - m)) + MARGIN for m, r in zip(middle, (rows, columns), strict=True)]
    out = np.zeros([2 * h + 1 for h in half], bool)
    where = np.argwhere(mask) - middle + half
    out[tuple(where.T)] = True
    return out


def cut(stack: np.ndarray, found: Joined, scan: int) -> dict[str, np.ndarray]:
    """Cut every particle out of one scan, aligned, with the similarity of neighbouring frames before and after.

    Parameters
    ----------
    stack : (E, Y, X) float32
    found : Joined
    scan : int

    Returns
    -------
    dict of str to array
        ``"1"``: the aligned region (E, h, w) of particle 1; ``"1_before"``: the same place of the field in every frame;
        ``"1_ssim"``, ``"1_ssim_before"``: (E - 1,).
    """
    out = {}
    for number, particle in found.scans[scan].items():
        mask = found.masks[number]
        regions = {"": aligned_region(stack, particle, mask.shape)}
        regions["_before"] = aligned_region(stack, _at_rest(particle), mask.shape)
        for kind, region in regions.items():
            out[f"{number}{kind}"] = region
            out[f"{number}_ssim{kind}"] = region_ssim(region)
    return out


def _at_rest(particle: Registered) -> Registered:
    """Return a particle as if it had stayed, upright, where it is in the median."""
    still = np.full_like(particle.centre_px, np.nan)
    good = np.isfinite(particle.centre_px).all(1)
    if good.any():
        still[good] = np.rint(np.median(particle.centre_px[good], axis=0))
    zero = np.zeros(len(still))
    return replace(particle, centre_px=still, angle_deg=zero, breathing=zero)


def region_ssim(region: np.ndarray) -> np.ndarray:
    """Return the similarity (Eq. 1, over the region) of neighbouring frames, pixel noise averaged out beforehand.

    Parameters
    ----------
    region : (E, h, w) float32

    Notes
    -----
    Frames are smoothed by a Gaussian of 2 px, as the similarity of two noisy pictures of one thing tells of the noise.
    """
    from .._smooth import local_mean

    return series_ssim(local_mean(region, 2.0))


def motion_of(found: Joined, energies_ev: np.ndarray) -> pd.DataFrame:
    """Return the motion of all particles through all scans (``motion.csv``).

    ``sigma_px`` is the standard error of the displacement ``dy_px, dx_px`` per axis: that of the frame and that of the
    particle's first frame together. ``sigma_position_px`` is that of the frame alone, ``sigma_move_px`` that
    of the way from the frame before.
    """
    sigma, move = (np.sqrt((found.gathered(name) ** 2).mean(-1)) for name in ("sigma_px", "move_error_px"))
    # velocities and accelerations are told by moves, whose errors are smaller than those of two positions
    angle_deg, breathing = found.gathered("angle_deg"), found.gathered("breathing")
    table = motion_table(
        found.gathered("centre_px"), energies_ev=energies_ev, sigma_px=move / np.sqrt(2), angle_deg=angle_deg,
        status=found.gathered("status", missing=PREDICTED), breathing=breathing, particles=found.numbers,
    )  # fmt: skip
    table["sigma_px"] = sigma.ravel()
    table["sigma_position_px"] = table["sigma_px"]
    table["sigma_move_px"] = move.ravel()
    for _, rows in table[table["status"] == MEASURED].groupby("particle"):
        first = rows["sigma_position_px"].iloc[0]
        every = table.index[table["particle"] == rows["particle"].iloc[0]]
        later = every[every > rows.index[0]]
        table.loc[later, "sigma_px"] = np.hypot(table.loc[later, "sigma_position_px"], first)
    table["sigma_angle_deg"] = found.gathered("sigma_angle_deg").ravel()
    table["sigma_breathing"] = found.gathered("sigma_breathing").ravel()
    table["contrast"] = found.gathered("contrast").ravel()
    table["reason"] = found.gathered("reason", missing="not found in this scan").ravel().astype(str)
    return table


def particle_table(found: Joined, motion: pd.DataFrame, ssim: dict[int, np.ndarray]) -> pd.DataFrame:
    """Return one row a particle: place, size, how often it was seen, how well it is aligned (``particles.csv``)."""
    import pandas as pd

    rows = []
    for number in found.numbers:
        own = motion[motion["particle"] == number]
        good = own[own["status"] == MEASURED]
        area = float(found.masks[number].sum())
        s = ssim[number][np.isfinite(ssim[number])]
        rows.append(
            {
                "particle": number,
                "y_px": good["y_px"].mean(), "x_px": good["x_px"].mean(),
                "area_px": area, "diameter_px": 2 * np.sqrt(area / np.pi),
                "n_frames": len(good), "n_refused": int((own["status"] == "refused").sum()),
                "ssim_mean": s.mean() if len(s) else np.nan, "ssim_sd": s.std() if len(s) else np.nan,
                "residual_px": np.sqrt((good["sigma_position_px"] ** 2).mean()),
                "rotation_deg": np.ptp(good["angle_deg"]) if len(good) else np.nan,
                "breathing": np.ptp(good["breathing"]) if len(good) else np.nan,
            }
        )  # fmt: skip
    return pd.DataFrame(rows).set_index("particle")


def outlines_in(found: Joined, shape: tuple[int, int], scan: int, energy: int) -> np.ndarray:
    """Return the outlines of all particles in one frame as labels, (Y, X) int32, each where it was measured."""
    out = np.zeros(shape, np.int32)
    for number, particle in found.scans[scan].items():
        if particle.status[energy] != MEASURED:
            continue
        mask = found.masks[number]
        middle = (np.array(mask.shape) - 1) / 2
        angle, size = np.deg2rad(particle.angle_deg[energy]), 1 + particle.breathing[energy]
        corner = np.rint(particle.centre_px[energy] - middle * 1.2).astype(int)
        extent = np.ceil(np.array(mask.shape) * 1.2).astype(int)
        place = np.indices((int(extent[0]), int(extent[1]))).reshape(2, -1).T + corner
        p = place - particle.centre_px[energy]
        u = np.stack(
            [np.cos(angle) * p[:, 0] + np.sin(angle) * p[:, 1], -np.sin(angle) * p[:, 0] + np.cos(angle) * p[:, 1]], 1
        )
        source = np.rint(u / size + middle).astype(int)
        good = ((source >= 0) & (source < mask.shape) & (place >= 0) & (place < shape)).all(1)
        inside = place[good][mask[tuple(source[good].T)]]
        out[tuple(inside.T)] = number
    return out
