"""What acts on the study's answer, every day: restore, compare, fit."""
