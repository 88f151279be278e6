"""A Gaussian process of one descriptor over the conditions, noise known."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

LEVEL, SLOPE, WORD = 10.0, 1.0, 1.0  # prior variances of the mean, of a slope over the range, of a word's offset
UNKNOWN = 1e-2  # noise expected where no error is known, of the variance
FLAT = 1e-12
BOUND = 9.0
AROUND = 0.15  # of a range: over which the noise of calls is averaged


@dataclass(frozen=True)
class Inputs:
    """Conditions as a process sees them: `x` (n, p) scaled 0..1, `words` (n, q) numbers of words, `real` (n,) bool."""

    x: np.ndarray
    words: np.ndarray
    real: np.ndarray

    def __len__(self) -> int:
        return len(self.x)

    def take(self, rows) -> Inputs:
        """Return some of the rows."""
        return Inputs(self.x[rows], self.words[rows], self.real[rows])


def joined(a: Inputs, b: Inputs) -> Inputs:
    """Return the rows of both."""
    return Inputs(np.r_[a.x, b.x], np.r_[a.words, b.words], np.r_[a.real, b.real])


@dataclass(frozen=True)
class Process:
    r"""A fitted process.

    With $r^2=\sum_j (x_j-x_j')^2/\ell_j^2$ the covariance of the standardised descriptor is
    $s^2 M_{5/2}(r)\prod_c e^{-\theta_c[c\neq c']}$ plus a level, a slope in every condition and an offset of every word
    with wide priors, plus, for two powders that were made, a smooth departure of what is made from what is simulated.

    Attributes
    ----------
    data : Inputs
    log : bool
        Whether the logarithm of the descriptor is modelled.
    centre, scale : float
        By which it was standardised.
    theta : array
        Logarithms of: the lengths, the words' theta, s^2, the noise beyond what is known, the departure's variance.
    factor : (n, n) array
        Lower Cholesky factor of the covariance of the data.
    alpha : (n,) array
    variance : (n,) array
        Noise of the data.
    widen : float
        By which standard deviations are multiplied: 1, or more where leaving one out shows that they are too small.
    evidence : float
        Logarithm of the posterior of `theta`, in the descriptor's own unit.
    shared : (n,) array or None
        Variance, at the data, of what all calls have in common: the noise of one, where all have the same seed.
    """

    data: Inputs
    log: bool
    centre: float
    scale: float
    theta: np.ndarray
    factor: np.ndarray
    alpha: np.ndarray
    variance: np.ndarray
    widen: float
    evidence: float
    shared: np.ndarray | None = None

    def at(self, inputs: Inputs) -> tuple[np.ndarray, np.ndarray]:
        """Return mean and standard deviation of the (transformed) descriptor, (n,) each."""
        from scipy.linalg import solve_triangular

        cross = covariance(self.theta, self.data, inputs)
        half = solve_triangular(self.factor, cross, lower=True, check_finite=False)
        own = own_variance(self.theta, inputs) - np.einsum("ij,ij->j", half, half)
        variance = (self.widen * self.scale) ** 2 * np.maximum(own, FLAT) + self._shared(inputs) ** 2
        return self._back(cross.T @ self.alpha), np.sqrt(variance)

    def joint(self, inputs: Inputs) -> tuple[np.ndarray, np.ndarray]:
        """Return mean (n,) and covariance (n, n) of the (transformed) descriptor."""
        from scipy.linalg import solve_triangular

        cross = covariance(self.theta, self.data, inputs)
        half = solve_triangular(self.factor, cross, lower=True, check_finite=False)
        own = covariance(self.theta, inputs, inputs) - half.T @ half
        shared = self._shared(inputs)
        return self._back(cross.T @ self.alpha), (self.widen * self.scale) ** 2 * own + np.outer(shared, shared)

    def _shared(self, inputs):
        """Return the standard deviation of what calls have in common, averaged over the calls around."""
        if self.shared is None:
            return np.zeros(len(inputs))
        n, p = len(self.shared), max(inputs.x.shape[1], 1)
        near = np.exp(-_square(inputs.x, self.data.x[:n]) / (2 * AROUND**2 * p)) + 1e-12
        return np.sqrt(near @ self.shared / near.sum(axis=1))

    def _back(self, standard):
        return self.centre + self.scale * standard

    def value(self, transformed: np.ndarray) -> np.ndarray:
        """Return the descriptor of what `at` and `joint` speak of."""
        return np.exp(np.minimum(transformed, 700.0)) if self.log else transformed

    def pending(self, inputs: Inputs) -> Process:
        """Return the process as it would be had calls there given what is expected: less uncertain, not moved."""
        from scipy.linalg import cholesky, solve_triangular

        if not len(inputs):
            return self
        cross = covariance(self.theta, self.data, inputs)
        noise = np.full(len(inputs), np.median(self.variance))
        lower = solve_triangular(self.factor, cross, lower=True, check_finite=False)
        corner = covariance(self.theta, inputs, inputs) + np.diag(noise) - lower.T @ lower
        n = len(self.data)
        factor = np.zeros((n + len(inputs),) * 2)
        factor[:n, :n], factor[n:, :n] = self.factor, lower.T
        factor[n:, n:] = cholesky(corner + 1e-9 * np.eye(len(inputs)), lower=True)
        alpha = np.r_[self.alpha, np.zeros(len(inputs))]
        variance = np.r_[self.variance, noise]
        return Process(
            joined(self.data, inputs), self.log, self.centre, self.scale, self.theta, factor, alpha, variance,
            self.widen, self.evidence, self.shared,
        )  # fmt: skip


def fit_process(data: Inputs, mean: np.ndarray, variance: np.ndarray, *, start: Process | None = None) -> Process:
    """Fit a process to means with known variances (NaN: unknown), or to their logarithms if these fit better.

    The hyperparameters are those of highest posterior; lengths have a log-normal prior about half the diagonal.

    Parameters
    ----------
    data : Inputs
    mean, variance : (n,) arrays
        Finite means.
    start : Process, optional
        An earlier fit, from where the search goes on.
    """
    fits = [_fit(data, mean, variance, False, start)]
    if mean.min() > 0 and mean.max() > 1.5 * mean.min():
        fits.append(_fit(data, np.log(mean), variance / mean**2, True, start))
    return max(fits, key=lambda f: f.evidence)


def _fit(data, mean, variance, log, start):
    from scipy.optimize import minimize

    centre, scale = float(mean.mean()), float(mean.std()) or max(abs(float(mean.mean())), 1.0)
    y, noise = (mean - centre) / scale, variance / scale**2
    known = np.isfinite(noise)
    noise = np.where(known, noise, 0.0)
    apart = [(data.x[:, None, j] - data.x[None, :, j]) ** 2 for j in range(data.x.shape[1])]
    other = [data.words[:, None, c] != data.words[None, :, c] for c in range(data.words.shape[1])]
    prior = _prior(data.x.shape[1], data.words.shape[1], bool(known.mean() > 0.5))
    steady = _steady(data, data)

    def loss(theta):
        return _negative(theta, y, noise, data, apart, other, steady, prior)

    begin = prior[0] if start is None or len(start.theta) != len(prior[0]) else start.theta
    fixed = not data.real.any()  # nothing to learn about the departure
    limits = [(m - BOUND, m + BOUND) for m in prior[0]]
    if fixed:
        begin = np.r_[begin[:-1], prior[0][-1]]
        limits[-1] = (begin[-1], begin[-1])
    best = minimize(loss, begin, jac=True, method="L-BFGS-B", bounds=limits, options={"maxiter": 60})
    theta = best.x
    full = covariance(theta, data, data) + np.diag(noise + np.exp(theta[-2]) + 1e-9)
    factor = np.linalg.cholesky(full)
    inverse = _inverse(factor)
    alpha = inverse @ y
    left_out = alpha / np.sqrt(np.diag(inverse))
    # what was learnt from the calls fits them better than new ones
    learnt = min(len(theta) - 1, len(y) // 2)
    widen = float(np.clip(np.sqrt(np.sum(left_out**2) / (len(y) - learnt)), 1.0, 3.0))
    evidence = -best.fun - len(y) * np.log(scale) - (mean.sum() if log else 0.0)
    return Process(data, log, centre, scale, theta, factor, alpha, noise + np.exp(theta[-2]), widen, float(evidence))


def _prior(p, q, known):
    """Return means and standard deviations of the logarithms of the hyperparameters."""
    mean = [np.log(0.5 * np.sqrt(max(p, 1)))] * p + [0.0] * q + [0.0, np.log(1e-4 if known else UNKNOWN), np.log(0.05)]
    return np.array(mean), np.array([0.9] * p + [1.0] * q + [1.5, 2.0, 1.5])


def _parts(theta, a):
    """Return the lengths, the words' theta, and the numbers that follow."""
    p, q = a.x.shape[1], a.words.shape[1]
    return np.exp(theta[:p]), np.exp(theta[p : p + q]), np.exp(theta[p + q :])


def _matern(r2):
    r = np.sqrt(5.0 * r2)
    decay = np.exp(-r)
    return (1 + r + r * r / 3) * decay, 5 / 3 * (1 + r) * decay


def _steady(a, b):
    """Return the part of the covariance that has no hyperparameter."""
    total = LEVEL + SLOPE * (a.x - 0.5) @ (b.x - 0.5).T
    for c in range(a.words.shape[1]):
        total = total + WORD * (a.words[:, None, c] == b.words[None, :, c])
    return total


def covariance(theta: np.ndarray, a: Inputs, b: Inputs) -> np.ndarray:
    """Return the covariance (n, m) of the standardised descriptor between two sets of conditions."""
    lengths, offsets, (s2, _, depart) = _parts(theta, a)
    wave = _matern(_square(a.x / lengths, b.x / lengths))[0]
    for c, offset in enumerate(offsets):
        wave = wave * np.where(a.words[:, None, c] != b.words[None, :, c], np.exp(-offset), 1.0)
    total = s2 * wave + _steady(a, b)
    if a.real.any() and b.real.any():
        both = a.real[:, None] & b.real[None, :]
        total = total + depart * both * _matern(_square(a.x, b.x))[0]
    return total


def _square(a, b):
    return np.maximum((a**2).sum(1)[:, None] + (b**2).sum(1)[None] - 2 * a @ b.T, 0.0)


def own_variance(theta: np.ndarray, a: Inputs) -> np.ndarray:
    """Return the diagonal of `covariance` of a set with itself."""
    s2, _, depart = _parts(theta, a)[2]
    return s2 + LEVEL + SLOPE * ((a.x - 0.5) ** 2).sum(1) + WORD * a.words.shape[1] + depart * a.real


def _inverse(factor):
    from scipy.linalg import cho_solve

    return cho_solve((factor, True), np.eye(len(factor)), check_finite=False)


def _negative(theta, y, noise, data, apart, other, steady, prior):
    """Return minus the log posterior of `theta` and its gradient."""
    lengths, offsets, (s2, extra, depart) = _parts(theta, data)
    r2 = sum((d / ell**2 for d, ell in zip(apart, lengths, strict=True)), np.zeros((len(y), len(y))))
    wave, bend = _matern(r2)
    words = np.ones_like(wave)
    for differ, offset in zip(other, offsets, strict=True):
        words = words * np.where(differ, np.exp(-offset), 1.0)
    smooth = s2 * wave * words
    away = depart * _matern(_square(data.x, data.x))[0] * (data.real[:, None] & data.real)
    full = smooth + steady + away
    full[np.diag_indices_from(full)] += noise + extra + 1e-9
    try:
        factor = np.linalg.cholesky(full)
    except np.linalg.LinAlgError:
        return 1e10, np.zeros_like(theta)
    inverse = _inverse(factor)
    alpha = inverse @ y
    pull = np.outer(alpha, alpha) - inverse
    bent = s2 * bend * words * pull
    slopes = [0.5 * np.sum(bent * d) / ell**2 for d, ell in zip(apart, lengths, strict=True)]
    slopes += [-0.5 * offset * np.sum(pull * smooth * o) for o, offset in zip(other, offsets, strict=True)]
    slopes += [0.5 * np.sum(pull * smooth), 0.5 * extra * np.trace(pull), 0.5 * np.sum(pull * away)]
    off = (theta - prior[0]) / prior[1]
    value = 0.5 * y @ alpha + np.log(np.diag(factor)).sum() + 0.5 * off @ off
    return value, off / prior[1] - np.array(slopes)
