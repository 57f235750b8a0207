"""The records of a study: one row an attempt, whether it worked or not."""

from evalkit.records.keys import code_digest, record_key
from evalkit.records.rows import SERIES, at_hand, in_words, made_at_hand, plain_records
from evalkit.records.store import (
    Cell,
    RecordStore,
    RecordsWarning,
    RecordsWriteError,
    is_open,
)

__all__ = [
    "SERIES",
    "Cell",
    "RecordStore",
    "RecordsWarning",
    "RecordsWriteError",
    "at_hand",
    "code_digest",
    "in_words",
    "is_open",
    "made_at_hand",
    "plain_records",
    "record_key",
]
