"""``evalkit serve``: pictures restored over HTTP, and a page to try it with."""

from evalkit.imports import attach_stub

__getattr__, __dir__, __all__ = attach_stub(__name__, __file__)
