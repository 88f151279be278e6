"""Measured electrodes as battery models: files that validate, models that run, and numbers that mean what they say."""

import json
import math
import subprocess
import sys
import warnings

import numpy as np
import pandas as pd
import pytest

from morpholith import export
from morpholith.errors import InputError
from morpholith.image import Quantity

FRACTIONS = {"porosity": Quantity(0.36, 0.34, 0.38), "active_fraction": Quantity(0.55, 0.53, 0.57)}


def electrode(**change):
    given = {
        "thickness_um": 75.6,
        **FRACTIONS,
        "surface_per_um": Quantity(0.32, 0.30, 0.34, unit="1/um"),
        "tau_pore": {"z": Quantity(1.9, 1.8, 2.05), "y": 1.5, "x": 1.4},
        "name": "NMC811, dry",
    }
    return export.ElectrodeModel(**{**given, **change})


def gradient(planes=61, thickness=75.6):
    depth = (np.arange(planes) + 0.5) * thickness / planes
    porosity = np.linspace(0.25, 0.47, planes)
    return export.resample_profile(depth, porosity, 0.91 - porosity, points=20)


@pytest.fixture(scope="module")
def pybamm():
    export.discharge.__globals__["_need_pybamm"]()
    return pytest.importorskip("pybamm")


@pytest.fixture(scope="module")
def parse_bpx():
    with warnings.catch_warnings():  # bpx meets a deprecation of its own on import
        warnings.simplefilter("ignore")
        return pytest.importorskip("bpx").parse_bpx_obj


# --- the electrode -------------------------------------------------------------------------------


def test_fractions_sum_to_one():
    model = electrode()
    assert model.binder_fraction.value == pytest.approx(0.09)
    assert electrode(binder_fraction=0.0901).binder_fraction.value == 0.0901
    with pytest.raises(InputError, match=r"sum to one, got porosity 0.36 \+ active 0.55 \+ binder 0.2 = 1.11"):
        electrode(binder_fraction=0.2)
    with pytest.raises(InputError, match="sum to one"):
        electrode(active_fraction=0.7)


def test_a_sphere_packing_has_its_radius():
    # 3 eps_s / a of spheres is sum r^3 / sum r^2, the mean of their area-weighted distribution
    r = np.random.default_rng(1).lognormal(np.log(4), 0.3, 5000)
    box = 4 / 3 * np.pi * (r**3).sum() / 0.55
    model = electrode(surface_per_um=4 * np.pi * (r**2).sum() / box, sizes=export.area_weighted(r))
    sauter = (r**3).sum() / (r**2).sum()
    assert model.radius_um.value == pytest.approx(sauter, rel=1e-12)
    sizes = model.sizes
    assert np.trapezoid(sizes.area_density_per_um, sizes.radius_um) == pytest.approx(1)
    mean = np.trapezoid(sizes.area_density_per_um * sizes.radius_um, sizes.radius_um)
    assert mean == pytest.approx(sauter, rel=0.02)
    assert mean > r.mean() * 1.1  # not the number-weighted one


def test_intervals_travel():
    model = electrode()
    assert model.transport_efficiency.value == pytest.approx(0.36 / 1.9)
    assert model.transport_efficiency.low < 0.36 / 1.9 < model.transport_efficiency.high
    assert model.radius_um.low == pytest.approx(5.15625 * (1 - np.hypot(0.02 / 0.55, 0.02 / 0.32)))
    assert model.radius_um.unit == "um"
    assert 0.36**model.bruggeman == pytest.approx(0.36 / 1.9)
    assert electrode(tau_pore=2.0, porosity=0.36).transport_efficiency.low is None


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"tau_pore": {"z": math.inf}}, "do not percolate"),
        ({"tau_pore": {"z": math.nan}}, "1 or more"),
        ({"tau_pore": {"z": 0.9}}, "1 or more"),
        ({"tau_pore": {"y": 1.5}}, "through the thickness"),
        ({"tau_pore": {"w": 1.5, "z": 2}}, "axes z, y and x"),
        ({"thickness_um": 0}, "thickness_um` must be a positive"),
        ({"surface_per_um": math.nan}, "surface_per_um` must be a positive"),
        ({"collector": "top"}, "must be one of"),
        ({"sizes": pd.DataFrame({"r": [1.0]})}, "area_weighted"),
        ({"sizes": pd.DataFrame({"radius_um": [2.0, 1.0], "area_density_per_um": [1.0, 1.0]})}, "ascending"),
        ({"profiles": pd.DataFrame({"depth_um": [1.0]})}, "profiles` needs"),
        ({"profiles": gradient().assign(porosity=0.9)}, "sum to one at most"),
    ],
)
def test_an_impossible_electrode_is_refused(change, said):
    with pytest.raises(InputError, match=said):
        electrode(**change)


def test_no_particles_give_no_distribution():
    empty = export.area_weighted(np.zeros(0))
    assert list(empty) == ["radius_um", "area_density_per_um"]
    assert len(empty) == 0
    assert electrode(sizes=empty).sizes is None
    with pytest.raises(InputError, match="positive lengths"):
        export.area_weighted([1.0, -1.0])


def test_a_profile_is_thinned_without_moving_its_mean():
    planes = np.arange(90)
    thin = export.resample_profile(planes * 0.5 + 0.25, 0.3 + planes / 500, 0.5 - planes / 500, points=30)
    assert len(thin) == 30
    assert thin.porosity.mean() == pytest.approx((0.3 + planes / 500).mean())
    assert thin.depth_um.iloc[0] == pytest.approx(0.75)
    with pytest.raises(InputError, match="same planes"):
        export.resample_profile(planes, planes, planes[1:])


# --- BPX -----------------------------------------------------------------------------------------


def test_bpx_is_valid_and_says_what_was_measured(parse_bpx, tmp_path):
    model = electrode(warnings=("tau is not resolved",))
    path = export.write_bpx(tmp_path / "cell" / "bpx.json", model)
    data = json.loads(path.read_text())
    parsed = parse_bpx(json.loads(path.read_text()))
    positive = parsed.parameterisation.positive_electrode
    assert positive.porosity == 0.36
    assert positive.transport_efficiency == pytest.approx(0.36 / 1.9)
    assert positive.thickness == pytest.approx(75.6e-6)
    assert positive.particle_radius == pytest.approx(3 * 0.55 / 0.32 * 1e-6)
    active = positive.particle_radius * positive.surface_area_per_unit_volume / 3
    assert active == pytest.approx(0.55)
    assert active + positive.porosity + model.binder_fraction.value == pytest.approx(1)
    assert "Measured from the image" in data["Header"]["Description"]
    assert "tau is not resolved" in data["Header"]["Description"]
    assert "Chen" in data["Header"]["References"]
    user = data["Parameterisation"]["User-defined"]
    assert (user["Measured tau_pore_z low"], user["Measured tau_pore_z high"]) == (1.8, 2.05)
    assert not list(tmp_path.rglob("*.part"))


def test_the_negative_electrode_keeps_the_balance():
    def ratio(model):
        cell = export.bpx(model)["Parameterisation"]
        volume = [
            cell[side]["Thickness [m]"]
            * cell[side]["Particle radius [m]"]
            * cell[side]["Surface area per unit volume [m-1]"]
            * cell[side]["Maximum concentration [mol.m-3]"]
            for side in ("Negative electrode", "Positive electrode")
        ]
        return volume[0] / volume[1]

    lg_m50 = (85.2 * 0.75 * 33133) / (75.6 * 0.665 * 63104)
    assert ratio(electrode()) == pytest.approx(lg_m50)
    assert ratio(electrode(thickness_um=1100, porosity=0.85, active_fraction=0.12)) == pytest.approx(lg_m50)


def test_bpx_runs_in_pybamm_and_agrees_with_the_other_file(pybamm, parse_bpx):
    parse_bpx(export.bpx(electrode()))
    with warnings.catch_warnings():  # PyBaMM meets a deprecation of pydantic
        warnings.simplefilter("ignore")
        values = pybamm.ParameterValues.create_from_bpx_obj(export.bpx(electrode()))
    assert values["Positive electrode active material volume fraction"] == pytest.approx(0.55)
    assert 0.36 ** values["Positive electrode Bruggeman coefficient (electrolyte)"] == pytest.approx(0.36 / 1.9)
    solution = pybamm.Simulation(pybamm.lithium_ion.DFN(), parameter_values=values).solve([0, 4000])
    own = export.discharge(electrode(), counter="graphite")
    capacity = solution["Discharge capacity [A.h]"].entries[-1] * 1000
    assert capacity == pytest.approx(own.capacity_mah_cm2.value, rel=5e-3)
    middle = np.interp(capacity / 2, own.curve.capacity_mah_cm2, own.curve.voltage_v)
    there = np.interp(capacity / 2000, solution["Discharge capacity [A.h]"].entries, solution["Voltage [V]"].entries)
    assert there == pytest.approx(middle, abs=2e-3)


# --- PyBaMM --------------------------------------------------------------------------------------


@pytest.mark.usefixtures("pybamm")
def test_the_file_is_plain_data_and_its_script_runs(tmp_path):
    path = export.write_pybamm(tmp_path, electrode(), counter="graphite")
    data = json.loads(path.read_text())
    values = data["values"]
    total = values["Positive electrode porosity"] + values["Positive electrode active material volume fraction"]
    assert total + data["measured"]["binder_fraction"]["value"] == pytest.approx(1)
    assert data["options"]["transport efficiency"] == "tortuosity factor"
    assert data["measured"]["tau_pore_z"] == electrode().tau_pore["z"].to_json() | {"warning": None}
    done = subprocess.run(
        [sys.executable, "load_electrode.py", path.name, "2"], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    own = export.discharge(electrode(), counter="graphite", c_rate=2).capacity_mah_cm2.value
    assert f"at 2C: {own:.3f} mAh/cm2" in done.stdout


@pytest.mark.usefixtures("pybamm")
def test_tau_enters_the_same_way_by_factor_and_by_exponent():
    from morpholith.export import load_electrode

    data = export.pybamm_parameters(electrode())
    solutions = [load_electrode.discharge(data, 2)]
    data["options"]["transport efficiency"] = "Bruggeman"
    solutions.append(load_electrode.discharge(data, 2))
    for s in solutions:
        b = s["X-averaged positive electrolyte transport efficiency"].entries[0]
        assert b == pytest.approx(0.36 / 1.9)
    one, two = (s["Voltage [V]"](1000) for s in solutions)
    assert one == pytest.approx(two, abs=1e-5)


def test_conductivity_is_measured_only_with_that_of_the_solid():
    effective = export.pybamm_parameters(electrode())["values"]
    assert effective["Positive electrode conductivity [S.m-1]"] == 0.18
    assert effective["Positive electrode tortuosity factor (electrode)"] == pytest.approx(1 - 0.36)  # factor of one
    model = electrode(tau_solid={"z": 2.5})
    assert export.pybamm_parameters(model)["values"]["Positive electrode conductivity [S.m-1]"] == 0.18
    own = export.pybamm_parameters(model, solid_conductivity_s_m=3.0)["values"]
    assert own["Positive electrode conductivity [S.m-1]"] == 3.0
    assert own["Positive electrode tortuosity factor (electrode)"] == 2.5
    assert (1 - 0.36) ** own["Positive electrode Bruggeman coefficient (electrode)"] == pytest.approx(0.64 / 2.5)


@pytest.mark.parametrize(("collector", "at_separator"), [("last", 0.25), ("first", 0.47)])
@pytest.mark.usefixtures("pybamm")
def test_profiles_reach_the_model_the_right_way_round(collector, at_separator):
    from morpholith.export import load_electrode

    model = electrode(profiles=gradient(), collector=collector)
    assert model.warnings == ()
    data = export.pybamm_parameters(model)
    slabs = np.array(data["graded"]["porosity"])
    assert slabs.mean() == pytest.approx(0.36)
    assert 1 / np.mean(slabs ** -data["graded"]["bruggeman"]) == pytest.approx(0.36 / 1.9)
    solution = load_electrode.discharge(data, 1, graded=True)
    seen = solution["Positive electrode porosity"].entries[:, 0]
    assert seen[0] == pytest.approx(at_separator, abs=0.01)
    assert seen[-1] == pytest.approx(0.72 - at_separator, abs=0.01)
    active = solution["X-averaged positive electrode active material volume fraction"].entries[0]
    assert active == pytest.approx(0.55, rel=3e-3)


def test_an_unknown_collector_side_is_said():
    assert "collector" in electrode(profiles=gradient()).warnings[0]


@pytest.mark.usefixtures("pybamm")
def test_a_size_distribution_runs_the_many_particle_model():
    from morpholith.export import load_electrode

    r = np.random.default_rng(2).lognormal(np.log(4), 0.3, 300)
    data = export.pybamm_parameters(electrode(sizes=export.area_weighted(r)), counter="graphite")
    solution = load_electrode.discharge(data, 1, name="MPM", distribution=True)
    assert 3.5 < solution["Discharge capacity [A.h]"].entries[-1] * 1000 < 4.15
    mean = solution["Positive area-weighted mean particle radius [m]"].entries.ravel()[0]
    assert mean == pytest.approx((r**3).sum() / (r**2).sum() * 1e-6, rel=0.03)


# --- discharge -----------------------------------------------------------------------------------


@pytest.mark.usefixtures("pybamm")
def test_capacity_is_that_of_the_active_material():
    # eps_s L c_max F dx: 0.55 * 75.6e-6 * 63104 * 96485 * (0.9084 - 0.2638) C/m2
    got = export.discharge(electrode(), c_rate=0.2)
    by_hand = 0.55 * 75.6e-6 * 63104 * 96485 * (0.9084 - 0.2638452) / 3600 * 0.1
    assert got.nominal_mah_cm2 == pytest.approx(by_hand, rel=1e-4)
    assert got.capacity_mah_cm2.value == pytest.approx(by_hand, rel=0.01)
    assert got.capacity_mah_cm2.low is None
    assert len(got.samples) == len(got.band) == 0
    assert 3.0 <= got.curve.voltage_v.iloc[-1] < got.curve.voltage_v.iloc[0] < 4.3
    assert (np.diff(got.curve.voltage_v) < 1e-6).all()
    assert got.energy_mwh_cm2.value / got.capacity_mah_cm2.value == pytest.approx(3.8, abs=0.15)


@pytest.mark.usefixtures("pybamm")
def test_a_longer_way_costs_capacity_at_high_rate():
    capacity = [
        export.discharge(electrode(tau_pore=tau, thickness_um=120), c_rate=2).capacity_mah_cm2.value
        for tau in (1.5, 3, 6)
    ]
    assert capacity[0] > 1.02 * capacity[1] > 1.1 * capacity[2]


@pytest.mark.usefixtures("pybamm")
def test_intervals_spread_the_curve():
    got = export.discharge(electrode(), c_rate=2, samples=6, name="SPMe", rng=5)
    assert len(got.samples) == 6
    assert got.capacity_mah_cm2.low < got.capacity_mah_cm2.value < got.capacity_mah_cm2.high
    assert (got.samples.porosity + got.samples.active_fraction <= 1).all()
    assert np.corrcoef(got.samples.porosity, got.samples.tau_z)[0, 1] < -0.9
    within = got.band.dropna()
    assert (within.high_v >= within.low_v).all()
    assert within.high_v.sub(within.low_v).max() > 0.005
    again = export.discharge(electrode(), c_rate=2, samples=6, name="SPMe", rng=5)
    pd.testing.assert_frame_equal(got.samples, again.samples)


@pytest.mark.usefixtures("pybamm")
def test_without_intervals_nothing_spreads():
    model = electrode(porosity=0.36, active_fraction=0.55, surface_per_um=0.32, tau_pore=1.9)
    got = export.discharge(model, samples=2, name="SPM")
    assert got.capacity_mah_cm2.low == pytest.approx(got.capacity_mah_cm2.high)
    assert "no measured value has an interval" in got.warnings[-1].lower()


def test_a_missing_pybamm_says_how_to_get_it(monkeypatch):
    monkeypatch.setitem(sys.modules, "pybamm", None)
    with pytest.raises(InputError, match=r"pip install 'morpholith\[battery\]'"):
        export.discharge(electrode())


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"c_rate": 0}, "positive"),
        ({"samples": -1}, "0 or more"),
        ({"counter": "sodium"}, "must be one of"),
        ({"name": "MSMR"}, "must be one of"),
        ({"graded": True}, "profiles"),
    ],
)
def test_bad_requests(change, said):
    with pytest.raises(InputError, match=said):
        export.discharge(electrode(), **change)


def test_writing_needs_no_battery_software():
    code = "import sys; from morpholith import export; assert not {'pybamm', 'bpx', 'pandas'} & set(sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_a_draw_never_overfills_a_layer_that_was_nearly_full():
    layers = pd.DataFrame({"depth_um": [10.0, 30.0], "porosity": [0.2, 0.6], "active_fraction": [0.8, 0.4]})
    model = export.ElectrodeModel(
        thickness_um=40.0, porosity=0.4, active_fraction=0.6, surface_per_um=0.3, tau_pore=2.0, profiles=layers
    )
    moved = model.moved(porosity=0.42, active_fraction=0.58, tau_z=2.0, thickness_um=40.0, surface_per_um=0.3)
    up = model.moved(porosity=0.38, active_fraction=0.62, tau_z=2.0, thickness_um=40.0, surface_per_um=0.3)
    for other in (moved, up):
        total = other.profiles["porosity"] + other.profiles["active_fraction"]
        assert (total <= 1 + 1e-12).all()
    assert moved.profiles["porosity"].iloc[1] == pytest.approx(0.63)
