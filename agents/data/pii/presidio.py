"""Names of people and places, beside the personal data that `rules` finds: Presidio with a model of spaCy.

Needs the extra `pii` and a spaCy model; nothing is ever downloaded here.
"""

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

from agents.base.errors import InvalidModel
from agents.data.pii.rules import Found, find_pii, with_others

if TYPE_CHECKING:
    from presidio_analyzer import AnalyzerEngine

Finder = Callable[[str], list[Found]]
#: Of a long text so much is looked at at once.
PIECE_CHARACTERS = 50_000
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
        named: list[Found] = []
        for start, end in _pieces(text):
            results = analyzer.analyze(text[start:end], language=language, entities=list(KINDS))
            for one in sorted(results, key=lambda result: result.start):
                if not named or named[-1].end <= start + one.start:
                    named.append(Found(KINDS[one.entity_type], start + one.start, start + one.end))
        return with_others(find_pii(text), named)

    return find


def _pieces(text: str) -> Iterator[tuple[int, int]]:
    """Yield where pieces of a text begin and end, between words where it can be: spaCy refuses longer ones."""
    start = 0
    while start < len(text):
        end = start + PIECE_CHARACTERS
        if end < len(text):
            end = text.rfind(" ", start + 1, end) + 1 or end
        yield start, min(end, len(text))
        start = end


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
