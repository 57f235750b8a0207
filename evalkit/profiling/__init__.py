"""What a call costs: a fresh process for each cell, clock, memory, GPU meters."""
