"""Tables of the article: its own rebuilt, and what its commands do."""

from evalkit.tables import COUNT, NUMBER, TEXT, TRUTH, Table

ARTICLE = Table(
    name="article",
    columns={
        "table": TEXT,  # the article's section
        "claim": TEXT,
        "subject": TEXT,
        "setting": TEXT,
        "quantity": TEXT,
        "claimed": TEXT,
        "unit": TEXT,
        "floor": NUMBER,  # of the claimed figure, in its unit
        "is_below": TRUTH,
        "experiment": TEXT,  # ours, from here on; null where nothing was measured
        "condition": TEXT,
        "source": TEXT,
        "machine": TEXT,
        "weights_kind": TEXT,
        "device": TEXT,
        "width_px": COUNT,
        "height_px": COUNT,
        "n_pictures": COUNT,  # in a call
        "n_runs": COUNT,
        "value": NUMBER,  # in the claim's unit
        "low": NUMBER,
        "high": NUMBER,
        "own_floor": NUMBER,
        "outcomes": TEXT,  # of a stability series
    },
    key=(
        *("table", "claim", "experiment", "n_pictures", "condition", "source"),
        "machine",
    ),
)

COMMANDS = Table(
    name="commands",
    columns={
        "command": TEXT,  # as the article has it
        "source": TEXT,  # null where only the options were tried
        "tried": TEXT,  # the program; our restorer; an argument parser of its options
        "exit_code": COUNT,  # null where our restorer stood in
        "network": TEXT,  # that the output is of; null where none was made
        "command_time_s": NUMBER,  # loading included, one picture
        "output_width_px": COUNT,
        "output_height_px": COUNT,
        "does": TEXT,
    },
    key=("command",),
)
