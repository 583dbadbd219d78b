"""Running plans: memory, tables of calls, threads, weights, training. Machine code comes in as addresses."""
