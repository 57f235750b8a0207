"""What is measured beside the pictures: cost, sweeps, stability, limits, back ends."""

from evalkit.imports import attach_stub

__getattr__, __dir__, __all__ = attach_stub(__name__, __file__)
