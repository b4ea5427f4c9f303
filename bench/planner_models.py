"""The models of the planner's page: the eight of MLPerf Tiny, and decoders of
random weights as Hugging Face folders. A plan depends on shapes, not on values.
"""

from session import WORK, cli

INT8 = ("kws_ref_model", "pretrainedResnet_quant", "ad01_int8", "vww_96_int8")
TRANSFORMER = "llama_12_blocks"


def decoder(name, blocks, width):
    """Folder of a Llama of so many blocks, made where it is missing."""
    folder = WORK / name
    if (folder / "model.safetensors").exists():
        return folder
    import torch
    import transformers

    torch.manual_seed(1)
    config = transformers.LlamaConfig(
        vocab_size=256,
        hidden_size=width,
        intermediate_size=3 * width,
        num_hidden_layers=blocks,
        num_attention_heads=4,
        num_key_value_heads=2,
        max_position_embeddings=128,
    )
    transformers.LlamaForCausalLM(config).save_pretrained(folder)
    return folder


def models():
    yield from sorted(cli.MODELS.glob("*.tflite"))
    yield decoder(TRANSFORMER, 12, 64)


def precisions(model):
    """The int8 models in each; float ones are float in all."""
    return ["f32", "mixed", "integer"] if model.stem in INT8 else ["f32"]
