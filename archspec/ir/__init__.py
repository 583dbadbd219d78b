"""The graph that every stage after the syntax works on."""
