"""The figures of the study: arrays, tables and records in, matplotlib figures out."""

from evalkit.figures._backends import backends
from evalkit.figures._cost import memory, wall_times
from evalkit.figures._crop import CROP_RULE, Crop, crop_box, cut
from evalkit.figures._face_parts import face_parts
from evalkit.figures._limits import frontier, instances
from evalkit.figures._pathologies import pathology_maps
from evalkit.figures._pictures import MAX_CONDITIONS, contact_sheet, side_by_side
from evalkit.figures._ratings import (
    agreement,
    forest,
    score_distribution,
    subjects,
    win_matrix,
)
from evalkit.figures._spread import series, sweeps, timeline
from evalkit.figures._style import on_screen, save, show, shrunk

__all__ = [
    "CROP_RULE",
    "MAX_CONDITIONS",
    "Crop",
    "agreement",
    "backends",
    "contact_sheet",
    "crop_box",
    "cut",
    "face_parts",
    "forest",
    "frontier",
    "instances",
    "memory",
    "on_screen",
    "pathology_maps",
    "save",
    "score_distribution",
    "series",
    "show",
    "shrunk",
    "side_by_side",
    "subjects",
    "sweeps",
    "timeline",
    "wall_times",
    "win_matrix",
]
