"""The base of every block of the manifest."""

from __future__ import annotations

import hashlib
import json

from pydantic import BaseModel, ConfigDict


class Settings(BaseModel):
    """Base of every block: frozen, unknown keys are errors."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    def digest(self) -> str:
        """Gives a short hash of the settings, the same for the same values."""
        canonical = json.dumps(self.model_dump(mode="json"), sort_keys=True)
        return hashlib.sha256(canonical.encode()).hexdigest()[:16]
