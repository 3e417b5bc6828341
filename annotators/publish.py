"""From a measured frame and what was said of it to a row: ledger of claims, text, questions.

What the pixels contradict is never published. A frame of which nothing can be published is
explained by its measurements, and says so.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field

from annotators.explain import Statement, compose, explain_by_evidence
from annotators.questions import ask
from annotators.verify import read_labels, verify
from fict.tree import load_tree
from schemas.errors import Rejected, RejectReason
from schemas.manifest import EvidenceSettings
from schemas.records import AnnotatedFrame, Claim, DroppedClaim, MeasuredFrame


@dataclass(frozen=True)
class Said:
    """What was said of one frame, checked, with where it came from.

    Attributes:
        frame: The frame, with the regions that the explainer spoke of.
        claims: What is published.
        dropped: What is not, and why.
        explainer: Who wrote the claims.
        recipe: Recipe that asked a model.
        model: The model.
        prompt_hash: Version of the recipe's prompts.
        requests: Hashes of the requests whose answers these are.
        fallback_reason: Why the measurements speak though a model was asked.
    """

    frame: MeasuredFrame
    claims: tuple[Claim, ...]
    dropped: tuple[DroppedClaim, ...] = ()
    explainer: str = "evidence"
    recipe: str | None = None
    model: str | None = None
    prompt_hash: str | None = None
    requests: tuple[str, ...] = ()
    fallback_reason: str | None = None


@dataclass
class Ledger:
    """The claim ledger of one frame: every statement, its verdict, and what becomes of it.

    Args:
        frame: The frame, with the regions that may be spoken of.
        settings: Thresholds of the evidence.
        keeps_untestable: Statements that no measurement could decide are published, too.
    """

    frame: MeasuredFrame
    settings: EvidenceSettings
    keeps_untestable: bool = False
    claims: list[Claim] = field(default_factory=list)
    dropped: list[DroppedClaim] = field(default_factory=list)

    def enter(self, statements: Iterable[Statement], number: int = 0) -> list[Claim]:
        """Checks statements and enters them, each once.

        Args:
            statements: What was said.
            number: 0 for the first answer, 1 for the answer about refuted statements.

        Returns:
            The claims that the pixels contradict.
        """
        allowed = {region.category_id for region in self.frame.regions}
        refuted = []
        known = {self._of(claim) for claim in self.claims}
        known |= {self._of(claim) for claim in self.dropped}
        for claim in verify(statements, self.frame, self.settings):
            if self._of(claim) in known:
                continue
            known.add(self._of(claim))
            publishes = ("supported", "untestable") if self.keeps_untestable else ("supported",)
            if claim.verdict in publishes and claim.category_id in allowed:
                self.claims.append(claim)
                continue
            fate = "contradicted" if claim.verdict == "contradicted" else "untestable"
            if fate == "contradicted":
                refuted.append(claim)
            name = load_tree().by_id[claim.category_id].name
            self.dropped.append(
                DroppedClaim(
                    region=name, category_id=claim.category_id, kind=claim.kind.value,
                    direction=claim.direction, sentence=claim.sentence, fate=fate,
                    reason=claim.reason, round=number,
                )
            )  # fmt: skip
        return refuted

    @staticmethod
    def _of(claim: Claim | DroppedClaim) -> tuple[int | None, str, str]:
        return claim.category_id, str(claim.kind), claim.direction


def said_by_evidence(frame: MeasuredFrame, settings: EvidenceSettings) -> Said:
    """Lets the measurements speak."""
    ledger = Ledger(frame, settings)
    ledger.enter(explain_by_evidence(frame, settings))
    return Said(frame, tuple(ledger.claims), tuple(ledger.dropped))


def publish(said: Said, explain_hash: str) -> AnnotatedFrame:
    """Writes a row.

    Args:
        said: What was said of the frame.
        explain_hash: Hash of the explain settings, for the row.

    Raises:
        Rejected: `no_evidence`: regions changed, yet nothing can be said of any of them.
    """
    frame = said.frame
    if not said.claims:
        raise Rejected(
            RejectReason.NO_EVIDENCE,
            f"{len(frame.regions)} regions changed in frame {frame.frame_index}, none of them by "
            "more than chance or beyond what a viewer notices",
        )
    text, masks = compose(said.claims, {r.category_id: r.segmentation for r in frame.regions})
    published = Counter(claim.verdict for claim in said.claims)
    by_writer = said.dropped if said.fallback_reason is None else ()
    fates = Counter(one.fate for one in by_writer)
    return AnnotatedFrame(
        **dict(frame),
        explanation=text,
        explanation_masks=masks,
        claims=said.claims,
        claims_supported=published["supported"],
        claims_contradicted=fates["contradicted"],
        claims_untestable=published["untestable"] + fates["untestable"],
        claims_refused=fates["refused"],
        dropped=said.dropped,
        questions=tuple(ask(frame, said.claims, read_labels(frame), load_tree())),
        explainer=said.explainer,
        recipe=said.recipe,
        fallback_reason=said.fallback_reason,
        model=said.model,
        prompt_hash=said.prompt_hash,
        requests=said.requests,
        explain_hash=explain_hash,
    )
