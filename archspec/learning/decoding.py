"""Decoding rules: how the next entry of a sequence is chosen from a model's scores. Their maths is in trained/decoding.py."""

from archspec.learning.recipes import Parameter, count, declare, non_negative, positive

KIND = "decoding rule"

declare(KIND, "greedy", "the likeliest entry each time")
declare(
    KIND,
    "sample",
    "draws by the softmax of scores / `temperature`: from the `top_k` likeliest, and from the fewest that have `top_p` in all",
    temperature=positive(1.0),
    top_k=count(0),
    top_p=Parameter(1.0, low=0.0, high=1.0, exclude_low=True),
)
declare(
    KIND,
    "beam",
    "the likeliest sequence of `width` that are followed side by side; those that ended are compared by their logarithm over "
    "((5 + length) / 6)^`penalty`",
    width=count(4, low=1, high=1000),
    penalty=non_negative(0.0),
)
