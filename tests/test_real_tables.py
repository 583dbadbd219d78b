"""Tables as people have them, from the file to figures that a statistician would accept. Skipped where they are absent."""

import pytest
from support import real_data

import archspec

CLASSIFY = """
dim B, F, K
model classify(x[B,F]) -> z[B,K] {{
  z = x |> linear(32) |> relu |> linear(K)
}}
data {{
  table   = csv("{file}", columns=[{columns}], skip=1)
  x[B,F]  = table["*", "!label"] |> standardize
  y[B]: K = table["label"]
  split   = holdout(test=0.3, stratify=true)
}}
train {{
  loss      = cross_entropy(z, y)
  metrics   = [accuracy(z, y)]
  optimizer = adamw(lr=1e-2, decay=0.05)
  batch     = 16
  epochs    = 30
}}
"""
REGRESS = """
dim B, F
model predict(x[B,F]) -> z[B] {{
  weight v[H] ~ lecun
  weight c[] ~ zeros
  z = (x |> linear(H) |> gelu) @ v + c
}}
let H = 32
data {{
  {data}
  split = holdout(test=0.3)
}}
train {{
  loss      = mse(z, y)
  metrics   = [mse(z, y), mse(0 * z, y)]
  optimizer = adam(lr=1e-2)
  schedule  = cosine
  batch     = {batch}
  epochs    = {epochs}
}}
"""
MILES = """table = csv("auto-mpg.data", delimiter=" ", columns=["mpg", "n", "d", "hp", "weight", "a", "year", "origin", "name"])
  x[B,F] = concat(table["n", "d", "hp", "weight", "a", "year"] |> fill("median") |> standardize, one_hot(table["origin"]))
  y[B]   = table["mpg"] |> standardize"""
HOUSES = """table = csv("california_housing.csv")
  rooms  = table["total_rooms", "population", "households"] |> log |> standardize
  rest   = table["l*", "housing_median_age", "median_income", "total_bedrooms"] |> fill("median") |> standardize
  x[B,F] = concat(rooms, rest, one_hot(table["ocean_proximity"]))
  y[B]   = table["median_house_value"] |> log |> standardize"""


@pytest.mark.parametrize(
    ("file", "columns", "least"),
    [("sklearn_iris.csv", 4, 0.92), ("sklearn_wine_data.csv", 13, 0.94), ("sklearn_breast_cancer.csv", 30, 0.94)],
)
def test_classes(file, columns, least, tmp_path):
    names = ", ".join([*(f'"x{i}"' for i in range(columns)), '"label"'])
    spec = archspec.loads(CLASSIFY.format(file=file, columns=names), folder=real_data(f"tables/{file}").parent)
    assert archspec.run(spec, out=tmp_path / "run").metrics["test.accuracy"] >= least


@pytest.mark.parametrize(
    ("file", "data", "batch", "epochs", "explained"),
    [("auto-mpg.data", MILES, 16, 60, 0.80), ("california_housing.csv", HOUSES, 128, 20, 0.75)],
)
def test_numbers(file, data, batch, epochs, explained, tmp_path):
    text = REGRESS.format(data=data, batch=batch, epochs=epochs)
    spec = archspec.loads(text, folder=real_data(f"tables/{file}").parent)
    metrics = archspec.run(spec, out=tmp_path / "run").metrics
    assert 1 - metrics["test.mse"] / metrics["test.mse_2"] >= explained
