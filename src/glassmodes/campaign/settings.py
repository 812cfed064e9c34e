"""Statistical settings of a campaign as tables, fits and comparison use them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from glassmodes.campaign.config import CampaignConfig


@dataclass(frozen=True)
class StatisticsSettings:
    """Errors, bins and the precision below which a result counts as resolved."""

    resamples: int
    confidence: float
    seed: int
    bins_per_decade: int
    phonon_fraction: float
    exponent_precision: float
    tail_precision: float
    scaling_precision: float

    @classmethod
    def of(cls, config: CampaignConfig) -> StatisticsSettings:
        """Take the settings from a checked configuration."""
        s = config.statistics
        return cls(
            resamples=s.bootstrap_resamples,
            confidence=s.confidence,
            seed=s.bootstrap_seed,
            bins_per_decade=s.bins_per_decade,
            phonon_fraction=s.phonon_fraction,
            exponent_precision=s.exponent_precision,
            tail_precision=s.tail_precision,
            scaling_precision=s.scaling_precision,
        )

    @property
    def options(self) -> dict[str, Any]:
        """Options of `statistics.bootstrap.bootstrap`."""
        return {"resamples": self.resamples, "confidence": self.confidence, "seed": self.seed}
