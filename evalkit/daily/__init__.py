"""Daily use: what acts on the study's answer, a command each."""
