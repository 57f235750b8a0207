"""Tables of every study: pictures, records, metrics, costs, verdicts."""

from evalkit.errors import INTERRUPTED
from evalkit.tables._table import COUNT, NUMBER, TEXT, TRUTH, Table

IMAGES = Table(
    name="images",
    columns={
        "source": TEXT,  # stem; unique within the set
        "kind": TEXT,  # portrait, group, mixed, building, text, product, ...
        "kind_from": TEXT,  # kinds.csv, subfolder, router; null where the set knows it
        "path": TEXT,  # of the source; in a run a link below its folder
        "page_of": TEXT,  # pdf, tiff: the kind of file that this is a page of, if any
        "sha256": TEXT,  # of that file
        "width_px": COUNT,
        "height_px": COUNT,
        "reference": TEXT,  # the pristine version, likewise; null where none exists
        "reference_sha256": TEXT,
        "origin": TEXT,  # package or repository that the picture comes from
        "url": TEXT,
        "original": TEXT,  # pictures of one original, or one face, share it
        "licence": TEXT,
        "is_synthetic": TRUTH,  # the degradation was made by us
        "note": TEXT,  # what a reader must know: reused face, resizing, degradation
        "error": TEXT,  # why the file cannot be used; null for a good one
    },
    key=("source",),
)

SOURCES = Table(
    name="sources",
    columns={
        "source": TEXT,  # a picture that was made of another, to be measured
        "base_source": TEXT,  # that other
        "base_sha256": TEXT,  # of its file
        "path": TEXT,  # below the run folder
        "sha256": TEXT,
        "width_px": COUNT,
        "height_px": COUNT,
    },
    key=("source",),
)

RECORDS = Table(
    name="records",
    columns={
        "study": TEXT,
        "experiment": TEXT,  # quality, cost, stability, ...; what it varies is `value`
        "key": TEXT,  # digest of source, weights, setting, restorer and its code
        "run": COUNT,  # from 1
        "phase": TEXT,  # cold, warm
        "machine": TEXT,
        "condition": TEXT,
        "restorer": TEXT,
        "setting": TEXT,
        "tf32": TRUTH,  # single precision is TF32's in convolutions; null without CUDA
        "source": TEXT,
        "source_sha256": TEXT,
        "weights_sha256": TEXT,
        "weights_kind": TEXT,  # released, package, mirror, user, random, none
        "started_at": TEXT,  # ISO 8601, UTC
        "outcome": TEXT,  # one of `OUTCOMES`
        "error": TEXT,
        "value": TEXT,  # what the experiment varies: pictures of a batch, MiB, px, ...
        "instance": COUNT,  # from 1, of several at once
        "base_source": TEXT,  # the source that this one was made of
        "wall_time_s": NUMBER,  # of the restore call, device finished
        "load_time_s": NUMBER,
        "stages_s": TEXT,
        "output": TEXT,  # path below the run folder
        "output_sha256": TEXT,  # of the pixels and their shape
        "output_width_px": COUNT,
        "output_height_px": COUNT,
        "peak_rss_mib": NUMBER,  # with children, where a monitor saw them
        "cuda_allocated_peak_mib": NUMBER,
        "cuda_reserved_peak_mib": NUMBER,
        "nvml_process_peak_mib": NUMBER,
        "nvml_device_delta_mib": NUMBER,
        "gpu_busy_percent": NUMBER,  # NVML's, of the warm runs up to this one; of a
        "gpu_memory_busy_percent": NUMBER,  # cold run alone; so the power
        "mean_power_w": NUMBER,
        "energy_j": NUMBER,  # of this run at that power
        "temperature_c": NUMBER,
        "throttle_reasons": TEXT,  # ``none``, or names with ``; `` between
        "sm_clock_mhz": NUMBER,
        "start_rss_mib": NUMBER,  # before the load; this and the next two if cold
        "loaded_rss_mib": NUMBER,
        "cuda_context_mib": NUMBER,  # NVML's growth less torch's, after the first run
        "notes": TEXT,
        "environment": TEXT,  # digest of environment.json
    },
    key=(
        *("key", "source", "experiment", "value", "instance", "machine"),
        *("run", "phase"),
    ),
    json_columns=frozenset({"setting", "stages_s", "notes"}),
)

FAILURES = ("oom", "error", "crash", "timeout", "rejected")
OUTCOMES = ("ok", *FAILURES, INTERRUPTED)

METRICS = Table(
    name="metrics",
    columns={
        "condition": TEXT,
        "source": TEXT,
        "metric": TEXT,
        "value": NUMBER,
        "unit": TEXT,
        "higher_is_better": TRUTH,
        "resampling": TEXT,  # how the output was brought to the reference's size
        "note": TEXT,  # why there is no value, or what an infinite one means
    },
    key=("condition", "source", "metric"),
)

PATHOLOGIES = Table(
    name="pathologies",
    columns={
        "condition": TEXT,  # source: the source itself, as a base
        "source": TEXT,
        "metric": TEXT,
        "region": TEXT,  # whole, faces (their boxes), skin, lips, hair
        "value": NUMBER,  # null where there is nothing to measure: no face, no text
        "unit": TEXT,
        "higher_is_better": TRUTH,
        "resampling": TEXT,  # how the output was brought to the source's size
        "note": TEXT,  # why there is no value; what found a region, if not ParseNet
    },
    key=("condition", "source", "metric", "region"),
)

COST = Table(
    name="cost",
    columns={
        "condition": TEXT,
        "restorer": TEXT,
        "setting": TEXT,
        "source": TEXT,
        "machine": TEXT,
        "weights_kind": TEXT,
        "source_width_px": COUNT,
        "source_height_px": COUNT,
        "n_runs": COUNT,  # warm runs that ended ok
        "n_processes": COUNT,  # fresh ones, which share these runs
        "n_failed": COUNT,
        "cold_wall_time_s": NUMBER,
        "load_time_s": NUMBER,
        "wall_time_s": NUMBER,  # median of the warm runs
        "wall_time_low_s": NUMBER,  # interval of that median; null below 6 runs
        "wall_time_high_s": NUMBER,
        "wall_time_min_s": NUMBER,  # of the warm runs: their range
        "wall_time_max_s": NUMBER,
        "wall_time_spread": TEXT,  # which of the two stands for it; true coverage
        "restore_time_s": NUMBER,  # of `restore()` alone, without files; their median
        "stages_s": TEXT,  # {stage: its median}, files included
        "peak_rss_mib": NUMBER,
        "cuda_reserved_peak_mib": NUMBER,
        "nvml_process_peak_mib": NUMBER,
        "gpu_busy_percent": NUMBER,  # of the whole warm series, by NVML
        "mean_power_w": NUMBER,
        "energy_j": NUMBER,  # of one run: the median time at that power
        "tf32": TRUTH,  # single precision was TF32's in convolutions; null: no CUDA
        "same_as_quality": TRUTH,  # outputs made while timing equal the quality run's
        "notes": TEXT,
    },
    key=("condition", "source", "machine"),
    json_columns=frozenset({"setting", "stages_s", "notes"}),
)

VERDICTS = Table(
    name="verdicts",
    columns={
        "claim": TEXT,
        "section": TEXT,
        "subject": TEXT,
        "setting": TEXT,
        "quantity": TEXT,
        "claimed": TEXT,
        "unit": TEXT,
        "kind": TEXT,
        "range": TEXT,  # what counts as the claim: data/claims.yaml
        "verdict": TEXT,
        "found": TEXT,
        "evidence": TEXT,
        "n_intervals": COUNT,  # of 95 %, that the verdict rests on
        "settled_by": TEXT,  # of an open one: what would settle it, with the command
        "caution": TEXT,
    },
    key=("claim",),
)

AGREEMENT = Table(
    name="agreement",
    columns={
        "condition": TEXT,
        "other": TEXT,  # another condition of the same restorer
        "source": TEXT,
        "psnr_db": NUMBER,  # of one output from the other; null where they are equal
        "is_same": TRUTH,  # equal, or as near as a back end must be to be timed
        "note": TEXT,  # why it is not known
    },
    key=("condition", "other", "source"),
)

ANSWER = Table(
    name="answer",
    columns={
        "part": TEXT,  # label, answer, next, caution
        "rule": TEXT,  # which rule made it
        "text": TEXT,
        "command": TEXT,  # of what to do next
        "tables": TEXT,  # where its numbers stand, comma-separated
    },
    key=("part", "rule", "text"),
)
