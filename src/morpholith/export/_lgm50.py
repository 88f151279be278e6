"""What is not measured: the LG M50 cell (NMC811 against graphite-SiOx) of Chen et al.

C.-H. Chen, F. Brosa Planella, K. O'Regan, D. Gastol, W. D. Widanage, E. Kendrick, J. Electrochem. Soc. 167 (2020)
080534, doi:10.1149/1945-7111/ab9050: geometry, open-circuit potentials, diffusivities, kinetics, concentrations.
A. Nyman, M. Behm, G. Lindbergh, Electrochim. Acta 53 (2008) 6356, doi:10.1016/j.electacta.2008.04.023: electrolyte.
The same numbers as the set "Chen2020" of PyBaMM.
"""

CITATION = (
    "Chen et al., J. Electrochem. Soc. 167 (2020) 080534; electrolyte: Nyman et al., Electrochim. Acta 53 (2008) 6356"
)
LITHIUM_CITATION = "Xu et al., J. Electrochem. Soc. 166 (2019) A3456 (lithium metal)"

FARADAY = 96485.33212  # C/mol
C_MAX = {"positive": 63104.0, "negative": 33133.0}  # mol/m3
INITIAL_ELECTROLYTE = 1000.0  # mol/m3
DIFFUSIVITY = {"positive": 4e-15, "negative": 3.3e-14}  # m2/s
CONDUCTIVITY = {"positive": 0.18, "negative": 215.0}  # S/m, effective
KINETIC = {"positive": 3.42e-6, "negative": 6.48e-7}  # j0 = m sqrt(ce cs (cmax - cs)), A/m2 (m3/mol)^1.5
KINETIC_ENERGY = {"positive": 17800.0, "negative": 35000.0}  # J/mol
TRANSFERENCE = 0.2594

POSITIVE_THICKNESS_UM, POSITIVE_ACTIVE = 75.6, 0.665
NEGATIVE_THICKNESS_UM, NEGATIVE_POROSITY, NEGATIVE_ACTIVE, NEGATIVE_RADIUS_UM = 85.2, 0.25, 0.75, 5.86
SEPARATOR_THICKNESS_UM, SEPARATOR_POROSITY, BRUGGEMAN = 12.0, 0.47, 1.5
TEMPERATURE = 298.15  # K

# Stoichiometries at 4.2 V and 2.5 V of the full cell, from its open-circuit potentials and its cyclable lithium
FULL, EMPTY = {"positive": 0.2638452, "negative": 0.9106180}, {"positive": 0.8539747, "negative": 0.0263458}
LAST_MEASURED = 0.9084  # largest lithium content of the positive electrode whose potential was measured
WINDOW_V = {"graphite": (2.5, 4.2), "lithium": (3.0, 4.3)}

# Functions of stoichiometry, and of concentration in mol/m3, as BPX writes them
OCP = {
    "positive": "-0.8090 * x + 4.4875 - 0.0428 * tanh(18.5138 * (x - 0.5542)) "
    "- 17.7326 * tanh(15.7890 * (x - 0.3117)) + 17.5842 * tanh(15.9308 * (x - 0.3120))",
    "negative": "1.9793 * exp(-39.3631 * x) + 0.2482 - 0.0909 * tanh(29.8538 * (x - 0.1234)) "
    "- 0.04478 * tanh(14.9159 * (x - 0.2769)) - 0.0205 * tanh(30.4444 * (x - 0.6103))",
}
ELECTROLYTE_DIFFUSIVITY = "8.794e-11 * (x / 1000) ** 2 - 3.972e-10 * (x / 1000) + 4.862e-10"
ELECTROLYTE_CONDUCTIVITY = "0.1297 * (x / 1000) ** 3 - 2.51 * (x / 1000) ** 1.5 + 3.329 * (x / 1000)"


def areal_capacity(model, *, counter: str) -> float:
    """Capacity of the positive electrode in mAh/cm2, eps_s L c_max F over the lithium it exchanges."""
    last = EMPTY["positive"] if counter == "graphite" else LAST_MEASURED
    mol_per_m2 = model.active_fraction.value * model.thickness_um.value * 1e-6 * C_MAX["positive"]
    return mol_per_m2 * (last - FULL["positive"]) * FARADAY / 3600 * 0.1  # A h/m2 to mA h/cm2


def negative_thickness_um(model) -> float:
    """Thickness of the graphite electrode that keeps the balance of the LG M50 against this positive electrode."""
    scale = model.active_fraction.value * model.thickness_um.value / (POSITIVE_ACTIVE * POSITIVE_THICKNESS_UM)
    return NEGATIVE_THICKNESS_UM * scale
