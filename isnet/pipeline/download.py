"""The `download` stage: fetches the files of a data set to the data root."""

import logging

from isnet.pipeline.stage_files import available_cores
from isnet.settings.plan import Plan

_log = logging.getLogger(__name__)


def download(plan: Plan, dataset: str) -> None:
    """Fetch the data set's files to the data root and write `source.json`."""
    from isnet.data.download.dataset_download import download_dataset

    source = download_dataset(
        dataset,
        plan.params.datasets[dataset],
        plan.dataset_key(dataset),
        data=plan.layout.data,
        workers=available_cores(),
    )
    source.write(plan.layout.dataset_results(dataset) / "source.json")
    counts = ", ".join(f"{count} {split}" for split, count in source.images.items())
    _log.info(f"{counts} images in {plan.layout.under_data(source.root)}")
