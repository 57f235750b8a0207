"""The records of a study: one row an attempt, whether it worked or not."""

from evalkit.imports import attach_stub

__getattr__, __dir__, __all__ = attach_stub(__name__, __file__)
