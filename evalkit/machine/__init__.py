"""What this machine allows, and how it says that it has no more."""
