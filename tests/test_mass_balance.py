"""Image porosity against loading, thickness and composition: paper 002's electrodes, and what a user gets wrong."""

import numpy as np
import pytest

from morpholith.errors import InputError
from morpholith.image import Quantity
from morpholith.measure import COMPONENTS, composition, mass_balance

# Shojaei et al., J. Mater. Chem. A 14 (2026) 1063: "Cathode fabrication" and Table 2
DRY = dict(density_g_cm3=3.42, composition=composition("NMC811:94,carbon:2,PTFE:4"))
ICE = dict(density_g_cm3=0.64, composition=composition("NMC811:90, carbon black:5, SBR:3, CMC:2"))


@pytest.mark.parametrize("porosity", [0.46, 0.49, 0.51, Quantity(0.49, 0.46, 0.51)])
def test_the_dry_electrode_is_flagged(porosity):
    result = mass_balance(porosity=porosity, **DRY)
    assert result.verdict == "contradicts"
    assert result.binder_as_solid.value == pytest.approx(0.23, abs=0.005)
    assert result.binder_as_pore.value == pytest.approx(0.33, abs=0.005)
    assert "too much pore" in result.sentence
    assert "0.23" in result.sentence
    assert "0.33" in result.sentence


def test_the_ice_templated_electrode_passes():
    result = mass_balance(porosity=0.85, **ICE)
    assert result.verdict == "agrees"
    assert result.expected.low < 0.85 < result.expected.high
    assert result.warnings == ()


@pytest.mark.parametrize("carbon_binder", ["solid", "pore", "unknown"])
def test_the_dry_electrode_is_flagged_however_the_binder_is_read(carbon_binder):
    assert mass_balance(porosity=0.46, carbon_binder=carbon_binder, **DRY).verdict == "contradicts"


def test_what_the_binder_counts_as_decides():
    verdicts = {c: mass_balance(porosity=0.33, carbon_binder=c, **DRY).verdict for c in ("solid", "pore", "unknown")}
    assert verdicts == {"solid": "contradicts", "pore": "agrees", "unknown": "agrees"}


def test_too_little_pore_has_other_causes():
    result = mass_balance(porosity=Quantity(0.10, 0.08, 0.12), **DRY)
    assert result.verdict == "contradicts"
    assert "lacks pore" in result.sentence
    assert "resolution" in result.sentence


def test_a_known_mixture_by_hand():
    # 1 g/cm3 of active material and half of it of binder, each of round density: 0.25 + 0.25 of the volume
    result = mass_balance(
        porosity=0.5,
        density_g_cm3=Quantity(1.5, 1.5, 1.5),
        composition={"A": 2, "B": 1},
        densities={"A": (4.0, 4.0), "B": (2.0, 2.0)},
    )
    assert result.binder_as_solid.value == pytest.approx(0.5)
    assert result.binder_as_pore.value == pytest.approx(0.75)
    assert result.binder_as_solid.low == pytest.approx(0.5)
    assert result.active_fraction == pytest.approx(0.25)
    assert dict(result.volume_fractions) == pytest.approx({"A": 0.25, "B": 0.25})
    assert result.active_fraction + result.binder_fraction + result.binder_as_solid.value == pytest.approx(1)
    assert result.solid_density_g_cm3.value == pytest.approx(3.0)


def test_bounds_widen_with_what_is_uncertain():
    tight = mass_balance(porosity=0.3, **{**DRY, "density_g_cm3": (3.42, 3.42)})
    loose = mass_balance(porosity=0.3, **{**DRY, "density_g_cm3": (3.2, 3.64)})
    assert loose.expected.low < tight.expected.low < tight.expected.high < loose.expected.high


def test_density_from_loading_and_thickness():
    parts = DRY["composition"]
    result = mass_balance(porosity=0.3, loading_mg_cm2=31.2, thickness_um=91, composition=parts)
    assert result.density_g_cm3.value == pytest.approx(3.43, abs=0.005)
    assert result.density_g_cm3.low < 3.42 < result.density_g_cm3.high
    assert result.binder_as_solid.value == pytest.approx(0.227, abs=0.005)


@pytest.mark.parametrize(
    ("loading", "thickness", "consistent"), [(31.2, 91, True), (31.2, 105, False), (36, 91, False)]
)
def test_loading_thickness_and_density_are_held_against_each_other(loading, thickness, consistent):
    result = mass_balance(porosity=0.3, loading_mg_cm2=loading, thickness_um=thickness, **DRY)
    assert result.density_g_cm3.value == 3.42
    assert any("one of the three is wrong" in w for w in result.warnings) is not consistent


def test_weights_are_parts():
    sums = [composition(t) for t in ("NMC811:94,carbon:2,PTFE:4", "NMC811=0.94, carbon=0.02, PTFE=0.04")]
    values = [mass_balance(porosity=0.3, density_g_cm3=3.42, composition=c) for c in sums]
    assert values[0].expected.value == pytest.approx(values[1].expected.value)
    assert values[0].warnings == values[1].warnings == ()
    odd = mass_balance(porosity=0.3, density_g_cm3=3.42, composition={"NMC811": 94, "carbon": 2})
    assert "sum to 96" in odd.warnings[0]


def test_names_are_forgiving():
    result = [
        mass_balance(porosity=0.3, density_g_cm3=3.0, composition={"nmc811": 9, name: 1}).expected.value
        for name in ("carbon", "Carbon black", "Super P C65", "CB")
    ]
    assert np.ptp(result) == 0
    own = mass_balance(porosity=0.3, density_g_cm3=3.0, composition={"NMC811": 9, "CB": 1}, densities={"carbon": 1.0})
    assert own.expected.low < min(result)


def test_a_density_above_the_solids_is_said():
    result = mass_balance(porosity=0.3, density_g_cm3=5.2, composition=DRY["composition"])
    assert "above that of the pore-free solids" in result.warnings[0]
    assert result.verdict == "contradicts"


def test_cannot_tell():
    assert mass_balance(porosity=np.nan, **DRY).verdict == "cannot tell"
    wide = mass_balance(porosity=Quantity(0.3, 0.1, 0.6), **DRY)
    assert wide.verdict == "cannot tell"
    assert "too wide" in wide.sentence


@pytest.mark.parametrize("name", COMPONENTS)
def test_every_component_has_a_range_around_its_density(name):
    c = COMPONENTS[name]
    assert 0.9 < c.low < c.density < c.high < 5.2
    assert c.active == (c.density > 2.2 and name != "PTFE")


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"density_g_cm3": None}, "needs the density"),
        ({"density_g_cm3": None, "loading_mg_cm2": 31.2}, "the thickness is missing"),
        ({"density_g_cm3": None, "thickness_um": 91}, "the loading is missing"),
        ({"density_g_cm3": -1.0}, "positive"),
        ({"composition": {"NMC811": 1, "unobtainium": 1}}, "no density is known for 'unobtainium'"),
        ({"composition": {"carbon": 1, "PTFE": 1}}, "no active material"),
        ({"composition": {}}, "empty"),
        ({"composition": {"NMC811": -1, "PTFE": 4}}, "0 or more"),
        ({"carbon_binder": "both"}, "must be one of"),
        ({"density_g_cm3": (3.5, 3.4)}, "low, high"),
    ],
)
def test_bad_input_says_what_to_do(change, said):
    with pytest.raises(InputError, match=said):
        mass_balance(**{"porosity": 0.3, **DRY, **change})


@pytest.mark.parametrize("text", ["", "NMC811", "NMC811:x", "NMC811:1,NMC811:2", ":3", "NMC811:-1", "NMC811:nan"])
def test_a_bad_composition_shows_a_good_one(text):
    with pytest.raises(InputError, match="composition"):
        composition(text)


def test_a_percent_sign_is_ignored():
    assert composition("NMC811: 94 %, PTFE: 6 %") == {"NMC811": 94.0, "PTFE": 6.0}
