"""evalkit: loaders, profilers and steps of a study of image restorers."""

from evalkit.imports import attach_stub

__getattr__, __dir__, __all__ = attach_stub(__name__, __file__)
