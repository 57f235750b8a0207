"""How long a million scores take, and how much memory their statistics add.

`python benchmarks/stats.py` prints a CSV table. Scores and choices are simulated: 1,000
subjects, 100 sources, 10 conditions.
"""

import threading
import time
from collections.abc import Callable

import numpy as np
import pandas as pd
import psutil

from evalkit import stats

N_SUBJECTS, N_SOURCES, N_CONDITIONS = 1_000, 100, 10
TARGET_S = {"mean_opinion_scores": 5, "p910": 10, "bradley_terry": 5}


def simulated(rng: np.random.Generator) -> tuple[pd.DataFrame, pd.DataFrame]:
    """A million scores and a million choices, by conditions that differ."""
    shape = (N_SUBJECTS, N_SOURCES, N_CONDITIONS)
    subject, source, condition = np.indices(shape, np.int32).reshape(3, -1)
    quality = np.linspace(1.5, 4.5, N_CONDITIONS)
    noise = rng.normal(0, 0.8, len(subject)) + rng.normal(0, 0.4, N_SUBJECTS)[subject]
    rows = pd.DataFrame({"subject": subject, "source": source, "condition": condition})
    names = rows.map("n{:04}".format)
    scores = names.assign(score=np.rint(quality[condition] + noise).clip(1, 5))
    other = (condition + rng.integers(1, N_CONDITIONS, len(subject))) % N_CONDITIONS
    is_won = rng.random(len(subject)) < 1 / (
        1 + np.exp(quality[other] - quality[condition])
    )
    other_name = pd.Series(other).map("n{:04}".format)
    choices = names[["subject", "source"]].assign(
        winner=names["condition"].where(is_won, other_name),
        loser=other_name.where(is_won, names["condition"]),
        tied=rng.random(len(subject)) < 0.1,
    )
    return scores, choices


def measured(call: Callable[[], object]) -> tuple[float, float]:
    """Wall time in s and the memory it added at its peak, in MiB."""
    process, is_done, peaks = psutil.Process(), threading.Event(), [0]
    before = process.memory_info().rss

    def watch() -> None:
        while not is_done.wait(0.005):
            peaks.append(process.memory_info().rss - before)

    watcher = threading.Thread(target=watch)
    watcher.start()
    began = time.perf_counter()
    call()
    passed = time.perf_counter() - began
    is_done.set()
    watcher.join()
    return passed, max(peaks) / 2**20


def main() -> None:
    scores, choices = simulated(np.random.default_rng(0))
    calls = {
        ("mean_opinion_scores", 1_000): lambda: stats.mean_opinion_scores(
            scores, n_resamples=1_000
        ),
        ("mean_opinion_scores", 10_000): lambda: stats.mean_opinion_scores(scores),
        ("p910", 0): lambda: stats.p910(scores),
        ("bradley_terry", 100): lambda: stats.bradley_terry(choices, n_resamples=100),
        ("bradley_terry", 1_000): lambda: stats.bradley_terry(choices),
    }
    print("statistic,n_rows,n_resamples,wall_time_s,target_s,added_mib")
    for (name, n_resamples), call in calls.items():
        wall_time_s, added_mib = measured(call)
        print(
            f"{name},{len(scores)},{n_resamples},{wall_time_s:.2f},{TARGET_S[name]},"
            f"{added_mib:.0f}"
        )


if __name__ == "__main__":
    main()
