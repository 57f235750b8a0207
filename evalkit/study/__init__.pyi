from .config import (
    Study as Study,
    read_study as read_study,
    resolve_study as resolve_study,
)
from .doctor import (
    Finding as Finding,
    diagnose as diagnose,
    summarise as summarise,
    weights_named as weights_named,
)
from .forgetting import Forgotten as Forgotten, forget_subject as forget_subject
from .inviting import (
    pack_rating as pack_rating,
    rating_status as rating_status,
    revoke_link as revoke_link,
    serve_rating as serve_rating,
)
from .launch import run_study as run_study
from .notebooks import run_notebook as run_notebook
from .parameters import declared_parameters as declared_parameters
from .panel_size import (
    describe_plan as describe_plan,
    detectable_difference as detectable_difference,
    plan_table as plan_table,
)
from .rating import (
    plan_rating as plan_rating,
    rate as rate,
)
from .run_folder import Run as Run, open_run as open_run, ratings_store as ratings_store
from .steps import (
    begin as begin,
    close_records as close_records,
    record_environment as record_environment,
    restore as restore,
)
