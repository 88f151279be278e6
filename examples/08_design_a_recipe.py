"""Recipes for a wanted powder from any simulator: design, make, measure, tell, design.

Run: python examples/08_design_a_recipe.py
"""

import numpy as np

from morpholith import design
from morpholith.specimens import reactor_truth

space = design.Space(
    {
        "ph": (9.8, 11.0),
        "nh4oh": design.Continuous(0.07, 0.57, log=True),
        "time_min": design.Continuous(15, 1440, log=True),
    },
    constraints=["ph + nh4oh <= 11.2"],
)
held = {"naoh": 0.15, "stirring_rpm": 800, "atmosphere": "N2"}


def simulator(conditions, *, seed):
    """Stand in for any model of the process: here the virtual reactor, 4 % too large, with noise."""
    truth = reactor_truth({**conditions, **held}).iloc[0]
    rng = np.random.default_rng(seed)
    d50, texture = 1.04 * truth["d50_um"] * rng.normal(1, 0.01), truth["texture_mean"] * rng.normal(1, 0.01)
    return {"d50_um": (d50, 0.01 * d50), "texture_mean": (texture, 0.01 * texture)}


wanted = {"d50_um": 5.5, "texture_mean": 0.55}
told = []
for number in range(2):
    found = design.search(simulator, space, wanted, rng=number, calls=30, told=told)
    recipe = found.recipes.iloc[0][list(space.conditions)].to_dict()
    made = reactor_truth({**recipe, **held}).iloc[0]  # the laboratory
    measured = {name: (float(made[name]), 0.01 * float(made[name])) for name in wanted}
    told.append(design.powder(space, recipe, measured))
    off = max(abs(made[name] / value - 1) for name, value in wanted.items())
    print(f"round {number + 1}: {found.reach.verdict}; the powder is within {100 * off:.1f} % of what was wanted")
print({name: round(float(value), 3) for name, value in recipe.items()})
