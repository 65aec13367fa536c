"""Opening a data set, whatever its form; and the few functions by which every stage goes through one."""

from __future__ import annotations

from pathlib import Path

from PIL import Image

from usncli.errors import ConfigurationError, InputError
from usncli.files import nearby
from usncli.loading.batching import Subset, batches, collate, epoch_order, split_halves, subset
from usncli.loading.datasets.arrays import open_arrays
from usncli.loading.datasets.coco import open_coco
from usncli.loading.datasets.factory import open_factory
from usncli.loading.datasets.folders import image_paths, open_class_folder, open_plain_folder, visible
from usncli.loading.datasets.options import DataOptions
from usncli.loading.preprocessing import Preprocessing
from usncli.loading.user_code import is_reference
from usncli.types import ImageData, Task

__all__ = [
    "DataOptions",
    "Subset",
    "batches",
    "collate",
    "epoch_order",
    "open_data",
    "split_halves",
    "subset",
]

FORMS = "a COCO keypoint JSON, a folder of images, a folder a class, an .npz file, or package.module:callable"


def open_data(location: str, preprocessing: Preprocessing, task: Task, options: DataOptions | None = None) -> ImageData:
    """Open a data set; everything in it is checked now, and read when asked for.

    Args:
        location: one of

            - a COCO keypoint JSON file; image file names are relative to its folder or the ``images`` folder in it;
            - a folder with exactly one JSON file, the same;
            - a folder of images, with `DataOptions.annotations` for labels; without, the data are unlabelled;
            - a folder a class;
            - an ``.npz`` file, see `usncli.loading.datasets.arrays.open_arrays`;
            - ``package.module:callable``, see `usncli.loading.datasets.factory.open_factory`.
        preprocessing: images are resized (bilinear, antialiased) to its size and converted to its colour; keypoints are
            scaled with them.
        task: what the network predicts; heatmap networks take keypoint labels.
        options: cropping, class names, annotations, cache.

    Raises:
        InputError: nothing there, or files that are not what they should be: the first few by name, and their number.
        ConfigurationError: the data label another task, or an option does not apply to them.
    """
    options = options or DataOptions()
    path = Path(location).expanduser()
    if is_reference(location) and not path.exists():
        _refuse_options(location, options, "annotations", "crop_margin")
        return open_factory(location, preprocessing, task, options)
    if not path.exists():
        raise InputError(f"{location}: no such file or folder{nearby(path)}; expected {FORMS}")
    if path.is_dir():
        return _open_folder(path, preprocessing, task, options)
    if path.suffix.lower() == ".json":
        _refuse_options(location, options, "annotations")
        return _open_coco(path, path.parent, preprocessing, task, options)
    if path.suffix.lower() == ".npz":
        _refuse_options(location, options, "annotations", "crop_margin")
        return open_arrays(path, preprocessing, task, options)
    if path.suffix.lower() in Image.registered_extensions():
        raise InputError(f"{location}: expected {FORMS}, got one image; pass its folder")
    raise InputError(f"{location}: expected {FORMS}")


def _open_folder(folder: Path, preprocessing: Preprocessing, task: Task, options: DataOptions) -> ImageData:
    if options.annotations is not None:
        return _open_coco(options.annotations, folder, preprocessing, task, options)
    json_files = [path for path in visible(folder) if path.suffix.lower() == ".json" and path.is_file()]
    folders = [path for path in visible(folder) if path.is_dir()]
    classes = len(folders) > 1 or bool(options.class_names)
    if task == Task.CLASSIFICATION and folders and (classes or not json_files):
        _refuse_options(str(folder), options, "crop_margin")
        return open_class_folder(folder, preprocessing, options)
    if task == Task.CLASSIFICATION and image_paths(folder):
        json_files = []
    if len(json_files) == 1 or (json_files and task == Task.CLASSIFICATION):
        return _open_coco(json_files[0], folder, preprocessing, task, options)
    if json_files:
        names = ", ".join(path.name for path in json_files[:5])
        raise InputError(f"{folder}: expected one JSON file, found {len(json_files)}; pass one of them: {names}")
    _refuse_options(str(folder), options, "crop_margin", "class_names")
    if folders and not image_paths(folder):
        raise ConfigurationError(
            f"{folder} holds folders and no COCO JSON, as for a folder a class: pass --task classification, "
            "the JSON file, or the folder with the images"
        )
    return open_plain_folder(folder, preprocessing, task, options)


def _open_coco(
    json_file: Path, root: Path, preprocessing: Preprocessing, task: Task, options: DataOptions
) -> ImageData:
    if task == Task.CLASSIFICATION:
        raise ConfigurationError(
            f"{json_file} labels keypoints, not classes: pass --task keypoints or --task heatmaps, "
            "or data with a folder a class"
        )
    _refuse_options(str(json_file), options, "class_names")
    return open_coco(json_file, root, preprocessing, options)


def _refuse_options(location: str, options: DataOptions, *names: str) -> None:
    """Refuse options that do not apply to this form of data, rather than pass over them.

    Raises:
        ConfigurationError: one of them is set.
    """
    for name in names:
        if getattr(options, name) not in (None, ()):
            raise ConfigurationError(f"{location}: the option {name} does not apply to data of this form; leave it out")
