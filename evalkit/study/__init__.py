"""The steps of a study: what notebooks call and what ``make study`` runs."""

from evalkit.imports import attach_stub

# papermill is not needed in a kernel, nor matplotlib by whoever starts one
__getattr__, __dir__, __all__ = attach_stub(__name__, __file__)
