"""What ends a demo before its time."""


class DemoFailed(Exception):
    """The demo cannot be shown; the text is a sentence for the person who started it."""
