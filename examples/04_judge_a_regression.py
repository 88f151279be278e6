"""Regress the expansion of four electrodes on their structure, and hear what such a fit is worth.

    python examples/04_judge_a_regression.py

The table is Table 2 of J. Mater. Chem. A 14 (2026) 1063, the equation its Eq. (1).
"""

import pandas as pd

from morpholith import measure

ELECTRODES = pd.DataFrame(
    {
        "porosity": [0.49, 0.46, 0.51, 0.85],
        "tortuosity": [2.653, 2.743, 2.623, 1.236],
        "expansion": [0.07, 0.05, 0.08, 0.26],
    },
    index=["Dry coated 1", "Dry coated 2", "Dry coated 3", "DIT"],
)
PRINTED = "expansion = -0.0491 + 0.7286 * porosity - 0.0902 * tortuosity"


def main() -> None:
    fit = measure.linear_fit(ELECTRODES, target="expansion", predictors=["porosity", "tortuosity"], given=PRINTED)
    for name, coefficient in fit.coefficients.items():
        print(f"{name:12s} {coefficient}")
    print(f"R2 {fit.r2:.4f} with {fit.dof} degree(s) of freedom; the printed equation: R2 {fit.given.r2:.2f}")
    for sentence in fit.sentences:
        print("-", sentence)


if __name__ == "__main__":
    main()
