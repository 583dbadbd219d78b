"""Looking at a spec: its blocks and their cost, its gradient as equations, drawings, pages of runs."""
