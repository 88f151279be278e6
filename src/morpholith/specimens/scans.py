"""Virtual XANES scan: a monolayer of particles under a transmission X-ray microscope, through an absorption edge.

`Scan` says what to make, `scan` draws it, `VirtualScan` renders its frames (all, or one at a time) and knows the exact
place, outline and chemical state of every particle in each of them.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
import pandas as pd

from ..errors import InputError
from .drifting import Motion, draw_motion, travel
from .layout import lay_out
from .monolayer import Body, add_body, draw_body, in_own_frame, state_of
from .scan_params import USUAL_DIAMETER, Scan
from .txm import Txm, draw_txm, exposure, flat_light

WHOLE, PART, OUT = "whole", "part", "out"


@dataclass(frozen=True)
class VirtualScan:
    """A virtual scan and the truth about it. Frames are rendered when asked for, each always the same.

    Particle numbers start at 1; frame = scan * n_energies + energy index.

    Attributes
    ----------
    params : Scan
    bodies : list of Body
        The particles, in order of their numbers.
    centres : (p, 2) array
        Centroids of the outlines in the layout (y, x), which is frame 0 but for entering particles.
    motion : Motion
    scope : Txm
    charge : (p, t) array
        Degree of charge of each particle in each scan.
    lost : frozenset of int
        Dropped frames.
    overexposed : frozenset of int
        Saturated frames.
    bits : list of Body
        Debris.
    bit_centres : (b, 2) array
    seed : int
        Of the noise; every frame has a generator of its own.
    """

    params: Scan
    bodies: list[Body]
    centres: np.ndarray
    motion: Motion
    scope: Txm
    charge: np.ndarray
    lost: frozenset[int]
    overexposed: frozenset[int]
    bits: list[Body]
    bit_centres: np.ndarray
    seed: int

    # --- what the instrument gives ---

    @cached_property
    def energies_ev(self) -> np.ndarray:
        """Recorded energies (e,)."""
        return self.params.energies + self.params.energy_error_ev

    def frame(self, scan: int, energy: int) -> np.ndarray:
        """Return the counts (y, x) uint16 of one exposure with the specimen."""
        f = self._frame(scan, energy)
        if f in self.lost:
            return np.zeros(self.params.shape, np.uint16)
        expected = exposure(self.scope, self.params, f, self.absorption(scan, energy), self.motion.stage[f])
        if f in self.overexposed:
            expected *= 1.3 * self.params.full_well / np.median(expected)
        counts = np.random.default_rng([self.seed, 1, f]).poisson(expected) + self.scope.dark
        return np.minimum(counts, self.params.full_well if f in self.overexposed else 65535).astype(np.uint16)

    def flat(self, energy: int) -> np.ndarray:
        """Return the flat (y, x) uint16 of an energy: the mean of several exposures without the specimen."""
        expected = flat_light(self.scope, self.params, energy) * self.params.flats
        counts = np.random.default_rng([self.seed, 2, energy]).poisson(expected) / self.params.flats
        return np.minimum(np.rint(counts + self.scope.dark), 65535).astype(np.uint16)

    def frames(self) -> Iterator[tuple[int, int, np.ndarray]]:
        """Yield scan, energy index and counts of every frame in order, one at a time."""
        for scan in range(self.params.n_scans):
            for energy in range(self.params.n_energies):
                yield scan, energy, self.frame(scan, energy)

    @cached_property
    def counts(self) -> np.ndarray:
        """All frames (t, e, y, x) uint16, rendered on first use and kept."""
        p = self.params
        counts = np.empty((p.n_scans, p.n_energies, *p.shape), np.uint16)
        for scan, energy, frame in self.frames():
            counts[scan, energy] = frame
        return counts

    @cached_property
    def flats(self) -> np.ndarray:
        """Flats (e, y, x) uint16, one for each energy."""
        return np.stack([self.flat(e) for e in range(self.params.n_energies)])

    @property
    def dark(self) -> np.ndarray:
        """Counts (y, x) uint16 without light."""
        return self.scope.dark

    def optical_density(self, scan: int | None = None, energy: int | None = None) -> np.ndarray:
        """Return the optical density float32: (t, e, y, x), or (y, x) of one frame.

        -log((counts - dark) / (flat - dark)), counts less dark of at least one; NaN in dropped frames.
        """
        if scan is not None and energy is not None:
            if self._frame(scan, energy) in self.lost:
                return np.full(self.params.shape, np.nan, np.float32)
            return _density(self.frame(scan, energy), self.flat(energy), self.dark)
        p = self.params
        density = np.empty((p.n_scans, p.n_energies, *p.shape), np.float32)
        for e in range(p.n_energies):
            for t in range(p.n_scans):
                density[t, e] = _density(self.counts[t, e], self.flats[e], self.dark)
                if self._frame(t, e) in self.lost:
                    density[t, e] = np.nan
        return density

    # --- the truth ---

    def absorption(self, scan: int, energy: int) -> np.ndarray:
        """Return the optical density (y, x) of the particles alone: no background, no blur, no noise."""
        total, charged = np.zeros(self.params.shape), np.zeros(self.params.shape)
        f = self._frame(scan, energy)
        for i, (body, pose) in enumerate(zip(self.bodies, self.poses(f), strict=True)):
            add_body(total, charged, body, pose, self._state(i + 1, scan))
        middle = float(self.charge[:, scan].mean()) if len(self.bodies) else 0.0
        bits = self.bit_centres + self.motion.stage[f] + self.motion.field(self.bit_centres, f)
        for body, (y, x) in zip(self.bits, bits, strict=True):
            add_body(total, charged, body, (y, x, 0.0, 0.0), state_of(body, middle), fine=2)
        mu0, mu1 = self.params.chemistry.mu(self.params.energies[energy : energy + 1], [0.0, 1.0])[:, 0]
        return mu0 * (total - charged) + mu1 * charged

    def poses(self, frame: int) -> np.ndarray:
        """Return y, x (px), turn (radians) and breathing (p, 4) of all particles in a frame."""
        return self.motion.poses(self.centres, frame)

    @cached_property
    def truth(self) -> pd.DataFrame:
        """One row a particle and frame.

        Columns: particle, scan, frame, energy_ev (recorded), y_px and x_px (centroid of the outline), angle_deg,
        breathing, visible ("whole", "part" or "out" of the field), dropped.
        """
        p = self.params
        n_frames = p.n_scans * p.n_energies
        poses = np.stack([self.poses(f) for f in range(n_frames)], 1).reshape(-1, 4)
        frame = np.tile(np.arange(n_frames), len(self.bodies))
        particle = np.repeat(np.arange(1, len(self.bodies) + 1), n_frames)
        seen = [_seen(self.bodies[i - 1], pose, p.shape) for i, pose in zip(particle, poses, strict=True)]
        return pd.DataFrame({
            "particle": particle, "scan": frame // p.n_energies, "frame": frame,
            "energy_ev": self.energies_ev[frame % p.n_energies], "y_px": poses[:, 0], "x_px": poses[:, 1],
            "angle_deg": np.rad2deg(poses[:, 2]), "breathing": poses[:, 3], "visible": np.array(seen, dtype=object),
            "dropped": np.isin(frame, list(self.lost)),
        })  # fmt: skip

    @cached_property
    def stage(self) -> np.ndarray:
        """Rigid displacement (f, 2) of the whole specimen, px."""
        return self.motion.stage

    @cached_property
    def particles(self) -> pd.DataFrame:
        """One row a particle: diameter_px, area_px, pattern, flat, and mean state in each scan (state_0, ...)."""
        rows = []
        for i, body in enumerate(self.bodies):
            row = {"particle": i + 1, "diameter_px": body.diameter, "area_px": body.area, "pattern": body.pattern}
            row |= {"y_px": self.centres[i, 0], "x_px": self.centres[i, 1], "flat": body.exponent > 2.5}
            for t in range(self.params.n_scans):
                row[f"state_{t}"] = float(np.nanmean(self.states[i + 1, t]))
            rows.append(row)
        columns = ["particle", "diameter_px", "area_px", "pattern", "y_px", "x_px", "flat"]
        return pd.DataFrame(rows, columns=columns + [f"state_{t}" for t in range(self.params.n_scans)])

    @cached_property
    def states(self) -> dict[tuple[int, int], np.ndarray]:
        """State maps by (particle, scan), in the particle's own frame.

        (2h + 1, 2h + 1) float32 at whole-pixel offsets from the centroid, which is the middle pixel; NaN outside.
        """
        maps = {}
        for i, body in enumerate(self.bodies):
            h = int(np.ceil(body.reach)) + 1
            v, u = np.mgrid[-h : h + 1, -h : h + 1]
            for t in range(self.params.n_scans):
                maps[i + 1, t] = self.state_at(i + 1, t, v, u).astype(np.float32)
        return maps

    def state_at(self, particle: int, scan: int, v, u) -> np.ndarray:
        """Return the state of a particle at offsets (px, along y and x) from its centroid; NaN outside."""
        rho, _, state = self.bodies[particle - 1].evaluate(v, u, self._state(particle, scan))
        return np.where(rho < 1, state, np.nan)

    def mask(self, particle: int, scan: int, energy: int) -> np.ndarray:
        """Return which pixels (y, x) have their centre within the outline of a particle, whatever else lies there."""
        return self._rho(particle, self._frame(scan, energy)) < 1

    def labels(self, scan: int, energy: int) -> np.ndarray:
        """Return the label image (y, x) int32; where particles overlap, the one whose outline is farther away."""
        f = self._frame(scan, energy)
        labels = np.zeros(self.params.shape, np.int32)
        nearest = np.ones(self.params.shape)
        for i in range(len(self.bodies)):
            rho = self._rho(i + 1, f)
            inside = rho < nearest
            labels[inside], nearest[inside] = i + 1, rho[inside]
        return labels

    def state_field(self, scan: int, energy: int) -> np.ndarray:
        """Return the state (y, x) as a frame sees it: mean along the beam, NaN where there is no particle."""
        total, charged = np.zeros(self.params.shape), np.zeros(self.params.shape)
        for i, (body, pose) in enumerate(zip(self.bodies, self.poses(self._frame(scan, energy)), strict=True)):
            add_body(total, charged, body, pose, self._state(i + 1, scan), fine=1)
        return np.where(total > 0, charged / np.where(total > 0, total, 1), np.nan)

    def spectrum(self, state=0.0) -> np.ndarray:
        """Return the absorption (\\*state shape, e) at the true energies of a state."""
        return self.params.chemistry.mu(self.params.energies, state)

    def _frame(self, scan: int, energy: int) -> int:
        p = self.params
        if not (0 <= scan < p.n_scans and 0 <= energy < p.n_energies):
            raise InputError(
                f"there are {p.n_scans} scans of {p.n_energies} energies, counted from 0; "
                f"got scan {scan}, energy {energy}."
            )
        return scan * p.n_energies + energy

    def _state(self, particle: int, scan: int):
        return state_of(self.bodies[particle - 1], float(self.charge[particle - 1, scan]))

    def _rho(self, particle: int, frame: int) -> np.ndarray:
        """Relative radius (y, x), infinite far from the particle."""
        pose = self.poses(frame)[particle - 1]
        body, (ny, nx) = self.bodies[particle - 1], self.params.shape
        far = body.reach * (1 + pose[3]) + 1
        rows = slice(max(0, int(pose[0] - far)), max(0, min(ny, int(pose[0] + far) + 2)))
        columns = slice(max(0, int(pose[1] - far)), max(0, min(nx, int(pose[1] + far) + 2)))
        rho = np.full((ny, nx), np.inf)
        y, x = np.arange(ny)[rows, None], np.arange(nx)[None, columns]
        if y.size and x.size:
            rho[rows, columns] = body.evaluate(*in_own_frame(pose, y, x))[0]
        return rho


def scan(params: Scan, *, rng=0) -> VirtualScan:
    """Draw a virtual scan; nothing is rendered yet.

    Parameters
    ----------
    params : Scan
    rng : Generator or int
        Same number, same scan.

    Returns
    -------
    VirtualScan

    Raises
    ------
    InputError
        Where the particles do not fit into the field.
    """
    rng = np.random.default_rng(rng)
    seed = int(rng.integers(2**62))
    place_rng, body_rng, motion_rng, scope_rng, bit_rng, lost_rng = rng.spawn(6)
    bodies, charge = _draw_bodies(params, body_rng)
    centres = np.zeros((0, 2))
    if bodies:
        centres = lay_out(bodies, params.shape, place_rng, touching=params.touching, overlapping=params.overlapping)
    motion = draw_motion(params, len(bodies), motion_rng)
    travel(motion, centres, bodies, params.shape, entering=params.entering, leaving=params.leaving, rng=motion_rng)
    bits, bit_centres = _draw_bits(params, bodies, centres, bit_rng)
    lost, over = _spoilt(params, lost_rng)
    return VirtualScan(
        params, bodies, centres, motion, draw_txm(params, scope_rng), charge, lost, over, bits, bit_centres, seed
    )


def _draw_bodies(params: Scan, rng) -> tuple[list[Body], np.ndarray]:
    n = params.n_particles
    diameter = rng.uniform(*params.diameter_px, n)
    flat = rng.random(n) < params.flat_share
    patterns = rng.permutation(np.resize(np.array(params.patterns, dtype=object), n))
    bodies = []
    for d, crystal, pattern in zip(diameter, flat, patterns, strict=True):
        peak = params.contrast * d / USUAL_DIAMETER * (0.7 if crystal else 1.0) * rng.uniform(0.9, 1.1)
        body = draw_body(d, rng, peak=peak, flat=bool(crystal), lumpiness=params.lumpiness)
        bodies.append(replace(body, pattern=str(pattern)))
    low, high = params.charge
    course = np.linspace(low, high, params.n_scans) if params.n_scans > 1 else np.array([0.5 * (low + high)])
    lead = rng.normal(0, 0.08, (n, 1)) * (course * (1 - course) * 4)
    return bodies, np.clip(course + lead, 0, 1)


def _draw_bits(params: Scan, bodies, centres, rng) -> tuple[list[Body], np.ndarray]:
    """Draw debris, clear of the particles' layout."""
    bits, places = [], []
    for diameter in rng.uniform(5, 14, params.debris):
        peak = params.contrast * diameter / USUAL_DIAMETER * rng.uniform(1.0, 2.0)
        body = draw_body(diameter, rng, peak=peak, lumpiness=2.0)
        for _ in range(20):
            place = rng.uniform(0, params.shape)
            if all(np.hypot(*(place - c)) > b.reach + diameter for b, c in zip(bodies, centres, strict=True)):
                bits.append(body)
                places.append(place)
                break
    return bits, np.reshape(np.array(places, float), (-1, 2))


def _spoilt(params: Scan, rng) -> tuple[frozenset[int], frozenset[int]]:
    """Draw which frames are dropped and which overexposed; never the first of all."""
    lost: set[int] = set()
    over: set[int] = set()
    for t in range(params.n_scans):
        n = params.dropped + params.saturated
        first = 1 if t == 0 and n < params.n_energies else 0
        chosen = t * params.n_energies + rng.permutation(np.arange(first, params.n_energies))[:n]
        lost |= set(chosen[: params.dropped].tolist())
        over |= set(chosen[params.dropped :].tolist())
    return frozenset(lost), frozenset(over)


def _seen(body: Body, pose, shape) -> str:
    c, s = np.cos(pose[2]) * (1 + pose[3]), np.sin(pose[2]) * (1 + pose[3])
    reach = body.reach * (1 + pose[3])
    (y, x), (ny, nx) = pose[:2], shape
    if reach < y < ny - 1 - reach and reach < x < nx - 1 - reach:
        return WHOLE
    v, u = body.outline().T
    py, px = y + c * v - s * u, x + s * v + c * u
    inside = (py > -0.5) & (py < ny - 0.5) & (px > -0.5) & (px < nx - 0.5)
    return WHOLE if inside.all() else PART if inside.any() else OUT


def _density(counts: np.ndarray, flat: np.ndarray, dark: np.ndarray) -> np.ndarray:
    light = np.maximum(flat.astype(np.float32) - dark, 1)
    return -np.log(np.maximum(counts.astype(np.float32) - dark, 1) / light)
