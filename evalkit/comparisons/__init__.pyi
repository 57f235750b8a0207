from .agreement import compare_outputs as compare_outputs
from .pathologies import (
    compare_pathologies as compare_pathologies,
    draw_pathologies as draw_pathologies,
)
from .routers import assess_routing as assess_routing
from .routing import route_album as route_album, route_pictures as route_pictures
from .scores import analyse_scores as analyse_scores, draw_scores as draw_scores
from .side_by_side import (
    compare_metrics as compare_metrics,
    compare_side_by_side as compare_side_by_side,
)
