"""The formats that a release can be exported to: each a small file and a line in `FORMATS`."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from release.formats import coco, ddvqa, fiftyone, gcg, instructions, label_studio, llava
from release.released import Released
from schemas.errors import UsageError, nearest


@dataclass(frozen=True)
class Format:
    """One export.

    Attributes:
        write: Writes one split into a folder, row by row.
        title: What it is, in a few words.
        opens: How it is opened; `{split}` stands for a split.
        pictures: Whether it names pictures below `images/`.
    """

    write: Callable[[Released, str, Path], None]
    title: str
    opens: str
    pictures: bool = True


FORMATS: Mapping[str, Format] = {
    "coco": Format(
        coco.write, "COCO instances: regions and artifact masks of both sides",
        'pycocotools.coco.COCO("coco/{split}.json")',
    ),
    "fiftyone": Format(
        fiftyone.write, "FiftyOne: COCO detections and a classification of each picture",
        "fiftyone.Dataset.from_dir(dataset_type=fiftyone.types.COCODetectionDataset, "
        'data_path="images", labels_path="fiftyone/{split}/labels.json", '
        'label_types=["detections", "segmentations"])',
    ),
    "gcg": Format(
        gcg.write, "GLaMM's grounded conversation (GranD-f): caption, phrases, masks",
        'json.load(open("gcg/{split}.json"))',
    ),
    "llava": Format(
        llava.write, "LLaVA conversations: the questions that are answered in words",
        'json.load(open("llava/{split}.json"))',
    ),
    "dd-vqa": Format(
        ddvqa.write, "DD-VQA: questions and answers, one file a method",
        'json.load(open("dd-vqa/{split}/Original.json"))',
    ),
    "label-studio": Format(
        label_studio.write, "Label Studio tasks: each region as a brush mask, to be corrected",
        'import "label-studio/{split}.json" with the labelling set-up "label-studio/{split}.xml"',
    ),
    "instructions": Format(
        instructions.write, "Parquet with one question a row",
        'datasets.load_dataset(".", "instructions", split="{split}")', pictures=False,
    ),
}  # fmt: skip


def check_formats(names: tuple[str, ...]) -> None:
    """Lets names of formats pass.

    Raises:
        UsageError: There is no format of that name; the message lists those there are.
    """
    for name in names:
        if name not in FORMATS:
            raise UsageError(
                f"no format '{name}'{nearest(name, FORMATS)}; known: {', '.join(FORMATS)}"
            )
