"""Any Hugging Face causal language model, read through embeddings: random or from a folder.

Q is the number of texts, L their length, D the model's width.
"""

from __future__ import annotations

from typing import Any

import torch
from peft import LoraConfig as PeftLora
from peft import TrainableTokensConfig, get_peft_model
from torch import nn
from transformers import AutoConfig, AutoModelForCausalLM, Cache

from model.config import LanguageConfig
from model.vocabulary import Vocabulary
from schemas.errors import UsageError


class Language(nn.Module):
    """A causal language model that gives states and, of some of them, logits.

    Args:
        config: Which one, and what of it is trained.
        vocabulary: Its tokenizer with the marks.
    """

    def __init__(self, config: LanguageConfig, vocabulary: Vocabulary) -> None:
        super().__init__()
        self.model: Any = _adapted(_load(config, vocabulary), config, vocabulary)

    @property
    def bare(self) -> Any:
        """Gives the transformers model; adapters, if any, are inside its layers."""
        return getattr(self.model, "get_base_model", lambda: self.model)()

    @property
    def width(self) -> int:
        """Gives D."""
        return int(self.bare.config.get_text_config().hidden_size)

    def embed(self, ids_QL: torch.Tensor) -> torch.Tensor:
        """Gives `(Q, L, D)`, the embeddings of tokens."""
        found: torch.Tensor = self.bare.get_input_embeddings()(ids_QL)
        return found

    def forward(
        self,
        embeds_QLD: torch.Tensor,
        attention_QK: torch.Tensor | None = None,
        cache: Cache | None = None,
    ) -> torch.Tensor:
        """Gives `(Q, L, D)`, the states after the last norm.

        Args:
            embeds_QLD: Embeddings of the new tokens.
            attention_QK: 1 for tokens, 0 for padding before them; also of the tokens in the cache.
                None: there is no padding before the texts.
            cache: What was read before; the new tokens are added.
        """
        places_QL = None
        if attention_QK is not None:
            places_QK = (attention_QK.cumsum(dim=1) - 1).clamp(min=0)
            places_QL = places_QK[:, -embeds_QLD.shape[1] :]
        states: torch.Tensor = self.bare.get_decoder()(
            inputs_embeds=embeds_QLD,
            attention_mask=attention_QK,
            position_ids=places_QL,
            past_key_values=cache,
            use_cache=cache is not None,
        ).last_hidden_state
        return states

    def logits(self, states_ND: torch.Tensor) -> torch.Tensor:
        """Gives `(N, V)`, how likely each token comes next."""
        found: torch.Tensor = self.bare.get_output_embeddings()(states_ND)
        return found


def _load(config: LanguageConfig, vocabulary: Vocabulary) -> Any:
    auto: Any = AutoModelForCausalLM
    if config.path:
        try:
            model = auto.from_pretrained(config.path, local_files_only=True, dtype=torch.float32)
        except (OSError, ValueError) as error:
            raise UsageError(
                f"language.path: no model can be read from {config.path}: {error}"
            ) from error
    else:
        model = auto.from_config(_architecture(config, vocabulary))
    if model.get_input_embeddings().weight.shape[0] < len(vocabulary):
        model.resize_token_embeddings(len(vocabulary))
    return model


def _architecture(config: LanguageConfig, vocabulary: Vocabulary) -> Any:
    if "model_type" not in config.architecture:
        raise UsageError(
            "network.language: set path to a model's folder, or architecture with a model_type"
        )
    try:
        return AutoConfig.for_model(
            **{"tie_word_embeddings": True, **config.architecture},
            vocab_size=len(vocabulary),
            pad_token_id=vocabulary.pad_id,
            bos_token_id=None,
            eos_token_id=vocabulary.end_id,
        )
    except (ValueError, TypeError) as error:
        raise UsageError(f"network.language.architecture: {error}") from error


def _adapted(model: Any, config: LanguageConfig, vocabulary: Vocabulary) -> Any:
    """Adds adapters, or freezes all but the embeddings of the marks."""
    tokens = vocabulary.new_ids
    tied = model.config.get_text_config().tie_word_embeddings
    parts = None if tied else ["embed_tokens", "lm_head"]  # None: the embeddings, named as they are
    if config.lora:
        adapters = PeftLora(
            task_type="CAUSAL_LM",
            r=config.lora.rank,
            lora_alpha=config.lora.alpha,
            lora_dropout=config.lora.dropout,
            target_modules=list(config.lora.targets),
            trainable_token_indices=dict.fromkeys(parts, tokens) if parts else tokens,
        )
        return get_peft_model(model, adapters)
    if config.frozen:
        marks = TrainableTokensConfig(token_indices=tokens, target_modules=parts)
        return get_peft_model(model, marks)
    return model
