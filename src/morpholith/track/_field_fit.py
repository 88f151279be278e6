"""Shift, rotation and strain of one frame, as far as its particles determine them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

AFFINE, RIGID, SHIFT, NONE = "affine", "rigid", "shift", "none"
MODELS = (AFFINE, RIGID, SHIFT, NONE)
TERMS = {AFFINE: 6, RIGID: 3, SHIFT: 2, NONE: 0}
THINNEST = 0.1  # spread across over spread along: particles nearer to one line determine no strain across it
HUBER = 2.5  # standard deviations from where a particle counts less
ROUNDS = 12


@dataclass(frozen=True)
class Fit:
    model: str
    shift: np.ndarray  # (2,), of the centre
    gradient: np.ndarray  # (2, 2): F - 1
    covariance: np.ndarray  # (6, 6) of shift, then the gradient row by row
    residual: np.ndarray  # (n, 2)
    leverage: np.ndarray  # (n,)
    weight: np.ndarray  # (n,) robust factor, NaN where not seen
    scale: float  # scatter over what the errors of the positions let expect; over 1 px without them


def fit_frame(away, place, spread):
    """Fit one frame: `away` are reference positions from the centre, `place` where they are now."""
    seen = np.isfinite(place).all(axis=1) & np.isfinite(away).all(axis=1)
    if spread is not None:
        seen &= np.isfinite(spread) & (spread > 0)
    n = len(place)
    empty = np.full(n, np.nan)
    model = _model(away[seen])
    if model == NONE:
        nothing = np.full((6, 6), np.nan)
        return Fit(NONE, nothing[0, :2], nothing[:2, :2], nothing, np.full((n, 2), np.nan), empty, empty, np.nan)
    # about the turn of the particles as one body: a rotation by a degree is no small motion at their distance
    turn = _turn(away[seen], place[seen]) if model == RIGID else np.eye(2)
    turned = away[seen] @ turn.T
    motion = place[seen] - turned
    sd = np.ones(seen.sum()) if spread is None else spread[seen]
    design = _design(turned, model)  # (n, 2, terms)
    factor = np.ones(len(sd))
    terms = design.shape[2]
    dof = 2 * len(sd) - terms
    for _ in range(ROUNDS):
        root = np.sqrt(factor) / sd
        inverse = np.linalg.pinv(np.einsum("nai,n,naj->ij", design, root**2, design))
        solution = inverse @ np.einsum("nai,n,na->i", design, root**2, motion)
        residual = motion - design @ solution
        hat = np.einsum("nai,ij,naj->n", design, inverse, design) / 2 * root**2
        if dof <= 2 or len(sd) < 5:
            break  # too few to say which of them is the outlier
        reduced = np.linalg.norm(residual, axis=1) / sd / np.sqrt(2 * np.maximum(1 - hat, 0.05))
        usual = np.median(reduced) / 0.833  # median length of a 2D Gaussian over the rms per axis, over sqrt 2
        limit = HUBER * max(usual, 1.0 if spread is not None else 1e-9)
        new = np.minimum(1.0, limit / np.maximum(reduced, 1e-12))
        if np.abs(new - factor).max() < 1e-3:
            break
        factor = new
    scatter = float(np.sqrt((factor[:, None] * (residual / sd[:, None]) ** 2).sum() / dof)) if dof > 0 else np.nan
    # without errors of the positions the scatter is all there is; with them it may only enlarge
    scale = scatter if spread is None else float(np.nanmax([1.0, scatter]))
    full = _to_full(model)
    parameters = full @ solution
    return Fit(
        model,
        parameters[:2],
        (np.eye(2) + parameters[2:].reshape(2, 2)) @ turn - np.eye(2),
        full @ inverse @ full.T * scale**2,
        _spread_out(residual, seen),
        _spread_out(hat, seen),
        _spread_out(factor, seen),
        scale,
    )


def _turn(before, after):
    """Rotation of one body (orthogonal Procrustes in the plane)."""
    a, b = before - before.mean(axis=0), after - after.mean(axis=0)
    angle = np.arctan2((a[:, 0] * b[:, 1] - a[:, 1] * b[:, 0]).sum(), (a * b).sum())
    return np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])


def _model(away):
    if len(away) == 0:
        return NONE
    if len(away) == 1:
        return SHIFT
    values = np.linalg.svd(away - away.mean(axis=0), compute_uv=False)
    if values[0] < 1e-9:
        return SHIFT
    return AFFINE if len(away) >= 3 and values[1] >= THINNEST * values[0] else RIGID


def _design(away, model):
    """Motion (y, x) by each term: the shift, and for "rigid" a small rotation, for "affine" the gradient."""
    n = len(away)
    shift = np.broadcast_to(np.eye(2), (n, 2, 2))
    y, x, zero = away[:, 0], away[:, 1], np.zeros(n)
    if model == SHIFT:
        return shift
    if model == RIGID:
        return np.concatenate([shift, np.stack([-x, y], axis=1)[..., None]], axis=2)
    rows = [[y, x, zero, zero], [zero, zero, y, x]]
    return np.concatenate([shift, np.moveaxis(np.array(rows), 2, 0)], axis=2)


def _to_full(model):
    """Matrix from the terms of a model to shift and gradient."""
    if model == AFFINE:
        return np.eye(6)
    full = np.zeros((6, 3 if model == RIGID else 2))
    full[0, 0] = full[1, 1] = 1
    if model == RIGID:
        full[3, 2], full[4, 2] = -1, 1
    return full


def _spread_out(values, seen):
    out = np.full((len(seen), *values.shape[1:]), np.nan)
    out[seen] = values
    return out
