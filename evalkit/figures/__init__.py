"""The figures of the study: arrays, tables and records in, matplotlib figures out."""

from evalkit.imports import attach_stub

# matplotlib takes long to import, and a step without a figure does not need it
__getattr__, __dir__, __all__ = attach_stub(__name__, __file__)
