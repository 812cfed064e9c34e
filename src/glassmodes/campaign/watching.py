"""What a run shows while it works and when it ends: progress, failures, efficiency."""

from __future__ import annotations

from typing import TextIO

from glassmodes.campaign.config import CampaignConfig
from glassmodes.campaign.efficiency import in_one_line, write_efficiency
from glassmodes.campaign.failures import (
    count_refusals,
    find_failures,
    render_failures,
    render_refusals,
)
from glassmodes.campaign.job_log import JobLog
from glassmodes.campaign.progress import (
    CampaignProgress,
    Estimate,
    render_line,
    snakemake_log,
    write_progress,
)

_WRITTEN_S = 15.0
"""Seconds between two words for ``campaign status``."""
_RULES = {
    "write_tables": "writing tables",
    "write_fits": "fitting",
    "write_comparison": "comparing",
    "draw_figures": "drawing figures",
    "write_report": "writing the report",
}


class Watch:
    """Follows one run of Snakemake by its log and by the files of the campaign.

    Parameters
    ----------
    config : CampaignConfig
    stages
        Which stages of samples the run works on.
    cores
        Cores, or jobs that a scheduler may hold at a time.
    screen
        Where lines go.
    """

    def __init__(
        self, config: CampaignConfig, stages: tuple[str, ...], cores: int, screen: TextIO
    ) -> None:
        self.config, self.screen = config, screen
        self.progress = CampaignProgress(config, stages)
        self.log = JobLog(snakemake_log(config.results))
        cores = min(cores, self._ranks())
        self._estimate = Estimate(self.progress.count(), cores, self.progress.longest_sample)
        self._terminal = screen.isatty()
        self._shown = ""
        self._written = -_WRITTEN_S

    def _ranks(self) -> int:
        """Return the ranks of all batches together: what could run at a time at most."""
        ensembles = self.config.ensembles
        return max(1, sum(ensembles[batch.ensemble].ranks for batch in self.progress.batches))

    def begin(self) -> None:
        """Forget the log of a Snakemake that has ended: a new one starts its own."""
        self.log = JobLog(self.log.path)

    def show(self, now: float) -> None:
        """Show the progress of now, if there is something new; `now` in seconds of any clock."""
        counts = self.progress.count()
        jobs = self.log.read()
        left = self._estimate.seconds_left(counts)
        line = render_line(counts, left, self._current(), jobs.counts())
        if line != self._shown:
            self._shown = line
            self.screen.write(f"\r\033[K{line}" if self._terminal else f"glassmodes: {line}\n")
            self.screen.flush()
        if now - self._written >= _WRITTEN_S:
            self._written = now
            write_progress(self.config.results, self._estimate.rate(counts), left)

    def end(self, word: str) -> None:
        """Say how the run ended: ``done``, ``stopped`` or ``failed``; then refusals, efficiency."""
        write_progress(self.config.results, 0.0, 0.0, ended=word)
        if word == "failed":
            failures = find_failures(self.log.read())
            self.screen.write(render_failures(failures, self.log.path))
        refused = count_refusals(self.config, self.progress.batches)
        if refused:
            self.screen.write(render_refusals(refused))
        self.screen.write(f"glassmodes: {self._efficiency()}\n")
        self.screen.flush()

    def _efficiency(self) -> str:
        """Write used against asked beside the results, and return it in one line."""
        try:
            rows = write_efficiency(self.config)
        except OSError as error:
            return f"efficiency is not written ({error})"
        return in_one_line(rows) if rows else "no finished job yet"

    def _current(self) -> str:
        """Return what the newest job of the later stages does."""
        rules = [rule for rule in self.log.current_rules() if rule in _RULES]
        return _RULES[rules[-1]] if rules else ""
