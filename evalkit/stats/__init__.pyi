from ._agreement import (
    icc as icc,
    krippendorff_alpha as krippendorff_alpha,
    metric_agreement as metric_agreement,
    retest as retest,
)
from ._bradley_terry import (
    BradleyTerry as BradleyTerry,
    bradley_terry as bradley_terry,
    win_matrix as win_matrix,
)
from ._coverage import simulated_coverage as simulated_coverage
from ._mos import (
    compare_conditions as compare_conditions,
    compare_with as compare_with,
    holm as holm,
    mean_opinion_scores as mean_opinion_scores,
    paired_differences as paired_differences,
)
from ._p910 import P910 as P910, p910 as p910
from ._power import (
    Spread as Spread,
    power as power,
    smallest_detectable_difference as smallest_detectable_difference,
    smallest_detectable_share as smallest_detectable_share,
    spread_of as spread_of,
)
from ._screening import Screening as Screening, screen as screen
from ._sequential import LOOKS as LOOKS, sequential_look as sequential_look
from ._viewing import scale_effect as scale_effect
from .bootstrap import (
    median_coverage as median_coverage,
    median_interval as median_interval,
)
