"""The one error that a user's input raises; tools print it without a traceback."""


class InputError(ValueError):
    """A value that the user gave cannot be used. The text says what was received, what is expected and what to do next."""
