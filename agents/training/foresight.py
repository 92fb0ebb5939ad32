"""What exports after a training will refuse, refused before it: hours of training are not to end in that."""

import shutil
from pathlib import Path

from transformers import PreTrainedTokenizerFast

from agents.base.agent import Context
from agents.base.loading import load_object
from agents.formats import FORMATS, with_sources


def check_exports(context: Context, tokenizer: PreTrainedTokenizerFast, base: Path) -> None:
    """Refuse a base model that a format of an export after this node can't be made of. `base`: its folder.

    Raises:
        InvalidModel: there is such a format.
    """
    named = [name for one in context.followers if one.agent == "export" for name in one.config.get("formats", ())]
    forms = with_sources([name for name in named if name in FORMATS])
    checks = dict.fromkeys(form.foresight for form in forms if form.foresight and not form.missing_packages())
    if not checks:
        return
    folder = context.work_dir / "foresight"
    tokenizer.save_pretrained(folder)
    shutil.copy(base / "config.json", folder)
    for check in checks:
        load_object(str(check))(folder)
