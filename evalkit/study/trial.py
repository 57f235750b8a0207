"""The blind test that a site opens with, of the pictures that a run has made."""

from pathlib import Path

from evalkit.rating.trial import write_trial
from evalkit.study.published import published_scores_of
from evalkit.study.rating import rated_outputs
from evalkit.study.run_folder import Run


def make_trial(run: Run, path: Path) -> bool:
    """Write the blind test of a run's first two restorers; whether it has two.

    Those that have learned come first, each with the first of its conditions in the
    study's order; what random weights have made is not shown.

    Parameters
    ----------
    run
        A run folder; it stays as it is.
    path
        Gets the page.

    """
    quality = run.in_order(run.quality())
    made = quality[(quality["outcome"] == "ok") & (quality["weights_kind"] != "random")]
    made = made.assign(is_plain=made["weights_kind"] == "none")
    made = made.sort_values("is_plain", kind="stable").drop_duplicates("restorer")
    if len(made) < 2:
        return False
    one, other = made["condition"].head(2)
    published = {
        condition: ", ".join(f"{kind} {score}" for kind, score in scores.items())
        for condition in (one, other)
        if (scores := published_scores_of(condition))
    }
    outputs = rated_outputs(run, [one, other])
    write_trial(outputs, (one, other), path, published=published)
    return True
