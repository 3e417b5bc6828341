"""FiFa-MLLM, the consumer of the shards; of the project it imports `schemas` only."""
