"""The particles of one scan followed through its frames: found, linked, registered."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace
from typing import TYPE_CHECKING, Literal

import numpy as np

from .linking import MEASURED as SEEN
from .linking import OUTSIDE, as_array, detections, link
from .registration import MEASURED, PREDICTED, REFUSED, Registered, register
from .smoothing import smooth_motion
from .windows import in_pose, turned, windows_at

if TYPE_CHECKING:
    import pandas as pd

MARGIN = 10  # pixels around the outline that an aligned region shows


@dataclass(frozen=True)
class Followed:
    """P particles through the F frames of a scan.

    Parameters
    ----------
    particles : list of Registered
        With the positions that are told: smoothed over frames unless asked otherwise.
    inflation : float
        By how much standard errors were enlarged, since positions scatter more than the frames alone explain.
    shape : (int, int)
        Of the field.
    """

    particles: list[Registered]
    inflation: float
    shape: tuple[int, int]

    def stacked(self, name: str) -> np.ndarray:
        """Return one field of all particles as an array, particles first."""
        return np.array([getattr(p, name) for p in self.particles])

    def table(self) -> pd.DataFrame:
        """Return one row a particle: where it is in the mean, and its size."""
        import pandas as pd

        rows = []
        for p in self.particles:
            good = p.status == MEASURED
            where = np.nanmean(p.centre_px[good], axis=0) if good.any() else np.full(2, np.nan)
            rows.append({"y_px": where[0], "x_px": where[1], "area_px": float(p.mask.sum())})
        return pd.DataFrame(rows, columns=["y_px", "x_px", "area_px"])


def follow(
    stack: np.ndarray,
    labels: np.ndarray,
    *,
    align: Literal["template", "mask"] = "template",
    smooth: bool = True,
    images: bool = True,
    min_area_px: float = 0.0,
) -> Followed:
    """Link the particles found in each frame of a scan and register each of them.

    Parameters
    ----------
    stack : (F, Y, X) float32
        Optical densities, NaN where nothing was seen.
    labels : (F, Y, X) int
        What was found in each frame.
    align : {"template", "mask"}
        As `method` of `register`.
    smooth : bool
        Let the frames tell about each other (`smooth_motion`); else every frame stands for itself.
    images : bool
        Compare the looks of particles where linking by position is in doubt.
    min_area_px : float
        What has a smaller outline in the template is no particle.

    Returns
    -------
    Followed
        In the order of the positions, y then x, without those that no frame lets measure. A frame whose evidence is
        weak is ``"refused"``: its position is the prediction of the others.
    """
    tables = [detections(frame) for frame in labels]
    links = link(tables, images=list(stack) if images else None, shape=stack.shape[1:])
    if not len(links):
        return Followed([], 1.0, stack.shape[1:])
    positions = as_array(links)
    found = np.zeros(positions.shape[:2], bool)
    seen = links[links["status"] == SEEN]
    found[seen["particle"].to_numpy() - 1, seen["frame"].to_numpy()] = True
    gone = links[links["status"] == OUTSIDE]
    positions[gone["particle"].to_numpy() - 1, gone["frame"].to_numpy()] = np.nan
    masks = [_mask(tables, labels, seen[seen["particle"] == k + 1]) for k in range(len(positions))]
    whole = _uncut(tables, seen, found)
    particles = register(stack, positions, masks, found=found & whole, method=align)
    # slivers of what was cut badly have lost their outline by now
    least = [max(min_area_px, 0.4 * mask.sum()) for mask in masks]
    particles = [p for p, area in zip(particles, least, strict=True) if p.mask.sum() > area]
    particles = [p for p in particles if (p.status == MEASURED).any()]
    return _smoothed(particles, stack.shape[1:], smooth)


def _mask(tables, labels, rows) -> np.ndarray:
    """Return the usual outline of a particle: that of the whole one whose area is nearest to their median."""
    area, where = [], []
    for frame, row in zip(rows["frame"], rows["detection"], strict=True):
        one = tables[frame].iloc[row]
        area.append(one["area_px"] if not one["touches_edge"] else np.nan)
        where.append((frame, one["label"]))
    sizes = np.array(area) if np.isfinite(area).any() else rows["area_px"].to_numpy(float)
    frame, label = where[int(np.nanargmin(np.abs(sizes - np.nanmedian(sizes))))]
    inside = labels[frame] == label
    y, x = (np.flatnonzero(inside.any(axis)) for axis in (1, 0))
    return inside[y[0] : y[-1] + 1, x[0] : x[-1] + 1]


def _uncut(tables, seen, found) -> np.ndarray:
    """Return where a particle was found whole: the centre of one that the field cuts is not its own."""
    whole = found.copy()
    for particle, frame, row in zip(seen["particle"], seen["frame"], seen["detection"], strict=True):
        if tables[frame]["touches_edge"].iloc[row]:
            whole[particle - 1, frame] = False
    return whole


def _smoothed(particles, shape, smooth) -> Followed:
    """Replace positions by what all frames together say, and refuse what does not agree with them."""
    if not smooth or not particles:
        return Followed(particles, 1.0, shape)
    centre = np.array([np.where((p.status == MEASURED)[:, None], p.centre_px, np.nan) for p in particles])
    sigma, shared = (np.array([getattr(p, name) for p in particles]) for name in ("sigma_px", "shared_px"))
    own = np.sqrt(np.maximum(sigma**2 - shared**2, (0.1 * sigma) ** 2))
    joint = smooth_motion(centre, own)
    # what neighbouring frames have in common stays whole; where nothing was measured, that of the others
    shared = np.array([_gaps_filled(one) for one in shared])
    error = np.hypot(joint.sigma_px, shared)
    out = []
    for k, p in enumerate(particles):
        status, reason = p.status.copy(), p.reason.copy()
        status[joint.outlier[k]] = REFUSED
        reason[joint.outlier[k]] = "far from where the other frames put it"
        never = ~np.isfinite(joint.centre_px[k]).all(1)
        status[never] = PREDICTED
        told = {"centre_px": joint.centre_px[k], "sigma_px": error[k], "move_error_px": joint.move_error_px[k]}
        out.append(replace(p, **told, status=status, reason=reason))
    return Followed(out, joint.inflation, shape)


def _gaps_filled(values) -> np.ndarray:
    """Return (F, 2) values with the median of the others where there is none, 0 where there is none at all."""
    good = np.isfinite(values).all(1)
    return np.where(good[:, None], values, np.median(values[good], axis=0) if good.any() else 0.0)


# --- one pose for all scans --------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Pose:
    """How one scan's template of a particle lies in the template that all scans share; as `Registered`, for one."""

    centre_px: np.ndarray
    angle_deg: float = 0.0
    breathing: float = 0.0


def common_poses(templates: Sequence[np.ndarray], centres: np.ndarray, mask: np.ndarray) -> list[Pose]:
    """Register the templates of one particle in several scans to each other.

    Parameters
    ----------
    templates : sequence of (h, w) arrays
    centres : (T, 2) array
        Centre of the outline in each.
    mask : (h, w) bool array
        Outline in the first.

    Returns
    -------
    list of Pose
        Where the centre of the shared template lies in each of them, and how it is turned and sized.
    """
    if len(templates) == 1:
        return [Pose(np.asarray(centres[0], float))]
    size = np.max([t.shape for t in templates], axis=0) + 2 * MARGIN
    series = np.full((len(templates), *size), np.nan, np.float32)
    for k, t in enumerate(templates):
        series[k, MARGIN : MARGIN + t.shape[0], MARGIN : MARGIN + t.shape[1]] = t
    [found] = register(series, np.asarray(centres)[None] + MARGIN, [mask])
    good = np.isfinite(found.centre_px).all(1)
    where = np.where(good[:, None], found.centre_px - MARGIN, centres)
    return [
        Pose(where[k], float(found.angle_deg[k]) if good[k] else 0.0, float(found.breathing[k]) if good[k] else 0.0)
        for k in range(len(templates))
    ]


def in_common_pose(particle: Registered, pose: Pose) -> Registered:
    """Return a particle's motion as that of the template all scans share."""
    moved = turned(pose.centre_px - particle.centre, particle.angle_deg, particle.breathing)
    return replace(
        particle,
        centre_px=particle.centre_px + moved,
        angle_deg=particle.angle_deg + pose.angle_deg,
        breathing=(1 + particle.breathing) * (1 + pose.breathing) - 1,
    )


def aligned_region(stack: np.ndarray, particle: Registered, shape: tuple[int, int]) -> np.ndarray:
    """Cut a particle out of every frame and bring it into its reference pose, interpolated once.

    Parameters
    ----------
    stack : (F, Y, X) float32
    particle : Registered
    shape : (int, int)
        Of the region; the centre of the outline lies in its middle.

    Returns
    -------
    (F, h, w) float32
        NaN where nothing was seen.
    """
    middle = (np.array(shape) - 1) / 2
    reach = 4
    out = np.full((len(stack), *shape), np.nan, np.float32)
    good = np.isfinite(particle.centre_px).all(1)
    corner = np.zeros((len(stack), 2), int)
    corner[good] = np.rint(particle.centre_px[good] - middle).astype(int) - reach
    windows = windows_at(stack, corner, (shape[0] + 2 * reach, shape[1] + 2 * reach), good)
    motion = np.zeros((len(stack), 4))
    # in_pose puts the same centre in both pictures
    motion[good, :2] = particle.centre_px[good] - corner[good] - middle
    motion[:, 2], motion[:, 3] = np.deg2rad(particle.angle_deg), particle.breathing
    some = good & np.isfinite(windows).any((1, 2))
    if some.any():
        out[some] = in_pose(windows[some], motion[some], middle, shape)
    return out


def to_arrays(followed: Followed) -> dict[str, np.ndarray]:
    """Return what was followed as plain arrays, to be kept on disk; `from_arrays` takes them back."""
    out: dict[str, np.ndarray] = {
        "inflation": np.array(followed.inflation),
        "shape": np.array(followed.shape),
        "n": np.array(len(followed.particles)),
    }
    for k, particle in enumerate(followed.particles):
        for f in fields(particle):
            value = getattr(particle, f.name)
            out[f"{k}_{f.name}"] = value.astype(str) if value.dtype == object else value
    return out


def from_arrays(arrays: Mapping[str, np.ndarray]) -> Followed:
    """Return what `to_arrays` was given."""
    particles = []
    for k in range(int(arrays["n"])):
        values = {f.name: arrays[f"{k}_{f.name}"] for f in fields(Registered)}
        particles.append(Registered(**{n: v.astype(object) if v.dtype.kind == "U" else v for n, v in values.items()}))
    y, x = (int(n) for n in arrays["shape"])
    return Followed(particles, float(arrays["inflation"]), (y, x))
