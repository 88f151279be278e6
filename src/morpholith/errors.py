"""What can be wrong with a user's input, as one sentence."""


class InputError(ValueError):
    """The input is wrong, not the program: what was expected, what came, what to do.

    The command line prints the message alone and exits with code 2.
    """


class InputWarning(UserWarning):
    """The result stands but something about the input deserves a sentence in the report."""
