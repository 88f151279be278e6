"""Maps of the chemical state of one particle: every pixel's edge, white line and oxidation state, with errors."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from ..errors import InputError
from .chemistry import SIGNAL, Chemistry, mean_spectrum
from .combination import combine
from .edge_energy import AbsorptionEdges, PeakWidths, absorption_edges, choose_widths
from .heterogeneity import depth_within
from .normalise import normalise, patterns, steadied
from .reference_fit import background_columns, fit_window
from .spectral_noise import noise_area, spectral_noise

MOST_EDGE_SE_EV = 2.0  # beyond, linear errors mean nothing and the value is left out
MOST_STATE_SE = 0.5  # of the range of the references
AT_ONCE = 20_000  # pixels worked on together


@dataclass(frozen=True)
class StateMap:
    """Maps (y, x) of one particle in one scan; NaN outside, and where a pixel has too little signal.

    `state` has weights of at least zero, `free` lets them go below, which leaves means over noisy pixels unbiased;
    `state_se` belongs to `free`. `edge` is the half-height energy. `fractions` is (k, y, x). `resolved` tells where the
    edge step stands out of the noise. `noise_px` is over how many pixels noise is correlated. `spectrum` (e,) is the
    mean optical density over the pixels within the margin, `spectrum_se` its standard error. `steadied` tells
    whether pixels were normalised by the shape of their mean, see `normalise.steadied`.
    """

    state: np.ndarray
    free: np.ndarray
    state_se: np.ndarray
    edge: np.ndarray
    edge_se: np.ndarray
    derivative: np.ndarray
    derivative_se: np.ndarray
    white_line: np.ndarray
    white_line_se: np.ndarray
    height: np.ndarray
    height_se: np.ndarray
    step: np.ndarray
    step_se: np.ndarray
    fractions: np.ndarray
    resolved: np.ndarray
    noise_px: float
    spectrum: np.ndarray
    spectrum_se: np.ndarray
    steadied: bool


def state_map(
    stack: np.ndarray, mask: np.ndarray, energies_ev: np.ndarray, chemistry: Chemistry, *, margin_px: float = 0.0
) -> StateMap:
    """Map edge, white line and state of the pixels of one particle.

    Parameters
    ----------
    stack : (e, y, x) array
        Optical density; NaN where a pixel was not seen.
    mask : (y, x) bool array
        The particle.
    energies_ev : (e,) array
    chemistry : Chemistry
    margin_px : float
        Pixels this close to the outline do not enter the mean spectrum.

    Returns
    -------
    StateMap
        All NaN with an empty mask.

    Notes
    -----
    The state is fitted to the optical density itself with the edge steps of the references and a background line as
    unknowns, mu(E) = sum_k c_k r_k(E + shift) + a + b E, and is sum_k v_k c_k / sum_k c_k: unlike a fit to the
    normalised spectrum it does not divide by a step that comes from a few frames.
    """
    energy = np.asarray(energies_ev, float)
    mask = np.asarray(mask, bool)
    stack = np.asarray(stack)
    if stack.shape[0] != len(energy) or stack.shape[1:] != mask.shape:
        raise InputError(f"the stack {stack.shape} does not fit {len(energy)} energies and a mask {mask.shape}.")
    mu = np.moveaxis(stack, 0, -1)[mask].astype(float)
    mu[~np.isfinite(mu)] = np.nan
    e0 = chemistry.ranges.e0_ev
    noise = spectral_noise(mu, energy, e0)
    k = max(len(chemistry.references), 1)
    ranges = steadied(mu, energy, chemistry.ranges, sigma=noise.sigma)
    widths = _widths(mu, energy, chemistry.ranges, noise)
    columns = {name: np.full(len(mu), np.nan) for name in _COLUMNS}
    fractions = np.full((len(mu), k), np.nan)
    for first in range(0, len(mu), AT_ONCE):
        rows = slice(first, first + AT_ONCE)
        found = _edge_columns(mu[rows], energy, ranges, noise.sigma[rows], noise.profile, widths)
        if len(chemistry.references) > 1:
            states, part = _states(mu[rows], energy, chemistry, noise.sigma[rows], noise.profile)
            found |= states
            fractions[rows] = part
        for name, values in found.items():
            columns[name][rows] = values
    resolved = columns["step"] > SIGNAL * columns["step_se"]
    _leave_out(columns, fractions, resolved, chemistry.span)
    area = noise_area(noise.residual, mask)
    inner = np.isfinite(noise.sigma) & (depth_within(mask)[0][mask] >= margin_px)
    mean, mean_se = _mean_spectrum(mu[inner], noise.sigma[inner], noise.profile, area)
    maps = {name: _picture(values, mask) for name, values in columns.items()}
    return StateMap(
        **maps, fractions=np.array([_picture(f, mask) for f in fractions.T]),
        resolved=_picture(resolved.astype(float), mask) == 1, noise_px=area, spectrum=mean, spectrum_se=mean_se,
        steadied=ranges.shape is not None,
    )  # fmt: skip


@dataclass(frozen=True)
class SpectrumState:
    """Edge and state of one mean spectrum.

    `edges` hold one value each; `fractions` (k,) are of at least zero, `state` comes from free weights; `state` and
    its error are NaN without references; `norm` is the normalised spectrum, `fit` the fitted combination (NaN outside
    the fit's energies), both (e,): with references background and edge step are those of the fit.
    """

    edges: AbsorptionEdges
    state: float
    state_se: float
    fractions: np.ndarray
    norm: np.ndarray
    fit: np.ndarray
    r_factor: float


def spectrum_state(
    spectrum: np.ndarray, spectrum_se: np.ndarray, energies_ev: np.ndarray, chemistry: Chemistry
) -> SpectrumState:
    """Read edge and state from one spectrum, as the mean over a particle: weighted with thickness by nature.

    Parameters
    ----------
    spectrum, spectrum_se : (e,) arrays
        Optical density and its standard error from noise; NaN where unknown. The state's error is made larger where the
        residual of the fit is larger than that (`misfit`).
    energies_ev : (e,) array
    chemistry : Chemistry
    """
    energy, spectrum = np.asarray(energies_ev, float), np.asarray(spectrum, float)
    square = np.where(np.isfinite(spectrum_se), spectrum_se, 0.0) ** 2
    sigma = float(np.sqrt(square.mean()))
    profile = square / square.mean() if sigma > 0 else np.ones(len(energy))
    profile = np.where(profile > 0, profile, 1.0)
    found = absorption_edges(spectrum[None], energy, chemistry.ranges, sigma=sigma, profile=profile)
    shown, fit = normalise(spectrum, energy, chemistry.ranges).norm[0], np.full(len(energy), np.nan)
    fractions = np.full(max(len(chemistry.references), 1), np.nan)
    state = state_se = r_factor = float("nan")
    use = np.isfinite(spectrum)
    if chemistry.references:
        use &= fit_window(energy, chemistry.ranges, chemistry.references, shift_ev=chemistry.shift_ev)
    if len(chemistry.references) > 1 and use.sum() > len(chemistry.references) + chemistry.background + 2:
        done = _combined(
            spectrum[None, use], energy[use], chemistry, sigma=sigma or 1.0, profile=profile[use], bounded=False
        )
        mean, error = done.mean_of(chemistry.values)  # type: ignore[arg-type]
        rest = (spectrum[use] - done.fit[0]) / np.sqrt(profile[use])
        scale = misfit(rest, len(chemistry.references) + chemistry.background + 1, sigma=sigma)
        state, state_se, r_factor = float(mean[0]), float(error[0]) * scale, float(done.r_factor[0])
        limited = _combined(spectrum[None, use], energy[use], chemistry, sigma=1.0, profile=profile[use])
        fractions = limited.fractions[0]
        total = float(done.weights[0].sum())
        if total > 0:  # on the scale of the references, which know the edge step from further away
            columns = background_columns(energy, chemistry.ranges.e0_ev, chemistry.background)
            base = columns @ done.background[0]
            shown = (spectrum - base) / total
            fit[use] = (done.fit[0] - base[use]) / total
    return SpectrumState(found, state, state_se, fractions, shown, fit, r_factor)


def misfit(residual: np.ndarray, n_free: int, *, sigma: float) -> float:
    """Return by which factor errors from noise alone are too small, given what a fit leaves (e,).

    Root of the residual's variance over `sigma` squared, with its correlation along energy: frames have errors that all
    pixels share (flat fields, ripples), and references never fit quite. At least 1 where `sigma` is not 0; errors are
    to be computed with noise of 1 where it is.
    """
    n = len(residual)
    power = float(residual @ residual)
    rho = float(np.clip(residual[1:] @ residual[:-1] / power, 0, 0.9)) if power > 0 else 0.0
    wide = np.sqrt(power / max(n - n_free, 1) * (1 + rho) / (1 - rho))
    return max(1.0, float(wide / sigma)) if sigma > 0 else float(wide)


def shift_error(spectra: np.ndarray, energies_ev: np.ndarray, chemistry: Chemistry) -> float:
    """Return by how much the mean state of spectra (n, e) moves with one standard error of the energy shift."""
    if not np.isfinite(chemistry.shift_se) or len(chemistry.references) < 2:
        return float("nan")
    ends = []
    for sign in (-1, 1):
        moved = replace(chemistry, shift_ev=chemistry.shift_ev + sign * chemistry.shift_se)
        found = [spectrum_state(s, np.zeros(len(s)), energies_ev, moved).state for s in spectra]
        ends.append(np.array(found))
    both = np.isfinite(ends[0]) & np.isfinite(ends[1])
    return float(np.abs(np.mean(ends[1][both] - ends[0][both])) / 2) if both.any() else float("nan")


def _combined(mu, energy, chemistry, *, sigma, profile, bounded=True):
    columns = background_columns(energy, chemistry.ranges.e0_ev, chemistry.background)
    return combine(mu, chemistry.basis(energy), background=columns, sigma=sigma, profile=profile, bounded=bounded)


_COLUMNS = (
    "state", "free", "state_se", "edge", "edge_se", "derivative", "derivative_se", "white_line", "white_line_se",
    "height", "height_se", "step", "step_se",
)  # fmt: skip


def _widths(mu, energy, ranges, noise):
    """Windows for the noise of a typical pixel."""
    if len(mu) == 0 or not np.isfinite(noise.sigma).any():
        return PeakWidths()
    return choose_widths(
        mean_spectrum(mu), energy, ranges, sigma=float(np.nanmedian(noise.sigma)), profile=noise.profile
    )


def _edge_columns(mu, energy, ranges, sigma, profile, widths):
    e = absorption_edges(mu, energy, ranges, sigma=sigma, profile=profile, widths=widths)
    found = normalise(mu, energy, ranges, profile=profile)
    return {
        "edge": e.half_height_ev, "edge_se": e.half_height_se, "derivative": e.derivative_ev,
        "derivative_se": e.derivative_se, "white_line": e.white_line_ev, "white_line_se": e.white_line_se,
        "height": e.height, "height_se": e.height_se, "step": found.step, "step_se": found.step_gain * sigma,
    }  # fmt: skip


def _states(mu, energy, chemistry, sigma, profile):
    """State and fractions of spectra, for each set of missing frames."""
    state, free, se = (np.full(len(mu), np.nan) for _ in range(3))
    fractions = np.full((len(mu), len(chemistry.references)), np.nan)
    window = fit_window(energy, chemistry.ranges, chemistry.references, shift_ev=chemistry.shift_ev)
    for rows, seen in patterns(mu):
        use = seen & window
        if use.sum() < len(chemistry.references) + chemistry.background + 3:
            continue
        how = {"sigma": sigma[rows], "profile": profile[use]}
        part = mu[np.ix_(rows, use)]
        bounded = _combined(part, energy[use], chemistry, **how)
        unbounded = _combined(part, energy[use], chemistry, bounded=False, **how)
        state[rows], fractions[rows] = bounded.mean_of(chemistry.values)[0], bounded.fractions
        free[rows], se[rows] = unbounded.mean_of(chemistry.values)
    return {"state": state, "free": free, "state_se": se}, fractions


def _leave_out(columns, fractions, resolved, span):
    """Turn what a pixel does not tell into NaN, in place."""
    for name in _COLUMNS[:11]:
        columns[name][~resolved] = np.nan
    fractions[~resolved] = np.nan
    for name in ("edge", "derivative", "white_line"):
        vague = ~(columns[f"{name}_se"] < MOST_EDGE_SE_EV)
        columns[name][vague] = columns[f"{name}_se"][vague] = np.nan
    columns["height"][~np.isfinite(columns["white_line"])] = np.nan
    columns["height_se"][~np.isfinite(columns["white_line"])] = np.nan
    if np.isfinite(span):
        vague = ~(columns["state_se"] < MOST_STATE_SE * span)
        for name in ("state", "free", "state_se"):
            columns[name][vague] = np.nan
        fractions[vague] = np.nan


def _mean_spectrum(mu, sigma, profile, area):
    if len(mu) == 0:
        return np.full(mu.shape[1], np.nan), np.full(mu.shape[1], np.nan)
    count = np.maximum(np.isfinite(mu).sum(0), 1)
    se = np.sqrt(np.nanmean(sigma**2) * profile * area / count) if np.isfinite(sigma).any() else np.nan * profile
    return mean_spectrum(mu), se


def _picture(values, mask):
    out = np.full(mask.shape, np.nan)
    out[mask] = values
    return out
