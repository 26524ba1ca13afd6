"""The memory of sampling and of training, from the shape of a model: pure arithmetic, so that it can be asked before anything is loaded.

Models like Llama and Qwen: attention with grouped keys, an MLP with a gate, RMS norms. `python -m benchmarks.memory --check` compares the sums with
what torch allocates.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from selfimprove.checkpoints.shape import Shape

RUNTIME = 1 << 30
"""Bytes of a CUDA context and of the kernels' workspaces: assumed."""
USABLE = 0.9
"""Share of a device that a training can fill: the rest is lost between the blocks of torch's allocator. Assumed."""
TILE_TOKENS, TILE_WIDTH = 4096, 32768
"""Tokens, and entries of the vocabulary, whose logits TRL's fused head computes at once on a GPU."""
STEP_TOKENS = 8192
"""Tokens that vLLM computes at once while it reads prompts: its default on most devices."""

Engine = Literal["small", "trl"]
Precision = Literal["bfloat16", "float32"]


@dataclass(frozen=True)
class TrainingMemory:
    """Bytes on each device during an optimizer step."""

    weights: int
    """Weights, in every precision in which they are held, frozen ones included."""
    optimizer: int
    """Masters and moments of the trained weights."""
    gradients: int
    """All gradients, which are there at the end of the backward pass."""
    activations: int
    """What the forward pass keeps for the backward pass."""
    logits: int
    """What the loss computes at the widest point."""
    parts: int
    """Parts in which the step is computed."""

    @property
    def peak(self) -> int:
        """The most that is held at once.

        In a step of one part all activations are there when the backward pass begins, and all gradients when it ends. In later parts the gradients of
        earlier ones are there from the begin.
        """
        passing = self.activations + self.logits
        return self.weights + self.optimizer + (max(passing, self.gradients) if self.parts == 1 else passing + self.gradients)


def training_memory(
    shape: Shape,
    engine: Engine,
    tokens: int,
    *,
    scored: int | None = None,
    checkpointing: bool = False,
    gpus: int = 1,
    lora_rank: int | None = None,
    precision: Precision = "bfloat16",
    parts: int = 1,
) -> TrainingMemory:
    """Bytes on each device for a pass over `tokens` tokens of it.

    Args:
        engine: `small`: bfloat16 weights, float32 masters and moments, logits of the scored tokens at once. `trl`: float32 weights, which are the
            masters, moments, and bfloat16 copies during a pass (autocast); logits in tiles.
        tokens: Prompt and completion, of all rows that go through the model together.
        scored: Tokens with a loss; None: all.
        checkpointing: Whether each layer keeps only its input and computes the rest again.
        gpus: Devices among which FSDP2 shards weights, gradients and optimizer state; each passes over `tokens` of its own.
        lora_rank: Rank of an adapter on every linear layer; None trains all weights.
        precision: What it computes in. In float32 the weights are their own masters.
        parts: Passes in one step (gradient accumulation).
    """
    parameters, scored = shape.parameters, tokens if scored is None else scored
    adapter = sum(inputs + outputs for inputs, outputs in shape.linear_layers) * shape.layers * (lora_rank or 0)
    trained = adapter if lora_rank else parameters
    half = precision == "bfloat16"
    held, copies, kept, gradient = (2, 0, 12, 2) if engine == "small" and half else (4, 2 if half else 0, 8, 4)
    # Weights that are not trained need no more precision than what is computed in.
    frozen = (2 if half else 4) * parameters // gpus if lora_rank else 0
    # Autocast casts a layer when it is needed. Without checkpointing every copy stays until the backward pass has used it.
    copied = trained // shape.layers if checkpointing or gpus > 1 else trained
    layer = layer_bytes(shape, engine, precision)
    between = (2 if engine == "small" and half else 4) * (shape.hidden_size or 1)
    passed = shape.layers * between + layer if checkpointing else shape.layers * layer
    return TrainingMemory(
        weights=frozen + held * trained // gpus + copies * copied,
        optimizer=kept * trained // gpus,
        gradients=gradient * trained // gpus,
        activations=tokens * passed,
        logits=_logit_bytes(shape, engine, scored, gpus),
        parts=parts,
    )


def layer_bytes(shape: Shape, engine: Engine, precision: Precision = "bfloat16") -> int:
    """Bytes that one layer keeps of one token for the backward pass."""
    size = 2 if precision == "bfloat16" else 4
    hidden, inner = shape.hidden_size or 1, shape.intermediate_size or 4 * (shape.hidden_size or 1)
    # Two norms: the residual in float32, the normalized value, and what the linear layers after it read. Autocast leaves residual and norm in
    # float32 and casts once for each of the five linear layers.
    autocast = engine == "trl" and precision == "bfloat16"
    norms = 2 * (4 + 4) * hidden + 5 * 2 * hidden if autocast else 2 * (4 + 2 * size) * hidden
    # Queries, keys, values and their mix, and the mix once more as the output projection reads it.
    attention = size * (3 * shape.query_width + 2 * shape.key_width)
    # The gate before and after its nonlinearity, the other factor, and the product.
    return norms + attention + 4 * size * inner


def tokens_that_fit(shape: Shape, engine: Engine, device: int, *, checkpointing: bool = False, gpus: int = 1, lora_rank: int | None = None) -> int:
    """The most tokens, all with a loss, that one device of this many bytes can pass over at once; 0 where the model itself does not fit.

    With TRL's trainer a step may have several such parts.
    """

    def peak(tokens: int) -> int:
        return training_memory(shape, engine, tokens, checkpointing=checkpointing, gpus=gpus, lora_rank=lora_rank, parts=parts).peak

    parts = 1 if engine == "small" else 2
    room = int(USABLE * device) - RUNTIME
    fits, too_many = 0, 1 << 24
    while too_many - fits > 1:
        middle = (fits + too_many) // 2
        fits, too_many = (middle, too_many) if peak(middle) <= room else (fits, middle)
    return fits


@dataclass(frozen=True)
class SamplingMemory:
    """Bytes on each device of an engine."""

    weights: int
    working: int
    """One pass over a batch of prompts, and the logits of every sequence."""
    cache: int
    """Keys and values; below zero where the engine does not fit."""
    per_token: int
    """Bytes of the keys and values of one token."""

    @property
    def tokens(self) -> int:
        """Tokens that the cache holds, of all sequences together."""
        return max(0, self.cache) // self.per_token


def sampling_memory(shape: Shape, device: int, utilization: float, *, gpus: int = 1, sequences: int = 256) -> SamplingMemory:
    """What an engine in bfloat16 holds on each device, and what is left for keys and values.

    Args:
        device: Bytes of one device.
        utilization: Share of it that the engine may take.
        gpus: Devices that the engine is spread over (tensor parallelism).
        sequences: Sequences that it works on at once.
    """
    hidden, inner = shape.hidden_size or 1, shape.intermediate_size or 4 * (shape.hidden_size or 1)
    weights = 2 * shape.parameters // gpus
    # Residual, norm and the widest product of one layer; logits in bfloat16 and, twice, in float32.
    working = STEP_TOKENS * 2 * (3 * hidden + 3 * inner // gpus) + sequences * (shape.vocab_size or 0) * (2 + 4 + 4)
    # A device holds at least one key head.
    share = min(gpus, shape.num_key_value_heads or shape.num_attention_heads or 1)
    return SamplingMemory(weights, working, int(utilization * device) - weights - working - RUNTIME, shape.cache_bytes() // share)


def _logit_bytes(shape: Shape, engine: Engine, scored: int, gpus: int) -> int:
    vocabulary, hidden = shape.vocab_size or 0, shape.hidden_size or 1
    if engine == "small":
        # At the begin of the backward pass: log-probabilities, and two gradients in float32.
        return scored * 3 * 4 * vocabulary
    # One tile in bfloat16, at its full width whatever the vocabulary; the head's part for it, and the gradients of head and states in float32.
    # A sharded head is gathered for the loss.
    gathered = 4 * vocabulary * hidden if gpus > 1 else 0
    return gathered + min(scored, TILE_TOKENS) * TILE_WIDTH * 2 + hidden * (2 * min(vocabulary, TILE_WIDTH) + 4 * vocabulary + 4 * scored)
