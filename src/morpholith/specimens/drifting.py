"""How an electrode moves under a microscope: stage, smooth deformation, and every particle for itself."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.interpolate import CubicSpline


@dataclass(frozen=True)
class Motion:
    """Where everything is in every frame; displacements (y, x) in px from the layout.

    Attributes
    ----------
    stage : (f, 2) array
        Rigid: drift and jitter.
    strain : (f, 2, 2) array
        Displacement gradient of the affine deformation about the middle of the field.
    waves : (w, 4) array
        The smooth part: wave numbers along y and x in 1/px, phase, angle of the displacement.
    swell : (f, w) array
        Amplitude of each wave, px.
    own : (p, f, 2) array
        Each particle's own motion.
    turn, breathing : (p, f) array
        Radians; ratio.
    middle : (2,) array
        Of the field.
    """

    stage: np.ndarray
    strain: np.ndarray
    waves: np.ndarray
    swell: np.ndarray
    own: np.ndarray
    turn: np.ndarray
    breathing: np.ndarray
    middle: np.ndarray

    def field(self, points, frame) -> np.ndarray:
        """Return the deformation (n, 2) of the electrode at `points` (n, 2) in a frame, without the stage."""
        points = np.asarray(points, float)
        smooth = np.cos(points @ self.waves[:, :2].T + self.waves[:, 2]) * self.swell[frame]
        ray = np.stack([np.cos(self.waves[:, 3]), np.sin(self.waves[:, 3])], 1)
        return (points - self.middle) @ self.strain[frame].T + smooth @ ray

    def poses(self, centres, frame) -> np.ndarray:
        """Return y, x, turn and breathing (p, 4) of the particles laid out at `centres` (p, 2)."""
        place = centres + self.stage[frame] + self.field(centres, frame) + self.own[:, frame]
        return np.column_stack([place, self.turn[:, frame], self.breathing[:, frame]])


def draw_motion(params, n: int, rng) -> Motion:
    """Draw the motion of `n` particles over all frames of a `Scan`."""
    frames = params.n_scans * params.n_energies
    time = np.arange(frames) / params.n_energies  # in scans
    shape = np.array(params.shape, float)
    stage = params.drift_px * _wander((2, frames), time, rng).T
    stage += params.between_px * rng.standard_normal((params.n_scans, 2)).cumsum(0).repeat(params.n_energies, 0)
    stage += params.jitter_px * rng.standard_normal((frames, 2))
    walk = params.walk_px * rng.standard_normal((n, frames, 2)).cumsum(1)
    turn = np.deg2rad(params.rotation_deg) * _wander((n, frames), time, rng)
    breathing = params.breathing * _wander((n, frames), time, rng)
    strain = params.strain * _wander((2, 2, frames), time, rng).transpose(2, 0, 1)
    length = rng.uniform(0.7, 1.6, 5) * shape.max()
    angle = rng.uniform(0, 2 * np.pi, 5)
    number = 2 * np.pi / length
    waves = np.stack([number * np.cos(angle), number * np.sin(angle), *rng.uniform(0, 2 * np.pi, (2, 5))], 1)
    swell = params.field_px * np.sqrt(2 / 5) * _wander((5, frames), time, rng).T
    # the layout is frame 0 but for the jitter: nothing has turned, breathed, walked or drifted yet
    for array, axis in ((stage, 0), (walk, 1), (turn, 1), (breathing, 1)):
        array -= np.take(array, [0], axis)
    return Motion(stage, strain - strain[:1], waves, swell - swell[:1], walk, turn, breathing, (shape - 1) / 2)


def _wander(shape, time, rng) -> np.ndarray:
    """Smooth random curves along the last axis: standard deviation one after a scan, growing as its square root."""
    knots = np.arange(0, np.floor(time[-1] * 4) + 5)
    steps = 0.5 * rng.standard_normal((*shape[:-1], knots.size))
    return CubicSpline(knots, steps.cumsum(-1), axis=-1)(time * 4)


def travel(motion: Motion, centres, bodies, shape, *, entering, leaving, rng) -> None:
    """Let the last particles cross the frame, in place: `leaving` of them go out, `entering` come in.

    Each moves straight to the nearest edge at constant speed, and is wholly outside before the last frame (or was,
    after the first). Those that enter keep their place in the layout and reach it in the last frame.
    """
    frames = motion.stage.shape[0]
    n = len(bodies)
    for k in range(min(entering + leaving, n)):
        i = n - 1 - k
        y, x = centres[i]
        out = np.array([[-y, 0], [shape[0] - 1 - y, 0], [0, -x], [0, shape[1] - 1 - x]])
        nearest = out[np.argmin(np.hypot(*out.T))]
        path = nearest + nearest / np.hypot(*nearest) * (bodies[i].reach + 8)
        share = np.linspace(0, 1, frames)
        share = np.clip(share / rng.uniform(0.6, 0.95), 0, 1)
        motion.own[i] += (share if k < leaving else share[::-1])[:, None] * path
