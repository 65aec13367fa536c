"""What is asked of a draft: a checkpoint, images, and what is given already."""

from __future__ import annotations

from typing import NamedTuple

from usncli.drafting.entries import Entry, given_entries
from usncli.drafting.images import FoundImages
from usncli.loading.checkpoints.opened import CheckpointSource, OpenedCheckpoint
from usncli.loading.preprocessing import Preprocessing
from usncli.settings import InitSettings, Resolved


class Question(NamedTuple):
    """What is to be found out about a network.

    Attributes:
        resolved: the settings that are given.
        source: the checkpoint.
        preprocessing: what is given of it, for a checkpoint that states its own; None where no size is.
        images: what the network is for, where they are named.
    """

    resolved: Resolved[InitSettings]
    source: CheckpointSource
    preprocessing: Preprocessing | None
    images: FoundImages | None

    @property
    def settings(self) -> InitSettings:
        """The settings, given or not."""
        return self.resolved.settings

    def given(self, *names: str) -> tuple[Entry, ...]:
        """Return those of some settings, by field name, that are given."""
        return given_entries(self.resolved, *names)

    def checkpoint_entries(self, opened: OpenedCheckpoint) -> tuple[Entry, ...]:
        """Return what is given of the checkpoint; trust in one file is written as its hash, not as trust in any."""
        entries = (Entry("checkpoint", str(self.source.path), "the network"), *self.given("arch", "arch_arg", "strict"))
        if self.source.trust_pickle:
            return (*entries, Entry("trusted-sha256", opened.sha256, "trusts this very file, as --trust-pickle does"))
        return (*entries, *self.given("trusted_sha256"))
