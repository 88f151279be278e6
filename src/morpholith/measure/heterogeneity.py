"""How the state varies within a particle and between particles, and whether that is more than noise."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

RINGS = 6
CORE, SHELL = 1 / 6, 1 / 2  # shares of the area: the core lies within, the shell beyond
LEAST_PIXELS = 24
SIGNIFICANT = 3.0  # standard errors for a pattern to be named
LEAST_EFFECT = 0.03  # share of the references' range below which a particle is called uniform
PATCHY = 0.08  # share of that range by which pixels must spread, noise taken off
COARSE = 0.15  # share of that range: with a larger standard error nothing is said
ROBUST_Z = 3.5  # of a particle's mean against the others
LEAST_LOWER = 0.1  # share of the range by which a deactivated particle lies lower
LEAST_OTHERS = 3
CORRELATION_REACH = 12  # px


@dataclass(frozen=True)
class StatePattern:
    """Where within a particle the state is higher or lower.

    Parameters
    ----------
    mean, mean_se : float
        Mean over the pixels, and its standard error from the noise of the pixels.
    sd, sd_se : float
        Spread of the state over the pixels with the noise taken off, and its standard error.
    core_shell, core_shell_se : float
        State of the outer half of the area less that of its inner sixth.
    one_sided, one_sided_se : float
        Change of the state from one side of the particle to the other along the steepest gradient.
    direction_deg : float
        Towards the higher state: 0 along +x, 90 along -y (up in a picture).
    chi2_one_sided : float
        Of the gradient, two degrees of freedom.
    n : int
        Pixels.
    verdict : str
        ``"core-shell"``, ``"one-sided"``, ``"patchy"`` (varies, in neither shape), ``"uniform"`` or ``"not resolved"``.
    """

    mean: float
    mean_se: float
    sd: float
    sd_se: float
    core_shell: float
    core_shell_se: float
    one_sided: float
    one_sided_se: float
    direction_deg: float
    chi2_one_sided: float
    n: int
    verdict: str


_NAN = float("nan")
NOTHING = StatePattern(*(10 * (_NAN,)), 0, "not resolved")


def depth_within(mask: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return distance from the outline in px and normalised radius of the pixels of a particle.

    Parameters
    ----------
    mask : (y, x) bool array

    Returns
    -------
    (y, x) array
        Distance to the nearest point outside, less half a pixel; 0 outside the mask.
    (y, x) array
        Square root of the share of the area that lies as deep or deeper: 0 in the middle, 1 at the outline, the radius
        over that of the outline for a disc. NaN outside.
    """
    from scipy.ndimage import distance_transform_edt

    inside = distance_transform_edt(np.pad(mask, 1))[1:-1, 1:-1]
    radius = np.full(mask.shape, np.nan)
    if mask.any():
        values = inside[mask]
        _, which, count = np.unique(np.round(values, 6), return_inverse=True, return_counts=True)
        deeper = count[::-1].cumsum()[::-1] - 0.5 * count
        radius[mask] = np.sqrt(deeper / mask.sum())[which]
    return np.where(mask, inside - 0.5, 0.0), radius


def state_pattern(
    values: np.ndarray, se: np.ndarray, mask: np.ndarray, *, span: float, margin_px: float = 2.0, noise_px: float = 1.0,
) -> StatePattern:  # fmt: skip
    """Describe how a state varies within one particle.

    Parameters
    ----------
    values, se : (y, x) arrays
        State of each pixel and its standard error; NaN where it is not known.
    mask : (y, x) bool array
        The particle up to its outline.
    span : float
        Range of the state that counts as one (between the references).
    margin_px : float
        So wide a rim along the outline is left out: there frames that are a fraction of a pixel off mix particle
        and background.
    noise_px : float
        Pixels over which noise is correlated.

    Returns
    -------
    StatePattern
        NaN and "not resolved" with fewer than 24 pixels.

    Notes
    -----
    The model is state = mean + g . (r - r0) + one level each in the inner sixth, the middle third and the outer half
    of the area, r in units of the radius of the circle of equal area, fitted by weighted least squares, so that an
    off-centre core does not count twice. Errors come from the residuals, whose correlation over neighbouring pixels
    (chemistry that follows neither shape, as well as noise) is summed up; they are never smaller than what the
    pixels' own errors give. A map is a projection: the core of a shell is seen through the shell, and its true
    contrast is larger.
    """
    inside, radius = depth_within(mask)
    use = mask & (inside >= margin_px) & np.isfinite(values) & np.isfinite(se)
    n = int(use.sum())
    if n < LEAST_PIXELS:
        return NOTHING
    v, s = values[use], se[use]
    mean, mean_se = float(v.mean()), float(np.sqrt((s**2).sum() * noise_px) / n)
    sd, sd_se = spread_beyond_noise(v, s, noise_px=noise_px)
    design = _design(use, radius)
    if np.linalg.matrix_rank(design) < design.shape[1]:
        return NOTHING
    weight = 1 / np.sqrt(s**2 + max(sd**2, 1e-12))
    inverse = np.linalg.pinv(design * weight[:, None])
    fit = inverse @ (v * weight)
    rest = np.full(mask.shape, np.nan)
    rest[use] = (v - design @ fit) * weight
    area = max(_correlation_area(rest), noise_px)
    scale = max(float(np.nanmean(rest**2)) * n / (n - 5), float(np.mean((s * weight) ** 2)))
    cov = inverse @ inverse.T * scale * area
    g, g_cov = fit[1:3], cov[1:3, 1:3]
    size = float(np.hypot(*g))
    along = g / size if size > 0 else np.array([1.0, 0.0])
    chi2 = float(g @ np.linalg.solve(g_cov, g))
    contrast = np.array([0.0, 0.0, 0.0, -1.0, 1.0])
    shell, shell_se = float(contrast @ fit), float(np.sqrt(contrast @ cov @ contrast))
    side, side_se = 2 * size, 2 * float(np.sqrt(along @ g_cov @ along))
    verdict = _verdict(shell, shell_se, side, side_se, chi2, span)
    reach = span if np.isfinite(span) and span > 0 else 1.0
    if verdict in ("uniform", "not resolved") and sd > SIGNIFICANT * sd_se and sd > PATCHY * reach:
        verdict = "patchy"
    direction = float(np.degrees(np.arctan2(-g[0], g[1])) % 360)
    return StatePattern(mean, mean_se, sd, sd_se, shell, shell_se, side, side_se, direction, chi2, n, verdict)


def spread_beyond_noise(values: np.ndarray, se: np.ndarray, *, noise_px: float = 1.0) -> tuple[float, float]:
    """Return the standard deviation of `values` (n,) with the variance of their noise taken off, and its error.

    0 where the noise explains all of it; NaN with fewer than 3 values.
    """
    good = np.isfinite(values) & np.isfinite(se)
    v, s = values[good], se[good]
    n = len(v)
    if n < 3:
        return _NAN, _NAN
    total, noise = float(v.var(ddof=1)), float((s**2).mean())
    sd = float(np.sqrt(max(total - noise, 0.0)))
    # of a variance: 2 / n of its square, n smaller by the correlation; sd = sqrt(variance)
    of_variance = total * np.sqrt(2 * max(noise_px, 1.0) / n)
    return sd, float(of_variance / (2 * sd)) if sd**2 > of_variance else float(np.sqrt(of_variance))


def _design(use, radius):
    """Columns mean, y, x (in radii of the circle of equal area), inner sixth and outer half of the area."""
    y, x = np.nonzero(use)
    r = np.sqrt(use.sum() / np.pi)
    order = np.argsort(np.argsort(radius[use], kind="stable"), kind="stable") / use.sum()
    inner, outer = order < CORE, order >= SHELL
    columns = [np.ones(len(y)), (y - y.mean()) / r, (x - x.mean()) / r, inner - inner.mean(), outer - outer.mean()]
    return np.column_stack(columns)


def _correlation_area(rest: np.ndarray) -> float:
    """Sum of the autocorrelation of a map (NaN outside), ring by ring up to where it first falls below 0.05."""
    from scipy.fft import irfft2, next_fast_len, rfft2

    there = np.isfinite(rest)
    value = np.where(there, rest - rest[there].mean(), 0.0)
    shape = [next_fast_len(n + CORRELATION_REACH + 1) for n in rest.shape]
    product = irfft2(np.abs(rfft2(value, shape)) ** 2, shape)
    count = irfft2(np.abs(rfft2(there.astype(float), shape)) ** 2, shape)
    dy, dx = np.meshgrid(*(np.fft.fftfreq(n, 1 / n) for n in shape), indexing="ij")
    lag = np.hypot(dy, dx)
    total = 0.0
    for ring in range(CORRELATION_REACH + 1):
        here = (np.round(lag) == ring) & (count > 4)
        if not here.any() or product[0, 0] <= 0:
            break
        rho = (product[here] / count[here]) / (product[0, 0] / count[0, 0])
        if ring and rho.mean() < 0.05:
            break
        total += float(rho.sum())
    return max(total, 1.0)


def _verdict(shell, shell_se, side, side_se, chi2, span):
    """Name the pattern that stands out most; none where the errors could hide a strong one."""
    reach = span if np.isfinite(span) and span > 0 else 1.0
    # a gradient has two components: chi2 beyond 11.8 is as rare as three standard errors of one number
    z = {"core-shell": abs(shell) / shell_se, "one-sided": np.sqrt(max(chi2 - 2.0, 0.0))}
    clear = {
        "core-shell": abs(shell) > SIGNIFICANT * shell_se and abs(shell) > LEAST_EFFECT * reach,
        "one-sided": chi2 > 11.83 and side > 2 * LEAST_EFFECT * reach,
    }
    named = [k for k in clear if clear[k]]
    if named:
        return max(named, key=lambda k: z[k])
    return "not resolved" if max(shell_se, side_se / 2) > COARSE * reach else "uniform"


def radial_states(
    values: np.ndarray, se: np.ndarray, mask: np.ndarray, *, rings: int = RINGS, margin_px: float = 2.0,
    noise_px: float = 1.0,
) -> dict[str, np.ndarray]:  # fmt: skip
    """Profile of a state from the middle to the outline, in rings of equal area.

    Parameters
    ----------
    values, se, mask, margin_px, noise_px
        As for `state_pattern`.
    rings : int

    Returns
    -------
    dict of (rings,) arrays
        ``radius`` (mean normalised radius), ``depth_px``, ``state``, ``state_se`` (of the mean, from noise),
        ``state_sd`` (over the pixels, noise included) and ``n``. NaN in empty rings.
    """
    inside, radius = depth_within(mask)
    use = mask & (inside >= margin_px) & np.isfinite(values) & np.isfinite(se)
    out = {name: np.full(rings, np.nan) for name in ("radius", "depth_px", "state", "state_se", "state_sd")}
    out["n"] = np.zeros(rings, int)
    if not use.any():
        return out
    ring = np.clip((radius[use] ** 2 * rings).astype(int), 0, rings - 1)
    v, s, r, d = values[use], se[use], radius[use], inside[use]
    for k in range(rings):
        here = ring == k
        n = int(here.sum())
        out["n"][k] = n
        if n:
            out["radius"][k], out["depth_px"][k], out["state"][k] = r[here].mean(), d[here].mean(), v[here].mean()
            out["state_se"][k] = np.sqrt((s[here] ** 2).sum() * min(noise_px, n)) / n
            out["state_sd"][k] = v[here].std()
    return out


def lagging(means: Sequence[float], errors: Sequence[float], *, span: float, lower: bool = True):
    """Find particles that lag behind the others in the same scan.

    Parameters
    ----------
    means, errors : (n,) sequences
        Mean state of each particle and its standard error; NaN for unknown ones.
    span : float
        Range of the state between the references.
    lower : bool
        Whether an inactive particle has a lower state than the others, as on charge; on discharge a higher one.

    Returns
    -------
    (n,) array
        Robust z: distance from the median of the others over their spread (1.4826 times the median absolute deviation,
        errors added). NaN with fewer than three others.
    (n,) bool array
        z beyond 3.5 in that direction, and at least a tenth of `span` away.
    """
    mean, error = np.asarray(means, float), np.nan_to_num(np.asarray(errors, float))
    n = len(mean)
    z, verdict = np.full(n, np.nan), np.zeros(n, bool)
    reach = span if np.isfinite(span) and span > 0 else 1.0
    for i in range(n):
        others = np.delete(mean, i)
        others = others[np.isfinite(others)]
        if len(others) < LEAST_OTHERS or not np.isfinite(mean[i]):
            continue
        middle = np.median(others)
        # three or four particles make a poor spread: a floor keeps chance agreement from making outliers
        spread_ = max(1.4826 * float(np.median(np.abs(others - middle))), 0.02 * reach)
        distance = mean[i] - middle
        z[i] = distance / np.hypot(spread_, error[i])
        behind = -distance if lower else distance
        verdict[i] = behind > LEAST_LOWER * reach and abs(z[i]) > ROBUST_Z
    return z, verdict
