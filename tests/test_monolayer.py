"""Finding the particles of a monolayer in frames whose particles are known."""

import numpy as np
import pytest
from _lumps import Lump, drawn
from scipy import ndimage as ndi

from morpholith import specimens
from morpholith.errors import InputError
from morpholith.segment.monolayer import background, find_particles, separated
from morpholith.segment.pooled import frame_shifts

FIELD = (150, 210)  # not square: swapped axes cannot pass
PLACES = np.array([[42.0, 50.0], [60.0, 150.0], [108.0, 96.0]])
BODIES = (Lump(radius=19), Lump(radius=22, phase=(0, 2.0, 0.3, 1.0)), Lump(radius=17, phase=(0, 1.1, 3.0, 2.0)))


def _frames(shifts, rng, *, contrast=0.3, noise=0.02, level=0.2):
    """Frames (F, Y, X) of three bodies that move together, and their true labels."""
    contrast = np.broadcast_to(contrast, len(shifts))
    frames, labels = [], []
    for shift, c in zip(shifts, contrast, strict=True):
        parts = [drawn(b, FIELD, p + shift) for b, p in zip(BODIES, PLACES, strict=True)]
        frames.append(level + c * np.sum(parts, 0) + rng.normal(0, noise, FIELD))
        labels.append(np.sum([(k + 1) * (p > 0.5) for k, p in enumerate(parts)], 0))
    return np.array(frames, np.float32), np.array(labels)


def _overlap(found, truth):
    """Intersection over union of each true particle with the label that covers it best."""
    out = []
    for k in range(1, truth.max() + 1):
        inside = truth == k
        if inside.any():
            named = found[inside]
            best = np.bincount(named).argmax()
            union = inside | (found == best)
            out.append(0.0 if best == 0 else (inside & (found == best)).sum() / union.sum())
    return np.array(out)


def _count(labels):
    return np.array([len(np.unique(frame)) - 1 for frame in labels])


@pytest.fixture(scope="module")
def faint():
    """A scan whose particles a person can hardly see below the edge."""
    params = specimens.Scan.of(
        "faint", shape=(170, 230), n_particles=4, diameter_px=(36, 50), n_energies=30, flat_share=0.0, dropped=2
    )
    made = specimens.scan(params, rng=3)
    return made, made.optical_density()[0]


@pytest.mark.parametrize("method", ["pooled", "classical"])
def test_clear_particles_are_outlined(method):
    rng = np.random.default_rng(1)
    shifts = rng.uniform(-6, 6, (8, 2))
    frames, truth = _frames(shifts, rng)
    found = find_particles(frames, method=method)
    assert found.dtype == np.uint16
    assert found.shape == frames.shape
    np.testing.assert_array_equal(_count(found), 3)
    overlap = np.array([_overlap(a, b) for a, b in zip(found, truth, strict=True)])
    assert overlap.min() > 0.85
    for k, (place, body) in enumerate(zip(PLACES, BODIES, strict=True), start=1):
        for f, shift in enumerate(shifts):
            where = truth[f] == k
            own = np.bincount(found[f][where]).argmax()
            centre = np.array(ndi.center_of_mass(found[f] == own))
            assert centre == pytest.approx(place + shift + body.middle(), abs=1.2)


def test_pooled_keeps_the_numbers_and_the_outline_through_all_frames():
    rng = np.random.default_rng(2)
    frames, truth = _frames(rng.uniform(-6, 6, (8, 2)), rng)
    found = find_particles(frames)
    for k in (1, 2, 3):
        names = {int(np.bincount(a[b == k]).argmax()) for a, b in zip(found, truth, strict=True)}
        assert len(names) == 1
        area = [(a == next(iter(names))).sum() for a in found]
        assert np.ptp(area) == 0


def test_pooled_follows_frames_that_went_far():
    rng = np.random.default_rng(10)
    shifts = np.stack([np.linspace(-16, 16, 9), np.linspace(24, -24, 9)], 1)
    frames, truth = _frames(shifts, rng, contrast=np.linspace(0.1, 0.3, 9))
    found = find_particles(frames)
    np.testing.assert_array_equal(_count(found), 3)
    assert min(_overlap(a, b).min() for a, b in zip(found, truth, strict=True)) > 0.85


def test_faint_frames_profit_from_clear_ones(faint):
    made, frames = faint
    pooled, classical = find_particles(frames), find_particles(frames, method="classical")
    assert _count(pooled).sum() > 1.4 * _count(classical).sum()
    truth = [made.labels(0, e) for e in range(30)]
    right = np.array([[o > 0.5 for o in _overlap(a, b)] for a, b in zip(pooled, truth, strict=True)])
    assert right.mean() > 0.7
    assert right[12:].mean() > 0.9
    assert _count(pooled).max() <= 4  # and nothing is made up


def test_particles_are_searched_for_beyond_the_common_shift():
    """One particle strays by nine pixels from the others: it is outlined where it is."""
    rng = np.random.default_rng(3)
    shifts = rng.uniform(-4, 4, (10, 2))
    frames, _ = _frames(shifts, rng)
    stray = np.array([7.0, -6.0])
    away = 0.2 + 0.3 * np.sum([
        drawn(BODIES[0], FIELD, PLACES[0] + shifts[4] + stray), drawn(BODIES[1], FIELD, PLACES[1] + shifts[4]),
        drawn(BODIES[2], FIELD, PLACES[2] + shifts[4]),
    ], 0)  # fmt: skip
    frames[4] = away + rng.normal(0, 0.02, FIELD)
    found = find_particles(frames)
    true = drawn(BODIES[0], FIELD, PLACES[0] + shifts[4] + stray) > 0.5
    assert _overlap(found[4], true.astype(int))[0] > 0.85


def test_what_passes_through_the_field_is_found_where_it_is_seen():
    rng = np.random.default_rng(11)
    shifts = rng.uniform(-3, 3, (16, 2))
    frames, truth = _frames(shifts, rng)
    guest = Lump(radius=18, phase=(0, 2.5, 1.0, 0.0))
    seen = (6, 7, 8)
    for f in seen:
        picture = drawn(guest, FIELD, np.array([112.0, 170.0]) + shifts[f])
        frames[f] += (0.3 * picture).astype(np.float32)
        truth[f][picture > 0.5] = 4
    found = find_particles(frames)
    np.testing.assert_array_equal(_count(found), [4 if f in seen else 3 for f in range(16)])
    for f in range(16):
        overlap = _overlap(found[f], truth[f])
        assert overlap[:3].min() > 0.85
        assert (overlap[3:] > 0.65).all()


def test_frames_are_shifted_onto_each_other():
    rng = np.random.default_rng(4)
    shifts = np.cumsum(rng.normal(0, 4, (20, 2)), 0).clip(-20, 20)
    contrast = np.geomspace(0.05, 0.6, 20)
    frames, _ = _frames(shifts, rng, contrast=contrast)
    shift, strength = frame_shifts(frames)
    assert shift.shape == (20, 2)
    error = shift - shifts
    assert np.abs(error - np.median(error, axis=0)).max() < 1.0
    assert strength[10:].min() > strength[:4].max()
    gain = rng.uniform(0.5, 2, (20, 1, 1)).astype(np.float32)
    np.testing.assert_allclose(frame_shifts(gain * frames + 3)[0], shift, atol=0.3)


@pytest.mark.parametrize("method", ["pooled", "classical"])
def test_where_there_is_nothing_nothing_is_found(method):
    rng = np.random.default_rng(5)
    y, x = np.indices(FIELD)
    assert not find_particles(rng.normal(0, 0.05, (6, *FIELD)), method=method).any()
    assert not find_particles((rng.normal(0, 0.05, (6, *FIELD)) + 0.01 * y - 0.02 * x), method=method).any()
    assert not find_particles(np.full((4, *FIELD), 0.7), method=method).any()
    assert not find_particles(np.full((4, *FIELD), np.nan), method=method).any()
    specks = rng.normal(0, 0.02, (6, *FIELD))
    for at in ((30, 40), (90, 160), (120, 60)):
        specks += 0.4 * (np.hypot(y - at[0], x - at[1]) < 6)
    assert not find_particles(specks, method=method).any()  # smaller than particles


def test_lost_frames_and_missing_pixels():
    rng = np.random.default_rng(6)
    frames, truth = _frames(rng.uniform(-4, 4, (8, 2)), rng)
    frames[3] = np.nan
    frames[5] = 0.4
    frames[:, :20, 180:] = np.nan
    for method in ("pooled", "classical"):
        found = find_particles(frames, method=method)
        assert not found[[3, 5]].any()
        for f in (0, 1, 2, 4, 6, 7):
            assert _overlap(found[f], truth[f]).min() > 0.8
            assert not found[f, :15, 185:].any()


def test_the_unit_of_the_frames_does_not_matter():
    rng = np.random.default_rng(7)
    frames, _ = _frames(rng.uniform(-4, 4, (6, 2)), rng)
    for method in ("pooled", "classical"):
        plain = find_particles(frames, method=method)
        for gain, level in ((1e-3, 0.0), (100.0, -40.0)):
            other = find_particles(gain * frames + level, method=method)
            assert ((plain > 0) != (other > 0)).mean() < 0.002


def test_a_sloping_background_is_taken_off():
    rng = np.random.default_rng(8)
    frames, truth = _frames(np.zeros((4, 2)), rng)
    y, x = np.indices(FIELD)
    found = find_particles(frames + (0.0005 * y - 0.0008 * x).astype(np.float32))
    np.testing.assert_array_equal(_count(found), 3)
    assert min(_overlap(a, b).min() for a, b in zip(found, truth, strict=True)) > 0.8


def test_the_background_runs_under_the_particles():
    field = (480, 640)
    y, x = np.indices(field)
    slope = 0.3 + 0.0004 * y - 0.0006 * x
    tile = np.tile(drawn(BODIES[0], (120, 160), (60, 80)), (4, 4))
    frames = (slope + 0.4 * tile)[None].astype(np.float32)
    frames = np.concatenate([frames, np.full_like(frames, np.nan)])
    frames[0, 200:240, 300:340] = np.nan
    under = background(frames, 25.0)
    error = (under[0] - slope)[80:-80, 80:-80]
    assert np.abs(error).max() < 0.08
    assert error.std() < 0.25 * slope.std()
    assert (under[1] == 0).all()


def test_touching_particles_are_parted():
    y, x = np.indices((90, 130))
    one = np.hypot(y - 45, x - 38) < 22
    two = np.hypot(y - 50, x - 80) < 24
    parted = separated(one | two, 25)
    assert parted.dtype == np.uint16
    assert parted.max() == 2
    assert min(_overlap(parted, (one & ~two) + 2 * two)) > 0.92
    angle = np.arctan2(x - 62, y - 45)
    for stretch in (1.25, 1.6):
        radius = 30 + 2 * np.sin(11 * angle) + 1.5 * np.cos(7 * angle)
        whole = separated(np.hypot((y - 45) * 1.1, (x - 62) * 1.1 / stretch) < radius, 25)
        assert whole.max() == 1  # a long one with a rough rim is not two
    rough = Lump(radius=30, amount=(0.0, 0.08, 0.06, 0.05, 0.05), phase=(0, 1, 2, 0.5, 1))
    assert separated(drawn(rough, (90, 130), (45, 62)) > 0.5, 25).max() == 1  # nor is a lumpy one


def test_specks_holes_and_bridges_of_a_mask():
    y, x = np.indices((90, 130))
    body = np.hypot(y - 40, x - 50) < 20
    mask = body & ~(np.hypot(y - 40, x - 50) < 4)
    mask |= np.hypot(y - 75, x - 110) < 8  # too small
    mask[40, 65:125] = True  # a scratch
    out = separated(mask, 25)
    assert out.max() == 1
    assert _overlap(out, body.astype(int))[0] > 0.95
    assert not separated(np.zeros((40, 50), bool), 25).any()


def test_touching_particles_of_a_scan_are_two():
    params = specimens.Scan.of(
        "easy", shape=(170, 230), n_particles=4, diameter_px=(38, 50), n_energies=12, flat_share=0.0
    )
    made = specimens.scan(specimens.Scan(**{**params.__dict__, "touching": 1}), rng=5)
    frames = made.optical_density()[0]
    found = find_particles(frames)
    np.testing.assert_array_equal(_count(found), 4)
    overlap = np.array([_overlap(found[e], made.labels(0, e)) for e in range(12)])
    assert overlap.min() > 0.7


def test_what_is_no_series_is_said():
    with pytest.raises(InputError, match="series of frames"):
        find_particles(np.zeros((5, 6)))
    with pytest.raises(InputError, match="series of frames"):
        find_particles(np.zeros((0, 5, 6)))
    with pytest.raises(InputError, match="none of them"):
        find_particles(np.zeros((2, 50, 60)), method="best")


@pytest.mark.parametrize("shape", [(1, 150, 210), (3, 16, 20), (2, 1, 40), (2, 40, 1)])
def test_few_and_small_frames(shape):
    for method in ("pooled", "classical"):
        out = find_particles(np.random.default_rng(9).normal(0, 0.1, shape), method=method)
        assert out.shape == shape
        assert not out.any()


def test_the_networks_of_the_paper_outline_a_particle_that_the_field_cuts():
    """The Dual U-Net is shown squares with the particle in the middle, also where half of one lies outside."""
    made = specimens.scan(
        specimens.Scan.of("easy", shape=(200, 240), n_particles=3, diameter_px=(56.0, 60.0), debris=0), rng=4
    )
    frame, labels = made.optical_density(0, 120), made.labels(0, 120)
    rows = np.flatnonzero((labels == 1).any(1))
    cut = (rows[0] + rows[-1]) // 2 - 5  # five rows more than half of it are left
    found = find_particles(frame[None, cut:], method="cyclegan")[0]
    for number in np.unique(labels[cut:])[1:]:
        truth = labels[cut:] == number
        if truth.sum() < 500:
            continue
        overlap = max(((found == k) & truth).sum() / ((found == k) | truth).sum() for k in range(1, found.max() + 1))
        assert overlap > 0.85
