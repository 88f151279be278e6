"""The virtual EBSD instrument: its losses and errors are those asked for, and its files are read back."""

import numpy as np
import pytest

from morpholith import read, segment, specimens
from morpholith.errors import InputError
from morpholith.specimens import EbsdScope, orientation_map


@pytest.fixture(scope="module")
def particle():
    return specimens.polycrystal(specimens.Interior.of("plates", diameter_um=4.0, size_um=0.6), rng=3)


@pytest.fixture(scope="module")
def cut(particle):
    return particle.section(0.2, 0.04, 15.0, normal=(1, 0.4, -0.3))


def beside(labels):
    padded = np.pad(labels, 1, mode="edge")
    return sum(padded[1 + a : 1 + a + labels.shape[0], 1 + b : 1 + b + labels.shape[1]] != labels
               for a, b in ((-1, 0), (1, 0), (0, -1), (0, 1))) > 0  # fmt: skip


def test_shares_of_lost_wild_and_mixed_points(cut):
    scope = EbsdScope(noise_deg=0.0, boundary_loss=0.4, loss=0.05, mixed=0.2, wild=0.03, wild_outside=0.25)
    seen = orientation_map(cut, scope, rng=1)
    edge = beside(cut.labels) & cut.inside
    bulk = cut.inside & ~edge

    def near(mask, share):
        return pytest.approx(share, abs=4 * np.sqrt(share * (1 - share) / mask.sum()) + 1e-9)

    assert (~seen.valid)[edge].mean() == near(edge, 0.4)
    assert (~seen.valid)[bulk].mean() == near(bulk, 0.05)
    assert seen.valid[~cut.inside].mean() == near(~cut.inside, 0.25)
    q, true = segment.quaternions(seen.euler_rad), segment.quaternions(cut.euler_rad)
    off = segment.disorientation(q, true, laue="-3m") > 1
    assert off[bulk & seen.valid].mean() == near(bulk & seen.valid, 0.03 / 0.95)
    # of the points beside nothing but the surroundings none can be mixed
    assert off[edge & seen.valid].mean() == pytest.approx((0.2 + 0.03) / 0.6, abs=0.06)
    assert (seen.confidence[~seen.valid] == -1).all()
    wild = ~cut.inside & seen.valid
    assert seen.confidence[wild].max() < 0.1 < seen.confidence[cut.inside & seen.valid & ~off].min()
    np.testing.assert_array_equal(seen.labels, cut.labels)
    assert np.isnan(seen.euler_rad[~seen.valid]).all()


def test_noise_turns_crystals_by_three_normal_angles(cut):
    seen = orientation_map(cut, EbsdScope.of("exact", noise_deg=1.5), rng=2)
    q, true = segment.quaternions(seen.euler_rad), segment.quaternions(cut.euler_rad)
    angle = segment.disorientation(q, true, laue="-3m")[cut.inside]
    assert np.sqrt(np.mean(angle**2)) == pytest.approx(1.5 * np.sqrt(3), rel=0.03)
    exact = orientation_map(cut, EbsdScope.of("exact"), rng=2)
    np.testing.assert_array_equal(exact.valid, cut.inside)
    unit = segment.disorientation(segment.quaternions(exact.euler_rad), true, laue="-3m")[cut.inside]
    assert unit.max() < 1e-5


@pytest.mark.parametrize("grid", ["square", "hexagonal"])
@pytest.mark.parametrize("second", [0.0, 0.4])
def test_ang_files_are_read_back_as_they_were(particle, tmp_path, grid, second):
    section = particle.section(0.3, 0.05, grid=grid)
    seen = orientation_map(section, EbsdScope.of("typical", second_phase=second), rng=3)
    specimens.write_ang(tmp_path / "map.ang", seen)
    back = read.orientations(tmp_path / "map.ang")
    assert back.warnings == ()
    assert (back.grid, back.shape) == (grid, seen.shape)
    assert back.spacing == pytest.approx(seen.spacing, rel=1e-4)
    np.testing.assert_array_equal(back.phase, seen.phase)
    np.testing.assert_allclose(back.euler_rad, seen.euler_rad, atol=6e-6)
    there = seen.valid
    np.testing.assert_allclose(back.confidence[there], seen.confidence[there], atol=6e-4)
    assert [one.laue for one in back.phases] == ["-3m", "m-3m"][: 1 + (second > 0)]
    if second:
        labels = np.unique(section.labels)[1:]
        kinds = [np.median(seen.phase[(section.labels == n) & (seen.confidence > 0.1)]) for n in labels]
        assert 0.2 < np.mean(np.array(kinds) == 2) < 0.6


def test_ctf_files_hold_the_same_crystals(cut, tmp_path):
    seen = orientation_map(cut, EbsdScope.of("clean", second_phase=0.3), rng=4)
    specimens.write_ang(tmp_path / "map.ang", seen)
    specimens.write_ctf(tmp_path / "map.ctf", seen)
    ang, ctf = (read.orientations(tmp_path / f"map.{end}") for end in ("ang", "ctf"))
    assert ctf.warnings == ()
    assert ctf.shape == cut.shape
    np.testing.assert_array_equal(ctf.phase, ang.phase)
    one, two = segment.neighbour_angles(ang), segment.neighbour_angles(ctf)
    np.testing.assert_allclose(one, two, atol=5e-3)
    assert np.nanmax(one) > 30


@pytest.mark.parametrize("grid", ["square", "hexagonal"])
def test_files_of_an_exact_map_give_the_true_number_of_grains(particle, tmp_path, grid):
    section = particle.section(-0.4, 0.04, 33.0, normal=(0.2, 1, 0.5), grid=grid)
    specimens.write_ang(tmp_path / "map.ang", orientation_map(section, EbsdScope.of("exact"), rng=5))
    found = segment.grains(read.orientations(tmp_path / "map.ang"), threshold_deg=5)
    np.testing.assert_array_equal(found.labels, section.regions)
    assert section.n_regions > 40


def test_a_typical_map_gives_nearly_the_true_number_of_resolved_grains(cut):
    seen = orientation_map(cut, EbsdScope.of("typical"), rng=6)
    found = segment.grains(seen, threshold_deg=5, min_confidence=0.1, min_pixels=6, fill_pixels=12)
    resolved = (np.bincount(cut.regions.ravel())[1:] >= 6).sum()
    assert len(found.table) == pytest.approx(resolved, rel=0.12)


def test_confidence_that_was_lost(cut, tmp_path):
    seen = orientation_map(cut, EbsdScope.of("typical", confidence=0.0), rng=7)
    assert not seen.confidence.any()
    specimens.write_ang(tmp_path / "zero.ang", orientation_map(cut, EbsdScope(), rng=7), confidence=False)
    assert not read.orientations(tmp_path / "zero.ang").confidence.any()
    specimens.write_ctf(tmp_path / "zero.ctf", seen)
    assert read.orientations(tmp_path / "zero.ctf").valid.sum() == seen.valid.sum()


def test_impossible_instruments_say_why(particle, tmp_path):
    for wrong in ({"noise_deg": -1.0}, {"loss": 1.5}, {"boundary_loss": 0.8, "mixed": 0.4}):
        with pytest.raises(InputError):
            EbsdScope(**wrong)
    with pytest.raises(InputError, match="hexagonal"):
        specimens.write_ctf(tmp_path / "map.ctf", particle.section(0.0, 0.2, grid="hexagonal"))
