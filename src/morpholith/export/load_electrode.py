"""Load an electrode measured from its tomogram into PyBaMM.

python load_electrode.py electrode_pybamm.json [C-rate]
"""

import json
import sys

import numpy as np


def read(path):
    """Return the plain data of the file."""
    with open(path, encoding="utf-8") as file:
        return json.load(file)


def parameter_values(data, *, graded=False, distribution=False):
    """Return PyBaMM's parameter values: the base set with the measured values in their places.

    `graded` puts porosity and active material in as functions of depth; `distribution` adds the area-weighted
    particle-size distribution of the many-particle model.
    """
    import pybamm

    values = pybamm.ParameterValues(data["base"])
    new = dict(data["values"])
    for other, names in data["from"].items():
        there = pybamm.ParameterValues(other)
        new |= {name: there[name] for name in names}
    values.update(new, check_already_exists=False)
    if distribution:
        if data["counter"] == "graphite":  # the many-particle model wants one for the other side too
            values = pybamm.get_size_distribution_parameters(values)
        values.update(_distribution(data), check_already_exists=False)
    if graded:
        values.update(_graded(data, values))
    return values


def model(data, name="DFN", *, graded=False, **options):
    """Return a PyBaMM lithium-ion model ("DFN", "SPMe", "SPM", "MPM") with the options this electrode needs."""
    import pybamm

    options = {**data["options"], **options}
    if graded:
        # one tortuosity factor cannot hold at every depth
        options["transport efficiency"] = "Bruggeman"
    return getattr(pybamm.lithium_ion, name)(options)


def discharge(data, c_rate=1.0, *, name="DFN", graded=False, distribution=False):
    """Discharge at a constant rate and return PyBaMM's solution.

    It ends at the lower cut-off or, in the half-cell, where the measured open-circuit potential ends.
    """
    import pybamm

    values = parameter_values(data, graded=graded, distribution=distribution)
    values["Current function [A]"] = c_rate * values["Nominal cell capacity [A.h]"]
    simulation = pybamm.Simulation(model(data, name, graded=graded), parameter_values=values)
    return simulation.solve([0, 3600 / c_rate * (1.0 if data["counter"] == "lithium" else 1.1)])


def _graded(data, values):
    import pybamm

    profile = data["graded"]

    def along(name):
        def function(x, *_):
            start = values["Separator thickness [m]"] + values["Negative electrode thickness [m]"]
            depth = [start + v for v in profile["x_from_separator_m"]]
            # the outermost slabs reach to the faces
            depth[0], depth[-1] = start, start + values["Positive electrode thickness [m]"]
            return pybamm.Interpolant(np.array(depth), np.array(profile[name]), x, interpolator="linear")

        return function

    return {
        "Positive electrode porosity": along("porosity"),
        "Positive electrode active material volume fraction": along("active_fraction"),
        "Positive electrode Bruggeman coefficient (electrolyte)": profile["bruggeman"],
    }


def _distribution(data):
    import pybamm

    sizes = data["size_distribution"]
    radius, density = np.array(sizes["radius_m"]), np.array(sizes["area_density_per_m"])

    def function(r):
        return pybamm.Interpolant(radius, density, r, interpolator="linear")

    return {
        "Positive minimum particle radius [m]": radius[0],
        "Positive maximum particle radius [m]": radius[-1],
        "Positive particle radius [m]": sizes["mean_radius_m"],
        "Positive area-weighted particle-size distribution [m-1]": function,
    }


def main():
    """Run a discharge and say what came out."""
    data = read(sys.argv[1] if len(sys.argv) > 1 else "electrode_pybamm.json")
    c_rate = float(sys.argv[2]) if len(sys.argv) > 2 else 1.0
    solution = discharge(data, c_rate)
    capacity = solution["Discharge capacity [A.h]"].entries[-1] * 1000
    voltage = solution["Voltage [V]"].entries[-1]
    sys.stdout.write(f"{data['name']} at {c_rate:g}C: {capacity:.3f} mAh/cm2 down to {voltage:.3f} V\n")


if __name__ == "__main__":
    main()
