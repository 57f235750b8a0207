"""Blind rating: plans, stimuli, sessions, their store, and the page for subjects."""

from evalkit.imports import attach_stub

__getattr__, __dir__, __all__ = attach_stub(__name__, __file__)
