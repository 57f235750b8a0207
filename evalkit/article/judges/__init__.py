"""Judges of the article's claims: each module lists its ``ENTRIES``."""
