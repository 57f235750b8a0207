"""``evalkit serve``: pictures restored over HTTP, and a page to try it with."""
