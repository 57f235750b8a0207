"""Tables of what people said, analysed."""

from evalkit.tables._table import COUNT, NUMBER, TEXT, TRUTH, Table

SCORES_MOS = Table(
    name="scores_mos",
    columns={
        "method": TEXT,  # of screening: none, bt500, p910
        "kind": TEXT,  # of source; all
        "condition": TEXT,
        "n_subjects": COUNT,
        "n_sources": COUNT,
        "mos": NUMBER,
        "ci_low": NUMBER,  # over subjects and sources; null below two of either
        "ci_high": NUMBER,
        "coverage": NUMBER,  # of a 95 % interval of such a panel, simulated, in [0, 1]
        "claimed": NUMBER,  # published, of this kind and restorer
        "shown": TEXT,  # whole, detail, whole and detail
        "reduced": NUMBER,  # at most: px of an output for one shown; under 1: enlarged
    },
    key=("method", "kind", "condition"),
)

SCORES_SHOWN = Table(
    name="scores_shown",
    columns={
        "condition": TEXT,
        "shown": TEXT,  # whole or detail
        "n_subjects": COUNT,
        "n_sources": COUNT,
        "mos": NUMBER,
        "ci_low": NUMBER,  # as in `SCORES_MOS`, without screening
        "ci_high": NUMBER,
        "reduced": NUMBER,  # at most: px of an output for one shown; under 1: enlarged
    },
    key=("condition", "shown"),
)

SCORES_LOOKS = Table(
    name="scores_looks",  # of a plan with looks: `evalkit.stats.sequential_look`
    columns={
        "condition": TEXT,
        "other": TEXT,
        "n_choices": COUNT,
        "look": COUNT,  # the last, or the one that decided; 0 before the first
        "n_looked_at": COUNT,
        "next_at": COUNT,  # choices of the next look
        "share": NUMBER,  # of `condition`, a tie half
        "low": NUMBER,
        "high": NUMBER,
        "p": NUMBER,
        "level": NUMBER,  # below which p decides
        "is_decided": TRUTH,
    },
    key=("condition", "other"),
)

SCORES_QUALITY = Table(
    name="scores_quality",
    columns={
        "source": TEXT,
        "condition": TEXT,
        "quality": NUMBER,  # by the model of P.910
        "low": NUMBER,
        "high": NUMBER,
    },
    key=("source", "condition"),
)

SCORES_SUBJECTS = Table(
    name="scores_subjects",
    columns={
        "subject": TEXT,
        "n_scores": COUNT,
        "bias": NUMBER,
        "bias_low": NUMBER,
        "bias_high": NUMBER,
        "inconsistency": NUMBER,
        "inconsistency_low": NUMBER,
        "inconsistency_high": NUMBER,
        "n_pairs": COUNT,  # of scores of the same stimulus
        "same": NUMBER,  # share of pairs with equal scores
        "mean_abs_difference": NUMBER,
        "sd": NUMBER,  # of one score about the subject's own mean
        "rejected_by": TEXT,  # bt500, p910, both or null
    },
    key=("subject",),
)

SCORES_SCREENING = Table(
    name="scores_screening",
    columns={
        "subject": TEXT,
        "rule": TEXT,
        "value": NUMBER,
        "limit": NUMBER,
        "is_flagged": TRUTH,
        "reason": TEXT,
    },
    key=("subject", "rule"),
)

SCORES_PAIRS = Table(
    name="scores_pairs",
    columns={
        "condition": TEXT,
        "other": TEXT,
        "n_subjects": COUNT,
        "n_sources": COUNT,
        "difference": NUMBER,  # of mean scores
        "ci_low": NUMBER,
        "ci_high": NUMBER,
        "coverage": NUMBER,  # of a 95 % interval of such a panel, simulated, in [0, 1]
        "p": NUMBER,
        "p_holm": NUMBER,  # corrected for all pairs
        "effect_size": NUMBER,  # Cohen's d_z
        "superiority": NUMBER,  # how often the first scored higher, ties half
    },
    key=("condition", "other"),
)

SCORES_KINDS = Table(
    name="scores_kinds",
    columns={"kind": TEXT, **SCORES_PAIRS.columns},  # the pairs on each kind of source
    key=("kind", *SCORES_PAIRS.key),
)

SCORES_STRENGTHS = Table(
    name="scores_strengths",
    columns={
        "condition": TEXT,
        "strength": NUMBER,  # Bradley-Terry, natural log, mean 0
        "low": NUMBER,
        "high": NUMBER,
        "is_regularised": TRUTH,
    },
    key=("condition",),
)

SCORES_METRICS = Table(
    name="scores_metrics",
    columns={
        "metric": TEXT,
        "srcc": NUMBER,  # with the panel's quality
        "low": NUMBER,
        "high": NUMBER,
        "n_sources": COUNT,
        "n_stimuli": COUNT,
    },
    key=("metric",),
)

SCORES_PANEL = Table(
    name="scores_panel",
    columns={
        "quantity": TEXT,
        "value": NUMBER,
        "low": NUMBER,
        "high": NUMBER,
        "note": TEXT,
    },
    key=("quantity",),
)

SEEN_ACTUAL, SEEN_SMALLEST = "seen at 1:1 only, share", "smallest scale seen"
SCALE_EFFECT = "effect of scale"
"""Quantities of the table ``scores_panel`` on how answers were seen."""
