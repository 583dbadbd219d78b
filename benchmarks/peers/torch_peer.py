"""The workloads in PyTorch, eager and compiled: library layers, scaled_dot_product_attention, fused Adam."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from peers.peer import Peer
from peers.workloads import Sizes, Workload


def perceptron(s: Sizes) -> nn.Module:
    hidden = [layer for i in range(s["L"]) for layer in (nn.Linear(s["H"] if i else s["F"], s["H"]), nn.ReLU())]
    return nn.Sequential(*hidden, nn.Linear(s["H"], s["K"]))


class LSTM(nn.Module):
    def __init__(self, s: Sizes) -> None:
        super().__init__()
        self.embed = nn.Embedding(s["V"], s["E"])
        self.lstm = nn.LSTM(s["E"], s["H"], num_layers=s["L"], batch_first=True)
        self.head = nn.Linear(s["H"], s["V"])

    def forward(self, ids: Tensor) -> Tensor:
        return self.head(self.lstm(self.embed(ids))[0])


class Block(nn.Module):
    def __init__(self, D: int, N: int) -> None:
        super().__init__()
        self.N = N
        self.norm1, self.norm2 = nn.LayerNorm(D), nn.LayerNorm(D)
        self.qkv, self.out = nn.Linear(D, 3 * D), nn.Linear(D, D)
        self.up, self.down = nn.Linear(D, 4 * D), nn.Linear(4 * D, D)

    def forward(self, x: Tensor) -> Tensor:
        B, T, D = x.shape
        q, k, v = (part.view(B, T, self.N, D // self.N).transpose(1, 2) for part in self.qkv(self.norm1(x)).split(D, dim=2))
        h = functional.scaled_dot_product_attention(q, k, v, is_causal=True).transpose(1, 2).reshape(B, T, D)
        x = x + self.out(h)
        return x + self.down(functional.gelu(self.up(self.norm2(x)), approximate="tanh"))


class GPT(nn.Module):
    def __init__(self, s: Sizes) -> None:
        super().__init__()
        D = s["D"]
        self.words, self.places = nn.Embedding(s["V"], D), nn.Embedding(s["T"], D)
        self.blocks = nn.Sequential(*[Block(D, s["N"]) for _ in range(s["L"])])
        self.norm, self.head = nn.LayerNorm(D), nn.Linear(D, s["V"], bias=False)

    def forward(self, ids: Tensor) -> Tensor:
        h = self.words(ids) + self.places(torch.arange(ids.shape[1]))
        return self.head(self.norm(self.blocks(h)))


def cnn(s: Sizes) -> nn.Module:
    return nn.Sequential(
        nn.Unflatten(1, (1, s["I"], s["J"])),
        *(nn.Conv2d(1, s["A"], 3, padding=1), nn.ReLU(), nn.MaxPool2d(2)),
        *(nn.Conv2d(s["A"], s["C"], 3, padding=1), nn.ReLU(), nn.MaxPool2d(2)),
        *(nn.Flatten(), nn.Linear(s["C"] * (s["I"] // 4) * (s["J"] // 4), s["H"]), nn.ReLU(), nn.Linear(s["H"], s["K"])),
    )


MODELS = {"perceptron": perceptron, "lstm": LSTM, "gpt": GPT, "cnn": cnn}


def parameter_count(model: nn.Module) -> int:
    """Weights, without the second bias that nn.LSTM adds to the first."""
    return sum(p.numel() for name, p in model.named_parameters() if "bias_hh" not in name)


def make(work: Workload, threads: int, variant: str) -> Peer:
    """`variant` is eager or compiled."""
    torch.set_num_threads(threads)
    torch.manual_seed(0)
    model = MODELS[work.model](work.sizes)
    if work.model == "cnn":
        model = model.to(memory_format=torch.channels_last)
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-3, fused=True)

    def loss_of(x: Tensor, y: Tensor) -> Tensor:
        return functional.cross_entropy(model(x).flatten(0, -2), y.flatten())

    scores: Any = model
    if variant == "compiled":
        loss_of, scores = torch.compile(loss_of), torch.compile(model)

    def step(x: np.ndarray, y: np.ndarray) -> Tensor:
        optimizer.zero_grad(set_to_none=True)
        loss = loss_of(torch.from_numpy(x), torch.from_numpy(y))
        loss.backward()
        optimizer.step()
        return loss.detach()

    @torch.inference_mode()
    def forward(x: np.ndarray) -> np.ndarray:
        return scores(torch.from_numpy(x)).numpy()

    return Peer(step, lambda: None, forward, parameter_count(model))
