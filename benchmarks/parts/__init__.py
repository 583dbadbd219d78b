"""The parts of the benchmark: each measures, and makes a table of what it has measured."""
