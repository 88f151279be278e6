"""Each command of the program as one function that composes stages."""
