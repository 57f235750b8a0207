from ._backends import backends as backends
from ._cost import memory as memory, wall_times as wall_times
from ._crop import (
    CROP_RULE as CROP_RULE,
    Crop as Crop,
    crop_box as crop_box,
    cut as cut,
)
from ._face_parts import face_parts as face_parts
from ._limits import frontier as frontier, instances as instances
from ._pathologies import pathology_maps as pathology_maps
from ._pictures import (
    MAX_CONDITIONS as MAX_CONDITIONS,
    contact_sheet as contact_sheet,
    side_by_side as side_by_side,
)
from ._ratings import (
    agreement as agreement,
    forest as forest,
    score_distribution as score_distribution,
    subjects as subjects,
    win_matrix as win_matrix,
)
from ._screen import on_screen as on_screen, show as show, shrunk as shrunk
from ._spread import series as series, sweeps as sweeps, timeline as timeline
from ._style import save as save
