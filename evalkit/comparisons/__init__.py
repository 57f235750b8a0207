"""What outputs are held against: each other, references, scores, routes."""

from evalkit.imports import attach_stub

__getattr__, __dir__, __all__ = attach_stub(__name__, __file__)
