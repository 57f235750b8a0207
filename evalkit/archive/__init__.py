"""Studies that travel: to hosts without network and back, beside others, to readers."""
