"""Names of people and places, beside the personal data that `rules` finds: Presidio with a model of spaCy.

Needs the extra `pii` and a spaCy model; nothing is ever downloaded here.
"""

from collections.abc import Callable
from typing import TYPE_CHECKING

from agents.base.errors import InvalidModel
from agents.data.pii.rules import Found, find_pii

if TYPE_CHECKING:
    from presidio_analyzer import AnalyzerEngine

Finder = Callable[[str], list[Found]]
#: Presidio's entity -> our kind.
KINDS = {"PERSON": "name", "LOCATION": "place"}


def name_finder(model: str) -> Finder:
    """Return what finds names and places as well as what `rules` finds.

    `model`: name of an installed spaCy model.

    Raises:
        InvalidModel: Presidio or the model is not installed here.
    """
    analyzer = _analyzer(model)
    language = analyzer.supported_languages[0]

    def find(text: str) -> list[Found]:
        found = find_pii(text)
        for result in analyzer.analyze(text, language=language, entities=list(KINDS)):
            if all(result.end <= other.start or other.end <= result.start for other in found):
                found.append(Found(KINDS[result.entity_type], result.start, result.end))
        return sorted(found, key=lambda one: one.start)

    return find


def _analyzer(model: str) -> "AnalyzerEngine":
    try:
        import spacy
        from presidio_analyzer import AnalyzerEngine
        from presidio_analyzer.nlp_engine import NlpEngineProvider
    except ImportError as fault:
        raise InvalidModel(
            "Names and places are found with Presidio, which is not installed here.",
            cure="Install the extra `pii` for the workers, or leave out `names` of the validation node.",
        ) from fault
    # Presidio would fetch a model that is missing.
    if not spacy.util.is_package(model):
        raise InvalidModel(
            f"The spaCy model '{model}' is not installed here.",
            cure=f"Run `python -m spacy download {model}` for the workers, or set `names_model` to one that is.",
        )
    language = str(spacy.load(model, exclude=["tok2vec", "tagger", "parser", "ner", "lemmatizer"]).meta["lang"])
    configuration = {"nlp_engine_name": "spacy", "models": [{"lang_code": language, "model_name": model}]}
    engine = NlpEngineProvider(nlp_configuration=configuration).create_engine()
    return AnalyzerEngine(nlp_engine=engine, supported_languages=[language])
