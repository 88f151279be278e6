"""Lumpy bodies given by a formula, in any pose: frames that are exact similarity transforms of one picture."""

from dataclasses import dataclass
from functools import partial

import numpy as np


@dataclass(frozen=True)
class Lump:
    """A body with a soft edge, 1 on its plateau, with a harmonic outline and texture inside.

    The outline is r(phi) = radius (1 + sum_k amount_k cos(k phi - phase_k)); the edge falls over `edge` pixels.
    """

    radius: float = 20.0
    amount: tuple[float, ...] = (0.0, 0.10, 0.08, 0.05)
    phase: tuple[float, ...] = (0.0, 0.4, 1.3, -0.9)
    edge: float = 1.2
    texture: float = 0.15

    def rim(self, phi):
        """Return the radius of the outline in a direction, counted from +y towards +x."""
        r = np.full(np.shape(phi), float(self.radius))
        for k, (amount, phase) in enumerate(zip(self.amount, self.phase, strict=True)):
            r += self.radius * amount * np.cos((k + 1) * phi - phase)
        return r

    def at(self, y, x):
        """Return its value at offsets from its origin, in its own frame."""
        r, rim = np.hypot(y, x), self.rim(np.arctan2(x, y))
        grain = np.sin(0.55 * y + 0.2) * np.cos(0.43 * x - 0.5) + np.sin(0.31 * (y + x))
        return (1 + 0.5 * self.texture * grain) / (1 + np.exp((r - rim) / (0.5 * self.edge)))

    def middle(self):
        """Return the centroid of the outline (y, x), by fine quadrature."""
        phi = (np.arange(20000) + 0.5) / 20000 * 2 * np.pi
        rim = self.rim(phi)
        area = (rim**2 / 2).sum()
        return np.array([(rim**3 / 3 * np.cos(phi)).sum(), (rim**3 / 3 * np.sin(phi)).sum()]) / area


def own_frame(shape, place, angle_deg=0.0, breathing=0.0):
    """Return the offsets (y, x) of every pixel in the frame of a body: u = R^T (x - place) / (1 + breathing)."""
    y, x = np.mgrid[: shape[0], : shape[1]].astype(float)
    py, px = y - place[0], x - place[1]
    c, s = np.cos(np.deg2rad(angle_deg)), np.sin(np.deg2rad(angle_deg))
    return (c * py + s * px) / (1 + breathing), (-s * py + c * px) / (1 + breathing)


def drawn(lump, shape, place, angle_deg=0.0, breathing=0.0, *, colour=None):
    """Return a picture of a body; `colour(y, x)` multiplies it, in its own frame."""
    y, x = own_frame(shape, place, angle_deg, breathing)
    return lump.at(y, x) * (1 if colour is None else colour(y, x))


def series(
    lump, shape, places, angles=None, breathing=None, *, contrast=0.3, noise=0.0, level=0.1, colour=None, rng=None
):
    """Return frames (F, Y, X) float32 of one body: `colour(f, y, x)` multiplies it."""
    n = len(places)
    angles, breathing = (np.zeros(n) if v is None else v for v in (angles, breathing))
    contrast = np.broadcast_to(contrast, n)
    frames = []
    for f in range(n):
        own = None if colour is None else partial(colour, f)
        frames.append(level + contrast[f] * drawn(lump, shape, places[f], angles[f], breathing[f], colour=own))
    out = np.array(frames)
    if noise:
        out += rng.normal(0, noise, out.shape)
    return out.astype(np.float32)


def centres(lump, places, angles=None, breathing=None):
    """Return where the centroid of the outline lies (F, 2) in pixels."""
    n = len(places)
    t = np.deg2rad(np.zeros(n) if angles is None else angles)
    s = 1 + (np.zeros(n) if breathing is None else np.asarray(breathing))
    c = lump.middle()
    turned = np.stack([np.cos(t) * c[0] - np.sin(t) * c[1], np.sin(t) * c[0] + np.cos(t) * c[1]], 1)
    return np.asarray(places) + s[:, None] * turned


def grey_centres(frames, places, reach):
    """Return the centres of gravity of the grey levels (F, 2) in a window around each place, the median taken off."""
    out = []
    for frame, (y, x) in zip(frames, np.rint(places).astype(int), strict=True):
        part = frame[y - reach : y + reach + 1, x - reach : x + reach + 1].astype(float)
        part = np.clip(part - np.median(np.concatenate([part[0], part[-1]])), 0, None)
        yy, xx = np.mgrid[-reach : reach + 1, -reach : reach + 1]
        out.append([y + (part * yy).sum() / part.sum(), x + (part * xx).sum() / part.sum()])
    return np.array(out)
