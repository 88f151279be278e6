"""Laue groups by the names and numbers that files have for them."""

from __future__ import annotations

OXFORD = ("-1", "2/m", "mmm", "4/m", "4/mmm", "-3", "-3m", "6/m", "6/mmm", "m-3", "m-3m")
EDAX = {
    "1": "-1", "2": "112/m", "20": "2/m", "21": "2/m11", "22": "mmm", "4": "4/m", "42": "4/mmm", "3": "-3",
    "32": "-3m", "6": "6/m", "62": "6/mmm", "23": "m-3", "43": "m-3m",
}  # fmt: skip
MEMBERS = {
    "-1": "1 -1", "2/m": "2 m 2/m 121 12/m1", "mmm": "222 mm2 mmm 2/m2/m2/m", "4/m": "4 -4 4/m",
    "4/mmm": "422 4mm -42m -4m2 4/mmm", "-3": "3 -3", "-3m": "32 3m -3m 321 3m1 -3m1", "-31m": "312 31m -31m",
    "6/m": "6 -6 6/m", "6/mmm": "622 6mm -6m2 -62m 6/mmm", "m-3": "23 m-3 m3", "m-3m": "432 -43m m-3m m3m",
}  # fmt: skip
BY_NAME = {member: group for group, members in MEMBERS.items() for member in members.split()}
ALONG_31M = (149, 151, 153, 157, 159, 162, 163)  # space groups whose two-fold axes lie between the a axes


def oxford(number: int, space_group: int = 0) -> str:
    """Return the Laue group of Oxford's number 1 to 11, refined by the space group; empty where unknown."""
    if not 1 <= number <= len(OXFORD):
        return ""
    group = OXFORD[number - 1]
    return "-31m" if group == "-3m" and space_group in ALONG_31M else group


def edax(said: str) -> str:
    """Return the Laue group of EDAX's number, or of a point group by name; empty where unknown."""
    said = said.strip().split("[")[-1].rstrip("]").replace(" ", "") if "[" in said else said.replace(" ", "")
    return EDAX.get(said) or BY_NAME.get(said.lower(), "")
