"""Tables of the experiments on cost, stability, limits and back ends."""

from evalkit.tables._study import COST
from evalkit.tables._table import COUNT, NUMBER, TEXT, TRUTH, Table

BUDGET = Table(
    name="budget",
    columns={
        "condition": TEXT,
        "restorer": TEXT,
        "setting": TEXT,
        "source": TEXT,  # a resized one has the name that it got
        "machine": TEXT,
        "limit": TEXT,  # what set it: cuda (balloon and fraction), data (RLIMIT_DATA)
        "weights_kind": TEXT,
        "longest_px": COUNT,  # of the source's sides
        "works_mib": COUNT,  # smallest budget in which it worked; null if in none
        "fails_mib": COUNT,  # largest in which it failed; null if in none
        "outcome": TEXT,  # how it failed there: oom is a clean end
        "error": TEXT,
        "largest_mib": COUNT,  # the largest budget that was tried
        "n_trials": COUNT,
        "wall_time_s": NUMBER,  # cold, in `works_mib`
        "roomy_wall_time_s": NUMBER,  # cold, in `largest_mib`
        "same_output": TRUTH,  # in `works_mib` as in `largest_mib`
    },
    key=("condition", "source", "machine"),
    json_columns=frozenset({"setting"}),
)

CONCURRENCY = Table(
    name="concurrency",
    columns={
        "condition": TEXT,
        "source": TEXT,
        "machine": TEXT,
        "weights_kind": TEXT,
        "restorer": TEXT,
        "setting": TEXT,
        "n_instances": COUNT,  # processes started together
        "n_ok": COUNT,  # instances with only ok runs
        "n_runs": COUNT,  # warm pictures of all of them
        "outcome": TEXT,  # ok, or how the first instance to fail did
        "error": TEXT,
        "throughput_per_s": NUMBER,  # pictures of all instances
        "speedup": NUMBER,  # throughput over that of one instance
        "speedup_low": NUMBER,  # what the intervals of both latencies allow
        "speedup_high": NUMBER,
        "latency_s": NUMBER,  # of one picture, median over all instances
        "latency_low_s": NUMBER,  # interval of that median; null below 6 runs
        "latency_high_s": NUMBER,
        "memory_mib": NUMBER,  # of all instances together
        "memory_kind": TEXT,  # nvml device delta; sum of peak RSS (shared pages in all)
        "memory_total_mib": NUMBER,  # of the device, or the machine's
        "gpu_busy_percent": NUMBER,  # of the device, in the warm series, by NVML
    },
    key=("condition", "source", "machine", "n_instances"),
    json_columns=frozenset({"setting"}),
)

EXPERIMENTS = Table(
    name="experiments",
    columns={
        "experiment": TEXT,  # cost, batch, size, tile, precision, scale, cpu, ...
        "value": TEXT,  # pictures, longest side in px, a setting: what it varies
        "axis": TEXT,  # what its values are, in words
        "base_source": TEXT,  # the original of a resized source
        "base_condition": TEXT,  # the condition without the setting that is varied
        **{n: kind for n, kind in COST.columns.items() if not n.startswith("source_")},
        "failure": TEXT,  # outcome and error of the first that failed
        "percentile": COUNT,  # the highest that the number of runs supports
        "percentile_s": NUMBER,  # its upper bound, 0.99 sure of independent runs
        "per_picture_s": NUMBER,  # wall_time_s is of all pictures of a call
        "pictures_per_s": NUMBER,
        "output_width_px": COUNT,
        "output_height_px": COUNT,
        "rotating_ratio": NUMBER,  # median with a new picture each run over wall_time_s
        "is_cached": TRUTH,  # that ratio is over 1.1: something remembers the picture
        "seams_db": NUMBER,  # the metric, with the borders of this tile
        "seams_noise_db": NUMBER,  # below it no seam can be told
        "untiled_levels": NUMBER,  # largest difference from tile=0's output, of 255
    },
    key=("experiment", "value", "condition", "source", "machine"),
    json_columns=COST.json_columns,
)

STABILITY = Table(
    name="stability",
    columns={
        "experiment": TEXT,  # stability, stability-fresh
        "value": TEXT,  # pictures of each run's batch; null for one alone
        "condition": TEXT,
        "restorer": TEXT,
        "setting": TEXT,
        "source": TEXT,
        "machine": TEXT,
        "weights_kind": TEXT,
        "n_runs": COUNT,
        "n_processes": COUNT,  # a failed run ends its process, the next begins another
        "outcomes": TEXT,  # {outcome: number of runs}
        "first_failed_run": COUNT,
        "failure": TEXT,  # its outcome and error
        "failure_rate": NUMBER,  # in [0, 1], with Wilson's interval
        "failure_low": NUMBER,
        "failure_high": NUMBER,
        "n_outputs": COUNT,  # different pictures among the outputs; 1 is stable
        "same_as_quality": TRUTH,
        "wall_time_s": NUMBER,  # median of the warm runs; of all if each was fresh
        "drift_percent": NUMBER,  # growth of that time with each run
        "drift_low_percent": NUMBER,
        "drift_high_percent": NUMBER,
        "rss_slope_mib": NUMBER,  # growth of the peak with each warm run
        "rss_slope_low_mib": NUMBER,
        "rss_slope_high_mib": NUMBER,
        "gpu_slope_mib": NUMBER,  # by NVML, else reserved by torch
        "gpu_slope_low_mib": NUMBER,
        "gpu_slope_high_mib": NUMBER,
        "temperature_low_c": NUMBER,
        "temperature_high_c": NUMBER,
        "sm_clock_low_mhz": NUMBER,  # of the runs' means
        "sm_clock_high_mhz": NUMBER,
        "throttle_reasons": TEXT,
    },
    key=("experiment", "value", "condition", "source", "machine"),
    json_columns=frozenset({"setting", "outcomes"}),
)

TIMELINE = Table(
    name="timeline",
    columns={
        "condition": TEXT,
        "source": TEXT,
        "machine": TEXT,
        "time_s": NUMBER,  # since the process began to load
        "stage": TEXT,
        "rss_mib": NUMBER,
        "process_mib": NUMBER,  # of the process on the device, by NVML
        "device_used_mib": NUMBER,
    },
    key=("condition", "source", "machine", "time_s"),
)

RATES = Table(
    name="rates",
    columns={
        "machine": TEXT,
        "device": TEXT,  # cpu, cuda:N
        "precision": TEXT,  # fp32, tf32, fp16, bf16; none for the copy alone
        "matrix_tflop_s": NUMBER,  # of products and convolutions, the best
        "copy_gib_s": NUMBER,  # read and written
    },
    key=("machine", "device", "precision"),
)

FLOORS = Table(
    name="floors",
    columns={
        "figure": TEXT,  # measured, or the claim whose figure it is
        "experiment": TEXT,
        "condition": TEXT,
        "source": TEXT,
        "machine": TEXT,
        "restorer": TEXT,
        "runner": TEXT,
        "device": TEXT,  # cpu, cuda, vulkan
        "precision": TEXT,
        "tile": COUNT,  # px; 0 for none
        "weights_kind": TEXT,
        "width_px": COUNT,  # of a source
        "height_px": COUNT,
        "n_pictures": COUNT,  # in a call; its time is that of all
        "quantity": TEXT,  # wall time, peak memory, GPU busy
        "unit": TEXT,
        "value": NUMBER,  # median of the warm runs; of memory their highest; of GPU
        # busy, the mean of the processes' series
        "low": NUMBER,  # interval of that median, null below 6 runs; of GPU busy,
        # Student's of the processes, whose spread is half a per cent or more
        "high": NUMBER,
        "n_runs": COUNT,
        "restore_time_s": NUMBER,  # of a measured wall time, as in ``cost``
        "stages_s": TEXT,
        "floor": NUMBER,  # least value that the arithmetic allows
        "is_below": TRUTH,  # the value is less than its floor
        "operations_tflop": NUMBER,  # of one picture
        "matrix_tflop_s": NUMBER,  # with which the floor of a time was found
        "note": TEXT,
    },
    key=(
        *("figure", "experiment", "n_pictures", "condition", "source", "machine"),
        "quantity",
    ),
    json_columns=frozenset({"stages_s"}),
)

BACKENDS = Table(
    name="backends",
    columns={
        "network": TEXT,  # the restorer that all of them run
        "backend": TEXT,
        "condition": TEXT,
        "source": TEXT,
        "border_px": COUNT,  # ncnn's, put around it for PyTorch beside ncnn; else 0
        "machine": TEXT,
        "weights_kind": TEXT,
        "device": TEXT,
        "precision": TEXT,
        "tile": COUNT,  # source px; 0 for none
        "scale": NUMBER,
        "outcome": TEXT,  # ok; not here; disagrees; or how a run failed
        "error": TEXT,
        "psnr_db": NUMBER,  # from PyTorch in fp32 with equal border
        "agrees": TRUTH,  # that passes the gate
        "same_output": TRUTH,  # made while timing as at the gate
        "load_time_s": NUMBER,
        "cold_wall_time_s": NUMBER,
        "wall_time_s": NUMBER,  # median of the warm runs
        "wall_time_low_s": NUMBER,  # interval of that median; null below 6 runs
        "wall_time_high_s": NUMBER,
        "wall_time_min_s": NUMBER,  # of the warm runs: their range
        "wall_time_max_s": NUMBER,
        "wall_time_spread": TEXT,  # which of the two stands for it; true coverage
        "restore_time_s": NUMBER,  # of `restore()` alone, median
        "wall_times_s": TEXT,  # every warm run
        "memory_mib": NUMBER,
        "memory_meter": TEXT,
        "against": TEXT,  # PyTorch of the same precision if it was timed, else fp32
        "speed_up": NUMBER,
        "speed_up_low": NUMBER,  # what both medians' intervals allow
        "speed_up_high": NUMBER,
        "memory_saved_percent": NUMBER,
        "notes": TEXT,  # engine, version, options of the provider
        "differs": TEXT,  # from PyTorch in fp32: what could not be made equal
    },
    key=("condition", "source", "machine"),
    json_columns=frozenset({"wall_times_s", "notes", "differs"}),
)

MEMORY = Table(
    name="memory",
    columns={
        "condition": TEXT,
        "source": TEXT,
        "machine": TEXT,
        "start_rss_mib": NUMBER,  # of the process, before it loads the restorer
        "loaded_rss_mib": NUMBER,
        "peak_rss_mib": NUMBER,  # of all runs; with children
        "nvml_process_peak_mib": NUMBER,
        "nvml_device_delta_mib": NUMBER,  # of the run in which it was highest, =
        "cuda_reserved_peak_mib": NUMBER,  # torch's allocator, in that run, +
        "cuda_context_mib": NUMBER,  # what was taken beyond it after the first run, +
        "rest_mib": NUMBER,  # what neither explains: later workspaces, others' use
    },
    key=("condition", "source", "machine"),
)

CARDS = Table(
    name="cards",
    columns={
        "condition": TEXT,
        "source": TEXT,
        "source_sha256": TEXT,
        "run": TEXT,  # the run folder's name
        "machine": TEXT,
        "card": TEXT,  # the GPU that worked, else the processor
        "n_runs": COUNT,  # warm runs that ended ok
        "n_failed": COUNT,
        "wall_time_s": NUMBER,  # median of the warm runs
        "wall_time_low_s": NUMBER,  # interval of that median; null below 6 runs
        "wall_time_high_s": NUMBER,
        "ratio": NUMBER,  # of that median to the first row's of this picture
        "ratio_low": NUMBER,  # what both medians' intervals allow
        "ratio_high": NUMBER,
        "peak_rss_mib": NUMBER,
        "gpu_memory_mib": NUMBER,  # of the process by NVML, else reserved by torch
        "same_output": TRUTH,  # as the first row's
    },
    key=("condition", "source", "source_sha256", "run", "machine"),
)
