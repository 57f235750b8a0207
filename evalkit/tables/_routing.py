"""Tables of the router: what it saw, how often it was right, what its choices lose."""

from evalkit.tables._table import COUNT, NUMBER, TEXT, Table

FEATURES = {
    "is_pdf": NUMBER,
    "is_camera": NUMBER,  # null in looks, as the next: of a file's neighbours
    "folder_faces": NUMBER,
    "text_density": NUMBER,  # null without the extra ocr
    "n_faces": NUMBER,
    "largest_face_px": NUMBER,
    "face_share": NUMBER,
    "n_candidates": NUMBER,
    "face_offset": NUMBER,
    "face_turn": NUMBER,
    "straight_edges": NUMBER,
    "sharpness": NUMBER,
    "noise_level": NUMBER,
    "blockiness": NUMBER,
    "aspect": NUMBER,
    "plain_border": NUMBER,
    "plain_top": NUMBER,
    "ground_lightness": NUMBER,
    "ground_red": NUMBER,
    "ground_blue": NUMBER,
    "is_video_size": NUMBER,
    "time_stamp": NUMBER,  # null without the extra ocr, or without a face
}

LOOKS = Table(
    name="looks",
    columns={
        "sha256": TEXT,  # of the source
        "code": TEXT,  # digest of what looks at pictures
        **FEATURES,
    },
    key=("sha256",),
)

ROUTING = Table(
    name="routing",
    columns={
        "source": TEXT,
        "kind": TEXT,
        "sha256": TEXT,  # of the source
        "code": TEXT,  # digest of what looks at pictures
        "wanted": TEXT,  # route by eye; null where nobody has judged
        "route": TEXT,  # gpen, hybrid, realesrgan; before any fallback
        "rule": TEXT,
        "scene": TEXT,  # ID photo, camera frame, product on white
        "published": TEXT,  # by router of a published comparison: its route
        **FEATURES,
    },
    key=("source",),
    json_columns=frozenset({"published"}),
)

ROUTING_CONFUSION = Table(
    name="routing_confusion",
    columns={
        "router": TEXT,  # route: ours; else a published one
        "kind": TEXT,  # of source; all
        "wanted": TEXT,
        "route": TEXT,
        "n_sources": COUNT,
    },
    key=("router", "kind", "wanted", "route"),
)

ROUTING_REGRET = Table(
    name="routing_regret",
    columns={
        "kind": TEXT,  # of source; all
        "policy": TEXT,  # a router; oracle; always <condition>
        "n_subjects": COUNT,
        "n_sources": COUNT,
        "mos": NUMBER,
        "ci_low": NUMBER,
        "ci_high": NUMBER,
        "regret": NUMBER,  # oracle's mean score less this one's
        "regret_low": NUMBER,
        "regret_high": NUMBER,
        "note": TEXT,  # routes whose restorer nobody has scored
    },
    key=("kind", "policy"),
)
