from .keys import code_digest as code_digest, record_key as record_key
from .lines import Cell as Cell
from .rows import (
    SERIES as SERIES,
    at_hand as at_hand,
    in_words as in_words,
    made_at_hand as made_at_hand,
    plain_records as plain_records,
)
from .store import (
    RecordStore as RecordStore,
    RecordsWarning as RecordsWarning,
    RecordsWriteError as RecordsWriteError,
    is_open as is_open,
)
