"""The figures of the study: arrays, tables and records in, matplotlib figures out."""

from evalkit.figures._cost import memory, wall_times
from evalkit.figures._crop import CROP_RULE, Crop, crop_box, cut
from evalkit.figures._face_parts import face_parts
from evalkit.figures._pictures import MAX_CONDITIONS, contact_sheet, side_by_side
from evalkit.figures._style import on_screen, save, show

__all__ = [
    "CROP_RULE",
    "MAX_CONDITIONS",
    "Crop",
    "contact_sheet",
    "crop_box",
    "cut",
    "face_parts",
    "memory",
    "on_screen",
    "save",
    "show",
    "side_by_side",
    "wall_times",
]
