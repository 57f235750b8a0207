"""Parts of the site that are made from the package, so that they cannot grow old."""

from evalkit.metrics import metrics

BETTER = {True: "higher", False: "lower", None: "0, or none"}


def metrics_table():
    """Every metric, with what it says: the first line of its docstring."""
    head = ("name", "what", "unit", "better", "needs", "map")
    rows = [head, [":---"] * len(head)]
    rows += [
        (
            f"`{metric.name}`",
            metric.compute.__doc__.partition("\n")[0],
            metric.unit or "-",
            BETTER[metric.higher_is_better],
            metric.needs,
            "yes" if metric.where else "",
        )
        for metric in metrics().values()
    ]
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)


if __name__ == "__main__":
    print(metrics_table())
