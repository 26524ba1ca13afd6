"""The shape of a model, as its `config.json` gives it: what memory and context depend on."""

from __future__ import annotations

from pathlib import Path

from pydantic import BaseModel, PositiveInt, ValidationError

from selfimprove.errors import UserError
from selfimprove.records.foreign_text import read_object
from selfimprove.records.numbers import PositiveFloat


class Rope(BaseModel):
    """How rotary positions are scaled."""

    rope_type: str | None = None
    type: str | None = None
    factor: PositiveFloat | None = None


class Shape(BaseModel):
    """The numbers in `config.json` that memory and context depend on; None where the file does not say."""

    max_position_embeddings: PositiveInt | None = None
    original_max_position_embeddings: PositiveInt | None = None
    rope_parameters: Rope | None = None
    rope_scaling: Rope | None = None
    num_attention_heads: PositiveInt | None = None
    num_key_value_heads: PositiveInt | None = None
    num_hidden_layers: PositiveInt | None = None
    hidden_size: PositiveInt | None = None
    head_dim: PositiveInt | None = None
    intermediate_size: PositiveInt | None = None
    vocab_size: PositiveInt | None = None
    tie_word_embeddings: bool = False

    @property
    def layers(self) -> int:
        """Number of layers."""
        return self.num_hidden_layers or 1

    @property
    def head_size(self) -> int:
        """Width of an attention head."""
        return self.head_dim or max(1, (self.hidden_size or 1) // (self.num_attention_heads or 1))

    @property
    def query_width(self) -> int:
        """Width of all queries of a token."""
        return (self.num_attention_heads or 1) * self.head_size

    @property
    def key_width(self) -> int:
        """Width of all keys of a token, and of all values."""
        return (self.num_key_value_heads or self.num_attention_heads or 1) * self.head_size

    @property
    def linear_layers(self) -> list[tuple[int, int]]:
        """Inputs and outputs of the linear layers of one layer: attention with grouped keys, and an MLP with a gate, as in Llama and Qwen."""
        hidden, inner = self.hidden_size or 1, self.intermediate_size or 4 * (self.hidden_size or 1)
        attention = [(hidden, self.query_width), (hidden, self.key_width), (hidden, self.key_width), (self.query_width, hidden)]
        return [*attention, (hidden, inner), (hidden, inner), (inner, hidden)]

    @property
    def parameters(self) -> int:
        """Number of weights of a model like Llama or Qwen, apart from the few of norms and biases; a tied head counts once."""
        embeddings = (self.vocab_size or 0) * (self.hidden_size or 1)
        return self.layers * sum(inputs * outputs for inputs, outputs in self.linear_layers) + embeddings * (1 if self.tie_word_embeddings else 2)

    def cache_bytes(self, size: int = 2) -> int:
        """Bytes of the keys and values of one token, with full attention in every layer, at `size` bytes a number."""
        return 2 * self.layers * self.key_width * size


def read_shape(model: Path) -> Shape:
    """The shape of the model in a folder.

    Raises:
        UserError: `config.json` is missing or unreadable, or holds something else than a number where one is expected.
    """
    file = model / "config.json"
    config = read_object(file)
    try:
        return Shape.model_validate(config | config.get("text_config", {}))
    except ValidationError as error:
        first = error.errors()[0]
        raise UserError(f"{file}: {'.'.join(map(str, first['loc']))}: {first['msg']}; copy or download the model again") from error
