"""Numbers into files that the next program runs: battery models."""
